"""What the pickle of a state dict says of its tensors and classes. Nothing in it is loaded, and no code is run."""

from __future__ import annotations

import math
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

import torch

from deploytool.base.errors import InputError

_NUMBERS: Final = ("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG")
_TUPLES: Final = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ITEM_BYTES: Final = {
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    "ComplexDoubleStorage": 16,
}
"""{class of a storage: bytes of each element}; the others have 1."""


@dataclass(frozen=True)
class Stored:
    """The values of one or more tensors: ``size`` elements of ``item_bytes`` each, in the file under ``key``."""

    key: str
    size: int
    item_bytes: int

    @property
    def bytes(self) -> int:
        return self.size * self.item_bytes


@dataclass
class _Machine:
    """The stack and the memo of a pickle that is followed, with None for what does not matter here."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def since_mark(self) -> tuple[Any, ...]:
        """What is on the stack above the last mark, which goes too."""
        at = len(self.stack) - 1 - self.stack[::-1].index(pickletools.markobject)
        items = tuple(self.stack[at + 1 :])
        del self.stack[at:]
        return items

    def top(self, number: int) -> tuple[Any, ...]:
        """The last ``number`` of the stack, which go."""
        items = tuple(self.stack[len(self.stack) - number :])
        del self.stack[len(self.stack) - number :]
        return items

    def follow(self, operation: pickletools.OpcodeInfo, argument: Any) -> Any:
        """Does ``operation``. Returns the tuple or the `Stored` that it makes, if any."""
        name = operation.name
        made: tuple[Any, ...] | Stored | None = None
        if name == "TUPLE":
            made = self.since_mark()
        elif name in _TUPLES:
            made = self.top(_TUPLES[name])
        elif name == "BINPERSID":
            made = _stored(*self.top(1))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
            return None
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
            return None
        elif name in _NUMBERS or name == "GLOBAL" or "UNICODE" in name:
            self.stack.append(argument)
            return None
        elif name == "STACK_GLOBAL":
            self.stack.append(" ".join(map(str, self.top(2))))
            return None
        else:
            self._skip(operation)
            return None
        self.stack.append(made)
        return made

    def _skip(self, operation: pickletools.OpcodeInfo) -> None:
        """Does an operation whose values do not matter."""
        before = list(operation.stack_before)
        if pickletools.markobject in before:
            self.since_mark()
            before = before[: before.index(pickletools.markobject)]
        self.top(len(before))
        self.stack += [item if item is pickletools.markobject else None for item in operation.stack_after]


def stored_in(pickled: bytes | IO[bytes], where: str) -> Iterator[Stored]:
    """The stored values that the tensors in ``pickled`` refer to; a file is read up to the end of the pickle.

    Raises InputError for a tensor ``where`` that reaches beyond its stored values, and the errors of pickletools,
    IndexError, KeyError and ValueError for a damaged pickle.
    """
    machine = _Machine()
    for operation, argument, _ in pickletools.genops(pickled):
        match machine.follow(operation, argument):
            case Stored() as stored:
                yield stored
            case (Stored() as stored, int() as offset, tuple() as shape, tuple() as strides, *rest):
                _require_within(stored, offset, shape, strides, _item_bytes(rest, stored), where)


def _stored(reference: Any) -> Stored | None:
    """What the persistent id ('storage', class, key, place, size, ...) refers to; None if it is none of a storage."""
    match reference:
        case ("storage", str() as kind, str() as key, _, int() as size, *_):
            return Stored(key, size, _ITEM_BYTES.get(kind.rpartition(" ")[2], 1))
    return None


def _item_bytes(rest: list[Any], stored: Stored) -> int:
    """The bytes of each element of a tensor: those of the type among its other arguments, or of its stored values."""
    for item in rest:
        kind = getattr(torch, item.removeprefix("torch "), None) if isinstance(item, str) else None
        if isinstance(kind, torch.dtype):
            return kind.itemsize
    return stored.item_bytes


def _require_within(
    stored: Stored, offset: int, shape: tuple[Any, ...], strides: tuple[Any, ...], item_bytes: int, where: str
) -> None:
    """Raises InputError for a tensor that has elements beyond its ``stored`` values."""
    if not all(isinstance(number, int) for number in (*shape, *strides)) or len(shape) != len(strides):
        raise InputError(where, f"a tensor of shape {shape} with strides {strides}", "a whole number for each axis")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or (math.prod(shape) and (last + 1) * item_bytes > stored.bytes):
        found = f"a tensor of shape {shape} with strides {strides} from element {offset} on, of {stored.bytes:,} bytes"
        raise InputError(where, found, "a tensor within its stored values", "Copy or save the file again.")


def class_in(pickled: bytes) -> str | None:
    """The class of the object in ``pickled``; None for a dict, a list or a number."""
    texts: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if operation.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if "UNICODE" in operation.name:
                texts.append(str(argument))
            elif operation.name not in ("PROTO", "FRAME", "MEMOIZE", "BINPUT"):
                return None
    except ValueError:
        return None
    return None
