"""Which files of a repository may hold the weights of a known name, told by their size; their content decides."""

from collections.abc import Mapping
from pathlib import Path

from ..conversion.checkpoint_files import read_checkpoint
from ..conversion.convert import model_from_official
from ..conversion.official_limits import Told
from ..modeling import S5ImageProcessor, S5ViTConfig
from .download import NotInRepository, RepositoryFile
from .fit import require_equal
from .names import KnownModel, count_bytes

CHECKPOINTS = (".pth", ".pt", ".bin", ".safetensors")
PATCH_PROJECTION = "patch_embed.projection.weight"

# Besides the tensors a checkpoint holds their names, and some other position embedding or a few numbers more.
TOLERANCE = 0.03
SMALL_BYTES = 1 << 20


def candidates(files: Mapping[str, RepositoryFile], model: KnownModel, place: str) -> list[str]:
    """The files that may hold a model: those of its size, the one of its name and then the nearest first.

    A file of its name and another size comes last: the release calls segmenters and detectors the same.

    Raises:
        NotInRepository: if there is none; the message lists the checkpoints with their sizes.
    """
    wanted = count_bytes(model.config)
    sizes = {name: file.size for name, file in files.items() if name.endswith(CHECKPOINTS) and file.size is not None}
    distances = {name: abs(size - wanted) for name, size in sizes.items()}
    near = [name for name in sizes if distances[name] <= TOLERANCE * wanted + SMALL_BYTES]
    named = [name for name in sizes if Path(name).name == model.official_file]
    near.sort(key=lambda name: (name not in named, distances[name], name))
    found = list(dict.fromkeys([*near, *named]))
    if not found:
        others = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in sorted(sizes.items()))
        raise NotInRepository(
            f"{place} has no {model.official_file} and no checkpoint of its size ({wanted / 1e6:.1f} MB); its "
            f"checkpoints: {others or 'none'}"
        )
    return found


def convert_foreign_encoder(file: Path, folder: Path, model: KnownModel) -> None:
    """Convert an encoder that others have converted from the official one: the same names, all under one prefix.

    Raises:
        ValueError: if the tensors are not those of the release, one for one; names them.
    """
    state = read_checkpoint(file)
    prefixes = {name.removesuffix(PATCH_PROJECTION) for name in state if name.endswith(PATCH_PROJECTION)}
    prefix = min(prefixes, default="", key=len)
    others = [name for name in state if not name.startswith(prefix)]
    if len(prefixes) != 1 or others:
        raise ValueError(
            f"{file.name} does not name its tensors as the release does, all under one prefix: "
            f"{', '.join((others or list(state))[:5])}"
        )
    own_names = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    encoder, report = model_from_official(S5ViTConfig.model_type, own_names, Told())
    require_equal(report.config, model.name)
    encoder.save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
