"""The messages of rtnetlink(7): pyroute2 writes and reads them.

``from pyroute2 import IPRoute`` takes 140-200 ms, since the package imports all that it has:
300 modules, among them asyncio, ssl and unittest. What is needed here are its descriptions
of three messages, which take 24 ms: so these are imported while an empty package stands in
for the real one. Whoever imports pyroute2 later gets the real one, whole.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

_PACKAGE = "pyroute2"


def _without_its_init() -> ModuleType:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    package = ModuleType(_PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    return package


def _messages() -> tuple[Any, Any, Any]:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    return ifinfmsg, ifaddrmsg, rtmsg


def _messages_alone() -> tuple[Any, Any, Any]:
    """Import the messages; the whole package only if a later version wants it so."""
    if _PACKAGE in sys.modules:
        return _messages()
    sys.modules[_PACKAGE] = _without_its_init()
    try:
        found = _messages()
    except ImportError:
        for name in [one for one in sys.modules if one.split(".")[0] == _PACKAGE]:
            del sys.modules[name]
        return _messages()
    del sys.modules[_PACKAGE]
    return found


# struct ifinfomsg, ifaddrmsg and rtmsg of rtnetlink(7), each with its attributes.
LinkMessage, AddressMessage, RouteMessage = _messages_alone()
