import ast
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from s5_hf.dataset_builders.builder import Builder
from s5_hf.dataset_builders.obtaining import OBTAINING
from s5_hf.dataset_builders.registry import REGISTRY, get_entry

ROOT = Path(__file__).parents[2]
NAMES = {
    "rs4p-1m",
    *(f"s5-{name}" for name in ["isaid", "vaihingen", "potsdam", "loveda", "openearthmap", "dior-r", "dota"]),
    *(f"s5-{name}" for name in ["million-aid", "samrs", "star", "images", "image-mask", "image-graph", "oriented"]),
    "s5-deepglobe-landcover",
    *("s5-global-scale", "s5-cityscale-roads", "s5-irsamap"),
    *(f"s5-{name}" for name in ["uavid", "udd5", "vdd", "whu-aerial", "whu-satellite-2", "inria", "xbd-pre"]),
    *(f"s5-{name}" for name in ["chn6-cug", "deepglobe-roads", "massachusetts-roads", "spacenet-roads", "wbs-si"]),
    *(f"s5-{name}" for name in ["image-pair-mask", "levir-cc", "levir-cd", "whu-cd", "s2looking", "bandon", "second"]),
    *(f"s5-{name}" for name in ["earthreason", "refsegrs", "rrsis-d", "image-question-mask"]),
}


def test_every_dataset_of_s5_is_registered():
    assert set(REGISTRY) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_entry_is_consistent(name):
    entry = get_entry(name)
    builder = entry.builder_class()
    assert issubclass(builder, Builder)
    assert name == builder.DATASET
    assert len(set(entry.labels)) == len(entry.labels)
    if entry.palette is not None:
        assert len(set(entry.palette)) == len(entry.palette)
        assert len(entry.palette) - len(entry.labels) == (1 if entry.ignore_index == len(entry.labels) else 0)
    if entry.evaluation is not None:
        assert entry.evaluation.split in entry.splits
        assert set(entry.evaluation.excluded_classes) <= set(entry.labels)
    own = ("images", "image-mask", "image-graph", "oriented", "image-pair-mask", "image-question-mask")
    if name.removeprefix("s5-") not in own:
        assert entry.licence and entry.citation.startswith("@") and entry.homepage.startswith("https://")


def test_numbers_of_classes():
    counts = {name: len(entry.labels) for name, entry in REGISTRY.items() if len(entry.labels) > 2}
    assert counts == {
        "s5-uavid": 7,
        "s5-udd5": 5,
        "s5-vdd": 7,
        "rs4p-1m": 16,
        "s5-isaid": 16,
        "s5-vaihingen": 5,
        "s5-potsdam": 5,
        "s5-loveda": 7,
        "s5-deepglobe-landcover": 6,
        "s5-openearthmap": 9,
        "s5-second": 7,
        "s5-dior-r": 20,
        "s5-irsamap": 10,
        "s5-dota": 18,
    }
    assert [len(get_entry("s5-dota").labels_of(config)) for config in ("v1.0", "v1.5", "v2.0", None)] == [
        15,
        16,
        18,
        18,
    ]
    assert [get_entry("s5-spacenet-roads").task_of(config) for config in (None, "graphs")] == [
        "segmentation",
        "road graph",
    ]
    assert get_entry("s5-spacenet-roads").labels_of("graphs") == ()
    assert get_entry("s5-dota").labels_of("v1.5")[-1] == "container-crane"


def test_unknown_names_list_the_known_and_the_closest():
    with pytest.raises(
        KeyError, match=r"'s5-lovda'. Did you mean 's5-loveda'\? Known: rs4p-1m, s5-bandon, s5-chn6-cug"
    ):
        get_entry("s5-lovda")
    with pytest.raises(KeyError, match="Did you mean 's5-dota'"):
        get_entry("dota")
    with pytest.raises(ValueError, match=r"s5-dota has no configuration 'v3.0'; known: v2.0, v1.5, v1.0"):
        get_entry("s5-dota").labels_of("v3.0")


def test_registry_imports_nothing_heavy():
    code = "import sys; sys.path.insert(0, '.'); import dataset_builders.registry; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"datasets", "torch", "numpy", "pyarrow"} & set(loaded)


def test_load_dataset_knows_names_when_it_was_imported_first(numbered_images):
    folder = numbered_images(3)
    code = (
        "from datasets import load_dataset\nimport s5_hf, s5_hf\n"
        "from s5_hf.integrations import install_integrations\n"
        "install_integrations(['load_dataset'])\n"
        f"print(len(list(load_dataset('s5-star', data_dir={str(folder)!r}, split='train', streaming=True))))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "3\n"


def test_registering_twice_wraps_once():
    from s5_hf.integrations import install_integrations

    before = datasets.load.dataset_module_factory
    install_integrations(["load_dataset"])
    assert datasets.load.dataset_module_factory is before


def test_other_names_reach_datasets(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert datasets.load_dataset("csv", data_files=str(tmp_path / "rows.csv"), split="train")[0] == {"a": 1, "b": 2}


def test_builders_import_nothing_of_the_other_folders():
    for path in (ROOT / "dataset_builders").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1 and "s5_hf" not in (node.module or ""), path.name
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("s5_hf") for alias in node.names), path.name


def test_every_published_dataset_says_how_it_is_obtained():
    published = {name for name, entry in REGISTRY.items() if entry.homepage}
    assert set(OBTAINING) <= published
    for name, found in OBTAINING.items():
        assert found.where and (not found.prepare or found.prepare.startswith(f"s5-hf prepare {name} "))
    assert OBTAINING["s5-loveda"].size_in_words.startswith("at most 18.8 GB: the pixels without compression (2,522")
    assert OBTAINING["s5-dior-r"].size_in_words == "not known to us"
