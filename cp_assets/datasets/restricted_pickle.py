"""Reading the pickle of a numpy object array that holds one plain value, without running any of it.

A pickle is a program: its opcodes import what they name and call it. Restricting what may be
imported is not enough here, since numpy's own functions trust the state they are handed, and a
dictionary key of nested tuples alone can crash or hang the interpreter. So nothing is imported or
called: the few opcodes that plain values and numpy scalars need are carried out on stand-ins, and
everything else is refused by name.
"""

from __future__ import annotations

import pickletools
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cp_assets.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable

PlainValue = str | int | float | bool | None

MAX_PICKLE_BYTES = 2**20
"""Largest pickle that is read, bytes; a site's metadata takes about one thousand."""

_ARRAY_MAKERS = {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"}
_SCALARS = {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"}
# Protocols 0 to 2 have no bytes: they are written as text that is to be encoded.
_ENCODE = "_codecs.encode"
_NO_BYTES = {"__builtin__.bytes", "builtins.bytes"}
_ADMITTED = {*_ARRAY_MAKERS, *_SCALARS, *_NO_BYTES, _ENCODE, "numpy.ndarray", "numpy.dtype"}
_SCALAR_TYPE = re.compile(r"b1|[iu][1248]|f(?:2|4|8|12|16)|U\d{1,6}")
_SHOWN = 80
_ARRAY_STATE = 5
_ARRAY_VERSION = 1


def unpickle_object(data: bytes, name: str) -> object:
    """The one object in a pickled 0-d numpy object array, of any pickle protocol.

    Dictionaries with keys of text, lists, tuples, text, bytes, numbers, None and numpy's scalars
    (converted to Python's) are read; their number and size are limited by that of the pickle.

    Parameters
    ----------
    data
        The pickle, at most `MAX_PICKLE_BYTES`.
    name
        Where it stands, as errors name it.

    Raises
    ------
    MeasurementError
        If the pickle asks for anything else, which is named, or is damaged or too large.
    """
    if len(data) > MAX_PICKLE_BYTES:
        msg = f"{name}: its pickle has {len(data)} bytes; at most {MAX_PICKLE_BYTES} are read"
        raise MeasurementError(msg)
    try:
        result = _Machine(name).run(data)
    except MeasurementError:
        raise
    # Opcodes that do not fit the stack end in one of these.
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        msg = f"{name}: its pickle is damaged ({type(error).__name__}); export the file again"
        raise MeasurementError(msg) from error
    if not isinstance(result, _Array) or len(result.items) != 1 or result.shape != ():
        msg = f"{name}: expected a pickled 0-d numpy array of one object; got {_kind(result)}"
        raise MeasurementError(msg)
    return result.items[0]


def plain_dict(value: object, name: str) -> dict[str, PlainValue]:
    """Hold that an object is a dictionary of text to text, numbers (64 bits), booleans and None.

    Raises
    ------
    MeasurementError
        If it is anything else; names the entry and the type found.
    """
    if not isinstance(value, dict):
        msg = f"{name}: expected a dictionary; got {_kind(value)}"
        raise MeasurementError(msg)
    return {key: _plain(entry, f"{name}: entry {key[:_SHOWN]!r}") for key, entry in value.items()}


def _plain(value: object, name: str) -> PlainValue:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        msg = f"{name} is a whole number of {value.bit_length()} bits; expected at most 64"
        raise MeasurementError(msg)
    if value is None or isinstance(value, str | int | float):
        return value
    msg = f"{name} is {_kind(value)}; expected text, a number, true or false, or nothing"
    raise MeasurementError(msg)


@dataclass(frozen=True, slots=True)
class _Named:
    """What a pickle would import."""

    name: str


@dataclass(slots=True)
class _DataType:
    """A numpy data type as a pickle writes it: its code, and then its byte order."""

    code: str
    order: str = "="


@dataclass(slots=True)
class _Array:
    """A numpy object array."""

    shape: object = None
    items: tuple[object, ...] = ()


def _kind(value: object) -> str:
    """What a value is, in words; never its content, which may be large."""
    if isinstance(value, _Array):
        return "a numpy array"
    if isinstance(value, _DataType):
        return "a numpy data type"
    if isinstance(value, _Named):
        return f"the name {value.name[:_SHOWN]}"
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


class _Machine:
    """Carries out the opcodes of one pickle; ``name`` is where it stands."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stack: list[object] = []
        self._marked: list[list[object]] = []
        self._memo: dict[int, object] = {}
        # Bytes that may be made of what was read before, and so more often than it stands there.
        self._left = 4 * MAX_PICKLE_BYTES

    def run(self, data: bytes) -> object:
        """What the pickle builds."""
        for opcode, argument, _position in pickletools.genops(data):
            if opcode.name in _PUSHED:
                self._stack.append(argument)
            elif opcode.name in _ACTIONS:
                _ACTIONS[opcode.name](self, argument)
            elif opcode.name not in _PASSED:
                msg = (
                    f"{self._name}: its pickle has the opcode {opcode.name}, which is refused; "
                    "only text, numbers and numpy scalars are read"
                )
                raise MeasurementError(msg)
        (result,) = self._stack
        return result

    def constant(self, value: object) -> None:
        """Push a value."""
        self._stack.append(value)

    def mark(self, _argument: object) -> None:
        """Begin a group of values."""
        self._marked.append(self._stack)
        self._stack = []

    def since_mark(self) -> list[object]:
        """End the group and give it."""
        group = self._stack
        self._stack = self._marked.pop()
        return group

    def pop(self, count: int) -> list[object]:
        """Take values from the stack, the deepest first."""
        if count > len(self._stack):
            raise IndexError
        taken = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return taken

    def get(self, index: int) -> None:
        """Push a value that was kept."""
        self._stack.append(self._memo[index])

    def put(self, index: int) -> None:
        """Keep the last value."""
        self._memo[index] = self._stack[-1]

    def memoize(self, _argument: object) -> None:
        """Keep the last value under the next number."""
        self.put(len(self._memo))

    def append(self, values: list[object]) -> None:
        """Add to the list below the values."""
        below = self._stack[-1]
        if not isinstance(below, list):
            raise TypeError
        below.extend(values)

    def set_items(self, values: list[object]) -> None:
        """Add keys and values by turns to the dictionary below them."""
        below = self._stack[-1]
        if not isinstance(below, dict):
            raise TypeError
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Also spares the hash of nested tuples, which may take forever.
            if not isinstance(key, str):
                msg = f"{self._name}: a key is {_kind(key)}; expected text"
                raise MeasurementError(msg)
            below[key] = value

    def new_dict(self, _argument: object) -> None:
        """Make a dictionary of a group of keys and values."""
        values = self.since_mark()
        self._stack.append({})
        self.set_items(values)

    def named(self, name: str) -> None:
        """Push what the pickle would import, if that is known."""
        if name not in _ADMITTED:
            msg = (
                f"{self._name}: its pickle asks for {name[:_SHOWN]!r}, which is refused; only "
                "text, numbers and numpy scalars are read, no code is run. Do not open this file "
                "with numpy's allow_pickle unless you trust who wrote it"
            )
            raise MeasurementError(msg)
        self._stack.append(_Named(name))

    def stack_named(self, _argument: object) -> None:
        """Push what the last two texts name."""
        module, name = self.pop(2)
        self.named(f"{_text(module)}.{_text(name)}")

    def call(self, _argument: object) -> None:
        """Make what the pickle would call a function for."""
        function, arguments = self.pop(2)
        if not isinstance(function, _Named) or not isinstance(arguments, tuple):
            raise TypeError
        if function.name in _ARRAY_MAKERS:
            self._stack.append(_Array())
        elif function.name in _SCALARS:
            self._stack.append(self._scalar(*arguments))
        elif function.name == "numpy.dtype":
            self._stack.append(_DataType(_text(arguments[0])))
        elif function.name == _ENCODE:
            self._stack.append(self._encoded(*arguments))
        elif function.name in _NO_BYTES and not arguments:
            self._stack.append(b"")
        else:
            raise TypeError

    def build(self, _argument: object) -> None:
        """Give an array or a data type its state."""
        target, state = self.pop(2)
        if not isinstance(state, tuple):
            raise TypeError
        if isinstance(target, _DataType):
            _version, order, *parts = state
            if order not in ("<", ">", "=", "|") or any(parts[:3]):
                raise ValueError
            target.order = order
        elif isinstance(target, _Array) and len(state) == _ARRAY_STATE:
            version, target.shape, kind, _is_fortran, items = state
            is_object = isinstance(kind, _DataType) and kind.code in ("O", "O8")
            if version != _ARRAY_VERSION or not is_object or not isinstance(items, list):
                raise ValueError
            target.items = tuple(items)
        else:
            raise TypeError
        self._stack.append(target)

    def _encoded(self, text: object, encoding: object) -> bytes:
        if encoding != "latin1":
            raise TypeError
        self._spend(len(_text(text)))
        return _text(text).encode("latin1")

    def _scalar(self, kind: object, data: object) -> PlainValue:
        """Convert a numpy scalar of a known type to Python's."""
        if not isinstance(kind, _DataType) or not isinstance(data, bytes):
            raise TypeError
        if not _SCALAR_TYPE.fullmatch(kind.code):
            msg = (
                f"{self._name}: a numpy scalar of type {kind.code[:_SHOWN]!r} is refused; expected "
                "a boolean, an integer, a float or text"
            )
            raise MeasurementError(msg)
        dtype = np.dtype(kind.order.replace("|", "=") + kind.code)
        if len(data) != dtype.itemsize:
            raise ValueError
        self._spend(len(data))
        if dtype.kind == "U":
            # numpy would make a string of what is no character.
            order = {"<": "little", ">": "big"}.get(kind.order, sys.byteorder)
            return data.decode(f"utf-32-{order[0]}e").rstrip("\0")
        value = np.frombuffer(data, dtype)[0]
        # A long double's item is a long double.
        return float(value) if dtype.kind == "f" else value.item()

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            msg = f"{self._name}: its pickle makes more than {4 * MAX_PICKLE_BYTES} bytes"
            raise MeasurementError(msg)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_PASSED = {"PROTO", "FRAME", "STOP"}
_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
"""Opcodes whose argument is the value."""

_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "NONE": lambda machine, _: machine.constant(None),
    "NEWTRUE": lambda machine, _: machine.constant(True),
    "NEWFALSE": lambda machine, _: machine.constant(False),
    "MARK": _Machine.mark,
    "EMPTY_TUPLE": lambda machine, _: machine.constant(()),
    "TUPLE1": lambda machine, _: machine.constant(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: machine.constant(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: machine.constant(tuple(machine.pop(3))),
    "TUPLE": lambda machine, _: machine.constant(tuple(machine.since_mark())),
    "EMPTY_LIST": lambda machine, _: machine.constant([]),
    "LIST": lambda machine, _: machine.constant(machine.since_mark()),
    "APPEND": lambda machine, _: machine.append(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "EMPTY_DICT": lambda machine, _: machine.constant({}),
    "DICT": _Machine.new_dict,
    "SETITEM": lambda machine, _: machine.set_items(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": _Machine.memoize,
    "GLOBAL": lambda machine, name: machine.named(str(name).replace(" ", ".", 1)),
    "STACK_GLOBAL": _Machine.stack_named,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}
