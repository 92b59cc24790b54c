"""`s5-hf curate`: score, cluster, select and export patches for pre-training, step by step or by a recipe."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import Precision, takes
from .word_lists import ClassListCommand

if TYPE_CHECKING:
    from ..curation.sources import ImageList

app = typer.Typer(name="curate", help="Select reliable and diverse patches for pre-training.", no_args_is_help=True)

PatchSize = Annotated[int, typer.Option(help="Side of a patch in pixels; 0 takes every image as a whole.")]
Stride = Annotated[int | None, typer.Option(help="Pixels between patches; by default the patch size.")]
Edges = Annotated[
    str, typer.Option(help="At an image's border, shift the last patch inwards or drop it: shift or drop.")
]
ClassNames = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME NAME ...",
        help="Classes that an open-vocabulary model is to look for, each with synonyms after commas; all words up to "
        "the next option.",
    ),
]


def named_images(
    folder: Annotated[
        list[str] | None, typer.Option(help="A folder of images, as PATH or NAME=PATH; can be repeated.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A name for `load_dataset`, in place of folders.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where the files of the dataset are.")] = None,
    split: Annotated[str, typer.Option(help="Split of the dataset.")] = "train",
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the dataset, as NAME=VALUE; can be repeated.")
    ] = None,
) -> "ImageList":
    """The images that the options of a command name.

    Raises:
        typer.BadParameter: if both folders and a dataset are given, or neither.
    """
    from ..curation.sources import ImageSource, open_images
    from .datasets import builder_options

    if bool(folder) == bool(dataset):
        raise typer.BadParameter("give either --folder or --dataset")
    if dataset:
        extra = builder_options(option or [])
        return open_images(ImageSource(dataset=dataset, data_dir=data_dir, split=split, options=extra))
    named = [entry.rpartition("=") for entry in folder]
    return open_images([ImageSource(folder=path, name=name or None) for name, _, path in named])


@app.command("score", cls=ClassListCommand)
@takes(images=named_images)
def score_command(
    model: Annotated[str, typer.Argument(help="The segmenter: a folder, a Hub repository or a known name.")],
    output: Annotated[Path, typer.Argument(help="Folder for the scores.")],
    images: "ImageList",
    task: Annotated[str | None, typer.Option(help="Which task of a model with several.")] = None,
    precision: Precision = "fp32",
    classes: ClassNames = None,
    patch_size: PatchSize = 512,
    stride: Stride = None,
    edges: Edges = "shift",
    batch_size: Annotated[int, typer.Option(help="Patches per forward pass.")] = 16,
    part_size: Annotated[int, typer.Option(help="Images per file; a stopped run loses at most one file.")] = 1024,
    background: Annotated[
        str, typer.Option(help="The class to leave out of the entropy: a name, auto or none.")
    ] = "auto",
    pseudo_masks: Annotated[bool, typer.Option(help="Keep the predicted classes for the export.")] = True,
    nodata: Annotated[
        int | None, typer.Option(help="Ignore pixels with this value in all channels, such as 0 for black margins.")
    ] = None,
    skip_corrupt: Annotated[
        bool, typer.Option(help="Note images that cannot be read or scored, and continue with the others.")
    ] = False,
) -> None:
    """Score every patch of an archive, or of the labelled images, by the entropy of a segmenter's predictions.

    Repeat the command after a stop and it resumes. Score both sets of images:

        s5-hf curate score my-segmenter work/labelled --dataset s5-image-mask --data-dir my-tiles \\
            --option 'classes=["field", "building", "road"]'

        s5-hf curate score my-segmenter work/scores --folder archive

    Without any labels, an open-vocabulary model scores by names alone:

        s5-hf curate score my-open-model work/open-scores --folder archive --classes background building,roof road

    On several GPUs: `accelerate launch examples/curate_rs4p.py RECIPE.yaml`.
    """
    from ..curation import ScoreSettings, score_images
    from ..files.processes import patient_accelerator
    from ..predictors.feature_segmenter import Segmenter

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
    accelerator = patient_accelerator()
    segmenter = Segmenter.from_pretrained(model, task, precision, accelerator.device, classes)
    scores = score_images(segmenter, images, output, settings, accelerator)
    typer.echo(f"{scores.num_patches:,} patches of {len(images):,} images scored: {output}")


@app.command("cluster")
def cluster_command(
    labelled: Annotated[Path, typer.Argument(help="Scores of the labelled images.")],
    output: Annotated[Path, typer.Argument(help="File for the prototypes (.safetensors).")],
    clusters: Annotated[int, typer.Option(help="Number of clusters, M in the paper.")] = 16,
    compare: Annotated[
        list[int] | None,
        typer.Option(help="Another number of clusters to report inertia and silhouette for; can be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of K-Means.")] = 0,
    ignore_missing_classes: Annotated[bool, typer.Option(help="Accept classes that no label shows.")] = False,
) -> None:
    """Cluster the features of the labelled images into prototypes of what should be selected.

    s5-hf curate cluster work/labelled work/prototypes.safetensors --clusters 16 --compare 8 --compare 12
    """
    from rich.console import Console
    from rich.table import Table

    from ..curation import ClusterSettings, ScoreFolder, make_prototypes

    missing = "ignore" if ignore_missing_classes else "raise"
    settings = ClusterSettings(clusters, tuple(compare or ()), seed, missing_classes=missing)
    prototypes = make_prototypes(ScoreFolder.open(labelled), output, settings)
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
    target: Annotated[int, typer.Option(help="Number of patches to select.")],
    prototypes: Annotated[
        Path | None, typer.Option(help="Prototypes from `s5-hf curate cluster`, for a strategy with diversity.")
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="What to select by: random, entropy, diversity or entropy+diversity.")
    ] = "entropy+diversity",
    seed: Annotated[int, typer.Option(help="Seed of the random strategies.")] = 0,
    background: Annotated[
        str, typer.Option(help="Background in the entropy: excluded, renormalised or included.")
    ] = "excluded",
    unfilled: Annotated[
        str, typer.Option(help="Quota that a cluster cannot fill: leave it, or hand_on to other clusters.")
    ] = "leave",
    maximum_entropy: Annotated[float | None, typer.Option(help="Largest entropy in nats.")] = None,
    maximum_background: Annotated[float | None, typer.Option(help="Largest share of background, 0 to 1.")] = None,
    minimum_similarity: Annotated[
        float | None, typer.Option(help="Smallest cosine similarity to the nearest prototype.")
    ] = None,
    minimum_contrast: Annotated[
        float, typer.Option(help="Smallest contrast, against blank patches; 0 switches it off.")
    ] = 2.0,
    minimum_coherence: Annotated[
        float, typer.Option(help="Smallest coherence, against noise; -1 switches it off.")
    ] = 0.15,
    duplicates: Annotated[
        str, typer.Option(help="How to find near-duplicates: perceptual, features, or keep them.")
    ] = "perceptual",
    duplicate_distance: Annotated[int, typer.Option(help="Bits of 64 that near-duplicates may differ in.")] = 2,
    exclude_ids: Annotated[Path | None, typer.Option(help="Text file of ids to exclude, one per line.")] = None,
    exclude_hashes: Annotated[
        Path | None, typer.Option(help="Text file of images to exclude, from `s5-hf curate hash`.")
    ] = None,
) -> None:
    """Select the patches of lowest entropy, each cluster up to its quota.

    s5-hf curate select work/scores work/selection --target 100000 --prototypes work/prototypes.safetensors
    """
    from ..curation import Prototypes, ScoreFolder, SelectionSettings, make_selection, read_hashes, read_ids

    settings = SelectionSettings(
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
    selection = make_selection(
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
@takes(images=named_images)
def export_command(
    selection: Annotated[Path, typer.Argument(help="The selection, from `s5-hf curate select`.")],
    scores: Annotated[Path, typer.Argument(help="The scores that it was selected from.")],
    output: Annotated[Path, typer.Argument(help="Folder for the dataset; the report is written beside it.")],
    images: "ImageList",
    encoding: Annotated[str, typer.Option(help="File format of patches cut from images: png, webp or jpeg.")] = "png",
    title: Annotated[str, typer.Option(help="Heading of the dataset card and the report.")] = "Curated patches",
) -> None:
    """Write the selected patches as an RS4P dataset, with a report. Name the images that were scored.

    s5-hf curate export work/selection work/scores work/dataset --folder archive
    """
    from ..curation import (
        DatasetSettings,
        ScoreFolder,
        SelectionFolder,
        write_curated_dataset,
        write_curation_report,
    )

    chosen, scored = SelectionFolder.open(selection), ScoreFolder.open(scores)
    write_curated_dataset(chosen, scored, images, output, DatasetSettings(encoding=encoding, title=title))
    report = write_curation_report(chosen, scored, images, output.with_name(f"{output.name}-report.html"), title)
    typer.echo(f"dataset: {output}\nreport:  {report}")


@app.command("hash")
@takes(images=named_images)
def hash_command(
    output: Annotated[Path, typer.Argument(help="Text file for the hashes.")],
    images: "ImageList",
    patch_size: PatchSize = 512,
    stride: Stride = None,
    edges: Edges = "shift",
    model: Annotated[
        Path | None, typer.Option(help="The model that scores, whose bands and ranges are used; 8-bit RGB without it.")
    ] = None,
) -> None:
    """Hash evaluation images, so that `select --exclude-hashes` keeps them out. Cut them as the candidates are cut.

    s5-hf curate hash work/evaluation.txt --folder benchmark/val/images
    """
    from ..curation import hash_images, write_hashes
    from ..predictors.torch_network import read_input_settings

    network = None if model is None else read_input_settings(model)
    hashes = hash_images(images, patch_size or None, stride, edges, network)
    write_hashes(hashes, output)
    typer.echo(f"{len(hashes):,} hashes: {output}")


@app.command("run")
def run_command(
    recipe: Annotated[
        str, typer.Argument(help="YAML file with the settings of all steps, or the name of a recipe of the package.")
    ],
) -> None:
    """Do all steps of a recipe and write the report, one HTML page. Repeat the command after a stop and it resumes.

    s5-hf curate run curate_tiny
    """
    from ..curation import read_curation_recipe, run_curation
    from ..recipes import find_recipe

    typer.echo(f"report: {run_curation(read_curation_recipe(find_recipe(recipe, 'curation')))}")
