"""The part of ``dataclasses`` that minirt uses, for all processes of its own.

The standard module writes and compiles six functions for each class, 0.3-0.6 ms for each of the
hundred classes that a command imports: a quarter of all that it does without a server, and 3 MB
of a server's memory. Here all classes share the code of theirs. It is slower, but no process
calls it that often. What is asked for here and is not here is done by the standard module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

_MISSING = object()
_found: list[ModuleType] = []  # the standard module, once it was needed


def stand_in() -> None:
    """Let what is imported from now on get this for the standard module."""
    if sys.version_info < (3, 14):  # Later ones keep the annotations of a class in another way.
        sys.modules.setdefault("dataclasses", sys.modules[__name__])


class Field:
    """What is known of a field: its name, and its default or what makes one for each instance."""

    def __init__(
        self, default: Any = _MISSING, default_factory: Callable[[], Any] | None = None
    ) -> None:
        self.name, self.default, self.default_factory = "", default, default_factory


def field(**options: Any) -> Any:
    """Return a field with a default, or with one that is made anew for each instance."""
    if options.keys() <= {"default", "default_factory"}:
        return Field(**options)
    return _standard().field(**options)


def dataclass(cls: Any = None, /, *, slots: bool = False, eq: bool = True, **options: Any) -> Any:
    """Give a class what a data class has; but slots, for which it had to be made anew."""
    frozen = options.get("frozen", False)
    if cls is not None or not slots or not options.keys() <= {"frozen"}:
        return _by_the_standard(cls, options | {"slots": slots, "eq": eq})

    def finish(cls: Any) -> type:
        annotated = vars(cls).get("__annotations__", ())
        cls.__dataclass_fields__ = {name: _field_of(cls, name) for name in annotated}
        cls.__init__, cls.__repr__ = _init_of(cls), _repr
        if eq:
            cls.__eq__, cls.__hash__ = _eq, _hash if frozen else None
        if frozen:
            cls.__setattr__ = cls.__delattr__ = _refuse
        return cls  # type: ignore[no-any-return]

    return finish


def _field_of(cls: Any, name: str) -> Field:
    default = vars(cls).get(name, _MISSING)
    found = default if isinstance(default, Field) else Field(default)
    found.name = name
    if found is default:  # As with the standard module: only a default is left at the class.
        delattr(cls, name)
        if found.default is not _MISSING:
            setattr(cls, name, found.default)
    return found


def fields(one: Any) -> tuple[Any, ...]:
    """Return the fields of a data class, or of an instance, in their order."""
    if not _is_ours(one if isinstance(one, type) else type(one)):
        return tuple(_standard().fields(one))
    return tuple(one.__dataclass_fields__.values())


def replace(one: Any, **changes: Any) -> Any:
    """Return a copy with other values in some fields."""
    if not _is_ours(type(one)):
        return _standard().replace(one, **changes)
    return type(one)(**{**vars(one), **changes})


def asdict(one: Any) -> dict[str, Any]:
    """Return the fields in their order, as dictionaries to the last."""
    return {name: _plain(getattr(one, name)) for name in one.__dataclass_fields__}


def _plain(value: Any) -> Any:
    if hasattr(type(value), "__dataclass_fields__"):
        return asdict(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value


def _is_ours(cls: type) -> bool:
    return bool(cls.__repr__ is _repr)  # type: ignore[comparison-overlap]


def _init_of(cls: Any) -> Callable[..., None]:
    """Return what sets the fields of an instance; what can be known before is looked up here."""
    known: dict[str, Field] = cls.__dataclass_fields__
    names = tuple(known)
    makers = [(name, make) for name, one in known.items() if (make := one.default_factory)]
    usual = {name: one.default for name, one in known.items() if one.default is not _MISSING}
    has_more = hasattr(cls, "__post_init__")

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        own = vars(self)
        own.update(usual)
        own.update(zip(names, values, strict=False))
        own.update(named)
        for name, make in makers:
            if name not in own:
                own[name] = make()
        is_twice = values and named and not named.keys().isdisjoint(names[: len(values)])
        if own.keys() != known.keys() or is_twice or len(values) > len(names):
            raise TypeError(f"{cls.__name__} has {', '.join(names)}, and not {values} {named}")
        if has_more:
            self.__post_init__()

    return __init__


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={vars(self)[name]!r}" for name in self.__dataclass_fields__)
    return f"{type(self).__qualname__}({shown})"


def _values(self: Any) -> Iterator[Any]:
    own = vars(self)
    return (own[name] for name in self.__dataclass_fields__)


def _eq(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return [*_values(self)] == [*_values(other)]


def _hash(self: Any) -> int:
    return hash(tuple(_values(self)))


def _refuse(self: Any, name: str, *_value: Any) -> None:
    raise AttributeError(f"cannot change field {name!r}")


def _by_the_standard(cls: Any, options: dict[str, Any]) -> Any:
    """Let the standard module make a class that needs more than is here."""
    if cls is None:
        return lambda cls: _by_the_standard(cls, options)
    for name, value in list(vars(cls).items()):
        if isinstance(value, Field):
            known = {"default": value.default, "default_factory": value.default_factory}
            given = {key: one for key, one in known.items() if one not in (None, _MISSING)}
            setattr(cls, name, _standard().field(**given))
    return _standard().dataclass(cls, **options)


def _standard() -> ModuleType:
    """Import the module for which this one stands in, and go on standing in for it."""
    if not _found:
        here = sys.modules.pop("dataclasses", None)
        import dataclasses

        _found.append(dataclasses)
        if here is not None:
            sys.modules["dataclasses"] = here
    return _found[0]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(_standard(), name)
