"""The quick way through the features gives what the way of `datasets` gives."""

import copy

import numpy as np
import pytest
from datasets import Features
from PIL import Image

from s5_hf.dataset_builders.features import ImageFeatures, curated_features
from s5_hf.dataset_builders.masks import encode_mask

ENCODED = {"bytes": encode_mask(np.arange(16, dtype=np.uint8).reshape(4, 4)), "path": None}
SAMPLE = {"image": ENCODED, "id": "a", "source": "b", "pseudo_mask": None, "entropy": 0.5, "cluster": 3}


def test_encoded_samples_pass_unchanged():
    assert curated_features().encode_example(SAMPLE) is SAMPLE


@pytest.mark.parametrize(
    "change",
    [{"image": Image.new("L", (4, 4), 7)}, {"entropy": "0.25"}, {"cluster": np.int64(5)}, {"source": 12}],
    ids=lambda change: next(iter(change)),
)
def test_other_samples_are_encoded_as_by_datasets(change):
    features = curated_features()
    found, expected = (kind.encode_example({**SAMPLE, **change}) for kind in (features, Features(dict(features))))
    assert found == expected
    assert features.decode_example(found)["id"] == "a"


def test_decoding_equals_that_of_datasets():
    features = curated_features()
    found, expected = (kind.decode_example(SAMPLE) for kind in (features, Features(dict(features))))
    assert (np.asarray(found.pop("image")) == np.asarray(expected.pop("image"))).all()
    assert found == expected


def test_copies_stay_quick():
    assert type(copy.deepcopy(curated_features())) is ImageFeatures
    assert copy.deepcopy(curated_features()) == curated_features()
