r"""Fine-tuning: one model for one or many datasets, from pre-trained weights.

    # one mixture of experts for two of your own datasets, on one CPU; folders train/images, train/masks, val/...
    python examples/finetune_segmentation.py examples/recipes/moe_mdf_tiny_cpu.yaml \
        --citymaps.data_dir my-city --massroads.data_dir my-roads --segmenter runs/s4p_tiny_cpu/segmenter

    # datasets of your own without a file, a shared encoder with a decoder for each
    python examples/finetune_segmentation.py --mode mdf --encoder s5-vit-b --datasets city roads \
        --city.data_dir my-city --city.classes other building road --roads.data_dir my-roads --roads.classes no yes

    # one of a recipe's datasets alone
    ... --mode sdf --datasets citymaps

    # as published: ViT-B after S4 pre-training, four datasets, 8 GPUs
    accelerate launch --num_processes 8 examples/finetune_segmentation.py examples/recipes/moe_mdf_vit_b.yaml \
        --vaihingen.data_dir data/vaihingen --potsdam.data_dir data/potsdam \
        --openearthmap.data_dir data/OpenEarthMap --loveda.data_dir data/LoveDA

    # stopped by Ctrl-C, a queue's SIGTERM or a crash? The same command goes on exactly where it was:
    ... --resume auto

Every step takes images of every dataset through one forward pass; the loss is the sum of the tasks' losses. The run's
folder holds what a pre-training run's does, and best/mean (the whole model) and best/<task> (a dense model each).

Which images choose the best weights (`selection`), where validation_split is auto:

    validation (default)    split val; where results on val are what one reports (the S5 benchmarks), or there is no
                            val, a held-out share of the training images. The split test is refused.
    last                    none: all is trained to the end; val, if there is one, is only looked at
    official_test_split     the split whose results are published, as the official code does; printed and recorded
"""

import contextlib
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.training.best_models import MEAN
from s5_hf.training.fine_tuning_recipe import FineTuningRecipe, read_fine_tuning_recipe
from s5_hf.training.joint_model import TaskView
from s5_hf.training.joint_setup import (
    JointTraining,
    batch_source,
    epoch_of,
    rate_factor,
    set_up_fine_tuning,
    validation_settings,
)
from s5_hf.training.run_folder import RunLog, read_log
from s5_hf.training.running import carry_out, progress_bar, report
from s5_hf.training.schedules import set_learning_rate
from s5_hf.training.signals import StopSignals
from s5_hf.training.step_meter import StepMeter, require_finite
from s5_hf.training.task_data import TaskData
from s5_hf.training.validation import validate


def train(recipe: FineTuningRecipe, training: JointTraining, signals: StopSignals) -> bool:
    """Make all steps, or stop early when asked to; returns whether all were made. The last state is always saved."""
    accelerator, model, optimizer = training.accelerator, training.model, training.optimizer
    settings, run, first, total = recipe.optimizer, recipe.run, training.first_step, training.total_steps
    log = RunLog(Path(run.output_dir), first) if accelerator.is_main_process else None
    meter, batches = StepMeter(accelerator), batch_source(training, recipe)
    shown = ["loss", *(f"loss/{task.name}" for task in training.tasks), "images_per_second", "mfu"]
    if accelerator.is_main_process:
        parts = " + ".join(f"{float(rows):g} {t.name}" for rows, t in zip(training.rows, training.tasks, strict=True))
        tqdm.write(
            f"{recipe.model.mode}: steps {first} to {total}, images per batch {parts}, output in {run.output_dir}"
        )
    bar = progress_bar(first, total, accelerator)
    logged_at, stopped = first, False
    training.throughput.start()
    if validation_is_due(recipe, training, first) and not was_validated(recipe, first):  # a signal came in between
        look(recipe, training, log, bar, first)

    for step in range(first, total):
        epoch = epoch_of(step, total, settings.epochs)
        learning_rate = set_learning_rate(optimizer, rate_factor(recipe, step, total))

        # Forward and backward; gradients are exchanged between processes with the last micro-step only.
        for micro_step in range(settings.gradient_accumulation):
            batch = next(batches)
            last = micro_step == settings.gradient_accumulation - 1
            with contextlib.nullcontext() if last else accelerator.no_sync(model):
                with accelerator.autocast():
                    output = training.step(model, batch, epoch)
                accelerator.backward(output.loss / settings.gradient_accumulation)
            meter.add(output)

        # A loss that is not finite ends the run on every process, before it reaches the weights.
        values, _, stopped = meter.reduce(signals.received > 0)
        require_finite(values, step, training.checkpoints.last_good())
        if settings.gradient_clip is not None:
            accelerator.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()

        made = step + 1
        finished = made == total
        bar.update()
        if made % run.logging_steps == 0 or finished or stopped:
            values |= {"learning_rate": learning_rate, "epoch": epoch, **training.throughput.measure(made - logged_at)}
            logged_at = made
            report(accelerator, log, bar, made, values, shown)

        if validation_is_due(recipe, training, made) and not stopped:
            look(recipe, training, log, bar, made)

        if made % run.checkpoint_steps == 0 or finished or stopped:
            with training.throughput.paused():
                training.checkpoints.save(made, model)
        if stopped:
            break
    bar.close()
    return not stopped


