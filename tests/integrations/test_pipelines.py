"""`pipeline` for models of one task and of several, segmenters and detectors, and for those of others."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    ImageSegmentationPipeline,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    pipeline,
)

from s5_hf.modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation, S5ImageProcessor
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_corners
from tests.conftest import MICRO_TASKS, micro_segmentation_config, randomise
from tests.modeling.detection_models import DETECTION_TASKS, micro_detection_config
from tests.reasoning_models import QUESTIONS, tiny_processor, tiny_reasoner, write_tiny_reasoner

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A segmenter and a detector of one task, and of several with experts."""
    made = {}
    for name, model in {
        "segmenter": S5ForSemanticSegmentation(micro_segmentation_config()),
        "segmenter-moe": S5ForSemanticSegmentation(micro_segmentation_config(num_experts=2)),
        "detector": S5ForOrientedObjectDetection(micro_detection_config()),
        "detector-moe": S5ForOrientedObjectDetection(micro_detection_config(num_experts=2)),
    }.items():
        made[name] = tmp_path_factory.mktemp("models") / name
        randomise(model).save_pretrained(made[name])
        S5ImageProcessor().save_pretrained(made[name])
    return made


def pipeline_of(kind, folder, **settings):
    return pipeline(kind, model=str(folder), image_processor=str(folder), **settings)


def expected_classes(folder, task=None):
    model = S5ForSemanticSegmentation.from_pretrained(folder)
    with torch.no_grad():
        return model(**S5ImageProcessor()(IMAGE, return_tensors="pt"), task=task).logits[0].argmax(dim=0).numpy()


def check_segments(segments, classes, labels):
    assert [segment["label"] for segment in segments] == [labels[index] for index in np.unique(classes)]
    for segment in segments:
        mask = np.asarray(segment["mask"])
        np.testing.assert_array_equal(mask, 255 * (classes == labels.index(segment["label"])))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("image-segmentation", "segmenter"),
        ("image-segmentation", "segmenter-moe"),
        ("object-detection", "detector"),
        ("object-detection", "detector-moe"),
        ("oriented-object-detection", "detector"),
    ],
)
def test_pipelines_do_not_call_the_models_unsupported(folders, kind, name, caplog):
    with caplog.at_level(logging.WARNING):
        logging.getLogger("transformers").addHandler(caplog.handler)
        try:
            pipeline_of(kind, folders[name])
        finally:
            logging.getLogger("transformers").removeHandler(caplog.handler)
    assert "not supported" not in caplog.text


def test_segmentation_of_one_task_needs_no_name(folders):
    segments = pipeline_of("image-segmentation", folders["segmenter"])(IMAGE)
    check_segments(segments, expected_classes(folders["segmenter"]), MICRO_TASKS["fields"])
    assert segments == pipeline_of("image-segmentation", folders["segmenter"])(IMAGE, subtask="semantic")


@pytest.mark.parametrize("task", MICRO_TASKS)
def test_segmentation_of_several_tasks_takes_the_task_when_made_and_in_the_call(folders, task):
    folder = folders["segmenter-moe"]
    classes = expected_classes(folder, task)
    made_for_it = pipeline_of("image-segmentation", folder, subtask=task)
    check_segments(made_for_it(IMAGE), classes, MICRO_TASKS[task])
    for_all = pipeline_of("image-segmentation", folder)
    for name in ("subtask", "task"):
        check_segments(for_all(IMAGE, **{name: task}), classes, MICRO_TASKS[task])
    other = next(name for name in MICRO_TASKS if name != task)
    check_segments(made_for_it(IMAGE, subtask=other), expected_classes(folder, other), MICRO_TASKS[other])


def test_segmentation_in_batches_gives_the_same(folders):
    segmenter = pipeline_of("image-segmentation", folders["segmenter-moe"], subtask="roads")
    one, *others = segmenter([IMAGE, IMAGE, IMAGE], batch_size=2)
    assert one == segmenter(IMAGE) and all(other == one for other in others)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "the model has several tasks, choose one with subtask=...: fields, roads"),
        ({"subtask": "seas"}, "the model has no task 'seas'; its tasks: fields, roads"),
        ({"subtask": "fields", "task": "roads"}, "subtask is 'fields' and task 'roads'; give one of them"),
    ],
)
def test_an_unclear_task_is_refused(folders, settings, message):
    segmenter = pipeline_of("image-segmentation", folders["segmenter-moe"])
    with pytest.raises(ValueError, match=message):
        segmenter(IMAGE, **settings)


