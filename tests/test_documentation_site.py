"""The documentation site: its configuration covers every package and page; `make docs` builds it (not tested here)."""

import ast
import configparser
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import build_site  # noqa: E402 - a script beside the pages
from docstrings import bare_names, split_groups  # noqa: E402


@pytest.fixture(scope="module")
def modules():
    return build_site.public_modules()


def test_the_reference_covers_every_installed_package_and_module(modules):
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    packages = set(settings["options"]["packages"].split()) - {"s5_hf.examples"}  # scripts, no modules
    named = set(build_site.pages_of(build_site.configuration(modules)["nav"]))
    assert {module.name for module in modules if module.is_package} == packages
    assert {module.page for module in modules} <= named
    sources = {path for folder in ("s5_hf", "modeling", "dataset_builders") for path in (ROOT / folder).rglob("*.py")}
    assert {path for path in sources if path.stem == "__init__" or not path.stem.startswith("_")} == {
        module.path for module in modules
    }


def test_the_two_folders_at_the_top_are_shown_inside_the_package(modules):
    paths = {module.name: module.path for module in modules}
    assert paths["s5_hf.modeling"] == ROOT / "modeling" / "__init__.py"
    assert paths["s5_hf.dataset_builders"] == ROOT / "dataset_builders" / "__init__.py"


def test_every_page_is_in_the_navigation():
    written = {
        path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
    }
    assert written | {"README.md", "CHANGELOG.md"} == set(build_site.hand_written_pages())


def test_every_public_module_says_what_it_is(modules):
    assert [module.name for module in modules if not module.summary] == []


def test_names_that_a_package_offers_lead_to_their_definitions(modules):
    for package in (module for module in modules if module.is_package):
        offered = build_site.offered_names(package, modules)
        for name, module, _ in offered:
            assert name in build_site.defined_names(module.tree)
    (scenes,) = [module for module in modules if module.name == "s5_hf.scenes"]
    offered = {name: module.name for name, module, _ in build_site.offered_names(scenes, modules)}
    assert offered["open_scene"] == "s5_hf.scenes.source"
    assert offered["segment_scene"] == "s5_hf.scenes.segmentation.single_scene"  # through two lazy faces
    (networks,) = [module for module in modules if module.name == "s5_hf.modeling"]
    assert len(build_site.offered_names(networks, modules)) == len(_exported_names(networks))


def test_links_follow_the_pages_and_links_out_of_the_site_become_text(tmp_path):
    pages = build_site.hand_written_pages()
    build_site.write_pages(pages, tmp_path)
    start = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert "](guides/scenes.md)" in start
    assert "](benchmarks/index.md)" in start
    assert "](LICENSE)" not in start
    assert "Licence: Apache-2.0" in start
    assert (tmp_path / "images" / "viewer.jpg").is_file()
    assert "](../benchmarks/s4p_effect.md)" in (tmp_path / "tutorials" / "researcher.md").read_text(encoding="utf-8")


def test_an_entry_for_several_arguments_becomes_one_for_each():
    docstring = (
        "Sum.\n\nArgs:\n    height, width: in pixels,\n        both.\n    **kwargs: more.\n\nReturns:\n    a, b: c."
    )
    assert split_groups(docstring) == (
        "Sum.\n\nArgs:\n    height: in pixels,\n        both.\n    width: in pixels,\n        both.\n"
        "    **kwargs: more.\n\nReturns:\n    a, b: c."
    )


def test_names_lose_the_brackets_of_transformers_but_links_stay():
    assert bare_names("Output of [`Net`], see [`x`](y.md) and [`z`][a.z].") == (
        "Output of `Net`, see [`x`](y.md) and [`z`][a.z]."
    )


def test_sources_are_read_without_importing_them(modules, tmp_path):
    griffe = pytest.importorskip("griffe", reason="the extra docs is not installed: pip install 's5_hf[docs]'")
    wanted = [module for module in modules if module.name in ("s5_hf", "s5_hf.modeling", "s5_hf.modeling.rotated_iou")]
    build_site.write_sources(wanted, tmp_path)
    extension = griffe.load_extensions(ROOT / "docs" / "griffe_docstrings.py")
    package = griffe.load(
        "s5_hf",
        search_paths=[tmp_path],
        try_relative_path=False,
        extensions=extension,
        allow_inspection=False,
        docstring_parser="google",
    )
    sections = package["modeling.rotated_iou.rotated_iou"].docstring.parsed
    (arguments,) = [section.value for section in sections if section.kind.value == "parameters"]
    assert [argument.name for argument in arguments] == ["boxes1", "boxes2", "mode"]
    assert str(arguments[1].annotation) == "Tensor"


def _exported_names(package):
    (value,) = [
        node.value for node in package.tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    return ast.literal_eval(value)
