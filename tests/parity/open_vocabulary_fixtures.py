"""Fixtures of SegEarth-OV and SimFeatUp, which their official code made (float32, random weights).

    python -m tests.parity.open_vocabulary_fixtures ../shared/fixtures

writes `open_vocabulary/` anew: what the tests read of the files, of large outputs every ninth element
(`sampled/NAME`). The images of the network are stored as bytes, before normalisation (`NAME/resized`).
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel

from tests.parity.fixtures import Sample, sample

FOLDER = Path(__file__).parent / "open_vocabulary"
NAMES = ("ov_clip_last_block", "ov_simfeatup", "ov_segment", "ov_simfeatup_train")
LEFT_OUT = ("block_input", "text_features")
NOT_COMPARED = (
    *("/pixel_values", "/range_proj", "/kernel_normalised", "/fixup", "/source_bicubic_padded"),
    *("/window0_logits", "step2/output", "step3/output", "/high_res_features", "/reconstructed_image"),
)
SAMPLED = ("/probabilities", "/output", "/output_other_size")
STEP = 9
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@functools.cache
def arrays(name: str) -> dict[str, torch.Tensor | Sample]:
    """The arrays of a fixture by their names."""
    with np.load(FOLDER / f"{name}.npz") as content:
        tensors = {key: torch.from_numpy(np.asarray(content[key])) for key in content.files}
    shapes = json.loads((FOLDER / "shapes.json").read_text(encoding="utf-8"))[name]
    found: dict[str, torch.Tensor | Sample] = {}
    for key, tensor in tensors.items():
        whole = key.removeprefix("sampled/")
        found[whole] = tensor if whole == key else Sample(tensor, STEP, tuple(shapes[whole]))
    return found


def under(name: str, prefix: str) -> dict[str, torch.Tensor]:
    """The arrays whose names begin with a prefix, without it."""
    return {key.removeprefix(prefix): tensor for key, tensor in arrays(name).items() if key.startswith(prefix)}


@functools.cache
def settings(name: str) -> dict[str, Any]:
    """The settings of a fixture."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def tower(width: int, layers: int, heads: int, **others: int) -> dict[str, Any]:
    """One of CLIP's two transformers, as its configuration describes it."""
    sizes = {"hidden_size": width, "intermediate_size": 4 * width}
    return {**sizes, "num_hidden_layers": layers, "num_attention_heads": heads, "hidden_act": "quick_gelu", **others}


def image_tower(sizes: dict[str, Any], image_size: int, **others: int) -> dict[str, Any]:
    """The transformer for images of a fixture."""
    shape = {"patch_size": sizes["patch"], "image_size": image_size}
    return tower(sizes["width"], sizes["layers"], sizes["heads"], **shape, **others)


def clip_of(name: str) -> CLIPModel:
    """The CLIP of a fixture."""
    sizes = settings(name)["config"]
    common = {"projection_dim": sizes["embed"]}
    vision = image_tower(sizes, sizes["image"], **common)
    words = {
        "vocab_size": sizes["vocab"],
        "max_position_embeddings": sizes["ctx"],
        "bos_token_id": sizes["vocab"] - 2,
        "eos_token_id": sizes["vocab"] - 1,
        "pad_token_id": 0,
    }
    text = tower(sizes["tw"], sizes["tl"], sizes["th"], **words, **common)
    clip = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=sizes["embed"])).eval()
    clip.load_state_dict(under(name, "transformers/"))
    return clip


def write(whole: Path) -> None:
    """Make the folder out of the whole fixtures."""
    FOLDER.mkdir(exist_ok=True)
    shapes: dict[str, dict[str, list[int]]] = {}
    for name in NAMES:
        kept, shapes[name] = {}, {}
        with np.load(whole / f"{name}.npz") as content:
            for key in content.files:
                array = np.asarray(content[key])
                if key.endswith(NOT_COMPARED) or (key.startswith(LEFT_OUT) and name != "ov_segment"):
                    continue
                if key.endswith(SAMPLED) or (key.startswith("openclip/") and array.ndim > 1):
                    shapes[name][key] = list(array.shape)
                    key, array = f"sampled/{key}", sample(torch.from_numpy(array), STEP).numpy()
                kept[key] = array
        np.savez_compressed(FOLDER / f"{name}.npz", **kept)
        text = json.dumps(json.loads((whole / f"{name}.json").read_text(encoding="utf-8")), indent=1)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8", newline="\n")
    (FOLDER / "shapes.json").write_text(f"{json.dumps(shapes)}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
