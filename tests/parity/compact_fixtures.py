"""Makes `tests/parity/compact/` out of the whole fixtures.

    python -m tests.parity.compact_fixtures ../shared/fixtures

What is left out, so that all of it stays under 10 MB:

- equal arrays are stored once (the experts of a start are copies, several runs have one input);
- of large outputs every ninth element is kept (`OUTPUTS`), of the features of RoIAlign the first eight channels,
  which do not mix;
- of S4P training the first two of three steps;
- of the checkpoint after the last step every ninth weight of a matrix, the others are zero: training does not go on
  from it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from tests.parity.fixtures import COMPACT, WRAPPERS, WholeFixtures, sample

CHECKPOINTS = (
    "micro_s4p",
    "micro_s4p_upernet",
    "micro_mdf_moe_upernet",
    "micro_mdf_init_after",
    "micro_mdf_train_before",
    "micro_mdf_train_after1",
    "micro_mdf_train_after2",
    "micro_s4p_train_before",
    "micro_s4p_train_after1",
    "micro_s4p_train_after2",
    "tiny_mae_ckpt",
    "tiny_mae_loaded_encoder",
    "tiny_moe2_encoder",
    "det_micro",
)
SAMPLED_CHECKPOINTS = ("micro_mdf_train_after2", "micro_s4p_train_after2")
# Per run of the official code: the beginnings of the names of arrays that are sampled, and of those left out.
OUTPUTS = {
    "micro_s4p_io": ("logits", "encoder_out", "decoder_feature"),
    "micro_s4p_train_io": ("s0_img_u_s_cutmixed", "s1_img_u_s_cutmixed", "s0_grad", "s0_conf", "s1_conf"),
    "micro_mdf_moe_io": ("logits",),
    "micro_mdf_train_io": (),
    "tiny_mae_io": ("encoder_out",),
    "tiny_moe2_io": ("encoder",),
    "obb_coders": (),
    "rotated_ops": ("roi_out",),
    "det_micro_io": tuple(
        f"{task}_{name}"
        for task in ("dior", "dota")
        for name in ("fpn", "rpn_cls", "rpn_reg", "roi_cls", "roi_reg", "roi_feat", "roi_bbox_pred")
    ),
}
LEFT_OUT = {"micro_s4p_train_io": ("s2_",), "obb_coders": ("gt_", "flip_", "hbb2obb", "regular_")}
STEP = 9
SMALL = 1000  # elements; fewer are not worth a sample
ROI_CHANNELS = 8


class Store:
    """Arrays under numbers, equal ones under the same."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._numbers: dict[tuple, int] = {}

    def add(self, tensor: torch.Tensor) -> int:
        array = np.ascontiguousarray(tensor.numpy()).reshape(tensor.shape)
        content = (array.dtype.str, array.shape, array.tobytes())
        if content not in self._numbers:
            self._numbers[content] = len(self.arrays)
            self.arrays.append(array)
        return self._numbers[content]


def thinned(tensor: torch.Tensor) -> torch.Tensor:
    """Every ninth weight of a matrix or kernel, zero elsewhere; vectors as they are."""
    if tensor.ndim < 2 or tensor.numel() < SMALL:
        return tensor
    kept = torch.zeros_like(tensor).flatten()
    kept[::STEP] = tensor.flatten()[::STEP]
    return kept.view_as(tensor)


def compact_checkpoint(whole: WholeFixtures, name: str, store: Store) -> dict:
    content = torch.load(whole.checkpoint(name), weights_only=True)
    (wrapper,) = set(WRAPPERS) & set(content)
    keep = thinned if name in SAMPLED_CHECKPOINTS else torch.Tensor.contiguous
    tensors = {key: store.add(keep(tensor)) for key, tensor in content[wrapper].items()}
    return {"wrapper": wrapper, "tensors": tensors}


def compact_arrays(whole: WholeFixtures, name: str, store: Store) -> dict:
    entries = {}
    for key, tensor in whole.arrays(name).items():
        if key.startswith(LEFT_OUT.get(name, ())):
            continue
        if name == "rotated_ops" and key in ("roi_feat", "roi_out"):
            tensor = tensor[:, :ROI_CHANNELS]
        if key.startswith(OUTPUTS[name]) and tensor.numel() >= SMALL and tensor.is_floating_point():
            entries[key] = {"number": store.add(sample(tensor, STEP)), "step": STEP, "shape": list(tensor.shape)}
        else:
            entries[key] = store.add(tensor)
    return entries


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8", newline="\n")


def main(folder: Path) -> None:
    whole, store = WholeFixtures(folder), Store()
    index = {
        "checkpoints": {name: compact_checkpoint(whole, name, store) for name in CHECKPOINTS},
        "arrays": {name: compact_arrays(whole, name, store) for name in OUTPUTS},
    }
    COMPACT.mkdir(exist_ok=True)
    write_json(COMPACT / "index.json", index)
    np.savez_compressed(COMPACT / "arrays.npz", **{str(number): array for number, array in enumerate(store.arrays)})
    write_json(COMPACT / "det_vit_b_moe_mtd.json", whole.entries("det_vit_b_moe_mtd"))
    print(f"{sum(path.stat().st_size for path in COMPACT.iterdir()) / 1e6:.2f} MB in {COMPACT}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
