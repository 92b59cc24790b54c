"""Files from the Hub into its cache, with their checksums compared."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, is_offline_mode, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import get_session

from ..dataset_builders.pace import Pace

# The client's own errors derive from those of its HTTP library: httpx, or httpx2 from version 2 on.
HTTPError = HfHubHTTPError.__bases__[0]
HTTP_LIBRARY = sys.modules[HTTPError.__module__.partition(".")[0]]

# What a download can end with: the Hub's answers are OSErrors, a broken connection is an HTTPError.
DOWNLOAD_ERRORS = (OSError, HTTPError, EntryNotFoundError, HFValidationError)

LIBRARY = "s5_hf"
CHUNK = 1 << 20


class NotInRepository(FileNotFoundError):
    """The repository answers, but has no such file."""


class HubNotAsked(OSError):
    """There is no connection, or downloads are switched off, and the Hub's cache has nothing."""


@dataclass(frozen=True)
class RepositoryFile:
    """What is known of a file in a repository.

    Attributes:
        size: bytes.
        sha256: of large files; small ones live in git and have none.
        cached: where it lies, for files that are known from the Hub's cache alone.
    """

    size: int | None
    sha256: str | None = None
    cached: Path | None = None


def download(
    repository: str,
    patterns: Sequence[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    cache_dir: str | Path | None = None,
) -> dict[str, Path]:
    """The files of a repository whose names match `patterns`, from the Hub's cache or downloaded with progress bars.

    Without a connection, or with `local_files_only`, only the cache is looked at. The other arguments are those of
    `hf_hub_download`, which would try for half a minute before it gives up; this function gives up at once.

    Returns:
        Path in the cache by name in the repository, at least one.

    Raises:
        NotInRepository: if no file matches.
        OSError: if the Hub cannot be reached, a transfer stalls, or the content of a file is not what the Hub says it
            is; such a file is removed from the cache.
        DOWNLOAD_ERRORS: for anything else that fails on the way.
    """
    files = repository_files(
        repository, revision=revision, token=token, local_files_only=local_files_only, cache_dir=cache_dir
    )
    paths = {}
    for name in matching(files, patterns, repository):
        file = files[name]
        if file.cached is None:
            with limited_patience():
                path = hf_hub_download(
                    repository,
                    name,
                    revision=revision,
                    token=token,
                    force_download=force_download,
                    cache_dir=cache_dir,
                    library_name=LIBRARY,
                )
            require_content(Path(path), file.sha256)
        paths[name] = file.cached or Path(path)
    return paths


def repository_files(
    repository: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
) -> dict[str, RepositoryFile]:
    """The files of a repository by name, from the Hub; without a connection those in the Hub's cache.

    Raises:
        HubNotAsked: if the Hub cannot be asked, and the cache has nothing of the repository.
        DOWNLOAD_ERRORS: for anything else that fails on the way.
    """
    if local_files_only or is_offline_mode():
        return cached_files(repository, revision, cache_dir, absent="and downloads are switched off")
    try:
        with limited_patience():
            return published_files(repository, revision, token)
    except HTTPError as error:
        if isinstance(error, HfHubHTTPError):
            raise
        absent = f"and {constants.ENDPOINT} cannot be reached ({reason(error)})"
        return cached_files(repository, revision, cache_dir, absent)


@contextmanager
def limited_patience() -> Iterator[None]:
    """Let transfers of the Hub's client fail with a TimeoutError when they stall; the limit is for each single read.

    Downloads by the optional `hf_xet` keep the limits of that library.
    """
    hooks = get_session().event_hooks["response"]
    hooks.append(watch_pace)
    try:
        yield
    finally:
        hooks.remove(watch_pace)


def watch_pace(response: Any) -> None:
    """Replace the body of a response by one that watches how fast it comes."""
    response.stream = PacedStream(response.stream)


class PacedStream(HTTP_LIBRARY.SyncByteStream):
    """The body of a response until it stalls."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        pace = Pace()
        for chunk in self._stream:
            pace.add(len(chunk))
            yield chunk

    def close(self) -> None:
        self._stream.close()


def published_files(repository: str, revision: str | None, token: str | bool | None) -> dict[str, RepositoryFile]:
    """A repository's files as the Hub lists them."""
    info = HfApi(token=token, library_name=LIBRARY).model_info(
        repository, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
    )
    return {
        file.rfilename: RepositoryFile(file.size, file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or []
    }


def cached_files(
    repository: str, revision: str | None, cache_dir: str | Path | None, absent: str
) -> dict[str, RepositoryFile]:
    """The files that the Hub's cache has, without asking the network; `absent` says why it is not asked."""
    try:
        folder = Path(snapshot_download(repository, revision=revision, cache_dir=cache_dir, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise HubNotAsked(f"it is not in the Hub cache, {absent}") from error
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): RepositoryFile(path.stat().st_size, cached=path) for path in paths}


def matching(names: Iterable[str], patterns: Sequence[str], place: str) -> list[str]:
    """The names that fit one of the patterns, or a NotInRepository that lists what there is."""
    names = list(names)
    found = [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    if not found:
        raise NotInRepository(f"{place} has no {' or '.join(patterns)}; its files: {', '.join(names) or 'none'}")
    return found


def require_content(path: Path, expected: str | None) -> None:
    """Compare a file with the published SHA-256; the client itself compares sizes only.

    Raises:
        OSError: if it differs; the file is removed, with what it links to.
    """
    if expected is None or sha256(path) == expected:
        return
    path.resolve().unlink()
    path.unlink(missing_ok=True)
    raise OSError(f"{path.name} arrived damaged and was removed: its SHA-256 is not the published {expected}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def reason(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
