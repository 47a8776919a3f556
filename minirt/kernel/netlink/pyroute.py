"""What the kernel tells of a link, sixty attributes and more, as pyroute2 reads it.

``from pyroute2 import IPRoute`` takes 140-200 ms, since the package imports all that it has:
300 modules, among them asyncio, ssl and unittest. What is needed here is its description of one
message, which takes 20 ms: so that is imported while an empty package stands in for the real
one. Whoever imports pyroute2 later gets the real one, whole.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

from minirt.kernel.netlink import messages
from minirt.kernel.nlmsg import HEADER

_PACKAGE = "pyroute2"


def _without_its_init() -> ModuleType:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    package = ModuleType(_PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    return package


def _description() -> Any:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    return ifinfmsg


def _description_alone() -> Any:
    """Import the description; the whole package only if a later version wants it so."""
    if _PACKAGE in sys.modules:
        return _description()
    sys.modules[_PACKAGE] = _without_its_init()
    try:
        found = _description()
    except ImportError:
        for name in [one for one in sys.modules if one.split(".")[0] == _PACKAGE]:
            del sys.modules[name]
        return _description()
    del sys.modules[_PACKAGE]
    return found


_Link = _description_alone()


def read_link(message: bytes) -> Any:
    """Read struct ifinfomsg with all its attributes."""
    whole = _Link(HEADER.pack(HEADER.size + len(message), messages.NEWLINK, 0, 0, 0) + message)
    whole.decode()
    return whole
