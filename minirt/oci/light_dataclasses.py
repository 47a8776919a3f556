"""The part of ``dataclasses`` that minirt uses, for processes that live for a moment.

The standard module writes and compiles six functions for each class, 0.6 ms for each of the
forty classes that ``minirt-oci`` imports: a third of all that it does. Here every class has the
same functions. What is not used in minirt is not here, and an error at the import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MISSING = object()


class _Made:
    """A default that is made anew for each instance."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory


def field(*, default_factory: Callable[[], Any]) -> Any:
    """Return a default that is made anew for each instance."""
    return _Made(default_factory)


def dataclass(*, frozen: bool = False, slots: bool) -> Callable[[type], type]:
    """Give a class what a data class has; but slots, for which it had to be made anew."""

    def finish(cls: Any) -> type:
        annotated = vars(cls)["__annotations__"]
        cls.__dataclass_fields__ = {name: vars(cls).get(name, _MISSING) for name in annotated}
        for name, default in cls.__dataclass_fields__.items():
            if isinstance(default, _Made):
                delattr(cls, name)
        cls.__init__, cls.__repr__, cls.__eq__, cls.__hash__ = _init, _repr, _eq, None
        if frozen:
            cls.__setattr__ = cls.__delattr__ = _refuse
            cls.__hash__ = _hash
        return cls  # type: ignore[no-any-return]

    return finish


def replace(one: Any, **changes: Any) -> Any:
    """Return a copy with other values in some fields."""
    return type(one)(**{**vars(one), **changes})


def asdict(one: Any) -> dict[str, Any]:
    """Return the fields in their order; values are not copied."""
    return {name: vars(one)[name] for name in one.__dataclass_fields__}


def _init(self: Any, *values: Any, **named: Any) -> None:
    fields, own = type(self).__dataclass_fields__, vars(self)
    own.update(zip(fields, values, strict=False))
    own.update(named)
    if len(own) != len(values) + len(named) or not own.keys() <= fields.keys():
        raise TypeError(f"{type(self).__name__} has no such fields: {values} {named}")
    for name in fields.keys() - own.keys():
        default = fields[name]
        if default is _MISSING:
            raise TypeError(f"{type(self).__name__} needs {name}")
        own[name] = default.factory() if isinstance(default, _Made) else default


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in asdict(self).items())
    return f"{type(self).__qualname__}({fields})"


def _eq(self: Any, other: object) -> bool:
    return vars(self) == vars(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(tuple(asdict(self).values()))


def _refuse(self: Any, name: str, *_value: Any) -> None:
    raise AttributeError(f"cannot change field {name!r}")
