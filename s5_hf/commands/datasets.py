"""`s5-hf datasets`, `prepare` and `inspect`: what there is, cutting raw tiles, checking folders."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import Bands, band_numbers, scaling_of, takes

if TYPE_CHECKING:
    from ..imaging import Scaling

app = typer.Typer()


@app.command("prepare")
@takes(scaling=scaling_of)
def prepare_command(
    dataset: Annotated[str, typer.Argument(help="Name in the registry, see `s5-hf datasets`.")],
    raw: Annotated[Path, typer.Argument(help="Folder with the publisher's files, unpacked in any subfolders.")],
    out: Annotated[Path, typer.Argument(help="Folder for the crops, later the `data_dir` of `load_dataset`.")],
    *,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core if not given.")] = None,
    config: Annotated[str | None, typer.Option(help="DOTA: version of the labels, v1.0, v1.5 or v2.0.")] = None,
    imagery: Annotated[str | None, typer.Option(help="Potsdam: RGB, IRRG or RGBIR.")] = None,
    overlap: Annotated[int | None, typer.Option(min=0, help="iSAID, DOTA: pixels that tiles share.")] = None,
    keep_empty: Annotated[
        list[str] | None,
        typer.Option(help="iSAID: a split that keeps tiles without objects (repeatable, default val)."),
    ] = None,
    drop_empty: Annotated[
        list[str] | None, typer.Option(help="DOTA: a split that drops patches without boxes (repeatable).")
    ] = None,
    patch_size: Annotated[
        int | None, typer.Option(min=1, help="DOTA, changes, unlabelled archives: side of a patch.")
    ] = None,
    color_tolerance: Annotated[
        int | None, typer.Option(min=0, help="Grey levels by which label colours may be off; 0 if not given.")
    ] = None,
    scaling: "Scaling | None",
    bands: Bands = None,
) -> None:
    """Cut a publisher's raw tiles into the official crops.

    Runs in parallel, shows its progress and resumes after a stop: finished tiles are not cut again.

        s5-hf prepare s5-potsdam downloads/Potsdam data/potsdam

        s5-hf prepare s5-dota downloads/DOTA data/dota --config v1.5 --workers 8

        s5-hf prepare s5-levir-cd downloads/LEVIR-CD data/levir-cd
    """
    from s5_hf.preparation import prepare

    options = {
        "config": config,
        "imagery": imagery,
        "overlap": overlap,
        "keep_empty": tuple(keep_empty) if keep_empty else None,
        "drop_empty": tuple(drop_empty) if drop_empty else None,
        "patch_size": patch_size,
        "color_tolerance": color_tolerance,
        "scaling": scaling,
        "bands": band_numbers(bands),
    }
    given = {name: value for name, value in options.items() if value is not None}
    _print_summary(prepare(dataset, raw, out, workers, **given))


@app.command("label-shares")
def label_shares_command(
    dataset: Annotated[str, typer.Argument(help="s5-potsdam, s5-loveda or s5-deepglobe-landcover.")],
    data_dir: Annotated[str, typer.Argument(help="Folder with its whole images and masks.")],
    out: Annotated[Path, typer.Argument(help="Folder to make, later the `data_dir` of `load_dataset`.")],
    seed: Annotated[int, typer.Option(min=0, help="Decides which tile is where.")] = 0,
    by_scene: Annotated[
        bool, typer.Option("--by-scene", help="Keep the tiles of an image in one split, unlike the publication.")
    ] = False,
    tile_size: Annotated[int, typer.Option(min=1, help="Side of a tile in pixels.")] = 512,
) -> None:
    """Cut images into tiles of which 1, 5 or 10 percent are labelled, for semi-supervised training.

    This is the protocol of DWL: 60, 20 and 20 percent of the tiles are for training, validation and test. The splits
    labelled_1 and unlabelled_1 divide the training tiles, and so do those with 5 and 10.

        s5-hf label-shares s5-potsdam downloads/Potsdam data/potsdam-shares --by-scene
    """
    from s5_hf.preparation import prepare_label_shares

    counts = prepare_label_shares(dataset, data_dir, out, seed=seed, by_scene=by_scene, tile_size=tile_size)
    for split, count in counts.items():
        typer.echo(f"{split}: {count} tiles")


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
def datasets_command(
    name: Annotated[str | None, typer.Argument(help="A single dataset, to see where it is obtained.")] = None,
) -> None:
    """List the datasets that `load_dataset` knows after `import s5_hf`, or say how to obtain one.

    s5-hf datasets

    s5-hf datasets s5-loveda
    """
    if name is not None:
        _print_dataset(name)
        return
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


def _print_dataset(name: str) -> None:
    """Where a dataset is obtained, its size, its licence, and the command that prepares it."""
    from s5_hf.dataset_builders.obtaining import OBTAINING
    from s5_hf.dataset_builders.registry import get_entry

    entry = get_entry(name)
    found = OBTAINING.get(name)
    rows = {
        "dataset": f"{entry.title}, for {entry.task}",
        "homepage": entry.homepage,
        "obtained": found.where if found else "your own files",
        "size": found.size_in_words if found else "",
        "licence": entry.licence,
        "splits": ", ".join(entry.splits),
        "classes": ", ".join(entry.labels),
        "prepare": found.prepare or "nothing to prepare" if found else "",
        "note": found.note if found else "",
    }
    for row, text in rows.items():
        if text:
            typer.echo(f"{row:10} {text}")


@app.command("inspect")
def inspect_command(
    dataset: Annotated[str, typer.Argument(help="Name in the registry, see `s5-hf datasets`.")],
    data_dir: Annotated[str, typer.Option(help="Folder, hf:// path or http(s) URL with its files.")],
    config: Annotated[str | None, typer.Option(help="Configuration, such as v1.5 of s5-dota.")] = None,
    split: Annotated[str | None, typer.Option(help="A single split; all if not given.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write a contact sheet to this PNG file.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at only this many samples of each split.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core if not given.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the builder as name=value (repeatable), value in JSON or text.")
    ] = None,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Also measure the bands of the first split, as a training does.")
    ] = False,
) -> None:
    """Count and check every file of a dataset; the exit code is 1 if anything is wrong.

    Finds files that cannot be read, images whose values no training takes, masks of another size or with values
    outside the classes, boxes outside their image and ids that appear twice; warns of JPEG masks.

        s5-hf inspect s5-potsdam --data-dir data/potsdam --output potsdam.png

        s5-hf inspect s5-image-mask --data-dir mine --option 'classes=["land", "building", "road"]'
    """
    from s5_hf.data import draw_sheet, inspect_folder, open_folder
    from s5_hf.files.atomic import atomic_file

    folder = open_folder(dataset, data_dir, config, split, builder_options(option or []))
    report = inspect_folder(folder, limit, workers)
    _print_report(report)
    if output is not None:
        sheet = draw_sheet(folder)
        with atomic_file(output) as temporary:
            sheet.save(temporary, format="PNG")
        typer.echo(f"contact sheet: {output}")
    if report.problems:
        raise typer.Exit(1)
    if statistics:
        _print_statistics(folder)


def _print_statistics(folder) -> None:
    """The bands of the first split, which is that of the training where there is one."""
    from rich.console import Console
    from rich.table import Table

    from s5_hf.data import measure_bands
    from s5_hf.data.dataset_folder import decoded_images

    split = next(iter(folder.shards))
    found = measure_bands([decoded_images(folder, split)])
    scaling = found.value_scaling
    table = Table(title=f"bands of {found.images} images of {split}, {found.dtype}")
    columns = ("band", "lowest", "highest", "range that becomes 0..1", "mean", "deviation")
    for column in columns:
        table.add_column(column, justify="right")
    for band, (lowest, highest) in enumerate(zip(found.lowest, found.highest, strict=True)):
        low, high = (0, 255) if scaling is None else (scaling.low[band], scaling.high[band])
        numbers = (f"{found.image_mean[band]:.6f}", f"{found.image_std[band]:.6f}")
        table.add_row(str(band + 1), f"{lowest:g}", f"{highest:g}", f"{low:g} to {high:g}", *numbers)
    Console().print(table)


def builder_options(options: list[str]) -> dict[str, object]:
    """`name=value` to keywords; a value that is not JSON is text."""
    import json

    found: dict[str, object] = {}
    for option in options:
        name, separator, text = option.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"--option takes name=value, got {option!r}")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


def _print_report(report) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    counts = Table(title=report.entry.name)
    for column in ("split", "samples", "sizes (width x height: images)"):
        counts.add_column(column, justify="right" if column == "samples" else "left")
    for split in report.splits:
        sizes = [f"{width} x {height}: {count:,}" for (width, height), count in split.sizes.most_common(5)]
        more = [f"and {len(split.sizes) - 5} other sizes"] if len(split.sizes) > 5 else []
        counts.add_row(split.split, f"{split.samples:,}", "\n".join(sizes + more))
    console.print(counts)
    if any(split.classes or split.ignored for split in report.splits):
        console.print(_class_table(report))
    for split in report.splits:
        if split.edges or split.without_roads:
            console.print(f"{split.split}: {split.edges:,} edges of roads, {split.without_roads:,} images without any")
    for warning in report.warnings:
        console.print(f"Warning: {warning}", soft_wrap=True, markup=False, highlight=False)
    if not report.problems:
        console.print("No problems.")
        return
    console.print("1 problem:" if len(report.problems) == 1 else f"{len(report.problems)} problems:")
    for problem in report.problems:
        console.print(
            f"  {problem.kind}: {problem.split} {problem.place}: {problem.message}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )


def _class_table(report):
    from rich.table import Table

    detection = report.entry.task == "detection"
    table = Table(title="boxes" if detection else "share of pixels")
    table.add_column("class")
    for split in report.splits:
        table.add_column(split.split, justify="right")
    ids = sorted(set(range(len(report.labels))).union(*(split.classes for split in report.splits)))
    for class_id in ids:
        name = report.labels[class_id] if class_id < len(report.labels) else str(class_id)
        cells = [f"{s.classes[class_id]:,}" if detection else f"{s.share(class_id):.2%}" for s in report.splits]
        table.add_row(name, *cells)
    totals = [split.classes.total() + (0 if detection else split.ignored) for split in report.splits]
    if detection:
        table.add_section()
        table.add_row("all", *(f"{total:,}" for total in totals))
        table.add_row("difficult", *(f"{split.ignored:,}" for split in report.splits))
        table.add_row("images without boxes", *(f"{split.without_boxes:,}" for split in report.splits))
    else:
        table.add_section()
        table.add_row(
            "ignored", *(f"{s.ignored / max(1, total):.2%}" for s, total in zip(report.splits, totals, strict=True))
        )
    return table
