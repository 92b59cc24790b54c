"""A list of a folder's files with their sizes and digests, by which a complete folder is told from another."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


def write_manifest(folder: Path) -> None:
    """List the files of a finished folder in `manifest.json`: path, bytes and SHA-256 of each."""
    content = {name: describe_file(folder / name) for name in file_names(folder)}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2), encoding="utf-8")


def file_names(folder: Path) -> list[str]:
    """The files below a folder, sorted, as relative paths with `/`; without the manifest itself."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != MANIFEST)


def describe_file(path: Path) -> dict[str, int | str]:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def changed_files(folder: Path, parts: Sequence[str] = ()) -> list[str]:
    """What differs from the manifest, in words; empty for a folder that is as it was written.

    Args:
        folder: with a manifest.
        parts: only files of these names, or below folders of these names; all by default.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in listed.items()}
    except FileNotFoundError:
        return [f"{folder / MANIFEST} is missing (it says which files belong to the folder)"]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        return [f"{folder / MANIFEST} is not a list of files: {error!r}"]
    changes = []
    for name, (size, digest) in expected.items():
        path = folder / name
        if parts and name.partition("/")[0] not in parts:
            continue
        if not path.is_file():
            changes.append(f"{path} is missing")
        elif path.stat().st_size != size:
            changes.append(f"{path} has {path.stat().st_size} bytes, {size} were written")
        elif describe_file(path)["sha256"] != digest:
            changes.append(f"{path} has other content than was written")
    return changes
