"""Objects on their way to a process of ours, with the descriptors that they name by number."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from minirt.kernel import descriptors

if TYPE_CHECKING:
    from pickle import Pickler


def pack(content: object) -> int:
    """Return a memory file with the object (memfd_create(2)), to be sent and closed."""
    note = os.memfd_create("parcel")
    with os.fdopen(note, "wb", closefd=False) as file:
        pickler()(file).dump(content)
    return note


@cache
def pickler() -> type[Pickler]:
    """Return what writes data classes as calls of them, which takes half as long as by default."""
    import pickle  # minirt-oci does without

    class Short(pickle.Pickler):
        def reducer_override(self, one: Any) -> Any:
            names = getattr(type(one), "__dataclass_fields__", None)
            if names is None:
                return NotImplemented
            return type(one), tuple([getattr(one, name) for name in names])

    return Short


def unpack(note: int, numbers: Iterable[int], held: Iterable[int]) -> Any:
    """Return the object, once the descriptors ``held`` have the numbers that it names.

    Whatever had these numbers is closed.
    """
    import pickle

    with os.fdopen(note, "rb") as file:
        file.seek(0)  # The position is shared with who has written it.
        data = file.read()
    descriptors.renumber(dict(zip(numbers, held, strict=True)))
    return pickle.loads(data)
