"""Published ports: what was asked for with -p, in all of Docker's forms.

8080:80  80  127.0.0.1:8080:80  127.0.0.1::80  [::1]:8080:80  8000-8002:80-82/udp
8000-8002:80 (the first that is free)  target=80,published=8080,protocol=udp,mode=host
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from minirt.errors import BadFlag

PROTOCOLS = ("tcp", "udp")
LARGEST = 65535  # RFC 9293, section 3.1: a port has 16 bits


@dataclass(frozen=True, slots=True)
class PortRequest:
    """One port of the container, and the host's ports from which one is to be taken."""

    protocol: str  # "tcp" or "udp"
    container_port: int
    host_ip: str = ""  # empty: all addresses, of both families
    host_first: int = 0  # 0: any port that is free
    host_last: int = 0


def parse(texts: Iterable[str]) -> list[PortRequest]:
    """Read the values of -p. Raises BadFlag, in Docker's words."""
    return [request for text in texts for request in _parse_one(text)]


def _parse_one(text: str) -> Iterator[PortRequest]:
    if "=" in text:
        text = _short_form(text)
    rest, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        remedy = "minirt publishes tcp and udp."
        raise BadFlag(f"Invalid proto: {protocol}", f"in -p {text}", remedy)
    host_ip, host, container = _split(rest)
    if not container:
        raise BadFlag(f"No port specified: {text}<empty>")
    first, last = _span(container, "containerPort")
    host_first, host_last = _span(host, "hostPort") if host else (0, 0)
    if first == last:
        yield PortRequest(protocol, first, host_ip, host_first, host_last)
        return
    if host and host_last - host_first != last - first:
        what = "Invalid ranges specified for container and host Ports"
        raise BadFlag(what, f"{container} and {host}")
    for offset in range(last - first + 1):
        port = host_first + offset if host else 0
        yield PortRequest(protocol, first + offset, host_ip, port, port)


def _split(text: str) -> tuple[str, str, str]:
    """Cut [IP:][HOST:]CONTAINER into its three parts; check the address."""
    before, _, container = text.rpartition(":")
    if text.startswith("["):
        host_ip, bracket, host = before.partition("]")
        host_ip = host_ip[1:]
        if not bracket or not host.startswith(":"):
            raise BadFlag(f"Invalid ip address: {text}", "", "Write it as [::1]:8080:80.")
        host = host[1:]
        valid = _version(host_ip) == 6
    else:
        host_ip, _, host = before.rpartition(":")
        if ":" in host_ip:
            why = f"address {host_ip}: too many colons in address"
            raise BadFlag(f"Invalid ip address {host_ip}", why, "Put it into brackets.")
        valid = not host_ip or _version(host_ip) == 4
    if not valid:
        raise BadFlag(f"Invalid ip address: {host_ip}")
    return host_ip, host, container


def _version(address: str) -> int:
    try:
        return 0 if "%" in address else ip_address(address).version
    except ValueError:
        return 0


def _span(text: str, kind: str) -> tuple[int, int]:
    """Read "80" or "80-82"."""
    low, dash, high = text.partition("-")
    first, last = _port(low, kind, text), _port(high if dash else low, kind, text)
    if last < first:
        raise BadFlag(f"Invalid {kind}: {text}", "the range ends before it begins")
    return first, last


def _port(text: str, kind: str, whole: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= LARGEST:
        return int(text)
    raise BadFlag(f"Invalid {kind}: {whole}", f"a port is a number from 0 to {LARGEST}")


def _short_form(text: str) -> str:
    """Write target=80,published=8080,protocol=udp,mode=host as 8080:80/udp."""
    fields = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadFlag(f"Invalid field syntax: {pair}", f"in -p {text}")
        fields[key.strip().lower()] = value
    if fields.get("mode", "host") not in ("host", "ingress"):
        raise BadFlag(f"Invalid publish mode: {fields['mode']}", f"in -p {text}")
    if "target" not in fields:
        raise BadFlag(f"No port specified: {text}", "target= is missing")
    published = f"{fields['published']}:" if fields.get("published") else ""
    return f"{published}{fields['target']}/{fields.get('protocol', 'tcp')}"
