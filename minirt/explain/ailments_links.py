"""Ailments of links and switches: the bridge, the wires, what the kernel was told to do."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address

from minirt.explain.findings import Finding, Patient
from minirt.explain.terrain import Terrain
from minirt.kernel import sysctl
from minirt.kernel.netlink import survey
from minirt.kernel.netlink.records import Route
from minirt.network import icc, identity, pools, store
from minirt.network.block import interface

_STRICT = "1"  # of rp_filter: refused unless the answer would leave by the same link (RFC 3704)


def of_bridge(patient: Patient) -> Iterator[Finding]:
    """Look at the bridge and its addresses."""
    network, bridge = patient.network, patient.bridge
    if bridge is None:
        yield patient.finding("bridge-missing", f"its bridge {network.bridge} is missing")
        return
    if bridge.kind != "bridge":
        yield patient.finding("no-bridge", f"{bridge.name} is no bridge", "minirt network rm …")
        return
    if not bridge.up:
        mend = f"ip link set {bridge.name} up"
        yield patient.finding("bridge-down", f"its bridge {bridge.name} is down", mend)
    for block in network.blocks:
        if not network.gives_gateway(block.version):
            continue
        address = interface(block.gateway, block.subnet)
        if address in bridge.addresses:
            continue
        mend = f"ip addr add {address} dev {bridge.name}"
        wrong = next((one for one in bridge.addresses if one.ip == block.gateway), None)
        if wrong is None:
            yield patient.finding("bridge-address", f"{bridge.name} lacks its address", mend)
        else:
            what = f"{bridge.name} has {wrong}, not {address}"
            mend += f"; ip addr del {wrong} dev {bridge.name}"
            yield patient.finding("bridge-prefix", what, mend)


def of_wires(patient: Patient) -> Iterator[Finding]:
    """Look at the ports of the bridge, for each living container."""
    bridge, network = patient.bridge, patient.network
    if bridge is None:
        return
    for text, facts in patient.living.items():
        if ip_address(text).version != 4:
            continue
        wire = patient.host.named(identity.host_end(ip_address(text)))
        if wire is None:
            what = f"the wire of {facts.name} ({text}) is gone"
            mend = f"minirt restart {facts.name}"
            yield patient.finding("wire-missing", what, mend)
        elif wire.master != bridge.index:
            mend = f"ip link set {wire.name} master {bridge.name}"
            yield patient.finding("wire-loose", f"{wire.name} of {facts.name} is unplugged", mend)
        elif not wire.up:
            mend = f"ip link set {wire.name} up"
            yield patient.finding("wire-down", f"{wire.name} of {facts.name} is down", mend)
        elif not wire.hairpin:
            what = f"{facts.name} does not reach its own published ports: no hairpin at {wire.name}"
            mend = f"ip link set {wire.name} type bridge_slave hairpin on"
            yield patient.finding("hairpin", what, mend)
    apart = icc.isolates(network)
    for port in patient.ports:
        if port.isolated != apart:
            word = "on" if apart else "off"
            mend = f"ip link set {port.name} type bridge_slave isolated {word}"
            what = f"{port.name} should have isolation {word} (icc={str(network.icc).lower()})"
            yield patient.finding("isolation", what, mend)


def of_switches(patient: Patient) -> Iterator[Finding]:
    """Look at the kernel's switches (networking/ip-sysctl.rst)."""
    network = patient.network
    wanted = {f"net/ipv4/conf/{network.bridge}/route_localnet": ("1", "ports on 127.0.0.1 fail")}
    if not network.internal:
        wanted["net/ipv4/ip_forward"] = ("1", "nothing is forwarded")
        wanted[f"net/ipv4/conf/{network.bridge}/forwarding"] = ("1", "it forwards nothing")
        if network.subnet6 is not None:
            wanted["net/ipv6/conf/all/forwarding"] = ("1", "no IPv6 is forwarded")
    for name, (value, why) in wanted.items():
        found = sysctl.read(name)
        if found not in (None, value):
            mend = f"sysctl -w {_dotted(name)}={value}"
            code = name.rpartition("/")[2].replace("_", "-")
            where = network.name if network.bridge in name else "host"
            yield Finding(code, where, f"{name} is {found}: {why}", mend)
    yield from _strict(patient)


