"""Frozen records: what `dataclasses` would give us, without its start-up cost.

PID 1 should execute its first server before the user notices that it is written in Python.
Importing `dataclasses` (it imports `inspect`) and creating 30 frozen, slotted dataclasses takes
three times as long as starting the interpreter; 30 records take a fifth of it
(`make bench` prints the ratios). Type checkers see a record as a frozen, keyword-only dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_: object) -> object:
        """Stand in for `typing.dataclass_transform`, which only type checkers need."""
        return lambda decorator: decorator


class FrozenRecordError(AttributeError):
    """Somebody tried to change a record in place; use `replace`."""


def _init(self: object, **values: object) -> None:
    cls = type(self)
    defaults: Mapping[str, object] = cls.__record_defaults__  # type: ignore[attr-defined]
    for name in cls.__slots__:  # type: ignore[attr-defined]
        if name in values:
            object.__setattr__(self, name, values.pop(name))
        elif name in defaults:
            object.__setattr__(self, name, defaults[name])
        else:
            raise TypeError(f"{cls.__name__}() is missing {name!r}")
    if values:
        raise TypeError(f"{cls.__name__}() has no field {next(iter(values))!r}")


def _setattr(self: object, name: str, _value: object) -> None:
    raise FrozenRecordError(f"{type(self).__name__}.{name} is read-only")


def _delattr(self: object, name: str) -> None:
    raise FrozenRecordError(f"{type(self).__name__}.{name} is read-only")


def _values(self: object) -> tuple[object, ...]:
    return tuple(getattr(self, name) for name in type(self).__slots__)  # type: ignore[attr-defined]


def _eq(self: object, other: object) -> object:
    if type(self) is not type(other):
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: object) -> int:
    return hash((type(self).__name__, _values(self)))


def _repr(self: object) -> str:
    pairs = zip(type(self).__slots__, _values(self), strict=True)  # type: ignore[attr-defined]
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"


_METHODS = {
    "__init__": _init,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
}


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class with annotated fields a frozen, slotted, keyword-only record.

    Defaults are shared, so they have to be immutable. A record has no parent but `object`.
    A method that the class body defines itself is kept.
    """
    body = cls.__dict__
    names = tuple(body.get("__annotations__", ()))
    defaults = {name: body[name] for name in names if name in body}
    dropped = {"__dict__", "__weakref__", *defaults}
    space: dict[str, Any] = {key: value for key, value in body.items() if key not in dropped}
    for name, method in _METHODS.items():
        space.setdefault(name, method)
    # Defining __eq__ in a class body sets __hash__ to None there; ours is meant to be hashable.
    space["__hash__"] = space["__hash__"] or _hash
    space["__slots__"] = names
    space["__match_args__"] = names
    space["__record_defaults__"] = defaults
    return type(cls.__name__, (), space)


def replace(instance: T, **changes: object) -> T:
    """Return a copy of a record with some fields changed.

    Raises:
        TypeError: a name in `changes` is not a field.
    """
    names: tuple[str, ...] = type(instance).__slots__  # type: ignore[attr-defined]
    return type(instance)(**{**{name: getattr(instance, name) for name in names}, **changes})
