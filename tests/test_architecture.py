"""The plan of the house: which room may import which, by the table of docs/architecture.md, read from the sources."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
from draw_architecture import PICTURE, draw, read_floors  # noqa: E402 - a script beside the pages

ROOF = "s5_hf"  # the package's own __init__.py, which no room imports


def module_name(path: Path) -> str:
    """`modeling/upernet.py` is s5_hf.modeling.upernet: two folders at the top install inside the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "s5_hf" else ("s5_hf", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path for top in ("s5_hf", "modeling", "dataset_builders") for path in (ROOT / top).rglob("*.py")
}
PACKAGES = sorted(name for name, path in MODULES.items() if path.stem == "__init__")


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ROOF


def statements(node: ast.AST, runs_at_import: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Everything below a node but what is for type checkers, and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, runs_at_import
        yield from statements(child, runs_at_import and not later)


def named_modules(node: ast.AST, module: str) -> Iterator[str]:
    """Modules of this package that an import statement of `module` names, or that hold the names it imports."""
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        package = module if module in PACKAGES else module.rpartition(".")[0]
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*parents, *([node.module] if node.module else [])])
        names = [alias.name for alias in node.names]
        faces = modules_of_face(base) if base in PACKAGES else {}
        found = [f"{base}.{name}" if f"{base}.{name}" in MODULES else faces.get(name, base) for name in names]
    else:
        return
    yield from (name for name in found if name.split(".")[0] == "s5_hf")


@cache
def imports() -> tuple[tuple[str, str, bool], ...]:
    """Every import as (module, imported module, whether it happens when the module is imported)."""
    return tuple(
        (module, imported, at_import)
        for module, path in MODULES.items()
        for node, at_import in statements(ast.parse(path.read_text(encoding="utf-8")))
        for imported in named_modules(node, module)
    )


@cache
def modules_of_face(package: str) -> dict[str, str]:
    """The names that a package loads when they are asked for, each with the module that it loads then."""
    calls = [node for node in ast.walk(ast.parse(MODULES[package].read_text(encoding="utf-8"))) if is_face(node)]
    members = eval(compile(ast.Expression(calls[0].args[1]), package, "eval"), {}) if calls else {}
    return {name: f"{package}.{module}" for module, names in members.items() for name in names}


def is_face(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_face"


def with_packages(module: str) -> set[str]:
    """A module and the packages above it, whose `__init__` runs first."""
    parts = module.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}


def test_every_import_names_a_module_that_exists():
    assert sorted({(module, name) for module, name, _ in imports() if name not in MODULES}) == []


def test_every_room_stands_on_one_floor_of_the_page():
    floors = [room for rooms in read_floors().values() for room in rooms]
    assert sorted(floors) == sorted({room_of(module) for module in MODULES} - {ROOF})


def test_no_arrow_between_rooms_points_up_or_sideways():
    floor_of = {room: number for number, rooms in read_floors().items() for room in rooms}
    floor_of[ROOF] = max(floor_of.values()) + 1
    arrows = {(room_of(module), room_of(name)): (module, name) for module, name, _ in imports()}
    wrong = {(a, b) for a, b in arrows if a != b and floor_of[b] >= floor_of[a]}
    assert {arrows[arrow] for arrow in wrong} == set()


@pytest.mark.parametrize("room", ["modeling", "dataset_builders"])
def test_the_ground_floor_imports_nothing_of_the_rest(room):
    outside = {(module, name) for module, name, _ in imports() if room_of(module) == room and room_of(name) != room}
    assert outside == set()


def test_no_circle_between_modules_when_they_are_imported():
    """So every module can be the first that a process imports.

    Importing a module runs the packages above it first, so these count as imported, too. The other way in, through a
    library that the package changes, is the matter of tests/integrations/test_imports.py.
    """
    needed = {module: set() for module in MODULES}
    for module, name, at_import in imports():
        if at_import:
            needed[module] |= with_packages(name) - with_packages(module)
    try:
        TopologicalSorter(needed).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_a_docstring_and_a_face_whose_names_resolve(package):
    assert ast.get_docstring(ast.parse(MODULES[package].read_text(encoding="utf-8")))
    face = import_module(package)
    offered = getattr(face, "__all__", [])
    assert len(offered) == len(set(offered))
    assert [name for name in offered if not hasattr(face, name)] == []
    modules = {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == package}
    assert sorted(set(offered) & modules) == [], "Python puts the module of that name in the name's place"


def test_the_picture_shows_the_floors_of_the_page():
    assert PICTURE.read_text(encoding="utf-8") == draw(read_floors()), "run: python docs/draw_architecture.py"
