"""Refuse a wheel or source distribution that lacks something: `python .github/check_distributions.py dist`."""

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"s5_hf": "s5_hf", "modeling": "s5_hf/modeling", "dataset_builders": "s5_hf/dataset_builders"}


def modules(folder: str) -> list[Path]:
    """Python files of a folder of the repository, and the recipes that come with them."""
    found = [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).glob("recipes/*/*.yaml")]
    return [path.relative_to(ROOT / folder) for path in sorted(found)]


def missing_from_wheel(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    wanted = {f"{target}/{module.as_posix()}" for source, target in FOLDERS.items() for module in modules(source)}
    wanted.add("s5_hf/py.typed")
    foreign = {name for name in names if not name.startswith(("s5_hf/", "s5_hf-"))}
    licences = [name for name in names if name.endswith("/licenses/LICENSE")]
    return sorted(wanted - names) + sorted(f"foreign: {name}" for name in foreign) + ([] if licences else ["LICENSE"])


def missing_from_source(path: Path) -> list[str]:
    with tarfile.open(path) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    wanted = {f"{folder}/{module.as_posix()}" for folder in FOLDERS for module in modules(folder)}
    wanted |= {"LICENSE", "README.md", "pyproject.toml", "setup.cfg", "s5_hf/py.typed"}
    return sorted(wanted - names)


def main(folder: Path) -> None:
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    missing = {wheel.name: missing_from_wheel(wheel), source.name: missing_from_source(source)}
    for name, lacking in missing.items():
        print(f"{name}: {'complete' if not lacking else 'lacks ' + ', '.join(lacking)}")
    if any(missing.values()):
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
