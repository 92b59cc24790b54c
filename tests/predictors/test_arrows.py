"""Imports of the rooms around the networks point one way, and the face of a room loads nothing heavy."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import s5_hf

ROOT = Path(s5_hf.__file__).parent
ROOMS = ("export", "predictors", "scenes", "evaluation", "commands")
"""Each may import those before it."""


def modules():
    """Name of every module of the rooms, to the modules of the rooms that it imports."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
    }
    graph = {}
    for name, path in files.items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                package = name.split(".")[: -node.level] if node.level else []
                target = (node.module or "").removeprefix("s5_hf.")
                imported.add(".".join([*package, target]).strip("."))
        graph[name] = {found for found in imported if found in files}
    return graph


def test_rooms_import_only_rooms_below():
    order = {room: index for index, room in enumerate(ROOMS)}
    upward = [
        f"{name} -> {found}"
        for name, imported in modules().items()
        for found in imported
        if order[found.split(".")[0]] > order[name.split(".")[0]]
    ]
    assert upward == []


def test_no_module_of_these_rooms_is_part_of_a_circle():
    assert len(list(TopologicalSorter(modules()).static_order())) > 60


@pytest.mark.parametrize(
    ("face", "name"),
    [
        ("s5_hf.predictors", "load_segmenters"),
        ("s5_hf.scenes", "segment_scene"),
        ("s5_hf.scenes.segmentation", "write_polygons"),
        ("s5_hf.scenes.detection", "detect_scene"),
        ("s5_hf.scenes.viewer", "write_viewer"),
        ("s5_hf.evaluation", "run_evaluation"),
        ("s5_hf.export", "export_model"),
    ],
)
def test_a_face_loads_what_it_offers_only_when_asked(face, name):
    code = f"import sys, {face} as face; assert {name!r} in dir(face) and not {{'torch', 'PIL'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    module = __import__(face, fromlist=["all"])
    assert all(getattr(module, member) is not None for member in module.__all__)
