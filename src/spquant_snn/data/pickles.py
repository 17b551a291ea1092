"""Pickles as data: the few opcodes that plain containers and arrays need, without ever calling what a pickle names.

Where a pickle asks for a function, a ``Call`` records its name and arguments; the reader of the file decides what they
mean. Memory follows the bytes that are there, where the standard unpickler allocates what a size in the file claims.
The opcodes are those of the standard ``pickle`` module, which documents them.
"""

from __future__ import annotations

import io
import pickle as op
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..io.reading import Flaw, reason

ENCODE = "_codecs encode"  # how Python 3 writes bytes in protocol 2: a call with a Latin-1 string

_NUMBERS = {op.BININT: "<i", op.BININT1: "<B", op.BININT2: "<H"}
_PLACES = {op.BINPUT: "<B", op.LONG_BINPUT: "<I", op.BINGET: "<B", op.LONG_BINGET: "<I"}
_IGNORED = {op.PROTO: "<B", op.FRAME: "<Q"}
_STRINGS: dict[bytes, tuple[str, str | None]] = {
    op.SHORT_BINSTRING: ("<B", "latin-1"),
    op.BINSTRING: ("<i", "latin-1"),
    op.SHORT_BINUNICODE: ("<B", "utf-8"),
    op.BINUNICODE: ("<I", "utf-8"),
    op.SHORT_BINBYTES: ("<B", None),
    op.BINBYTES: ("<I", None),
}
_CONSTANTS = {op.NONE: None, op.NEWTRUE: True, op.NEWFALSE: False}
_TUPLE_SIZES = {op.EMPTY_TUPLE: 0, op.TUPLE1: 1, op.TUPLE2: 2, op.TUPLE3: 3}
_MOST_OPCODES = 200_000  # a batch of CIFAR-10 has about 30,000
_LONGEST_NAME = 100


@dataclass(frozen=True, eq=False)
class Name:
    """A function or class that a pickle refers to, as "module name"."""

    path: str


@dataclass(eq=False)
class Call:
    """What a pickle would have called: "module name", the arguments, and the state to set on the result."""

    function: str
    arguments: tuple[object, ...]
    state: object = None


def read_pickle(content: bytes | bytearray) -> object:
    """What a pickle of protocol 2 to 4 describes: containers, strings, bytes, whole numbers and ``Call`` records.

    Strings of Python 2 come out as ``str``, one character a byte (Latin-1); the keys of dicts always as ``str``.

    Raises:
        Flaw: the pickle is truncated or corrupted, or uses an opcode that plain data does not need.
    """
    try:
        return _run(content)
    except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        if isinstance(error, Flaw):
            raise
        raise Flaw(f"damaged pickle, {reason(error)}") from error


def _run(content: bytes | bytearray) -> object:
    stack: list[object] = []
    outer: list[list[object]] = []  # the stacks below each open mark
    memo: dict[int, object] = {}
    for code, argument in _operations(io.BytesIO(content)):
        if code in _NUMBERS or code in _STRINGS or code == op.GLOBAL:
            stack.append(argument)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in (op.BINPUT, op.LONG_BINPUT) and isinstance(argument, int):
            memo[argument] = stack[-1]
        elif code in (op.BINGET, op.LONG_BINGET) and isinstance(argument, int):
            stack.append(memo[argument])
        elif code == op.MEMOIZE:
            memo[len(memo)] = stack[-1]
        elif code == op.MARK:
            outer.append(stack)
            stack = []
        elif code in (op.TUPLE, op.APPENDS, op.SETITEMS):
            items, stack = stack, outer.pop()
            if code == op.TUPLE:
                stack.append(tuple(items))
            else:
                _extend(stack[-1], items, pairs=code == op.SETITEMS)
        elif code in _TUPLE_SIZES:
            stack.append(tuple(_take(stack, _TUPLE_SIZES[code])))
        elif code in (op.APPEND, op.SETITEM):
            items = _take(stack, 1 if code == op.APPEND else 2)
            _extend(stack[-1], items, pairs=code == op.SETITEM)
        elif code == op.EMPTY_DICT:
            stack.append({})
        elif code == op.EMPTY_LIST:
            stack.append([])
        elif code == op.STACK_GLOBAL:
            module, attribute = _take(stack, 2)
            stack.append(Name(f"{_text(module)} {_text(attribute)}"))
        elif code == op.REDUCE:
            function, arguments = _take(stack, 2)
            if not isinstance(function, Name) or not isinstance(arguments, tuple):
                raise ValueError("it calls something that is not a function")
            stack.append(Call(function.path, arguments))
        elif code == op.BUILD:
            (state,) = _take(stack, 1)
            target = stack[-1]
            if not isinstance(target, Call):
                raise ValueError("it sets a state on something that is no object")
            target.state = state
        elif code == op.STOP:
            return stack.pop()
        elif code not in _IGNORED:
            raise Flaw(f"a pickle of plain data has no opcode {code!r}, as the official file")
    raise ValueError("it does not stop")


def _operations(stream: io.BytesIO) -> Iterator[tuple[bytes, object]]:
    """Each opcode with its argument; an opcode of another kind without."""
    sizes = _NUMBERS | _PLACES | _IGNORED
    for _ in range(_MOST_OPCODES):
        code = stream.read(1)
        argument: object = None
        if not code:
            return
        if code in sizes:
            argument = _number(stream, sizes[code])
        elif code in _STRINGS:
            size, encoding = _STRINGS[code]
            argument = _exactly(stream, _number(stream, size))
            argument = argument if encoding is None else argument.decode(encoding, "surrogatepass")
        elif code == op.GLOBAL:
            module, attribute = (_text(stream.readline(_LONGEST_NAME).removesuffix(b"\n")) for _ in range(2))
            argument = Name(f"{module} {attribute}")
        yield code, argument
    raise ValueError(f"it has more than {_MOST_OPCODES} parts")


def _number(stream: io.BytesIO, form: str) -> int:
    (number,) = struct.unpack(form, stream.read(struct.calcsize(form)))
    return int(number)


def _exactly(stream: io.BytesIO, size: int) -> bytes:
    content = stream.read(size) if size >= 0 else b""
    if len(content) != size:
        raise ValueError(f"it ends within a string of {size} bytes")
    return content


def _extend(target: object, items: list[object], *, pairs: bool) -> None:
    if not pairs and isinstance(target, list):
        target.extend(items)
    elif pairs and isinstance(target, dict) and len(items) % 2 == 0:
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_text(key)] = value
    else:
        raise ValueError("it fills a container that is none")


def _take(stack: list[object], count: int) -> list[object]:
    if count > len(stack):
        raise ValueError("its stack is empty")
    taken = stack[len(stack) - count :]
    del stack[len(stack) - count :]
    return taken


def _text(value: object) -> str:
    if isinstance(value, Call) and value.function == ENCODE and value.arguments:
        value = value.arguments[0]
    if isinstance(value, bytes) and len(value) <= _LONGEST_NAME:
        return value.decode("latin-1")
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise ValueError("a name is not a short string")
    return value
