r"""S4 pre-training (S4P): labelled and unlabelled images, one loop, any size and any number of devices.

    # a tiny network on one CPU, on your own folders train/images, train/masks, val/images, val/masks
    python examples/pretrain_s4p.py examples/recipes/s4p_tiny_cpu.yaml --labelled-dir my-data --classes land water

    # as published: ViT-B from MAE weights, iSAID with labels, RS4P-1M without, 8 GPUs
    accelerate launch --num_processes 8 examples/pretrain_s4p.py examples/recipes/s4p_vit_b.yaml \
        --labelled-dir data/iSAID --unlabelled-dir data/RS4P-1M --encoder my-mae-vit-b

    # stopped by Ctrl-C, a queue's SIGTERM or SIGUSR1, or a crash? The same command goes on exactly where it was:
    ... --resume auto

Every key of a recipe can be given on the command line, `--key null` for its default. The run's folder holds
recipe.yaml, environment.json, log.jsonl, TensorBoard files, panels/*.png, checkpoints/step-*, and at the end
segmenter/ and encoder/ for `from_pretrained`.
"""

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training.pretraining.data import SegmentationData
from s5_hf.training.pretraining.pseudo_label_health import PseudoLabelHealth
from s5_hf.training.pretraining.recipe import Recipe, read_recipe
from s5_hf.training.pretraining.setup import Training, batch_source, set_up, validation_settings
from s5_hf.training.run_folder import RunLog, was_validated
from s5_hf.training.running import carry_out, progress_bar, report
from s5_hf.training.schedules import learning_rate_factor, set_learning_rate
from s5_hf.training.signals import StopSignals
from s5_hf.training.step_meter import StepMeter, require_finite, require_finite_weights
from s5_hf.training.validation import validate

SHOWN = ("loss", "loss_supervised", "loss_unsupervised", "mask_ratio", "images_per_second", "mfu")


def train(recipe: Recipe, training: Training, signals: StopSignals) -> bool:
    """Make all steps, or stop early when asked to; returns whether all were made. The last state is always saved."""
    accelerator, model, optimizer, method = training.accelerator, training.model, training.optimizer, training.method
    bare_model, average = accelerator.unwrap_model(model), training.average
    settings, run, first = recipe.optimizer, recipe.run, training.first_step
    output_dir = Path(run.output_dir)
    log = RunLog(output_dir, first) if accelerator.is_main_process else None
    health, meter = PseudoLabelHealth(training.data.labels), StepMeter(accelerator)
    batches = batch_source(training, recipe)
    if accelerator.is_main_process:
        tqdm.write(f"{method.name}: steps {first} to {settings.total_steps}, output in {output_dir}")
    bar = progress_bar(first, settings.total_steps, accelerator)
    logged_at, stopped, finished = first, False, True
    training.throughput.start()
    if validation_is_due(recipe, training, first) and not was_validated(output_dir, first):  # a signal came in between
        look(recipe, training, log, bar, first)

    for step in range(first, settings.total_steps):
        factor = learning_rate_factor(settings.schedule, step, settings.total_steps, settings.warmup_steps)
        learning_rate = set_learning_rate(optimizer, factor)

        # Forward and backward; gradients are exchanged between processes with the last micro-step only.
        for micro_step in range(settings.gradient_accumulation):
            labelled, unlabelled = next(batches)
            last = micro_step == settings.gradient_accumulation - 1
            with contextlib.nullcontext() if last else accelerator.no_sync(model):
                with accelerator.autocast():
                    output = method(model, labelled, unlabelled, step)
                accelerator.backward(output.loss / settings.gradient_accumulation)
            meter.add(output)

        # A loss that is not finite ends the run on every process, before it reaches the weights.
        values, class_shares, stopped = meter.reduce(signals.received > 0)
        require_finite(values, step, training.checkpoints.last_good())
        if settings.gradient_clip is not None:
            accelerator.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(bare_model, step)
        if average is not None:
            average.update(bare_model, min(settings.weight_average_decay, 1 - 1 / (step + 1)))

        made = step + 1
        finished = made == settings.total_steps
        bar.update()
        if class_shares and "mask_ratio" in values and accelerator.is_main_process:
            health.see(step, values["mask_ratio"], class_shares)
        if made % run.logging_steps == 0 or finished or stopped:
            values |= {"learning_rate": learning_rate, **training.throughput.measure(made - logged_at)}
            values |= {
                f"pseudo_label_share/{label}": share
                for label, share in zip(training.data.labels, class_shares, strict=bool(class_shares))
            }
            logged_at = made
            report(accelerator, log, bar, made, values, SHOWN)

        validates = validation_is_due(recipe, training, made) and not stopped
        saves = made % run.checkpoint_steps == 0 or finished or stopped
        if validates or saves:
            networks = [model] if average is None else [model, average.model]
            require_finite_weights(networks, accelerator, made, training.checkpoints.last_good())
        if validates:
            look(recipe, training, log, bar, made)
        if saves:
            with training.throughput.paused():
                training.checkpoints.save(made, model, None if average is None else average.model)
        if stopped:
            break
    bar.close()
    return not stopped or finished


def validation_is_due(recipe: Recipe, training: Training, made: int) -> bool:
    """Whether the weights after so many steps are to be validated."""
    every = recipe.run.validation_steps
    due = made == recipe.optimizer.total_steps or (made and every and made % every == 0)
    return training.data.validation is not None and bool(due)


def look(recipe: Recipe, training: Training, log: RunLog | None, bar: tqdm, step: int) -> None:
    """Validate and report."""
    with training.throughput.paused():
        scores = score(recipe, training, step)
    report(training.accelerator, log, bar, step, {f"validation/{name}": value for name, value in scores.items()})


def score(recipe: Recipe, training: Training, step: int) -> dict[str, float]:
    """Validate the network, or the average of its weights where there is one."""
    model = training.model if training.average is None else training.average.model
    panel = Path(recipe.run.output_dir) / "panels" / f"step-{step:08d}.png"
    settings = validation_settings(recipe, training.data)
    scores = validate(model, training.data.validation, settings, training.accelerator, panel)
    if training.accelerator.is_main_process:
        tqdm.write(f"step {step}: validation mIoU {scores['miou']:.2f} %")
    return scores


def main(arguments: Sequence[str] | None = None, data: SegmentationData | None = None) -> None:
    """Run a recipe from the command line, or with datasets of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    recipe = read_recipe(arguments, __doc__)
    carry_out(recipe, lambda: set_up(recipe, data), train, project="s4p")


if __name__ == "__main__":
    warnings.filterwarnings("default", category=RuntimeWarning, module="s5_hf")
    run_script(main)
