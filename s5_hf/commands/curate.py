"""`s5-hf curate`: score, cluster, select and export patches for pre-training, step by step or by a recipe."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="curate", help="Select reliable and diverse patches for pre-training.", no_args_is_help=True)

Folders = Annotated[
    list[str] | None, typer.Option("--folder", help="A folder of images, as path or name=path (repeatable).")
]
Dataset = Annotated[str | None, typer.Option(help="Instead of folders: a name for `load_dataset`.")]
DataDir = Annotated[str | None, typer.Option(help="Where the dataset's files are.")]
Split = Annotated[str, typer.Option(help="Split of the dataset.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", help="Option of the dataset as name=value (repeatable).")
]


@app.command("score")
def score_command(
    model: Annotated[str, typer.Argument(help="Segmenter: a folder, a Hub repository or a known name.")],
    output: Annotated[Path, typer.Argument(help="Folder for the scores.")],
    folder: Folders = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    split: Split = "train",
    option: Options = None,
    task: Annotated[str | None, typer.Option(help="Of a model with several tasks.")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    patch_size: Annotated[int, typer.Option(help="Side of a patch in pixels; 0 takes images as a whole.")] = 512,
    stride: Annotated[int | None, typer.Option(help="Pixels between patches; the patch size if not given.")] = None,
    edges: Annotated[str, typer.Option(help="At the border: shift the last patch or drop it.")] = "shift",
    batch_size: Annotated[int, typer.Option(help="Patches per forward pass.")] = 16,
    part_size: Annotated[int, typer.Option(help="Images per finished file.")] = 1024,
    background: Annotated[str, typer.Option(help="Class without entropy: a name, auto or none.")] = "auto",
    pseudo_masks: Annotated[bool, typer.Option(help="Keep the predicted classes for the export.")] = True,
    nodata: Annotated[int | None, typer.Option(help="Pixels with this value in all channels do not count.")] = None,
    skip_corrupt: Annotated[bool, typer.Option(help="Note images that cannot be read or scored, and go on.")] = False,
) -> None:
    """Score all patches of an archive, or of the labelled images. Goes on where it was after a stop.

        s5-hf curate score my-segmenter work/labelled --dataset s5-image-mask --data-dir my-tiles

        s5-hf curate score my-segmenter work/scores --folder archive

    On many GPUs: `accelerate launch examples/curate_rs4p.py RECIPE.yaml`.
    """
    from accelerate import Accelerator

    from s5_hf.curation.score import ScoreSettings, score
    from s5_hf.predictors.feature_segmenter import Segmenter

    settings = ScoreSettings(
        patch_size=patch_size or None,
        stride=stride,
        edges=edges,
        batch_size=batch_size,
        part_size=part_size,
        background=None if background == "none" else background,
        pseudo_masks=pseudo_masks,
        nodata=nodata,
        corrupt_images="skip" if skip_corrupt else "raise",
    )
    images = _images(folder, dataset, data_dir, split, option)
    accelerator = Accelerator()
    segmenter = Segmenter.from_pretrained(model, task, precision, accelerator.device)
    scores = score(segmenter, images, output, settings, accelerator)
    typer.echo(f"{scores.num_patches:,} patches of {len(images):,} images scored: {output}")


@app.command("cluster")
def cluster_command(
    labelled: Annotated[Path, typer.Argument(help="Scores of the labelled images.")],
    output: Annotated[Path, typer.Argument(help="File for the prototypes (.safetensors).")],
    clusters: Annotated[int, typer.Option(help="M, the number of clusters.")] = 16,
    compare: Annotated[
        list[int] | None, typer.Option(help="Another number to report inertia and silhouette for (repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of K-Means.")] = 0,
    ignore_missing_classes: Annotated[bool, typer.Option(help="Accept classes that no label shows.")] = False,
) -> None:
    """Cluster the labelled images' features into prototypes.

    s5-hf curate cluster work/labelled work/prototypes.safetensors --clusters 16 --compare 8 --compare 32
    """
    from rich.console import Console
    from rich.table import Table

    from s5_hf.curation.cluster import ClusterSettings, cluster
    from s5_hf.curation.score_table import ScoreFolder

    missing = "ignore" if ignore_missing_classes else "raise"
    settings = ClusterSettings(clusters, tuple(compare or ()), seed, missing_classes=missing)
    prototypes = cluster(ScoreFolder.open(labelled), output, settings)
    if prototypes.compared:
        table = Table("clusters", "inertia", "silhouette")
        for count in prototypes.compared:
            table.add_row(str(count.num_clusters), f"{count.inertia:.2f}", f"{count.silhouette:.3f}")
        Console().print(table)
    typer.echo(f"labelled images per cluster: {prototypes.counts.tolist()}: {output}")


@app.command("select")
def select_command(
    scores: Annotated[Path, typer.Argument(help="Scores of the candidates.")],
    output: Annotated[Path, typer.Argument(help="Folder for the selection.")],
    target: Annotated[int, typer.Option(help="Patches to select.")],
    prototypes: Annotated[Path | None, typer.Option(help="From `s5-hf curate cluster`.")] = None,
    strategy: Annotated[
        str, typer.Option(help="random, entropy, diversity or entropy+diversity.")
    ] = "entropy+diversity",
    seed: Annotated[int, typer.Option(help="Of the random strategies.")] = 0,
    background: Annotated[str, typer.Option(help="In the entropy: excluded, renormalised or included.")] = "excluded",
    unfilled: Annotated[str, typer.Option(help="What clusters cannot fill: leave or hand_on.")] = "leave",
    maximum_entropy: Annotated[float | None, typer.Option(help="Nats.")] = None,
    maximum_background: Annotated[float | None, typer.Option(help="Largest share of background, 0 to 1.")] = None,
    minimum_similarity: Annotated[float | None, typer.Option(help="Smallest cosine to the nearest prototype.")] = None,
    minimum_contrast: Annotated[float, typer.Option(help="Against blank patches; 0 switches it off.")] = 2.0,
    minimum_coherence: Annotated[float, typer.Option(help="Against noise; -1 switches it off.")] = 0.15,
    duplicates: Annotated[str, typer.Option(help="perceptual, features or keep.")] = "perceptual",
    duplicate_distance: Annotated[int, typer.Option(help="Bits of 64 that near-duplicates may differ in.")] = 2,
    exclude_ids: Annotated[Path | None, typer.Option(help="Text file with one id per line.")] = None,
    exclude_hashes: Annotated[Path | None, typer.Option(help="Text file from `s5-hf curate hash`.")] = None,
) -> None:
    """Select patches of low entropy, each cluster up to its quota.

    s5-hf curate select work/scores work/selection --target 100000 --prototypes work/prototypes.safetensors
    """
    from s5_hf.curation.exclusion import read_hashes, read_ids
    from s5_hf.curation.prototypes import Prototypes
    from s5_hf.curation.score_table import ScoreFolder
    from s5_hf.curation.select import select
    from s5_hf.curation.selection import SelectSettings

    settings = SelectSettings(
        target=target,
        strategy=strategy,
        seed=seed,
        background=background,
        unfilled=unfilled,
        maximum_entropy=maximum_entropy,
        maximum_background=maximum_background,
        minimum_similarity=minimum_similarity,
        minimum_contrast=minimum_contrast,
        minimum_coherence=minimum_coherence,
        duplicates=duplicates,
        duplicate_distance=duplicate_distance,
    )
    selection = select(
        ScoreFolder.open(scores),
        output,
        settings,
        None if prototypes is None else Prototypes.load(prototypes),
        None if exclude_ids is None else read_ids(exclude_ids),
        None if exclude_hashes is None else read_hashes(exclude_hashes),
    )
    for reason, count in selection.summary["counts"].items():
        if count:
            typer.echo(f"{count:>12,}  {reason}")
    typer.echo(f"selection: {output}")


@app.command("export")
def export_command(
    selection: Annotated[Path, typer.Argument(help="From `s5-hf curate select`.")],
    scores: Annotated[Path, typer.Argument(help="The scores it was selected from.")],
    output: Annotated[Path, typer.Argument(help="Folder for the dataset; the report goes beside it.")],
    folder: Folders = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    split: Split = "train",
    option: Options = None,
    encoding: Annotated[str, typer.Option(help="Of cut patches: png, webp or jpeg.")] = "png",
    title: Annotated[str, typer.Option(help="Heading of the dataset card.")] = "Curated patches",
) -> None:
    """Write the selected patches as an RS4P dataset, and the report. Takes the sources that were scored.

    s5-hf curate export work/selection work/scores work/dataset --folder archive
    """
    from s5_hf.curation.export import ExportSettings, export
    from s5_hf.curation.report import write_report
    from s5_hf.curation.score_table import ScoreFolder
    from s5_hf.curation.select import SelectionFolder

    images = _images(folder, dataset, data_dir, split, option)
    chosen, scored = SelectionFolder.open(selection), ScoreFolder.open(scores)
    export(chosen, scored, images, output, ExportSettings(encoding=encoding, title=title))
    report = write_report(chosen, scored, images, output.with_name(f"{output.name}-report.html"), title)
    typer.echo(f"dataset: {output}\nreport:  {report}")


@app.command("hash")
def hash_command(
    output: Annotated[Path, typer.Argument(help="Text file for the hashes.")],
    folder: Folders = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    split: Split = "train",
    option: Options = None,
    patch_size: Annotated[int, typer.Option(help="As for the candidates; 0 takes images as a whole.")] = 512,
    stride: Annotated[int | None, typer.Option(help="As for the candidates.")] = None,
    edges: Annotated[str, typer.Option(help="As for the candidates.")] = "shift",
) -> None:
    """Hash evaluation images, so that `select --exclude-hashes` keeps them out.

    s5-hf curate hash work/evaluation.txt --folder benchmark/val/images
    """
    from s5_hf.curation.exclusion import hash_images, write_hashes

    hashes = hash_images(_images(folder, dataset, data_dir, split, option), patch_size or None, stride, edges)
    write_hashes(hashes, output)
    typer.echo(f"{len(hashes):,} hashes: {output}")


@app.command("run")
def run_command(recipe: Annotated[Path, typer.Argument(help="A YAML file, see examples/recipes.")]) -> None:
    """Do all steps of a recipe and write the report as one HTML page. Goes on where it was after a stop.

    s5-hf curate run examples/recipes/curate_tiny.yaml
    """
    from s5_hf.curation.recipe import read_recipe
    from s5_hf.curation.run import run_recipe

    typer.echo(f"report: {run_recipe(read_recipe(recipe))}")


def _images(
    folders: list[str] | None, dataset: str | None, data_dir: str | None, split: str, options: list[str] | None
):
    from s5_hf.commands.datasets import builder_options
    from s5_hf.curation.sources import ImageSource, open_images

    if bool(folders) == bool(dataset):
        raise typer.BadParameter("give either --folder or --dataset")
    if dataset:
        extra = builder_options(options or [])
        return open_images(ImageSource(dataset=dataset, data_dir=data_dir, split=split, options=extra))
    named = [entry.rpartition("=") for entry in folders]
    return open_images([ImageSource(folder=path, name=name or None) for name, _, path in named])
