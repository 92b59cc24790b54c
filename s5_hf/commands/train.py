"""`s5-hf train`: the trainings, from recipes of the package or of a file."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

app = typer.Typer(name="train", no_args_is_help=True)


def print_recipes(asked: bool) -> None:
    """Answer `--list-recipes`."""
    if asked:
        from ..training.programs import list_all_recipes

        list_all_recipes()
        raise typer.Exit


@app.callback()
def train(
    list_recipes: Annotated[
        bool,
        typer.Option(
            "--list-recipes",
            help="List the recipes of the package for every training, and exit.",
            callback=print_recipes,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Train: MAE, S4 pre-training, up-samplers, segmentation, detection, changes or road graphs, from a recipe.

    To use many processes, `accelerate launch -m s5_hf.training` takes the same words.

    - `s5-hf train --list-recipes`
    """


class TrainingCommand(TyperCommand):
    """A command whose options are the keys of a recipe, which is asked for them when somebody wants help."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:
        """The help, and below it every key of the recipe."""
        super().format_help(ctx, formatter)
        from ..training.programs import PROGRAMS

        keys = PROGRAMS[ctx.info_name].recipe.help_of_keys()
        typer.echo(f"Keys, each of which is also a line of a recipe:\n\n{keys}")


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RECIPE [--KEY VALUE]",
        help="A file, or the name of a recipe of the package; then keys that differ from it.",
        show_default=False,
    ),
]
ListRecipes = Annotated[
    bool, typer.Option("--list-recipes", help="List the recipes of the package that are for this training.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Read the data and check everything, without weights and steps; write nothing."),
]
HOW = {"cls": TrainingCommand, "context_settings": {"ignore_unknown_options": True}}
command = app.command(**HOW)


def run(name: str, words: list[str] | None, list_only: bool, dry_run: bool) -> None:
    """Hand the words to the training."""
    from ..training.programs import list_recipes, run_training

    if list_only:
        list_recipes(name)
    else:
        run_training(name, [*(words or []), *(["--dry-run"] if dry_run else [])])


@command
def s4p(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Pre-train semi-supervised (S4P): labelled and unlabelled images, from random weights, MAE or a segmenter.

    Your own images lie in train/images, train/masks, val/images and val/masks. The folder of the run holds
    recipe.yaml, log.jsonl, panels/, checkpoints/ and, at the end, segmenter/ and encoder/ for `from_pretrained`.
    After Ctrl-C, a queue's SIGTERM or SIGUSR1, or a crash, the same command with `--resume auto` resumes it exactly.

    - `s5-hf train s4p s4p_tiny_cpu --labelled-dir my-data --classes land water`
    - `s5-hf train s4p s4p_vit_b --labelled-dir data/iSAID --unlabelled-dir data/RS4P-1M --encoder my-mae --dry-run`
    """
    run("s4p", words, list_recipes, dry_run)


