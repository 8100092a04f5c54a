"""``dataclass`` for classes that a process imports by the hundred: the standard one, but for what it compiles.

``dataclasses.dataclass`` compiles six functions for each class when it is made, half a millisecond, which of the 240
classes of a small run was a seventh of its time. Here comparing, hashing and showing are closures over the names of the
fields, and ``__init__`` is compiled when the first value is made; most classes that are imported never make one.
``fields``, ``replace``, ``asdict``, pickling and matching are those of any dataclass.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from collections.abc import Callable
    from dataclasses import MISSING, Field, FrozenInstanceError, fields
    from operator import attrgetter
    from reprlib import recursive_repr

    def dataclass(
        cls: type | None = None,
        *,
        frozen: bool = False,
        slots: bool = False,
        kw_only: bool = False,
        order: bool = False,
    ) -> Any:
        """Make a class a dataclass; used as ``dataclasses.dataclass``, of which it takes these settings."""

        def make(cls: type) -> type:
            # What is made from another dataclass, or is ordered, is rare, and left to the standard.
            if order or any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:]):
                return dataclasses.dataclass(cls, frozen=frozen, slots=slots, kw_only=kw_only, order=order)
            return _made(cls, frozen, slots, kw_only)

        return make if cls is None else make(cls)

    def _made(cls: type, frozen: bool, slots: bool, kw_only: bool) -> type:
        # The standard would write a signature into a class without a docstring, which takes as long as all else.
        cls.__doc__ = cls.__doc__ or cls.__name__
        own = dict(cls.__dict__)
        dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
        settings = cls.__dataclass_params__
        settings.init = settings.repr = settings.eq = True
        settings.frozen = frozen
        if hasattr(settings, "slots"):  # since Python 3.12
            settings.slots = slots
        found = fields(cls)
        names = tuple(field.name for field in found)
        made = _slotted(cls, names, frozen) if slots else cls
        if "__repr__" not in own:
            made.__repr__ = _repr(tuple(field.name for field in found if field.repr))
        key = _key(tuple(field.name for field in found if field.compare))
        if "__eq__" not in own:
            made.__eq__ = _eq(key)
        if own.get("__hash__") is None:
            made.__hash__ = _hash(key) if frozen else None
        if frozen:
            made.__setattr__, made.__delattr__ = _refuse_setting, _refuse_deleting
        if "__init__" not in own:
            made.__init__ = _first_init(made)
        return made

    def _slotted(cls: type, names: tuple[str, ...], frozen: bool) -> type:
        """Return the class anew, with a slot for each field instead of a dictionary."""
        inherited = {name for base in cls.__mro__[1:-1] for name in getattr(base, "__slots__", ())}
        body = {name: value for name, value in cls.__dict__.items() if name not in names}
        body["__slots__"] = tuple(name for name in names if name not in inherited)
        body.pop("__dict__", None)
        body.pop("__weakref__", None)
        if frozen:
            body.setdefault("__getstate__", _state)
            body.setdefault("__setstate__", _take_state)
        made = type(cls)(cls.__name__, cls.__bases__, body)
        made.__qualname__ = cls.__qualname__
        return made

    def _first_init(cls: type) -> Callable[..., None]:
        """Return an ``__init__`` that compiles the one of the class, and gives way to it."""

        def init(self: Any, *args: Any, **given: Any) -> None:
            cls.__init__ = _init(cls)
            cls.__init__(self, *args, **given)

        return init

    def _init(cls: type) -> Callable[..., None]:
        scope: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": MISSING}
        found = fields(cls)
        positional = [_parameter(field, scope) for field in found if field.init and not field.kw_only]
        named = [_parameter(field, scope) for field in found if field.init and field.kw_only]
        lines = [_assignment(field, scope, cls) for field in found if field.init or _defaults(field)]
        if hasattr(cls, "__post_init__"):
            lines.append("self.__post_init__()")
        parameters = ", ".join(["self", *positional, *(["*", *named] if named else [])])
        exec(f"def __init__({parameters}):\n " + "\n ".join(lines or ["pass"]), scope)
        made = scope["__init__"]
        made.__qualname__ = f"{cls.__qualname__}.__init__"
        made.__module__ = cls.__module__
        return made

    def _defaults(field: Field[Any]) -> bool:
        return field.default is not MISSING or field.default_factory is not MISSING

    def _parameter(field: Field[Any], scope: dict[str, Any]) -> str:
        """Return a field as a parameter; defaults are called by names in the scope."""
        if field.default is not MISSING:
            scope[f"_default_{field.name}"] = field.default
            return f"{field.name}=_default_{field.name}"
        return field.name if field.default_factory is MISSING else f"{field.name}=_MISSING"

    def _assignment(field: Field[Any], scope: dict[str, Any], cls: type) -> str:
        value = field.name
        if field.default is not MISSING and not field.init:
            scope[f"_default_{field.name}"] = field.default
            value = f"_default_{field.name}"
        if field.default_factory is not MISSING:
            scope[f"_make_{field.name}"] = field.default_factory
            value = f"_make_{field.name}()"
            if field.init:
                value += f" if {field.name} is _MISSING else {field.name}"
        frozen = cls.__dataclass_params__.frozen
        return f"_set(self, {field.name!r}, {value})" if frozen else f"self.{field.name} = {value}"

    def _key(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
        """Return what gives the values of some fields, by which values of a class are compared."""
        if len(names) > 1:
            return attrgetter(*names)
        return lambda value: tuple(getattr(value, name) for name in names)

    def _eq(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, Any], Any]:
        def equal(self: Any, other: Any) -> Any:
            return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

        return equal

    def _hash(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
        return lambda value: hash(key(value))

    def _repr(names: tuple[str, ...]) -> Callable[[Any], str]:
        @recursive_repr("...")
        def show(self: Any) -> str:
            shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            return f"{self.__class__.__qualname__}({shown})"

        return show

    def _refuse_setting(self: Any, name: str, value: Any) -> None:
        del self, value
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_deleting(self: Any, name: str) -> None:
        del self
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _state(self: Any) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]

    def _take_state(self: Any, state: list[Any]) -> None:
        for field, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, field.name, value)


__all__ = ["dataclass"]
