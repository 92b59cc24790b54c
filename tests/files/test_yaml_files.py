"""Recipes are read by one loader, which refuses a key that is given twice."""

import pytest

from s5_hf.curation.recipe import read_curation_recipe
from s5_hf.files.yaml_files import read_yaml
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.segmentation.recipe import SegmentationRecipe

READERS = [
    read_yaml,
    read_curation_recipe,
    lambda path: PretrainingRecipe.read([str(path)]),
    lambda path: SegmentationRecipe.read([str(path)]),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("seed: 1\noutput: a\nseed: 2\n", "seed", 1),
        ("datasets:\n  - {name: a, class_map: {0: x, 7: x, 7: y}}\n", "7", 2),
        ("'seed': 1\nother: {}\nseed: 1\n", "seed", 1),
    ],
)
def test_a_key_that_is_given_twice_is_refused_wherever_yaml_is_read(read, text, key, line, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        ValueError, match=rf"(?s)recipe\.yaml is not valid YAML: the key '{key}' .*first in line {line}"
    ):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_a_recipe_in_another_encoding_is_named(read, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("output: Größe\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"recipe\.yaml is not UTF-8 text \(invalid .* at byte 10\)"):
        read(path)


def test_keys_of_a_merged_mapping_may_be_overridden(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\nyours: [{a: 1}, {a: 2}]\n", encoding="utf-8")
    assert read_yaml(path) == {"base": {"a": 1, "b": 2}, "mine": {"a": 1, "b": 3}, "yours": [{"a": 1}, {"a": 2}]}
