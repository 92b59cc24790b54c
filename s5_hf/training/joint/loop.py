"""The loop of joint training: one model, many datasets, the sum of their losses.

Source: S5 (arXiv 2508.12409), "Multi-Dataset Fine-tuning". What segmentation and detection do in their own ways stands
in a [`JointKind`].
"""

import contextlib
import statistics
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from ..run_folder import RunLog, was_validated
from ..running import progress_bar, report
from ..schedules import set_learning_rate
from ..signals import StopSignals
from ..step_meter import StepMeter, require_finite, require_finite_weights
from .best_models import MEAN
from .recipe import FineTuningRecipe
from .setup import JointKind, JointTraining, epoch_of


def train(recipe: FineTuningRecipe, training: JointTraining, signals: StopSignals) -> bool:
    """Make all steps, or stop early when asked to; returns whether all were made. The last state is always saved."""
    accelerator, model, optimizer = training.accelerator, training.model, training.optimizer
    settings, run, first, total = recipe.optimizer, recipe.run, training.first_step, training.total_steps
    log = RunLog(Path(run.output_dir), first) if accelerator.is_main_process else None
    meter, batches = StepMeter(accelerator), training.kind.batches(training, recipe)
    shown = ["loss", *(f"loss/{task.name}" for task in training.tasks), "images_per_second", "mfu"]
    if accelerator.is_main_process:
        parts = " + ".join(f"{float(rows):g} {t.name}" for rows, t in zip(training.rows, training.tasks, strict=True))
        tqdm.write(
            f"{recipe.model.mode}: steps {first} to {total}, images per batch {parts}, output in {run.output_dir}"
        )
    bar = progress_bar(first, total, accelerator)
    logged_at, stopped = first, False
    training.throughput.start()
    if validation_is_due(recipe, training, first) and not was_validated(
        Path(run.output_dir), first
    ):  # a signal came in between
        look(recipe, training, log, bar, first)

    for step in range(first, total):
        epoch = epoch_of(step, total, settings.epochs)
        learning_rate = set_learning_rate(optimizer, training.kind.rate_factor(recipe, step, total))

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

        validates = validation_is_due(recipe, training, made) and not stopped
        saves = made % run.checkpoint_steps == 0 or finished or stopped
        if validates or saves:
            require_finite_weights([model], accelerator, made, training.checkpoints.last_good())
        if validates:
            look(recipe, training, log, bar, made)
        if saves:
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


def look(recipe: FineTuningRecipe, training: JointTraining, log: RunLog | None, bar: tqdm, step: int) -> None:
    """Validate, keep the best weights, report."""
    with training.throughput.paused():
        scores = score(recipe, training, step)
        keep_best(recipe, training, step, scores)
    values = {f"validation/{name}": value for name, value in scores.items()}
    report(training.accelerator, log, bar, step, values)


def score(recipe: FineTuningRecipe, training: JointTraining, step: int) -> dict[str, float]:
    """Validate every task that has images for it: `<task>/miou` and so on, and `mean/miou` over the tasks, percent."""
    kind, scores = training.kind, {}
    for task in training.tasks:
        if task.validation is None:
            continue
        panel = Path(recipe.run.output_dir) / "panels" / f"{task.name}-step-{step:08d}.png"
        found = kind.validate(training, recipe, task, panel)
        scores |= {f"{task.name}/{name}": value for name, value in found.items()}
    of_tasks = by_task(kind, scores)
    if of_tasks:
        mean = statistics.fmean(of_tasks.values())
        scores[f"{MEAN}/{kind.score}"] = mean
        if training.accelerator.is_main_process:
            listed = ", ".join(f"{name} {value:.2f}" for name, value in of_tasks.items())
            tqdm.write(f"step {step}: validation {kind.score_in_words} {listed}, mean {mean:.2f} (percent)")
    return scores


def by_task(kind: JointKind, scores: Mapping[str, float]) -> dict[str, float]:
    """The score that counts, of every task (and `mean`, where it is there)."""
    ending = f"/{kind.score}"
    return {name.removesuffix(ending): value for name, value in scores.items() if name.endswith(ending)}


def keep_best(recipe: FineTuningRecipe, training: JointTraining, step: int, scores: Mapping[str, float]) -> None:
    """Save the weights under best/ for every task, and for the mean, whose score is higher than ever before."""
    of_tasks = by_task(training.kind, scores)
    if recipe.run.selection == "last" or not of_tasks:
        return
    state_dict = training.checkpoints.saved_state(training.model)
    if training.accelerator.is_main_process:
        training.best.keep(step, of_tasks, training.accelerator.unwrap_model(training.model), state_dict)
    training.accelerator.wait_for_everyone()
