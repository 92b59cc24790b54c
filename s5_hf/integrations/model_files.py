"""What `s5_hf.integrations.known_names` answers when transformers asks for files of a known name."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..hub.download import DOWNLOAD_ERRORS, NotInRepository, download
from ..hub.from_hub import local_failures, no_repository, note_failure, pull, pull_release
from ..hub.name_form import OPEN_NAMES
from ..hub.names import known_model, repository_of
from ..hub.store import stored
from ..modeling import S5ImageProcessor

FindFiles = Callable[..., list[str] | None]

CONFIG_FILES = ("config.json", "preprocessor_config.json")
INDEX_FILE = "model.safetensors.index.json"
DEFAULT_REVISIONS = (None, "main")
DOWNLOAD_OPTIONS = ("token", "local_files_only", "force_download", "cache_dir")


def find_files(
    original: FindFiles, name: str, filenames: Sequence[str], *args: Any, **kwargs: Any
) -> list[str] | None:
    """Files of a known name: from the store, a Hub repository, the table (configurations) or the official release.

    Args:
        original: `cached_files` of transformers, which does the rest once it is known where to look.
        name: a name of this family that is not a local path.
        filenames: what is asked for, such as `["config.json"]`.
        *args, **kwargs: the other arguments of `cached_files`, kept as they are.

    Raises:
        OSError: for a name that does not exist, and where weights are asked for and none are found.
    """
    if name in OPEN_NAMES:
        require_default_revision(name, kwargs.get("revision"))
        return original(str(pull(name, token=kwargs.get("token"))), filenames, *args, **kwargs)
    known_model(name)
    subfolder, revision = kwargs.get("subfolder") or "", kwargs.get("revision")
    options = {option: kwargs[option] for option in DOWNLOAD_OPTIONS if kwargs.get(option)}
    folder = stored(name)
    if folder is not None:
        require_default_revision(name, revision)
        return original(str(folder), filenames, *args, **kwargs)

    failures = local_failures(name)
    repository = repository_of(name)
    if repository is None:
        failures.append(no_repository(name))
    else:
        try:
            found = find_in_repository(repository, filenames, subfolder, revision=revision, **options)
        except DOWNLOAD_ERRORS as error:
            failures.append(note_failure(name, repository, error))
        else:
            if found is not None or not set(filenames) & set(CONFIG_FILES):
                return found

    if not any(is_weights(filename) for filename in filenames):
        return original(str(generated_folder(name)), filenames, *args, **kwargs)
    require_default_revision(name, revision)
    return original(str(pull_release(name, failures, **options)), filenames, *args, **kwargs)


def find_in_repository(repository: str, filenames: Sequence[str], subfolder: str, **options: Any) -> list[str] | None:
    """Files of a Hub repository, in the Hub's cache; None if it does not have them.

    Raises:
        OSError: if weights are asked for and it has none, or only a part of what is asked for.
        DOWNLOAD_ERRORS: if it cannot be asked.
    """
    names = [f"{subfolder}/{filename}" if subfolder else filename for filename in filenames]
    try:
        paths = download(repository, names, **options)
    except NotInRepository:
        if any(is_weights(filename) for filename in filenames):
            # Divided weights have an index, for which transformers asks next. No index is an error.
            download(repository, [f"{subfolder}/{INDEX_FILE}" if subfolder else INDEX_FILE], **options)
        return None
    missing = [name for name in names if name not in paths]
    if missing:
        raise OSError(f"{repository} lacks {', '.join(missing)}")
    return [str(paths[name]) for name in names]


def is_weights(filename: str) -> bool:
    """Whether a file holds the weights of a model (adapters are something else)."""
    return filename.endswith((".safetensors", ".bin")) and not filename.startswith("adapter_")


def require_default_revision(name: str, revision: str | None) -> None:
    """Raise an OSError if a revision is asked for where there are none."""
    if revision not in DEFAULT_REVISIONS:
        raise OSError(
            f"{name} comes from the store or the official release, which have no revision {revision!r}: "
            "leave revision out"
        )


def generated_folder(name: str) -> Path:
    """A folder with config.json and preprocessor_config.json written from the table, for this process."""
    folder = temporary_folder() / name
    if not all((folder / filename).is_file() for filename in CONFIG_FILES):
        known_model(name).config.save_pretrained(folder)
        S5ImageProcessor().save_pretrained(folder)
    return folder


@functools.cache
def temporary_folder() -> Path:
    """The folder of this process for generated configurations; removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="s5_hf_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
