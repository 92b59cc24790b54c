"""How programs end when something is wrong: one line and exit code 2 for bad input, a traceback for a bug.

`s5-hf` and the example scripts share it. Functions raise fitting exceptions that name the file or value; here they
become a line. Kinds of errors that bad files, bad values, a full disk or a missing network cause are known, all other
kinds are bugs of this package and keep their traceback. So does every error with `--traceback` anywhere on the command
line, or with `S5_HF_TRACEBACK=1` in the environment.
"""

import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BAD_INPUT", "INTERRUPTED", "end_in_one_line", "error_line", "is_known", "take_traceback_option"]

BAD_INPUT = 2
INTERRUPTED = 130  # 128 plus the number of SIGINT, as shells have it
TRACEBACK_OPTION = "--traceback"
TRACEBACK_VARIABLE = "S5_HF_TRACEBACK"

KNOWN_KINDS = (OSError, ValueError, ImportError, RuntimeError, EOFError, MemoryError)
# Kinds of libraries that are not imported for this, by their full names; their subclasses are known, too.
KNOWN_NAMES = frozenset(
    {
        "PIL.Image.DecompressionBombError",
        "_csv.Error",
        "_lzma.LZMAError",
        "_pickle.PickleError",
        "aiohttp.client_exceptions.ClientError",
        "argparse.ArgumentError",
        "datasets.exceptions.DatasetsError",
        "httpx.HTTPError",
        "httpx2.HTTPError",
        "pyarrow.lib.ArrowException",
        "rasterio._err.CPLE_BaseError",
        "rasterio.errors.RasterioError",
        "safetensors._safetensors_rust.SafetensorError",
        "safetensors_rust.SafetensorError",
        "shapely.errors.ShapelyError",
        "struct.error",
        "subprocess.SubprocessError",
        "tarfile.TarError",
        "urllib3.exceptions.HTTPError",
        "xml.etree.ElementTree.ParseError",
        "yaml.error.YAMLError",
        "zipfile.BadZipFile",
        "zlib.error",
    }
)
KNOWN_MODULES = frozenset({"huggingface_hub.errors", "onnxruntime.capi.onnxruntime_pybind11_state"})
# The libraries of the command line end the program themselves, with exceptions.
COMMAND_LINE_LIBRARIES = ("click", "typer")
# These say only that something went wrong inside; what it was is their cause.
WRAPPERS = frozenset({"datasets.exceptions.DatasetGenerationError", "datasets.exceptions.DatasetGenerationCastError"})


def take_traceback_option() -> bool:
    """Take `--traceback` out of the words of the command line; whether it was there."""
    words = [word for word in sys.argv[1:] if word != TRACEBACK_OPTION]
    found = len(words) < len(sys.argv) - 1
    sys.argv[1:] = words
    return found


@contextmanager
def end_in_one_line(program: str, show_traceback: bool = False) -> Iterator[None]:
    """End the program with one line on standard error where the block raises an error of a known kind.

    Args:
        program: name that the line begins with.
        show_traceback: print the traceback, too.

    Raises:
        SystemExit: with code 2 for an error of a known kind, 130 for Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"{program}: stopped by Ctrl-C", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:  # every kind is looked at; unknown ones are raised again
        if not is_known(error):
            raise
        if isinstance(error, BrokenPipeError) and output_is_closed():
            sys.exit(1)
        if show_traceback or os.environ.get(TRACEBACK_VARIABLE):
            sys.excepthook(type(error), error, error.__traceback__)
        print(f"{program}: {error_line(error)}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def is_known(error: BaseException) -> bool:
    """Whether an error is of a kind that bad input, the disk or the network cause.

    A KeyError is, where its argument is a sentence for people; a bare key is a bug.
    """
    if type(error).__module__.partition(".")[0] in COMMAND_LINE_LIBRARIES:
        return False
    if isinstance(error, KeyError):
        return bool(error.args) and isinstance(error.args[0], str) and " " in error.args[0]
    return isinstance(error, KNOWN_KINDS) or any(
        full_name(kind) in KNOWN_NAMES or kind.__module__ in KNOWN_MODULES for kind in type(error).__mro__
    )


def error_line(error: BaseException) -> str:
    """What an error says, in one line: of its cause where it only wraps one, with the file where it knows one."""
    from .dataset_builders.credentials import without_credentials

    while full_name(type(error)) in WRAPPERS and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    elif isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    else:
        text = without_worker_traceback(str(error))
    line = without_credentials(" ".join(text.split()))
    return line or {MemoryError: "there is not enough memory"}.get(type(error), type(error).__name__)


def without_worker_traceback(text: str) -> str:
    """The message of an error that torch passes on from a data worker: there it ends a whole traceback."""
    if not text.startswith("Caught ") or "Original Traceback" not in text:
        return text
    return re.split(r"^[\w.]+: ", text, flags=re.MULTILINE)[-1]


def full_name(kind: type) -> str:
    """Module and name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def output_is_closed() -> bool:
    """Whether nobody reads the standard output any more, as after `| head`; then nothing is written to it again."""
    try:
        poll, output = select.poll(), sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # Windows has no poll, and some outputs are no files
        return False
    poll.register(output, select.POLLERR)
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True
