"""What segmenting a scene and detecting objects in one have in common: files, resuming, the name of the model."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..imaging.scene_files import is_remote

__all__ = [
    "finished_work_kept",
    "model_name",
    "refuse_unfinished",
    "require_absent",
    "require_distinct",
    "require_same_work",
]


def require_absent(paths: Iterable[Path]) -> None:
    """Raise a FileExistsError that names the first of the files that exist already, and how many more there are."""
    taken = [path for path in paths if path.exists()]
    if taken:
        more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
        raise FileExistsError(
            f"{taken[0]} exists already{more}; move it away, or choose overwrite (--overwrite), or resume (--resume) "
            "to leave finished scenes as they are"
        )


def require_distinct(products: Mapping[str | Path, Iterable[Path]]) -> None:
    """Make sure that no file is made twice, and that none takes the place of a scene.

    Args:
        products: the files that are made of each scene.

    Raises:
        ValueError: two scenes would have the same file, or a scene would be replaced; names both.
    """
    scenes = {Path(scene).resolve(): scene for scene in products if not is_remote(scene)}
    makers: dict[Path, str | Path] = {}
    for scene, paths in products.items():
        for path in paths:
            place = path.resolve()
            if place in scenes:
                raise ValueError(f"{path} would replace the scene {scenes[place]}; choose another name or folder")
            if place in makers and makers[place] != scene:
                raise ValueError(
                    f"{makers[place]} and {scene} would both become {path}; give OUTPUT as a folder, scenes of one "
                    "name in two runs"
                )
            if place in makers:
                raise ValueError(f"two results of {scene} would both become {path}; choose other names")
            makers[place] = scene


def refuse_unfinished(work: Path) -> None:
    """Raise a FileExistsError that names the work of an interrupted run, which is not to be resumed."""
    raise FileExistsError(
        f"{work} holds the unfinished work of an earlier run; choose resume (--resume) to continue it or overwrite "
        "(--overwrite) to start afresh"
    )


def require_same_work(work: Path, earlier: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raise a ValueError that says what has changed since an interrupted run.

    Args:
        work: its file or folder.
        earlier, now: what decides the result, by the words for it, then and now.
    """
    changed = [name for name, value in now.items() if earlier.get(name) != value]
    if changed:
        raise ValueError(
            f"{work} holds unfinished work, but since then changed: {', '.join(changed)}. Start afresh with overwrite "
            "instead of resume, or go back to what it was"
        )


@contextmanager
def finished_work_kept(work: Path | None, what: str, report: Callable[[str], None]) -> Iterator[None]:
    """Say, when the block fails, that the work finished so far is kept, and how to continue.

    Args:
        work: the file or folder that holds it; None if nothing is kept.
        what: is finished, such as rows.
        report: takes the line.
    """
    try:
        yield
    except BaseException:
        if work is not None and work.exists():
            report(f"{work} holds the finished {what}; the same call with resume continues after them")
        raise


def model_name(model: object, network: object) -> str:
    """What a result says about the model that made it: its path or name, or else that of the network."""
    return str(model) if isinstance(model, (str, Path)) else getattr(network, "name", type(network).__name__)