@pytest.mark.parametrize(
    ("name", "task"), [("detector", None), ("detector-moe", "vehicles"), ("detector-moe", "roofs")]
)
def test_detection_gives_oriented_boxes_and_their_hulls(folders, name, task):
    folder = folders[name]
    found = pipeline_of("object-detection", folder, **({"subtask": task} if task else {}))(IMAGE, threshold=0.2)
    model = S5ForOrientedObjectDetection.from_pretrained(folder)
    processor = S5ImageProcessor()
    with torch.no_grad():
        outputs = model(**processor(IMAGE, return_tensors="pt"), task=task)
    expected = processor.post_process_oriented_object_detection(outputs, threshold=0.2)[0]
    assert len(found) == len(expected["scores"]) > 0
    labels = DETECTION_TASKS[task or "vehicles"]
    for entry, score, label, box in zip(found, expected["scores"], expected["labels"], expected["boxes"], strict=True):
        assert entry["score"] == pytest.approx(score.item(), abs=1e-4)
        assert entry["label"] == labels[label]
        assert list(entry["oriented_box"]) == ["cx", "cy", "w", "h", "theta"]
        assert list(entry["oriented_box"].values()) == pytest.approx(box.tolist(), rel=1e-3, abs=1e-2)
        assert entry["box"]["xmin"] <= entry["oriented_box"]["cx"] <= entry["box"]["xmax"] + 1


def test_oriented_detection_gives_the_corners_of_the_boxes(folders):
    settings = {"subtask": "roofs", "threshold": 0.2}
    hulls = pipeline_of("object-detection", folders["detector-moe"])(IMAGE, **settings)
    found = pipeline_of("oriented-object-detection", folders["detector-moe"])(IMAGE, **settings)
    assert len(found) == len(hulls) > 0
    for entry, other in zip(found, hulls, strict=True):
        assert list(entry) == ["score", "label", "polygon", "oriented_box"]
        assert {name: entry[name] for name in ("score", "label", "oriented_box")} == {
            name: other[name] for name in ("score", "label", "oriented_box")
        }
        box = torch.tensor([list(entry["oriented_box"].values())])
        torch.testing.assert_close(torch.tensor(entry["polygon"]), oriented_boxes_to_corners(box)[0])
        x, y = zip(*entry["polygon"], strict=True)
        sides = [int(min(x)), int(min(y)), int(max(x)), int(max(y))]
        assert list(other["box"].values()) == pytest.approx(sides, abs=1)


def test_oriented_detection_refuses_other_models(folders):
    with pytest.raises(ValueError, match=r"'s5_segmentation'.*needs an oriented detector, 's5_detection'"):
        pipeline(
            "oriented-object-detection",
            model=S5ForSemanticSegmentation.from_pretrained(folders["segmenter"]),
            image_processor=S5ImageProcessor(),
        )


def test_other_models_keep_the_pipeline_of_transformers():
    torch.manual_seed(0)
    config = SegformerConfig(
        depths=[1, 1],
        num_encoder_blocks=2,
        hidden_sizes=[8, 8],
        num_attention_heads=[1, 1],
        sr_ratios=[1, 1],
        patch_sizes=[3, 3],
        strides=[2, 2],
        mlp_ratios=[1, 1],
        decoder_hidden_size=8,
        num_labels=2,
    )
    processor = SegformerImageProcessor(size={"height": 32, "width": 32})
    other = pipeline(
        "image-segmentation", model=SegformerForSemanticSegmentation(config).eval(), image_processor=processor
    )
    assert type(other) is ImageSegmentationPipeline
    assert {segment["label"] for segment in other(IMAGE)} <= {"LABEL_0", "LABEL_1"}


def test_questions_are_answered_with_masks(tmp_path, folders):
    write_tiny_reasoner(tmp_path / "reasoner")
    answer = pipeline("image-text-to-mask", model=str(tmp_path / "reasoner"))
    found = answer(IMAGE, text=QUESTIONS[0])
    processor = tiny_processor()
    with torch.no_grad():
        output = tiny_reasoner()(**processor(IMAGE, QUESTIONS[0]))
    (mask,) = processor.post_process_masks(output, [(50, 70)])
    assert found["mask"].size == IMAGE.size
    assert np.array_equal(np.asarray(found["mask"]) > 0, mask.numpy())
    assert found["score"] == 0 if not mask.any() else 0.5 < found["score"] <= 1
    assert len(answer([IMAGE, IMAGE], text=QUESTIONS[1])) == 2
    with pytest.raises(ValueError, match="needs text"):
        answer(IMAGE)
