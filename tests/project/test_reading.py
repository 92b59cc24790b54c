"""Project files that are refused: the message names the file and the key."""

import pytest

from s5_hf.project import read_project
from s5_hf.project.steps import project_steps
from tests.project.conftest import content

CITY = content()["datasets"][0]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"pretrian": {}}, ValueError, "unknown key 'pretrian', did you mean 'pretrain'"),
        ({"datasets": []}, ValueError, "datasets must be a list of datasets"),
        ({"datasets": [{"name": "city", "folder": "city"}]}, ValueError, r"datasets\[0\] lacks classes"),
        (
            {"datasets": [{**CITY, "clases": []}]},
            ValueError,
            r"datasets\[0\] has an unknown key 'clases'",
        ),
        ({"datasets": [CITY, CITY]}, ValueError, r"datasets\[1\].name: two datasets are called 'city'"),
        (
            {"datasets": [{**CITY, "classes": ["a", "a"]}]},
            ValueError,
            r"datasets\[0\].classes must be different names",
        ),
        ({"datasets": [{**CITY, "folder": "none"}]}, FileNotFoundError, r"datasets\[0\].folder: there is no folder"),
        ({"archive": ["none"]}, FileNotFoundError, "archive: there is no .*none"),
        ({"archive": 3}, ValueError, "archive must be a list of paths, got 3"),
        ({"archive": ...}, ValueError, "curate: there is nothing to choose from"),
        ({"archive": ..., "curate": False}, ValueError, "pretrain: needs images without labels"),
        ({"first": False}, ValueError, "curate: needs the first segmenter"),
        ({"scenes": ...}, ValueError, "maps: there is nothing to map"),
        ({"first": 3}, ValueError, "first must be false, or a mapping"),
        ({"first": {"recipe": "s4p_vit_b"}}, ValueError, "the recipe s4p_vit_b is for s4p, not for segmentation"),
        ({"first": {"recipe": "nothing"}}, FileNotFoundError, "there is no recipe file nothing"),
        ({"maps": {"windw": 3}}, ValueError, "maps has an unknown key 'windw', did you mean 'window'"),
        ({"maps": {"window": "wide"}}, ValueError, "maps.window must be int, got 'wide'"),
        ({"bands": "red"}, ValueError, r"bands must be a list of names or numbers of bands"),
        ({"bands": ["red", "red"]}, ValueError, "bands must be different ones"),
        ({"launcher": {"options": {}}}, ValueError, "launcher lacks processes"),
        ({"launcher": 0}, ValueError, "launcher.processes must be 1 or more, got 0"),
        ({"seed": "one"}, ValueError, "seed must be a number from 0, got 'one'"),
    ],
)
def test_what_is_wrong_is_named(changes, kind, message, write):
    path = write(**changes)
    with pytest.raises(kind, match=f"{path}: {message}"):
        read_project(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": {"output_dir": "x"}}, "first.output_dir: the chain sets this key itself"),
        ({"evaluate": {"split": "test"}}, "evaluate: .*city has no split test, only train, val"),
        ({"datasets": [{**CITY, "finetune": {"data_dir": "x"}}]}, "city.finetune.data_dir: the chain sets"),
        ({"pretrain": {"learning_rat": 1}}, "pretrain has unknown keys: learning_rat"),
        ({"datasets": [{**CITY, "finetune": {"class_weight": 1}}]}, "class_weight"),
        ({"pretrain": {"total_steps": "many"}}, "pretrain: .*invalid int value: 'many'"),
    ],
)
def test_keys_of_recipes_are_checked_before_anything_runs(changes, message, write):
    path = write(**changes)
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        project_steps(read_project(path))


def test_a_file_that_is_missing_or_no_mapping_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no project file .*s5-hf init FOLDER"):
        read_project(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"list.yaml: a project is a mapping"):
        read_project(tmp_path / "list.yaml")
