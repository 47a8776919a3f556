"""What "network create" was asked for, checked as far as words alone can be checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

from minirt.errors import InvalidRequest
from minirt.network import spec

LONGEST_LINK_NAME = 15  # IFNAMSIZ of include/uapi/linux/if.h, less the terminating NUL
SMALLEST_MTU, LARGEST_MTU = 68, 65535  # bytes; RFC 791, section 3.2, and what Linux takes

_NO_HOSTS = {
    "the loopback of a host": IPv4Network("127.0.0.0/8"),
    "multicast": IPv4Network("224.0.0.0/4"),
    "nobody yet": IPv4Network("240.0.0.0/4"),
    "this network": IPv4Network("0.0.0.0/8"),
}
_BOOLS = (spec.MASQUERADE, spec.ICC)


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
    ipv6: bool = False
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a network, all decided."""

    subnet: IPv4Network
    gateway: IPv4Address
    range: IPv4Network | None = None
    aux: dict[str, IPv4Address] = field(default_factory=dict)


def check(plan: Plan) -> None:
    """Refuse what no machine could make of a plan. Raises InvalidRequest."""
    if plan.driver != "bridge":
        remedy = "minirt has bridge networks; host and none are always there."
        raise InvalidRequest(f'plugin "{plan.driver}" not found', "", remedy)
    if plan.ipv6:
        raise InvalidRequest("Networks of minirt don't have IPv6 yet", "", "Leave --ipv6 out.")
    if (plan.gateways or plan.ranges or plan.aux) and not plan.subnets:
        raise InvalidRequest("every ip-range or gateway must have a corresponding subnet")
    _check_options(plan.options)


def addresses(plan: Plan) -> Addresses | None:
    """Return the addresses that a plan fixes; None if it leaves them to us.

    What it leaves open follows Docker: the gateway is the first free address of the range,
    else of the subnet. Raises InvalidRequest.
    """
    if not plan.subnets:
        return None
    if len(plan.subnets) > 1:
        raise InvalidRequest("bridge driver doesn't support multiple subnets")
    subnet = _network(plan.subnets[0], "subnet")
    pool = _range(plan, subnet)
    aux = dict(_auxiliary(one, subnet) for one in plan.aux)
    named = _gateway(plan, subnet)
    gateway = named or _first_free(pool or subnet, subnet, set(aux.values()))
    taken = [gateway, *_ends(subnet)] if named is None else [gateway]
    for name, address in aux.items():
        if address in taken:
            what = f"failed to allocate secondary ip address ({name}:{address})"
            raise InvalidRequest(what, "Address already in use")
        taken.append(address)
    return Addresses(subnet, gateway, pool, aux)


def automatic(subnet: IPv4Network) -> Addresses:
    """Return the addresses of a network whose subnet we chose."""
    return Addresses(subnet, subnet[1])


def _network(text: str, kind: str) -> IPv4Network:
    what = f"invalid {kind} {text}"
    if "/" not in text:
        raise InvalidRequest(what, "invalid CIDR block notation", "Write it as 10.1.0.0/24.")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        why = "invalid CIDR block notation"
        raise InvalidRequest(what, why, "Write it as 10.1.0.0/24.") from None
    if isinstance(network, IPv6Network):
        raise InvalidRequest(what, "it is IPv6, which minirt's networks don't have yet")
    if str(network.network_address) != text.partition("/")[0]:
        raise InvalidRequest(what, f"it should be {network}")
    special = _special(network)
    if special:
        raise InvalidRequest(what, f"its addresses are for {special}", "Take 10.x.0.0/24.")
    if network.num_addresses == 1:
        raise InvalidRequest(what, "it has no address for a container", "Take a /30 or larger.")
    return network


def _special(network: IPv4Network) -> str:
    """Say what a network's addresses are for that no host can have (RFC 6890), if so."""
    for what, block in _NO_HOSTS.items():
        if network.subnet_of(block):
            return what
    return ""


