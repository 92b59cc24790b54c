"""`s5-hf convert`, `models`, `pull` and `push`: checkpoints and names."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from .option_values import integers

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from ..conversion import ConversionReport

console = Console(soft_wrap=True, highlight=False, markup=False)

SHOWN_NAMES = 5


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    for command in (convert, models, pull, push):
        app.command()(command)


def convert(
    source: Annotated[Path, typer.Argument(help="Checkpoint file, ViTMAE folder, or a folder of this package.")],
    output: Annotated[str | None, typer.Argument(help="Folder or file to make; with --store the name.")] = None,
    store: Annotated[bool, typer.Option("--store", help="Put it into the model store, to be found by name.")] = False,
    task: Annotated[str | None, typer.Option(help="Task of a single-task segmenter.")] = None,
    classes: Annotated[str | None, typer.Option(help="Its classes in order, separated by commas.")] = None,
    num_attention_heads: Annotated[
        int | None, typer.Option(help="Heads of an encoder whose width is none of the known ones.", min=1)
    ] = None,
    taps: Annotated[
        str | None,
        typer.Option(help="Blocks that feed the feature pyramid, from 1, if not the published ones: 3,6,9,12."),
    ] = None,
    image_size: Annotated[
        int,
        typer.Option(
            help="Side in pixels for which the encoder of a MAE or a SAM gets its position embeddings.", min=16
        ),
    ] = 512,
    entry: Annotated[
        str | None, typer.Option(help="Network to take from a file with several: model_ema (default) or model.")
    ] = None,
    clip: Annotated[
        str, typer.Option(help="CLIP of transformers whose tokenizer, and what else is missing, is taken.")
    ] = "openai/clip-vit-base-patch16",
    upsampler: Annotated[Path | None, typer.Option(help="SimFeatUp file to put beside a CLIP.")] = None,
    quick_gelu: Annotated[
        bool | None,
        typer.Option(help="Activation of a CLIP; by default QuickGELU for OpenAI's own layout and GELU for others."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Language model whose tokenizer SegEarth-R1 gets; by default Phi-1.5 of the Hub."),
    ] = None,
) -> None:
    """Convert an S5, UniMatch V2, MAE, CLIP, SimFeatUp, SAM, SAM-Road++ or SegEarth-R1 checkpoint, and back.

    What a checkpoint is is read off its tensors. CLIP (of OpenAI or open_clip, such as RemoteCLIP) and SimFeatUp
    become a SegEarth-OV model; of such a folder, a .ckpt file gets the up-sampler, and any other file the CLIP. SAM
    becomes a SAM-Road++ model for crops of `--image-size`, whose parts behind the encoder are new. With `--store` the
    name follows from that, too, so that `from_pretrained("s5-vit-b")` finds it from everywhere.

    - `s5-hf convert vit_b_s4p.pth s5-vit-b`
    - `s5-hf convert vit_b_s4p.pth --store`
    - `s5-hf convert my-model my-model.pth`
    - `s5-hf convert xclip_jbu_one_million_aid.ckpt segearth-ov --store`
    - `s5-hf convert RemoteCLIP-ViT-B-32.pt my-open-model --upsampler my-simfeatup.safetensors`
    - `s5-hf convert sam_vit_b_01ec64.pth my-road-model --image-size 512`
    """
    from ..conversion import convert_checkpoint, export_official
    from ..hub import convert_to_store
    from ..hub.store import is_model_folder

    told = {"num_attention_heads": num_attention_heads, "taps": integers(taps, "--taps") if taps else None}
    settings = {
        "task": task,
        "labels": [name.strip() for name in classes.split(",")] if classes else None,
        "image_size": image_size,
        "entry": entry,
        "clip": clip,
        "upsampler": upsampler,
        "quick_gelu": quick_gelu,
        "tokenizer": tokenizer,
        **told,
    }
    if store:
        folder, report = convert_to_store(source, output, **settings)
        print_report(report, folder, load_as=folder.name)
    elif output is None:
        raise typer.BadParameter("give OUTPUT, the folder or file to make, or --store")
    elif is_package_folder(source):
        if task or classes or not is_model_folder(source):
            raise ValueError(
                f"{source} is a folder of this package: expected weights in it, and no --task or --classes"
            )
        written = export_official(source, output, **told)
        console.print(f"wrote {written}: official layout, {megabytes(written.stat().st_size)}")
    else:
        report = convert_checkpoint(source, output, **settings)
        print_report(report, Path(output), load_as=output)


def models() -> None:
    """List the known names: parameters, size on disk, and where each is.

    - `s5-hf models`
    """
    from ..hub import KNOWN_MODELS, count_parameters, store_folder, stored
    from ..hub.open_models import OPEN_MODELS, open_config, sources_in_words
    from ..hub.store import folder_size

    rows = [(name, contents(model.config), model.config, *location(name)) for name, model in KNOWN_MODELS.items()]
    for name, model in OPEN_MODELS.items():
        folder = stored(name)
        rows.append((name, model.what, open_config(name), "store" if folder else sources_in_words(name), folder))
    wide = Console(soft_wrap=True, highlight=False, markup=False)  # as wide as the terminal is now
    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("what")
    table.add_column("parameters", justify="right")
    table.add_column("on disk", justify="right")
    table.add_column("where", overflow="fold")
    for name, what, config, where, folder in rows:
        size = megabytes(folder_size(folder)) if folder else ""
        table.add_row(name, what, f"{count_parameters(config) / 1e6:.1f} M", size, where)
    wide.print(table)
    wide.print(f"the store: {store_folder()}")


def pull(
    name: Annotated[str, typer.Argument(help="A known name, such as s5-vit-b-upernet; `s5-hf models` lists them.")],
    token: Annotated[str | None, typer.Option(help="Token of the Hub, for a private repository.")] = None,
) -> None:
    """Bring a model into the store: from its Hub repository, or converted from the official release.

    - `s5-hf pull s5-vit-b-upernet`
    """
    from ..hub import pull as pull_model
    from ..hub import stored
    from ..hub.store import folder_size

    already = stored(name)
    folder = pull_model(name, token=token)
    state = "is in the store already; remove the folder to pull it anew" if already else "is in the store"
    console.print(f"{name} {state}: {folder} ({megabytes(folder_size(folder))})")


def push(
    folder: Annotated[str, typer.Argument(help="A model folder, or a known name that is in the store.")],
    repo_id: Annotated[str, typer.Argument(help="Repository on the Hub: owner/name. Made if it is missing.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    license_name: Annotated[
        str | None, typer.Option("--license", help="Licence of the weights, such as apache-2.0.")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help='JSON file for the card\'s table: {"loveda": {"mIoU": 54.0}}.')
    ] = None,
    token: Annotated[str | None, typer.Option(help="Token of the Hub; by default that of `hf auth login`.")] = None,
) -> None:
    """Upload a model with its code and a model card, so that it loads with `trust_remote_code=True` anywhere.

    The card (README.md) is written anew each time.

    - `s5-hf push my-model me/my-model --license apache-2.0 --metrics metrics.json`
    """
    from ..files import read_json_object
    from ..hub import push as push_model

    content = read_json_object(metrics) if metrics else None
    address = push_model(folder, repo_id, private=private, license_name=license_name, metrics=content, token=token)
    console.print(f"uploaded: {address}")


def is_package_folder(source: Path) -> bool:
    """Whether a folder holds a configuration of this package.

    Raises:
        ValueError: if it holds a configuration that cannot be read.
    """
    from ..files import read_json_object
    from ..hub import require_model_folder

    config = source / "config.json"
    if not config.is_file():
        return False
    require_model_folder(source)
    return str(read_json_object(config).get("model_type")).startswith(("s5_", "segearth_", "sam_road"))


def contents(config: "PretrainedConfig") -> str:
    """What a model does, in a word or two."""
    tasks = getattr(config, "tasks", {})
    if not tasks:
        return "encoder"
    return f"{len(tasks)} tasks" if len(tasks) > 1 else next(iter(tasks))


def location(name: str) -> tuple[str, Path | None]:
    """Where `from_pretrained` would take a name from, in words, and the folder if it is on this disk."""
    from ..hub import KNOWN_MODELS, repository_of, stored

    if Path(name).is_dir():
        return "local folder", Path(name)
    folder = stored(name)
    if folder is not None:
        return "store", folder
    if repository_of(name) is not None:
        return f"Hub: {repository_of(name)}", None
    return ("official release" if KNOWN_MODELS[name].official_file else "not published"), None


def print_report(report: "ConversionReport", folder: Path, load_as: str) -> None:
    """What was recognised, what was left out or made new, and what was written."""
    from ..hub import count_parameters
    from ..hub.names import vit_config_of
    from ..hub.store import folder_size

    vit = vit_config_of(report.config)
    num_experts = getattr(vit, "num_experts", 0)
    experts = f", {num_experts} experts of {vit.expert_channels} channels" if num_experts else ""
    console.print(
        f"recognised: {report.kind}, {count_parameters(report.config) / 1e6:.1f} M parameters; ViT of "
        f"{vit.num_hidden_layers} blocks, width {vit.hidden_size}, {vit.num_attention_heads} heads, "
        f"{vit.image_size} px{experts}"
    )
    for task, labels in getattr(report.config, "tasks", {}).items():
        console.print(f"task {task}: {len(labels)} classes ({', '.join(labels)})")
    if report.left_out:
        console.print(f"left out, they have no place in the model: {shortened(report.left_out)}")
    if report.new:
        console.print(f"new, the checkpoint does not have them: {shortened(report.new)}")
    console.print(f"wrote {folder} ({megabytes(folder_size(folder))}); from_pretrained({load_as!r}) loads it")


def shortened(names: list[str]) -> str:
    """The number of names and the first few."""
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    return f"{len(names)} tensors ({', '.join(names[:SHOWN_NAMES])}{more})"


def megabytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e6:.1f} MB"
