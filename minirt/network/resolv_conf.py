"""resolv.conf(5): read this machine's, write a container's.

Three kinds of container. One on a user-defined network has 127.0.0.11, its network's
resolver. One on the default network asks the machine's servers itself, unless they are at
a loopback address, where it can't reach them: then it gets the resolver too, which asks
from where they can be reached (no public server is ever put in their place). One in the
machine's network, or in none, sees the machine's file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

RESOLVER = "127.0.0.11"
HOST_FILE = "/etc/resolv.conf"
MOST_DOTS = 15  # resolv.conf(5), ndots

Kind = Literal["user-defined", "default", "host"]


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What a resolv.conf says."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # lines that we don't know


@dataclass(frozen=True, slots=True)
class Rendered:
    """A container's resolv.conf, and what its resolver has to know."""

    text: str
    resolver: bool = False  # it needs one, at 127.0.0.11
    servers: tuple[str, ...] = ()  # ask these, from the container; none: the machine's, from there
    bare: bool = False  # names without a dot are asked elsewhere too: somebody has set ndots:0


def read(text: str) -> ResolvConf:
    """Read a resolv.conf; what makes no sense in it is passed over, as the C library does."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    others: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line[0] in "#;":
            continue
        keyword, *words = line.split()
        if keyword == "nameserver" and words and is_address(words[0]):
            servers.append(words[0])
        elif keyword in ("search", "domain"):
            search = words  # "If more than one instance is present, the last instance wins."
        elif keyword == "options":
            options += words
        elif keyword != "nameserver":
            others.append(line.strip())
    return ResolvConf(tuple(servers), tuple(search), tuple(options), tuple(others))


def render(
    host_text: str,
    kind: Kind,
    *,
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    ipv6: bool = False,
) -> Rendered:
    """Write a container's file. ``servers``, ``search`` and ``options`` replace the machine's.

    ``host_text`` is the machine's own file, "" if there is none. A search list of "." is
    empty (Docker's way to say so).
    """
    host = read(host_text)
    if kind == "host" and not (servers or search or options):
        return Rendered(host_text)
    wanted = ResolvConf(
        tuple(servers or host.servers),
        tuple(domain for domain in (search or host.search) if domain != "."),
        _with_sane_ndots(options or host.options),
        host.others,
    )
    overrides = [
        word
        for word, value in (("nameservers", servers), ("search", search), ("options", options))
        if value
    ]
    if kind == "default" and not servers:
        wanted = _reachable(wanted, ipv6=ipv6)
    if kind == "user-defined" or not wanted.servers:
        return _behind_resolver(wanted, host, tuple(servers), overrides)
    comments = [f"Based on host file: '{HOST_FILE}'", f"Overrides: [{' '.join(overrides)}]"]
    return Rendered(_write(wanted, comments if kind == "default" else []))


def is_address(text: str) -> bool:
    """Say whether a name server can be at ``text``: IPv4, IPv6, IPv6 with a zone.

    A zone must be printable ASCII. ip_address() takes any zone, and connect() raises TypeError for
    one with a zero byte or with characters that no name of a host has.
    """
    if not (text.isascii() and text.isprintable()):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _behind_resolver(
    wanted: ResolvConf, host: ResolvConf, servers: tuple[str, ...], overrides: list[str]
) -> Rendered:
    asked = servers or tuple(f"host({address})" for address in host.servers)
    dots = ndots(wanted.options)
    shown = wanted.options if dots is not None else (*wanted.options, "ndots:0")
    comments = [
        f"Based on host file: '{HOST_FILE}' (internal resolver)",
        f"ExtServers: [{' '.join(asked)}]",
        f"Overrides: [{' '.join(overrides)}]",
    ]
    written = ResolvConf((RESOLVER,), wanted.search, shown, wanted.others)
    return Rendered(_write(written, comments), resolver=True, servers=servers, bare=dots == 0)


def _reachable(wanted: ResolvConf, *, ipv6: bool) -> ResolvConf:
    """Leave out the servers that a container on a bridge can't reach."""
    servers = []
    for text in wanted.servers:
        address = ip_address(text)
        if not address.is_loopback and (address.version == 4 or (ipv6 and "%" not in text)):
            servers.append(text)
    return ResolvConf(tuple(servers), wanted.search, wanted.options, wanted.others)


def _with_sane_ndots(options: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        word for word in options if not word.startswith("ndots:") or ndots([word]) is not None
    )


def ndots(options: Sequence[str]) -> int | None:
    """Return what the last ``ndots:`` says, at most 15 (resolv.conf(5)); None if none says it.

    A container may write any number of digits, and int() raises ValueError beyond 4,300 of them.
    """
    for word in reversed(options):
        key, _, value = word.partition(":")
        if key == "ndots" and value.isascii() and value.isdigit():
            digits = value.lstrip("0") or "0"
            return MOST_DOTS if len(digits) > 2 else min(int(digits), MOST_DOTS)
    return None


def _write(conf: ResolvConf, comments: list[str]) -> str:
    lines = ["# Written by minirt at each start of the container.", ""]
    lines += [f"nameserver {address}" for address in conf.servers]
    if conf.search:
        lines.append(f"search {' '.join(conf.search)}")
    if conf.options:
        lines.append(f"options {' '.join(conf.options)}")
    lines += conf.others
    if comments:
        lines += ["", *(f"# {comment}" for comment in comments)]
    return "\n".join(lines) + "\n"
