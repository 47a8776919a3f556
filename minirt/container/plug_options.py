"""What driver options say of one plug, in Docker's words: its interface's name and switches."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

from minirt.container.flags.typed import refused
from minirt.container.record import EndpointRequest
from minirt.errors import Conflict, InvalidRequest
from minirt.network import plan

SYSCTLS = "com.docker.network.endpoint.sysctls"  # net.X.Y.IFNAME.Z=VALUE,…
IFNAME = "com.docker.network.endpoint.ifname"

# Docker's client writes all in small letters.
_SYSCTL = re.compile(r"net\.([a-z0-9]+)\.([a-z0-9]+)\.(?:IFNAME|ifname)\.([a-z0-9_]+)=([^\s,]+)")


def read(texts: Iterable[str], flag: str) -> dict[str, str]:
    """Read KEY=VALUE; a key that is not ours is kept, as Docker does. Raises InvalidRequest."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise refused(flag, text, "a driver option is KEY=VALUE")
        found[key] = value
    if IFNAME in found:
        plan.check_link_name(IFNAME, found[IFNAME])
    sysctls(found)
    return found


def check_distinct(plugs: Iterable[EndpointRequest]) -> None:
    """Refuse two plugs that want one name for their interfaces. Raises InvalidRequest."""
    named: dict[str, str] = {}
    for plug in plugs:
        name = plug.driver_opts.get(IFNAME, "")
        if name and named.setdefault(name, plug.network) != plug.network:
            why = f"the interfaces in {named[name]} and {plug.network} can't both be {name}"
            raise InvalidRequest("Conflicting options for --network", why)


def names(plugs: Iterable[EndpointRequest]) -> set[str]:
    """Return the names that are asked for."""
    return {plug.driver_opts[IFNAME] for plug in plugs if IFNAME in plug.driver_opts}


def interface(asked: EndpointRequest, prefix: str, number: int, taken: Container[str]) -> str:
    """Return what a plug's interface is called: as asked for, or the next number that is free.

    Raises Conflict.
    """
    name = asked.driver_opts.get(IFNAME, "")
    if name and name in taken:
        what = f"Cannot connect to {asked.network} by an interface {name}"
        raise Conflict(what, "the container has an interface of that name already")
    while not name or name in taken:
        name, number = f"{prefix}{number}", number + 1
    return name


def sysctls(options: Mapping[str, str]) -> dict[str, str]:
    """Return the switches that are asked for, by their path below /proc/sys with IFNAME in it.

    Only those of the interface itself: what belongs to the whole namespace is ``--sysctl``'s.
    Raises InvalidRequest.
    """
    found = {}
    for text in filter(None, options.get(SYSCTLS, "").split(",")):
        match = _SYSCTL.fullmatch(text)
        if match is None:
            what = f"unrecognised network interface sysctl '{text}'"
            raise InvalidRequest(what, "represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'")
        family, kind, name, value = match.groups()
        found[f"net/{family}/{kind}/IFNAME/{name}"] = value
    return found