def of_routes(patient: Patient, routes: list[Route]) -> Iterator[Finding]:
    """Look for routes that take addresses of the subnet elsewhere."""
    network, bridge = patient.network, patient.bridge
    for route in routes:
        if route.to.prefixlen == 0 or (bridge and route.link == bridge.index):
            continue
        for block in network.blocks:
            if route.to.version != block.subnet.version or not route.to.overlaps(block.subnet):
                continue
            device = patient.host.device(route.link)
            where = device.name if device else f"link {route.link}"
            what = f"the route to {route.to} by {where} overlaps its subnet {block.subnet}"
            stronger = route.to.prefixlen >= block.subnet.prefixlen
            mend = _elsewhere(patient, routes)
            yield patient.finding("overlap", what, mend, is_fault=stronger)


def _elsewhere(patient: Patient, routes: list[Route]) -> str:
    """Return the commands that make the network anew where nothing is."""
    network = patient.network
    if network.is_default:  # The next command that needs it makes it where there is room.
        return f"ip link delete {network.bridge} && rm {store.spec_path(network.name)}"
    taken = [IPv4Network(one.to) for one in routes if one.to.version == 4 and one.to.prefixlen]
    subnet = pools.choose([*taken, *(one.subnet4 for one in store.every())])
    name = network.name
    return f"minirt network rm {name} && minirt network create --subnet {subnet} {name}"


def _strict(patient: Patient) -> Iterator[Finding]:
    """Look for the strict reverse path filter: containers on several networks suffer by it."""
    bridge = patient.network.bridge
    link = f"net/ipv4/conf/{bridge}/rp_filter"
    values = {name: sysctl.read(name) for name in ("net/ipv4/conf/all/rp_filter", link)}
    if "2" in values.values() or _STRICT not in values.values():
        return  # The larger of the two counts.
    mend = f"sysctl -w {_dotted(link)}=2"
    what = f"{bridge} takes only packets whose answers leave by it too (rp_filter is strict)"
    yield patient.finding("rp-filter", what, mend, is_fault=_has_neighbours(patient))


def of_uplinks(host: Terrain) -> Iterator[Finding]:
    """Look for the strict reverse path filter where packets come from outside.

    By a link that is not that of the default route, answers and requests from far away are then
    refused; by that link, only what has another route.
    """
    for device in host.devices:
        is_uplink = device.up and device.kind != "bridge" and not device.master
        if not is_uplink or not survey.of_version(device.addresses, 4) or device.name == "lo":
            continue
        link = f"net/ipv4/conf/{device.name}/rp_filter"
        values = {sysctl.read(one) for one in ("net/ipv4/conf/all/rp_filter", link)}
        if "2" in values or _STRICT not in values:
            continue
        leads_out = host.leads_out(device)
        why = "packets by another route" if leads_out else "packets from beyond its own subnet"
        what = f"{device.name} refuses {why} (rp_filter is strict)"
        mend = f"sysctl -w {_dotted(link)}=2"
        yield Finding("rp-filter-uplink", "host", what, mend, is_fault=not leads_out)


def _has_neighbours(patient: Patient) -> bool:
    """Say whether a container here has a link in another bridge as well."""
    bridge = patient.bridge
    pids = {facts.pid for facts in patient.living.values()}
    rooms = [room for room in patient.ground.rooms if room.pid in pids]
    wires = {one.index: one.master for one in patient.host.devices if one.master}
    masters = [{wires.get(one.peer, 0) for one in room.devices} - {0} for room in rooms]
    return any(bridge and one - {bridge.index} for one in masters)


def _dotted(name: str) -> str:
    """Write a switch as sysctl(8) wants it: a link's name may have dots itself."""
    return name if "." in name else name.replace("/", ".")
