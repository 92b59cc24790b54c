"""The loop of every training: S4 pre-training, joint segmentation and detection, masked autoencoding, up-samplers.

What each of them does in its own way is in a [`TrainingKind`].
"""

import contextlib

from ..predictors.processor_kernels import processor_kernels
from .progress import Progress
from .run_folder import was_validated
from .schedules import set_learning_rate
from .setup import ReadyTraining
from .signals import StopSignals
from .step_meter import StepMeter, require_finite, require_finite_weights


def train(training: ReadyTraining, signals: StopSignals) -> bool:
    """Make all steps, or stop early when asked to; the last state is always saved.

    Returns:
        Whether everything was done. A stop during the last step leaves the last validation to the resumed run.

    Raises:
        NonFiniteLossError: the loss of a step is NaN or infinite; nothing is validated or saved after it.
        NonFiniteWeightsError: a step has made weights NaN or infinite; they are not saved.
        CheckpointError: a checkpoint cannot be written.
    """
    kind, accelerator, model, optimizer = training.kind, training.accelerator, training.model, training.optimizer
    settings, run = kind.recipe.optimizer, kind.recipe.run
    first, total, checkpoints = training.first_step, kind.total_steps, training.checkpoints
    bare_model = accelerator.unwrap_model(model)
    meter, progress = StepMeter(accelerator), Progress(training)
    kernels = contextlib.nullcontext() if settings.compile else processor_kernels(accelerator.device)
    batches = kind.batches(training, taken=first * settings.gradient_accumulation)
    progress.say(f"{kind.headline}: steps {first} to {total}, output in {run.output_dir}")
    logged_at, stopped = first, False
    training.throughput.start()
    if validation_is_due(training, first) and not was_validated(run.output_dir, first):  # a signal came in between
        validate(training, progress, first)

    for step in range(first, total):
        learning_rate = set_learning_rate(optimizer, kind.learning_rate_factor(step))

        # Forward and backward; gradients are exchanged between processes with the last micro-step only.
        micro_batches = kind.counted_together([next(batches) for _ in range(settings.gradient_accumulation)])
        for micro_step, batch in enumerate(micro_batches):
            last = micro_step == settings.gradient_accumulation - 1
            with contextlib.nullcontext() if last else accelerator.no_sync(model):
                with accelerator.autocast(), kernels:
                    output = kind.step(model, batch, step)
                accelerator.backward(output.loss / settings.gradient_accumulation)
            meter.add(output)

        # A loss that is not finite ends the run on every process, before weights that it reached are used or saved.
        made = step + 1
        finished = made == total
        saves = made % run.checkpoint_steps == 0 or finished
        logs = made % run.logging_steps == 0 or finished
        meter.close(step, stop=signals.received > 0)
        reports = meter.read(everything=saves or logs or validation_is_due(training, made))
        for report in reports:
            require_finite(report, checkpoints.last_good())
        stopped = any(report.stops for report in reports)
        if (largest_norm := kind.gradient_clip(step)) is not None:
            accelerator.clip_grad_norm_(model.parameters(), largest_norm)
        optimizer.step()
        optimizer.zero_grad()
        kind.after_step(bare_model, step)

        progress.advance()
        for report in reports:
            values = {**report.values, "learning_rate": learning_rate}
            values |= kind.observe(training, report.step, report.values, report.class_shares)
        if logs or stopped:
            progress.report(made, {**values, **training.throughput.measure(logged_at, made)})
            logged_at = made

        validates = validation_is_due(training, made) and not stopped
        saves = saves or stopped
        if validates or saves:
            require_finite_weights([model, *kind.followers.values()], accelerator, made, checkpoints.last_good())
        if validates:
            validate(training, progress, made)
        if saves:
            with training.throughput.paused():
                checkpoints.save(made, model)
        if stopped:
            break
    if accelerator.is_main_process:
        kind.report()
    progress.close()
    return not stopped


def validation_is_due(training: ReadyTraining, made: int) -> bool:
    """Whether the weights after so many steps are to be validated."""
    kind = training.kind
    if not kind.validates:
        return False
    every = kind.recipe.run.validation_steps
    return made == kind.total_steps or bool(made and every and made % every == 0)


def validate(training: ReadyTraining, progress: Progress, step: int) -> None:
    """Validate and report."""
    with training.throughput.paused():
        scores = training.kind.validate(training, step)
    progress.report(step, {f"validation/{name}": value for name, value in scores.items()})
    if training.accelerator.is_main_process and step < training.kind.total_steps:
        training.kind.report()
