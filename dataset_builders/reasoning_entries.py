"""The registry's entries of datasets with questions and masks."""

from __future__ import annotations

from dataclasses import replace

from .entry import DatasetEntry

_QUESTIONS = DatasetEntry(
    name="s5-image-question-mask",
    title="Your own images with questions and masks",
    task="reasoning",
    builder=f"{__package__}.image_question_mask.ImageQuestionMask",
    splits=("train", "val", "test"),
)

# Entries look alike because they are data, as in registry.py.
REASONING_ENTRIES = (
    replace(
        _QUESTIONS,
        name="s5-earthreason",
        title="EarthReason",
        builder=f"{__package__}.earth_reason.EarthReason",
        licence="see the homepage",
        citation="""@article{li2025segearthr1,
  title={{SegEarth-R1}: Geospatial Pixel Reasoning via Large Language Model},
  author={Li, Kaiyu and others},
  journal={arXiv preprint arXiv:2504.09644},
  year={2025}
}""",
        homepage="https://huggingface.co/datasets/earth-insights/EarthReason",
    ),
    replace(
        _QUESTIONS,
        name="s5-refsegrs",
        title="RefSegRS",
        builder=f"{__package__}.refsegrs.RefSegRS",
        licence="see the homepage",
        citation="""@article{yuan2023rrsis,
  title={{RRSIS}: Referring Remote Sensing Image Segmentation},
  author={Yuan, Zhenghang and others},
  journal={arXiv preprint arXiv:2306.08625},
  year={2023}
}""",
        homepage="https://huggingface.co/datasets/JessicaYuan/RefSegRS",
    ),
    replace(
        _QUESTIONS,
        name="s5-rrsis-d",
        title="RRSIS-D",
        builder=f"{__package__}.rrsis_d.RRSISD",
        licence="see the homepage",
        citation="""@article{liu2023rmsin,
  title={Rotated Multi-Scale Interaction Network for Referring Remote Sensing Image Segmentation},
  author={Liu, Sihan and others},
  journal={arXiv preprint arXiv:2312.12470},
  year={2023}
}""",
        homepage="https://github.com/Lsan2401/RMSIN",
    ),
    _QUESTIONS,
)
