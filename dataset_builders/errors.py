"""What can be wrong with a dataset, as exception types that callers can tell apart.

Their messages name files and URLs, from which passwords and tokens are removed.
"""

from .credentials import without_credentials


class SafeError(Exception):
    """An error whose message holds no password or token."""

    def __init__(self, message: str) -> None:
        super().__init__(without_credentials(message))


class LayoutError(SafeError, FileNotFoundError):
    """No known arrangement of files was found under the data directory, or a part of it is missing."""


class SampleError(SafeError, ValueError):
    """One sample contradicts its dataset: a mask of another size, a colour without a class, a broken annotation."""


class EncodingError(ValueError):
    """How masks encode class ids cannot be told, or what they hold contradicts their names."""


class CorruptImageError(SampleError):
    """An image file cannot be decoded. The only error that `corrupt_images="skip"` passes over."""


class ShardReadError(SafeError, OSError):
    """A shard could not be read to its end even after retries; the message names the shard."""


class DamagedShardError(ShardReadError, ValueError):
    """A shard, or the index of shards, is not what it should be: cut, overwritten, incomplete or of another kind."""
