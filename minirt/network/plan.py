"""What "network create" was asked for, checked as far as words alone can be checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from minirt.errors import InvalidRequest
from minirt.network import spec

LONGEST_LINK_NAME = 15  # IFNAMSIZ of include/uapi/linux/if.h, less the terminating NUL
SMALLEST_MTU, LARGEST_MTU = 68, 65535  # bytes; RFC 791, section 3.2, and what Linux takes

_BOOLS = (spec.MASQUERADE, spec.ICC, spec.INHIBIT4)
_ADDRESSES: dict[str, type[IPv4Address | IPv6Address]] = {
    spec.HOST_BINDING: IPv4Address,
    spec.OUTBOUND4: IPv4Address,
    spec.OUTBOUND6: IPv6Address,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The flags of "network create", as they were typed."""

    name: str
    driver: str = "bridge"
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    aux: tuple[str, ...] = ()  # NAME=ADDRESS
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    dns: tuple[str, ...] = ()  # addresses


def check(plan: Plan) -> None:
    """Refuse what no machine could make of a plan. Raises InvalidRequest."""
    if plan.driver not in ("bridge", spec.MACVLAN):
        remedy = "minirt has bridge and macvlan networks; host and none are always there."
        raise InvalidRequest(f'plugin "{plan.driver}" not found', "", remedy)
    if plan.driver == spec.MACVLAN:
        _check_macvlan(plan)
    if (plan.gateways or plan.ranges or plan.aux) and not plan.subnets:
        raise InvalidRequest("every ip-range or gateway must have a corresponding subnet")
    _check_options(plan.options)
    _check_isolation(plan.options.get(spec.ISOLATE, "true"))
    for version in (4, 6):
        _check_gateway_mode(plan, f"{spec.GATEWAY_MODE}{version}")
    for server in plan.dns:
        _check_server(server)


def _check_macvlan(plan: Plan) -> None:
    parent, mode = plan.options.get(spec.PARENT, ""), plan.options.get(spec.MACVLAN_MODE, "bridge")
    if not parent:
        remedy = "Add -o parent=LINK; ip link shows those that the host has."
        raise InvalidRequest("A macvlan network needs an interface of the host", "", remedy)
    check_link_name(spec.PARENT, parent)
    if mode not in spec.MACVLAN_MODES:
        why = f"say {', '.join(spec.MACVLAN_MODES)}"
        raise InvalidRequest(f"failed to parse {spec.MACVLAN_MODE} value: {mode}", why)
    if plan.internal:
        why = "the LAN is not ours to close"
        raise InvalidRequest("A macvlan network can't be internal", why, "Take a bridge network.")


def _check_isolation(value: str) -> None:
    """Refuse what would not be so: with podman, networks reach each other until told not to."""
    if value in spec.FALSE:
        what = f"unsupported {spec.ISOLATE} value: {value}"
        remedy = "Connect the container to both, or publish its port."
        raise InvalidRequest(what, "networks never reach each other here", remedy)
    if value not in spec.TRUE | {"strict"}:
        raise InvalidRequest(f"failed to parse {spec.ISOLATE} value: {value}", "say true or strict")


def _check_gateway_mode(plan: Plan, key: str) -> None:
    mode = plan.options.get(key, "nat")
    if mode not in ("nat", "isolated"):
        why = f"there are nat, and isolated for internal networks, not {mode}"
        remedy = f"A network that keeps its addresses is made by -o {spec.MASQUERADE}=false."
        raise InvalidRequest(f"unsupported {key}", why, remedy if mode == "routed" else "")
    if mode == "isolated" and not plan.internal:
        raise InvalidRequest(f"{key}=isolated is for internal networks", "", "Add --internal.")


def _check_server(text: str) -> None:
    """Refuse what is no address of a DNS server as a container sees it."""
    try:
        address = ip_address(text)
    except ValueError:
        why = f"IP address is not correctly formatted: {text}"
        raise InvalidRequest(f'invalid argument "{text}" for "--dns" flag', why) from None
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        why = f"inside a container {text} is no server's address"
        remedy = "Without --dns, containers ask the host's servers, also those of its loopback."
        raise InvalidRequest(f'invalid argument "{text}" for "--dns" flag', why, remedy)


def _check_options(options: dict[str, str]) -> None:
    for key in _BOOLS:
        value = options.get(key, "true")
        if value not in spec.TRUE | spec.FALSE:
            raise InvalidRequest(f"failed to parse {key} value: {value}", "say true or false")
    mtu = options.get(spec.MTU, "0")
    if mtu != "0" and not (mtu.isdecimal() and SMALLEST_MTU <= int(mtu) <= LARGEST_MTU):
        why = f"it takes a number of bytes from {SMALLEST_MTU} to {LARGEST_MTU}"
        raise InvalidRequest(f"failed to parse {spec.MTU} value: {mtu}", why)
    for key, family in _ADDRESSES.items():
        if key in options:
            _check_address(key, options[key], family)
    for key in (spec.BRIDGE_NAME, spec.INTERFACE_PREFIX):
        check_link_name(key, options.get(key, "x"))


def _check_address(key: str, value: str, family: type[IPv4Address | IPv6Address]) -> None:
    try:
        family(value)
    except ValueError:
        why = f"it is no {family.__name__.removesuffix('Address')} address"
        raise InvalidRequest(f"failed to parse {key} value: {value}", why) from None


def check_link_name(key: str, name: str) -> None:
    """Refuse what the kernel (dev_valid_name) or nft would not take as a link's name."""
    spare = 4 if key == spec.INTERFACE_PREFIX else 0  # a number follows
    plain = name.isascii() and all(one.isalnum() or one in "-_." for one in name)
    if not plain or name in (".", "..") or not 0 < len(name) <= LONGEST_LINK_NAME - spare:
        why = f"a link's name has 1 to {LONGEST_LINK_NAME - spare} letters, digits, '-', '_', '.'"
        raise InvalidRequest(f"failed to parse {key} value: {name}", why)
