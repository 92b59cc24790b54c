"""Pickled road graphs, read without running anything: dictionaries, lists, tuples and numbers only.

Python's own reader calls what a file names. This one is a machine of its own that knows the few instructions which
build such values, and has none that imports, calls or changes anything else. Of what files name it knows two things:
the numbers of numpy and their types, which predictions hold and which become plain numbers here.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from reprlib import repr as shorten  # lists in lists may be short in a file and endless in words
from typing import Any, NoReturn

from .errors import SampleError
from .road_graph import RoadGraph

__all__ = ["MAXIMUM_BYTES", "parse_pickled_graph", "unpickle_graph"]

MAXIMUM_BYTES = 64 << 20
"""Larger files are refused. The graph of a tile of 2048 px has some hundred kilobytes."""

MAXIMUM_ENTRIES = 5_000_000
"""More nodes and neighbours are refused: a list that is stored once may be meant a million times."""

_SCALAR_NAMES = ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar")
_DTYPE_NAME = "numpy dtype"
_ENCODE_NAME = "_codecs encode"  # how Python 3 writes bytes for Python 2
_KNOWN_NAMES = (*_SCALAR_NAMES, _DTYPE_NAME, _ENCODE_NAME)
_NUMBER_CODES = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """Something that a file names; only a word here."""

    text: str


@dataclass
class _NumberType:
    """A type of numbers: the code of numpy, such as `i8`, and the order of bytes."""

    code: str
    order: str = "<"


def parse_pickled_graph(content: bytes, name: str) -> RoadGraph:
    """The graph of a pickled `{(row, column): [(row, column), ...]}`, repaired as `RoadGraph.from_adjacency` does.

    Raises:
        SampleError: as `unpickle_graph`.
    """
    try:
        return RoadGraph.from_adjacency(unpickle_graph(content, name), name)
    except SampleError:
        raise
    except ValueError as error:
        raise SampleError(str(error)) from error


def unpickle_graph(content: bytes, name: str) -> dict[tuple, list]:
    """The dictionary of a pickled road graph, of any protocol; text and bytes of Python 2 are read as Latin-1.

    Args:
        content: the bytes of the file.
        name: what the file is called in errors.

    Raises:
        SampleError: the file is too large, is cut, names anything to import or call, or holds other values than a
            dictionary from (row, column) to lists of them. Nothing is run.
    """
    if len(content) > MAXIMUM_BYTES:
        raise SampleError(f"{name}: {len(content):,} bytes, expected a road graph of at most {MAXIMUM_BYTES:,}")
    machine = _Machine(io.BytesIO(content), name)
    try:
        value = machine.run()
    except SampleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error, RecursionError) as error:
        raise SampleError(f"{name}: not a pickled road graph, or cut short ({error})") from error
    _check_graph(value, name)
    return value


def _check_graph(value: Any, name: str) -> None:
    """Raise a SampleError unless the value is a dictionary of nodes and lists of nodes, and not too long."""
    if not isinstance(value, dict):
        raise SampleError(f"{name}: holds a {type(value).__name__}, expected a dictionary of nodes")
    entries = len(value)
    for neighbours in value.values():
        if not isinstance(neighbours, list | tuple):
            raise SampleError(f"{name}: the neighbours of a node are {type(neighbours).__name__}, expected a list")
        entries += len(neighbours)
        if entries > MAXIMUM_ENTRIES:
            raise SampleError(f"{name}: more than {MAXIMUM_ENTRIES:,} nodes and neighbours")
        for node in neighbours:
            if not _is_node(node):
                raise SampleError(f"{name}: {shorten(node)} is not a node, expected (row, column)")


def _is_node(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(type(number) in (int, float, bool) for number in value)


class _Machine:
    """Runs the instructions of one pickle on a stack of plain values."""

    def __init__(self, file: io.BytesIO, name: str) -> None:
        self._file, self._name = file, name
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value that the file holds."""
        while True:
            code = self._file.read(1)
            instruction = pickletools.code2op.get(code.decode("latin-1"))
            if instruction is None:
                what = "ends too early" if not code else f"begins no instruction with {code!r}"
                raise SampleError(f"{self._name}: not a pickled road graph: it {what}")
            if instruction.name == "STOP":
                return self._stack.pop()
            act = _ACTIONS.get(instruction.name)
            if act is None:
                self._refuse(f"the instruction {instruction.name}")
            act(self, self._argument(instruction))

    def _argument(self, instruction: pickletools.OpcodeInfo) -> Any:
        if instruction.arg is None:
            return None
        if instruction.name in ("STRING", "PERSID"):  # pickletools reads ASCII only
            return self._file.readline().strip()[1:-1].decode("unicode_escape")
        return instruction.arg.reader(self._file)

    def _refuse(self, what: str) -> NoReturn:
        raise SampleError(
            f"{self._name} was refused: it holds {what}. A road graph is made of dictionaries, lists, tuples and "
            "numbers only; other pickles can run programs"
        )

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value was expected")
        return value

    def pop_to_mark(self) -> list:
        """The values above the last mark, which goes too."""
        position = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
        values = self._stack[position + 1 :]
        del self._stack[position:]
        return values

    def top(self, kind: type) -> Any:
        """The last value, which must be of that type."""
        if not isinstance(self._stack[-1], kind):
            raise TypeError(f"{type(self._stack[-1]).__name__} where a {kind.__name__} was expected")
        return self._stack[-1]

    def mark(self, _: None) -> None:
        self.push(_MARK)

    def make_list(self, _: None) -> None:
        self.push(self.pop_to_mark())

    def make_tuple(self, _: None) -> None:
        self.push(tuple(self.pop_to_mark()))

    def make_dict(self, _: None) -> None:
        values = self.pop_to_mark()
        self.push({})
        self.set_items(values)

    def append(self, _: None) -> None:
        value = self.pop()
        self.top(list).append(value)

    def extend(self, _: None) -> None:
        values = self.pop_to_mark()
        self.top(list).extend(values)

    def set_items(self, values: list | None) -> None:
        values = self.pop_to_mark() if values is None else values
        found = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not _is_node(key):
                raise SampleError(f"{self._name}: {shorten(key)} is not a node, expected (row, column)")
            found[key] = value

    def set_item(self, _: None) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def remember(self, number: int | None) -> None:
        self._memo[len(self._memo) if number is None else number] = self._stack[-1]

    def recall(self, number: int) -> None:
        self.push(self._memo[number])

    def name_something(self, text: str | None) -> None:
        if text is None:
            attribute, module = self.pop(), self.pop()
            text = f"{module} {attribute}"
        if text not in _KNOWN_NAMES:
            self._refuse(f"the name {text.replace(' ', '.')[:80]}")
        self.push(_Name(text))

    def combine(self, _: None) -> None:
        """A call in other readers; here the three known combinations of a name and values."""
        values, name = self.pop(), self.pop()
        if not isinstance(name, _Name) or not isinstance(values, tuple):
            self._refuse("a call")
        if name.text == _ENCODE_NAME:
            self.push(values[0].encode("latin-1") if isinstance(values[0], str) else self._refuse("a call"))
        elif name.text == _DTYPE_NAME:
            code = values[0].decode("latin-1") if isinstance(values[0], bytes) else values[0]
            if code not in _NUMBER_CODES:
                self._refuse(f"values of the type {shorten(code)}")
            self.push(_NumberType(code))
        else:
            self.push(self._number(*values))

    def _number(self, kind: Any, content: Any) -> int | float:
        if not isinstance(kind, _NumberType):
            self._refuse("a number of an unknown type")
        content = content.encode("latin-1") if isinstance(content, str) else content
        return struct.unpack(kind.order + _NUMBER_CODES[kind.code], content)[0]

    def set_order(self, _: None) -> None:
        """The state of a type of numbers, of which the order of bytes counts."""
        state, kind = self.pop(), self.top(_NumberType)
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"an order of bytes {order!r}")
        kind.order = ">" if order == ">" else "<"


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(value)


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(tuple(reversed([machine.pop() for _ in range(count)])))


_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES"),
)
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_VALUES, _Machine.push),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL"), _Machine.name_something),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": _constant(()),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "MARK": _Machine.mark,
    "LIST": _Machine.make_list,
    "TUPLE": _Machine.make_tuple,
    "DICT": _Machine.make_dict,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "REDUCE": _Machine.combine,
    "BUILD": _Machine.set_order,
    "POP": lambda machine, _: machine.pop(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
}
