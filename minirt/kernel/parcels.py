"""Objects on their way to a process of ours, with the descriptors that they name by number."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from minirt.kernel import descriptors


def pack(content: object) -> int:
    """Return a memory file with the object (memfd_create(2)), to be sent and closed."""
    import pickle  # minirt-oci does without

    note = os.memfd_create("parcel")
    with os.fdopen(note, "wb", closefd=False) as file:
        pickle.dump(content, file)
    return note


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
