"""`dataset.json` in a folder of tiles: its classes are used, and a model of other classes is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from s5_hf.dataset_builders.description import described_classes, read_description
from s5_hf.evaluation.data import check_classes, load_evaluation_data


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / "test" / part).mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "test/images/a.png")
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "test/masks/a.png")
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": ["land", "road"]}))
    return tmp_path


def test_a_model_with_the_classes_in_another_order_is_refused(folder):
    data = load_evaluation_data("s5-image-mask", "test", str(folder), ["road", "land"])
    assert data.labels == ("land", "road") and not data.labels_of_model
    with pytest.raises(ValueError, match="have other classes"):
        check_classes(["road", "land"], data)
    (folder / "dataset.json").unlink()
    data = load_evaluation_data("s5-image-mask", "test", str(folder), ["road", "land"])
    assert data.labels == ("road", "land") and data.labels_of_model


def test_only_a_list_of_names_counts(folder):
    assert read_description(folder) == {"classes": ["land", "road"]}
    assert described_classes(folder / "test") == described_classes(None) == described_classes("hf://a/b") == ()
    for text, message in (("{", "is not JSON"), ('{"classes": [1]}', "expected an object with a list of classes")):
        (folder / "dataset.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            described_classes(folder)
