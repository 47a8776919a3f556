"""Objects that are not counted any more, so that a look at them writes nothing.

Whoever looks at an object in Python counts itself in, and out again: a write, for which a forked
process gets a copy of the whole page. Since Python 3.12 an object with a certain count is
*immortal* (PEP 683): nobody counts it, as nobody counts None. What a fork server has imported
stays to its end anyway. The interpreter has no call for it yet, so the count is written where
it is; but only after a trial with an object of ours, since nobody promises that place.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from types import CodeType

_Count = ctypes.c_uint32


def make_all() -> bool:
    """Make every object that there is immortal; False: this interpreter knows no such thing."""
    count = sys.getrefcount(None)
    if not _works(count):
        return False
    found = gc.get_objects()
    while found:
        new = [one for one in found if _make(one, count)]
        found = gc.get_referents(*new)  # Those that hold nothing are not in gc's list.
        for one in new:
            if isinstance(one, CodeType):  # The collector is not told what code holds.
                found += (one.co_consts, one.co_names, one.co_name, one.co_qualname)
    return True


def _make(one: object, count: int) -> bool:
    """Make one object immortal; False: it is already, as who was seen before."""
    place = _Count.from_address(id(one))
    if place.value == count:
        return False
    place.value = count
    return True


def _works(count: int) -> bool:
    """Say whether ``count`` is what makes immortal, and is where we think."""
    held = [None] * 9
    if sys.getrefcount(held[0]) != count:
        return False  # It is counted: an interpreter before 3.12.
    trial = object()
    if _Count.from_address(id(trial)).value != sys.getrefcount(trial) - 1:
        return False
    _Count.from_address(id(trial)).value = count
    return sys.getrefcount(trial) == count
