"""The learning rate of a run with a supervised phase at its beginning."""

from ..schedules import learning_rate_factor
from .recipe import OptimizerSettings


def phased_factor(settings: OptimizerSettings, supervised_steps: int, step: int) -> float:
    """Factor of the learning rate at a step counted from 0.

    Args:
        settings: of the recipe. Where `supervised_schedule` is constant, each phase has its own warm-up, the first one
            then a constant rate, and the second one the schedule as if the run began with it.
        supervised_steps: of the first phase; 0 for none.
        step: counted from 0.
    """
    first, total, schedule = 0, settings.total_steps, settings.schedule
    if settings.supervised_schedule == "constant" and supervised_steps:
        if step < supervised_steps:
            total, schedule = supervised_steps, "constant"
        else:
            first = supervised_steps
    late = max(0, step - first - settings.schedule_delay)
    late = late // settings.schedule_period * settings.schedule_period
    return learning_rate_factor(schedule, late, total - first, settings.warmup_steps)
