"""A small project: two datasets, an archive and a scene, all made up, and networks that train for two steps."""

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from s5_hf.synthetic import SCENE_LABELS, synthetic_scene, write_synthetic_dataset

NETWORK = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "decoder_channels": 16}
SHORT = {"total_steps": 2, "crop_size": 64, "batch_size": 2}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """city and roads with train and val, archive, scene.png."""
    folder = tmp_path_factory.mktemp("project-data")
    for split, count in (("train", 6), ("val", 2)):
        write_synthetic_dataset(folder / "city" / split, count=count, size=64, seed=count)
        roads = folder / "roads" / split
        shutil.copytree(folder / "city" / split, roads)
        for path in (roads / "masks").iterdir():
            Image.fromarray((np.asarray(Image.open(path)) == 1).astype(np.uint8)).save(path)
    write_synthetic_dataset(folder / "all", count=6, size=64, seed=500)
    (folder / "all" / "images").rename(folder / "archive")
    shutil.rmtree(folder / "all")
    Image.fromarray(synthetic_scene(size=96, seed=3).image).save(folder / "scene.png")
    return folder


def content():
    """A whole project of two datasets."""
    return {
        "datasets": [
            {"name": "city", "folder": "city", "classes": list(SCENE_LABELS)},
            {"name": "roads", "folder": "roads", "classes": ["ground", "road"]},
        ],
        "archive": ["archive"],
        "scenes": ["scene.png"],
        "first": {**SHORT, **NETWORK},
        "curate": {"clusters": 2, "target": 3},
        "pretrain": {"total_steps": 2, "crop_size": 64, "labelled_batch_size": 2, "unlabelled_batch_size": 2},
        "finetune": {**SHORT, "expert_channels": 8, "epochs": 2},
        "evaluate": True,
        "maps": {"window": 64},
    }


@pytest.fixture
def write(data, tmp_path, monkeypatch):
    """Writes project.yaml into a copy of the data, which becomes the current folder."""
    folder = tmp_path / "place"
    shutil.copytree(data, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))

    def write_file(**changes):
        entries = {key: value for key, value in {**content(), **changes}.items() if value is not ...}
        path = folder / "project.yaml"
        path.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
        return path

    return write_file
