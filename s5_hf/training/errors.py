"""Why a training run ends early. Each message says what happened and where the last good checkpoint is."""


class TrainingError(RuntimeError):
    """A run cannot continue."""


class NonFiniteLossError(TrainingError):
    """The loss is NaN or infinite."""


class CheckpointError(TrainingError, ValueError):
    """A checkpoint cannot be written or read."""


class DataWorkerError(TrainingError):
    """A worker process that reads data has died."""


class NonFiniteWeightsError(TrainingError):
    """A step has made weights NaN or infinite."""