def validation_is_due(recipe: FineTuningRecipe, training: JointTraining, made: int) -> bool:
    """Whether the weights after so many steps are to be validated."""
    every = recipe.run.validation_steps
    return made == training.total_steps or bool(made and every and made % every == 0)


def was_validated(recipe: FineTuningRecipe, step: int) -> bool:
    """Whether the log of the run holds the validation of a step."""
    entries = [entry for entry in read_log(Path(recipe.run.output_dir)) if entry["step"] == step]
    return any(name.startswith("validation/") for entry in entries for name in entry)


def look(recipe: FineTuningRecipe, training: JointTraining, log: RunLog | None, bar: tqdm, step: int) -> None:
    """Validate, keep the best weights, report."""
    with training.throughput.paused():
        scores = score(recipe, training, step)
        keep_best(recipe, training, step, scores)
    values = {f"validation/{name}": value for name, value in scores.items()}
    report(training.accelerator, log, bar, step, values)


def score(recipe: FineTuningRecipe, training: JointTraining, step: int) -> dict[str, float]:
    """Validate every task that has images for it: `<task>/miou` and so on, and `mean/miou` over the tasks."""
    scores: dict[str, float] = {}
    for task in training.tasks:
        if task.validation is None:
            continue
        panel = Path(recipe.run.output_dir) / "panels" / f"{task.name}-step-{step:08d}.png"
        model = TaskView(training.model, task.name)
        found = validate(model, task.validation, validation_settings(recipe, task), training.accelerator, panel)
        scores |= {f"{task.name}/{name}": value for name, value in found.items()}
    means = {name: value for name, value in scores.items() if name.endswith("/miou")}
    if means:
        scores[f"{MEAN}/miou"] = statistics.fmean(means.values())
        if training.accelerator.is_main_process:
            listed = ", ".join(f"{name.removesuffix('/miou')} {value:.4f}" for name, value in means.items())
            tqdm.write(f"step {step}: validation mIoU {listed}, mean {scores[f'{MEAN}/miou']:.4f}")
    return scores


def keep_best(recipe: FineTuningRecipe, training: JointTraining, step: int, scores: dict[str, float]) -> None:
    """Save the weights under best/ for every task, and for the mean, whose mIoU is higher than ever before."""
    miou = {name.removesuffix("/miou"): value for name, value in scores.items() if name.endswith("/miou")}
    if recipe.run.selection == "last" or not miou:
        return
    state_dict = training.checkpoints.saved_state(training.model)
    if training.accelerator.is_main_process:
        training.best.keep(step, miou, training.accelerator.unwrap_model(training.model), state_dict)
    training.accelerator.wait_for_everyone()


def main(arguments: Sequence[str] | None = None, data: Sequence[TaskData] | None = None) -> None:
    """Run a recipe from the command line, or with datasets of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    recipe = read_fine_tuning_recipe(arguments, __doc__)
    carry_out(recipe, lambda: set_up_fine_tuning(recipe, data), train, project="finetuning")


if __name__ == "__main__":
    warnings.filterwarnings("default", category=RuntimeWarning, module="s5_hf")
    main()
