"""What ``--net`` and the flags around it say: a mode, and plugs in networks."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace

from minirt.container import plug_options
from minirt.container.flags.typed import Flags, fields_of, refused, unusable
from minirt.container.record import EndpointRequest
from minirt.errors import InvalidRequest, in_quotes

LONG_FORM = re.compile(r"[\w-]+=")
MAC = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"
DOMAIN = r"\.|[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?\.?"
ALONE = ("host", "none", "bridge")  # They don't go together with other networks.
NOT_YET = ("link-local-ip",)
KEYS = ("name", "ip", "ip6", "alias", "mac-address", "gw-priority", "driver-opt")


def networking(flags: Flags) -> tuple[str, list[EndpointRequest]]:
    """Return the network mode, and the plugs in the order of the interfaces, eth0 first.

    The plugs bear the names that were typed, and no ids yet.

    Raises InvalidRequest.
    """
    requests = [one_network(text) for text in flags.network] or [_plug("bridge")]
    first = requests[0].network
    if first.startswith("container:"):
        _check_joiner(flags, first)
    for request in requests[1:]:
        if {request.network, first} & set(ALONE) or request.network.startswith("container:"):
            why = "cannot attach both user-defined and non-user-defined network-modes"
            raise InvalidRequest("Conflicting options for --network", why)
    names = [request.network for request in requests]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f'Network "{name}" is specified multiple times')
    plug_options.check_distinct(requests)
    requests[0] = _with_plain_flags(requests[0], flags)
    plugless = first in ("host", "none") or first.startswith("container:")
    return first, [] if plugless else requests


def one_network(text: str) -> EndpointRequest:
    """Read one ``--net``: a name, or ``name=NAME,KEY=VALUE…`` with the keys above.

    Raises InvalidRequest.
    """
    if not text:
        raise InvalidRequest("No name set for network", "", "Write --net NAME.")
    if not LONG_FORM.match(text):
        return _plug("bridge" if text == "default" else text)
    values: dict[str, list[str]] = {}
    for field in fields_of(text, "--net"):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if key in NOT_YET:
            raise refused("--net", text, f"minirt doesn't have {key}")
        if not equals or key not in KEYS:
            raise refused("--net", text, f"invalid field key {key}")
        values.setdefault(key, []).append(value)
    if not any(values.get("name", [])):
        raise refused("--net", text, "network name/id is not specified")
    return EndpointRequest(
        network_id="",
        network=values["name"][-1],
        address=ipv4(values.get("ip", [""])[-1], "--net"),
        address6=ipv6(values.get("ip6", [""])[-1], "--net"),
        mac=mac_address(values.get("mac-address", [""])[-1], "--net"),
        aliases=values.get("alias", []),
        gw_priority=gw_priority(values.get("gw-priority", ["0"])[-1], "--net"),
        driver_opts=plug_options.read(values.get("driver-opt", []), "--net"),
    )


def _plug(name: str) -> EndpointRequest:
    return EndpointRequest(network_id="", network=name)


def _with_plain_flags(request: EndpointRequest, flags: Flags) -> EndpointRequest:
    """Add what ``--ip``, ``--mac-address`` and ``--network-alias`` say: it is for the first."""
    mode = request.network
    plugless = mode in ("host", "none") or mode.startswith("container:")
    for flag, text in (("--ip", flags.ip), ("--ip6", flags.ip6)):
        if text and plugless:
            why = "user specified IP address is supported on user defined networks only"
            raise refused(flag, text, why)
    if flags.network_alias and (plugless or mode == "bridge"):
        why = "network-scoped aliases are only supported for user-defined networks"
        raise refused("--network-alias", flags.network_alias[0], why, "Add --net NETWORK.")
    for given, flag, own, what in (
        (flags.ip, "--ip", request.address, "IPv4 address"),
        (flags.ip6, "--ip6", request.address6, "IPv6 address"),
        (flags.mac_address, "--mac-address", request.mac, "MAC address"),
        (flags.network_alias, "--network-alias", request.aliases, "alias"),
    ):
        if given and own:
            raise InvalidRequest("Conflicting options", f"both {flag} and a per-network {what}")
    return replace(
        request,
        address=ipv4(flags.ip, "--ip") or request.address,
        address6=ipv6(flags.ip6, "--ip6") or request.address6,
        mac=mac_address(flags.mac_address, "--mac-address") or request.mac,
        aliases=[*request.aliases, *flags.network_alias],
    )


def _check_joiner(flags: Flags, mode: str) -> None:
    """Refuse what belongs to the container whose network is joined."""
    if mode == "container:":
        why = "invalid container format container:<name|id>"
        raise InvalidRequest("Invalid network mode", why)
    for given, what in (
        (flags.hostname, "hostname"),
        (flags.dns, "dns"),
        (flags.add_host, "custom host-to-IP mapping"),
        (flags.publish or flags.publish_all, "port publishing"),
        (flags.expose, "port exposing"),
    ):
        if given:
            raise InvalidRequest(
                "Conflicting options", f"{what} and the network mode {mode}", "Leave out one."
            )


def ipv4(text: str, flag: str) -> str:
    """Return the address, or "" where none is given. Raises InvalidRequest."""
    try:
        return str(ipaddress.IPv4Address(text)) if text else ""
    except ValueError:
        raise unusable(flag, text, f"invalid IPv4 address: {text}") from None


def ipv6(text: str, flag: str) -> str:
    """Return the address in its short form, or "" where none is given. Raises InvalidRequest."""
    try:
        address = ipaddress.IPv6Address(text) if text else None
    except ValueError:
        address = None
    if text and (address is None or address.scope_id):
        raise unusable(flag, text, f"invalid IPv6 address: {text}")
    return str(address or "")


def mac_address(text: str, flag: str) -> str:
    """Return the address in the kernel's form: 02:42:0a:00:00:02. Raises InvalidRequest."""
    if not text:
        return ""
    plain = text.lower().replace("-", ":")
    if not re.fullmatch(MAC, plain):
        raise refused(flag, text, f"{text} is not a valid mac address")
    if int(plain[:2], 16) & 1 or plain == "00:00:00:00:00:00":
        raise refused(flag, text, "a multicast or empty MAC address can't be an interface's")
    return plain


def gw_priority(text: str, flag: str) -> int:
    """Return the priority of a plug as the way out. Raises InvalidRequest."""
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise refused(flag, text, f"gw-priority is a whole number, not {in_quotes(text)}")
    return int(text)


def dns_server(text: str) -> str:
    """Return the address of a DNS server. Raises InvalidRequest."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        why = f"IP address is not correctly formatted: {text}"
        raise refused("--dns", text, why) from None


def search_domain(text: str) -> str:
    """Return a domain to search names in; "." stands for none. Raises InvalidRequest."""
    if len(text) > 253 or not re.fullmatch(DOMAIN, text) or ".." in text:
        raise refused("--dns-search", text, f"{text} is not a valid domain")
    return text


def extra_host(text: str) -> str:
    """Read ``name:address``, ``name=address`` or ``name:host-gateway``; return ``name:address``.

    Raises InvalidRequest.
    """
    match = re.fullmatch(r"([^\s:=]+)[:=](.+)", text)
    if match is None:
        raise refused("--add-host", text, f'bad format for add-host: "{text}"')
    name, address = match.groups()
    if address == "host-gateway":
        return f"{name}:{address}"
    try:
        return f"{name}:{ipaddress.ip_address(address.removeprefix('[').removesuffix(']'))}"
    except ValueError:
        raise refused("--add-host", text, f'invalid IP address in add-host: "{address}"') from None