def _range(plan: Plan, subnet: IPv4Network) -> IPv4Network | None:
    if not plan.ranges:
        return None
    text = plan.ranges[0]
    try:
        pool = ip_network(text, strict=False)
    except ValueError:
        pool = None
    if len(plan.ranges) > 1 or not isinstance(pool, IPv4Network) or not pool.overlaps(subnet):
        raise InvalidRequest(f"no matching subnet for range {plan.ranges[-1]}")
    if pool.prefixlen < subnet.prefixlen:
        why = f"CIDR block is bigger than its parent subnet {subnet}"
        raise InvalidRequest(f"invalid ip-range {text}", why)
    return _network(text if "/" in text else f"{text}/32", "ip-range")


def _gateway(plan: Plan, subnet: IPv4Network) -> IPv4Address | None:
    if not plan.gateways:
        return None
    if len(plan.gateways) > 1:
        raise InvalidRequest("every ip-range or gateway must have a corresponding subnet")
    gateway = _inside(plan.gateways[0], subnet, "gateway")
    if gateway in _ends(subnet):
        raise InvalidRequest(f"failed to allocate gateway ({gateway})", "Address already in use")
    return gateway


def _auxiliary(text: str, subnet: IPv4Network) -> tuple[str, IPv4Address]:
    name, _, address = text.partition("=")
    return name, _inside(address, subnet, "aux-address")


def _inside(text: str, subnet: IPv4Network, kind: str) -> IPv4Address:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if not isinstance(address, IPv4Address) or address not in subnet:
        raise InvalidRequest(f"no matching subnet for {kind} {text}")
    return address


def _first_free(pool: IPv4Network, subnet: IPv4Network, aux: set[IPv4Address]) -> IPv4Address:
    taken = aux | set(_ends(subnet))
    for address in pool:
        if address not in taken:
            return address
    raise InvalidRequest("failed to allocate gateway ()", "no available addresses on this pool")


def _ends(subnet: IPv4Network) -> tuple[IPv4Address, ...]:
    """Return the addresses of the network itself and of all its hosts (RFC 919, RFC 3021)."""
    if subnet.num_addresses <= 2:
        return ()
    return subnet.network_address, subnet.broadcast_address


def _check_options(options: dict[str, str]) -> None:
    for key in _BOOLS:
        value = options.get(key, "true")
        if value not in spec.TRUE | spec.FALSE:
            raise InvalidRequest(f"failed to parse {key} value: {value}", "say true or false")
    mtu = options.get(spec.MTU, "0")
    if mtu != "0" and not (mtu.isdecimal() and SMALLEST_MTU <= int(mtu) <= LARGEST_MTU):
        why = f"it takes a number of bytes from {SMALLEST_MTU} to {LARGEST_MTU}"
        raise InvalidRequest(f"failed to parse {spec.MTU} value: {mtu}", why)
    binding = options.get(spec.HOST_BINDING, "0.0.0.0")
    try:
        IPv4Address(binding)
    except ValueError:
        what = f"failed to parse {spec.HOST_BINDING} value: {binding}"
        raise InvalidRequest(what, "it is no IPv4 address") from None
    for key in (spec.BRIDGE_NAME, spec.INTERFACE_PREFIX):
        check_link_name(key, options.get(key, "x"))


def check_link_name(key: str, name: str) -> None:
    """Refuse what the kernel (dev_valid_name) or nft would not take as a link's name."""
    spare = 4 if key == spec.INTERFACE_PREFIX else 0  # a number follows
    plain = name.isascii() and all(one.isalnum() or one in "-_." for one in name)
    if not plain or name in (".", "..") or not 0 < len(name) <= LONGEST_LINK_NAME - spare:
        why = f"a link's name has 1 to {LONGEST_LINK_NAME - spare} letters, digits, '-', '_', '.'"
        raise InvalidRequest(f"failed to parse {key} value: {name}", why)
