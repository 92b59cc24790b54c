"""`s5-hf datasets`, `prepare` and `inspect`: what there is, cutting raw tiles, checking folders."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("prepare")
def prepare_command(
    dataset: Annotated[str, typer.Argument(help="Name in the registry, see `s5-hf datasets`.")],
    raw: Annotated[Path, typer.Argument(help="Folder with the publisher's files, unpacked in any subfolders.")],
    out: Annotated[Path, typer.Argument(help="Folder for the crops, later the `data_dir` of `load_dataset`.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core if not given.")] = None,
    config: Annotated[str | None, typer.Option(help="DOTA: version of the labels, v1.0, v1.5 or v2.0.")] = None,
    imagery: Annotated[str | None, typer.Option(help="Potsdam: RGB, IRRG or RGBIR.")] = None,
    overlap: Annotated[int | None, typer.Option(min=0, help="iSAID, DOTA: pixels that tiles share.")] = None,
    keep_empty: Annotated[
        list[str] | None,
        typer.Option(help="iSAID: a split that keeps tiles without objects (repeatable); val if not given."),
    ] = None,
    drop_empty: Annotated[
        list[str] | None, typer.Option(help="DOTA: a split that drops patches without boxes (repeatable).")
    ] = None,
    crop_size: Annotated[
        int | None, typer.Option(min=1, help="Unlabelled archives: side of a patch in pixels.")
    ] = None,
    color_tolerance: Annotated[
        int | None, typer.Option(min=0, help="Grey levels by which label colours may be off; 0 if not given.")
    ] = None,
    percentiles: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Range of each band that becomes 0..255 where images are not 8-bit; 2 98 if not given."),
    ] = None,
    value_range: Annotated[
        tuple[float, float] | None, typer.Option(help="Fixed range of values that becomes 0..255.")
    ] = None,
    bands: Annotated[
        tuple[int, int, int] | None, typer.Option(help="Bands, from 1, that become red, green and blue.")
    ] = None,
) -> None:
    """Cut a publisher's raw tiles into the official crops.

    Runs in parallel, shows its progress, and goes on where it was after a stop: finished tiles are not cut again.

        s5-hf prepare s5-potsdam downloads/Potsdam data/potsdam

        s5-hf prepare s5-dota downloads/DOTA data/dota --config v1.5 --workers 8
    """
    from s5_hf.preparation import prepare
    from s5_hf.preparation.rasters import Scaling

    options = {
        "config": config,
        "imagery": imagery,
        "overlap": overlap,
        "keep_empty": tuple(keep_empty) if keep_empty else None,
        "drop_empty": tuple(drop_empty) if drop_empty else None,
        "crop_size": crop_size,
        "color_tolerance": color_tolerance,
        "bands": bands,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if percentiles or value_range:
        given["scaling"] = Scaling(percentiles or Scaling.percentiles, value_range)
    _print_summary(prepare(dataset, raw, out, workers, **given))


def _print_summary(summary) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{summary.dataset}, prepared")
    columns = {
        "tiles": "tiles",
        "crops": "crops",
        "empty": "empty, left out",
        "objects": "boxes",
        "cut_off": "boxes in no crop",
    }
    shown = [name for name in columns if any(getattr(split, name) for split in summary.splits)]
    table.add_column("split")
    for name in shown:
        table.add_column(columns[name], justify="right")
    for split in summary.splits:
        table.add_row(split.split, *(f"{getattr(split, name):,}" for name in shown))
    console = Console()
    console.print(table)
    if summary.skipped:
        console.print(f"{summary.skipped} tiles were finished by an earlier run.")
    for note in summary.notes:
        console.print(f"Note: {note}", soft_wrap=True)


@app.command("datasets")
def datasets_command() -> None:
    """List the datasets that `load_dataset` knows after `import s5_hf`.

    s5-hf datasets
    """
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from s5_hf.dataset_builders.registry import REGISTRY

    table = Table(box=SIMPLE)
    table.add_column("name", no_wrap=True)
    table.add_column("task", no_wrap=True)
    table.add_column("classes", justify="right", no_wrap=True)
    table.add_column("splits")
    table.add_column("licence")
    for entry in REGISTRY.values():
        counts = {config: len(entry.labels_of(config)) for config in entry.configs}
        if not any(counts.values()):
            classes = "-"
        elif len(set(counts.values())) == 1:
            classes = str(len(entry.labels))
        else:
            classes = "\n".join(f"{config}: {count}" for config, count in counts.items())
        licence = entry.licence or entry.title.lower()
        table.add_row(entry.name, entry.task, classes, ", ".join(entry.splits), licence)
    Console().print(table)