@command
def mae(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train an encoder on images without labels (masked autoencoding), for S4 pre-training to start from.

    The folder of the run holds encoder/, an S5 ViT, and mae/, the whole network of transformers.

    - `s5-hf train mae mae_tiny_cpu --data-dir my-images`
    - `s5-hf train s4p s4p_tiny_cpu --encoder runs/mae_tiny_cpu/encoder --labelled-dir my-data --classes land water`
    """
    run("mae", words, list_recipes, dry_run)


@command
def simfeatup(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train an up-sampler for the features of a frozen CLIP or other vision transformer, on images without labels.

    The folder of the run holds upsampler/simfeatup.safetensors, which `s5-hf convert` puts into a SegEarth-OV model.

    - `s5-hf train simfeatup simfeatup_tiny_cpu --featurizer my-encoder --data-dir my-images`
    """
    run("simfeatup", words, list_recipes, dry_run)


@command
def alignearth(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train a CLIP for radar images, taught by one for optical images on pairs of both (our reading of AlignEarth).

    The pairs lie in optical/ and radar/, with the same names. The folder of the run holds clip/, for SegEarth-OV.

    - `s5-hf train alignearth alignearth_vit_b --data-dir my-pairs`
    """
    run("alignearth", words, list_recipes, dry_run)


@command
def captioning(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train a network that says in a sentence what changed between two images (MV-CC).

    Your own data: the layout of LEVIR-CC, with `images/train/A`, `images/train/B` and LevirCCcaptions.json. The folder
    of the run holds captioner/, for `s5-hf change --caption`, and captions/ with the sentences of the validation.

    - `s5-hf train captioning captioning_tiny_cpu --data-dir my-captions`
    - `s5-hf train captioning mvcc_videomae --data-dir Levir-CC --encoder MCG-NJU/videomae-base`
    """
    run("captioning", words, list_recipes, dry_run)


@command
def change(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train a change detector on pairs of two dates, labelled ones alone or with unlabelled ones.

    The methods are FixMatch and UniMatch V2, see `--method`.

    Your own pairs lie in train/before, train/after and train/mask, and in val alike; masks are black and white. The
    folder of the run holds change_detector/, which `s5-hf change --model` and `s5-hf evaluate` take.

    - `s5-hf train change change_few_labels_cpu --labelled-dir my-pairs`
    - `s5-hf train change unimatch_v2_change_dinov2_s --labelled-dir LEVIR-CD256`
    - `s5-hf train change change_few_labels_cpu --labelled-dir SECOND --labelled-dataset s5-second --from-to`
    """
    run("change", words, list_recipes, dry_run)


@app.command("joint_change", **HOW)
def joint_change(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train one change detector on several datasets of pairs, with a head for each and, with `--mode moe`, experts.

    The folder of the run holds change_detector/, best/mean, and best/TASK, a dense model each.

    - `s5-hf train joint_change moe_change_tiny_cpu --buildings.data-dir my-buildings --roads.data-dir my-roads`
    """
    run("joint_change", words, list_recipes, dry_run)


@command
def reasoning(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train a network that answers questions about images with masks (SegEarth-R1), or finds what words refer to.

    Your own data: train.csv and val.csv with `image,mask,question,answer` in a line. The folder of the run holds
    reasoner/, for `s5-hf ask`, and panels/ with pictures of the validation.

    - `s5-hf train reasoning reasoning_tiny_cpu --data-dir my-questions`
    - `s5-hf train reasoning segearth_r1_earthreason --data-dir EarthReason --mask-former my-mask2former \
       --language-model microsoft/phi-1_5 --dry-run`
    """
    run("reasoning", words, list_recipes, dry_run)


@command
def translation(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train a network that gives images of one date the look of the other, on pairs without labels (SRUIT).

    No code of SRUIT is published: this is our reading. Your own pairs lie in train/before and train/after with
    train/mask, which is not looked at, or without masks in unlabelled/before and unlabelled/after (`--split
    unlabelled`). The folder of the run holds translator/, for `s5-hf translate`.

    - `s5-hf train translation translation_tiny_cpu --data-dir my-pairs`
    - `s5-hf train translation sruit --data-dir my-pairs --split unlabelled --dry-run`
    """
    run("translation", words, list_recipes, dry_run)


@command
def segmentation(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Fine-tune a segmenter for one dataset (`--mode sdf`) or many (`mdf`, or `moe` for a mixture of experts).

    Every step takes images of every dataset. Beside what a pre-training leaves, the folder of the run holds
    best/mean, the whole model, and best/TASK, a dense model each. `--selection` says which images choose the best
    weights: `validation` (never those whose results one reports), `last` (none), or `official_test_split`.

    - `s5-hf train segmentation moe_mdf_tiny_cpu --citymaps.data-dir my-city --massroads.data-dir my-roads`
    - `s5-hf train segmentation --mode mdf --encoder s5-vit-b --datasets city roads --city.data-dir my-city \
       --city.classes other building road --roads.data-dir my-roads --roads.classes no yes`
    """
    run("segmentation", words, list_recipes, dry_run)


@command
def roads(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train a network that draws road graphs (SAM-Road++), on images with graphs.

    Your own images lie in train/images and val/images, their roads as lines in train/lines and val/lines
    (NAME.geojson for NAME.png, in pixels or in the CRS of the image). The folder of the run holds recipe.yaml,
    log.jsonl, panels/, checkpoints/ and, at the end, road_model/, which `s5-hf roads` takes.

    - `s5-hf train roads roads_tiny_cpu --data-dir my-roads`
    - `s5-hf train roads samroad_cityscale --data-dir data/City-Scale --encoder facebook/sam-vit-base --dry-run`
    """
    run("roads", words, list_recipes, dry_run)


@command
def detection(words: Words = None, list_recipes: ListRecipes = False, dry_run: DryRun = False) -> None:
    """Train an oriented detector for one dataset or many, from random weights or from an encoder or a segmenter.

    Your own images lie in train/images and val/images, with DOTA text files in train/labelTxt and val/labelTxt.

    - `s5-hf train detection detection_tiny_cpu --datasets ships --ships.data-dir my-ships --ships.classes ship boat`
    """
    run("detection", words, list_recipes, dry_run)
