"""What segmenting a scene and detecting objects in one have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["finished_work_kept", "model_name"]


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
