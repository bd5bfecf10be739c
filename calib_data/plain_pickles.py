"""Reading pickles that hold nothing but data, without Python's unpickler.

A pickle is a program for a small machine that can call any function. Here only the instructions that build
dictionaries, lists, tuples, text, numbers and arrays of bytes are carried out; all others are refused, and no
function of the pickle's choice is ever looked up.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import DataError

_REMEDY = "give the original file, or convert it to .npz"
_MARK = object()


class _Name(str):
    """A function that the pickle names; only those in the table below mean anything."""


class _Array:
    """An array whose contents follow."""

    def __init__(self) -> None:
        self.value = np.zeros(0, np.uint8)

    def fill(self, state: Any) -> None:
        """Take numpy's state in: version, shape, element type, order, bytes."""
        _, shape, kind, is_fortran, raw = state
        if kind != "u1" or is_fortran:
            raise DataError("the pickle holds an array that is not of bytes", remedy=_REMEDY)
        self.value = np.frombuffer(raw, np.uint8).reshape(shape)


def load_plain(content: bytes, name: str) -> Any:
    """Read a pickle of dictionaries, lists, tuples, text, numbers and arrays of bytes.

    Args:
        content: The pickle, protocol 2 to 5; text of Python 2 becomes bytes.
        name: Where it came from, for messages.

    Returns:
        What it holds.

    Raises:
        DataError: It is damaged, or holds anything else.
    """
    machine = _Machine()
    try:
        for code, argument, _ in pickletools.genops(content):
            machine.step(code.name, argument)
        return _resolved(machine.stack.pop())
    except DataError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError) as error:
        raise DataError(f"{name} is not a readable pickle: {error}", remedy=_REMEDY) from error


class _Machine:
    """The stack and the memory of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry one instruction out."""
        if name in _PUSHED:
            self.stack.append(_PUSHED[name](argument))
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in _IGNORED:
            raise DataError(f"the pickle holds {name}, which is not data", remedy=_REMEDY)

    def above_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        index = len(self.stack) - 1
        while self.stack[index] is not _MARK:
            index -= 1
        items = self.stack[index + 1 :]
        del self.stack[index:]
        return items

    def take(self, count: int) -> list[Any]:
        """Take the last values."""
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def put(self, index: int) -> None:
        """Remember the top of the stack."""
        self.memo[index] = self.stack[-1]

    def name(self, text: str) -> None:
        """Take a name, written with a space between module and function."""
        if text not in _CALLS:
            raise DataError(f"the pickle names {text.replace(' ', '.')}, which is not data", remedy=_REMEDY)
        self.stack.append(_Name(text))

    def call(self) -> None:
        """Do what the name on the stack stands for, by this module's own table."""
        function, arguments = self.take(2)
        if not isinstance(function, _Name):
            raise DataError("the pickle calls what is not a name", remedy=_REMEDY)
        self.stack.append(_CALLS[function](*arguments))

    def build(self) -> None:
        """Fill an array; the state of an element type says nothing that is needed."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], _Array):
            self.stack[-1].fill(state)

    def set_items(self, items: list[Any]) -> None:
        """Put pairs into the dictionary on the stack."""
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _encode(text: str, encoding: object) -> bytes:
    """How Python 3 writes bytes for Python 2: as Latin-1 text, and in no other encoding."""
    if encoding not in {"latin1", b"latin1"}:
        raise ValueError("an encoding that is not for bytes")
    return text.encode("latin1")


def _element_type(code: Any, *_: object) -> str:
    return code.decode("ascii") if isinstance(code, bytes) else str(code)


def _resolved(value: Any) -> Any:
    """Arrays in place of what held them; they are only ever directly in a dictionary or on top."""
    if isinstance(value, dict):
        return {key: item.value if isinstance(item, _Array) else item for key, item in value.items()}
    return value.value if isinstance(value, _Array) else value


_CALLS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray _reconstruct": lambda *_: _Array(),
    "numpy._core.multiarray _reconstruct": lambda *_: _Array(),
    "numpy ndarray": lambda *_: _Array(),
    "numpy dtype": _element_type,
    "_codecs encode": _encode,
}

_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})

_PUSHED: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), lambda value: value),
    **dict.fromkeys(
        ("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), lambda value: value
    ),
    **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING"), lambda value: value.encode("latin1")),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "MARK": lambda _: _MARK,
}

_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda m, index: m.put(index)),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, index: m.stack.append(m.memo[index])),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.above_mark())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.take(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.take(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.take(3))),
    "APPEND": lambda m, _: m.stack[-2].append(m.stack.pop()),
    "APPENDS": lambda m, _: _extend(m, m.above_mark()),
    "SETITEM": lambda m, _: m.set_items(m.take(2)),
    "SETITEMS": lambda m, _: m.set_items(m.above_mark()),
    "GLOBAL": lambda m, text: m.name(text),
    "STACK_GLOBAL": lambda m, _: m.name(" ".join(m.take(2))),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
}


def _extend(machine: _Machine, items: list[Any]) -> None:
    machine.stack[-1].extend(items)
