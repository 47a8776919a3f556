"""Ailments of the packet filter: what of ours is missing, and what others refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

from minirt.explain import published, relevance
from minirt.explain.findings import Finding, Patient
from minirt.explain.packet import Packet
from minirt.explain.ruleset import Ruleset
from minirt.explain.walk import Crossed, Walk
from minirt.kernel.xtables import Table
from minirt.network import filters, firewalld, foreign, port_binding

OURS = ("inet", "minirt")
GUARD = ("bridge", "minirt")
FORGEABLE = "forgeable"
_SOMEBODY = {4: "192.0.2.1", 6: "2001:db8::1"}  # RFC 5737, RFC 3849: nobody's addresses


def of_table(patient: Patient) -> Iterator[Finding]:
    """Look for our table, and in it for what a network and its ports need."""
    rules, network = patient.host.rules, patient.network
    if OURS not in rules.tables:
        yield patient.finding("filter-missing", "the table inet minirt is missing: no isolation")
        return
    if GUARD not in rules.tables:
        what = "the table bridge minirt is missing: containers can forge addresses"
        yield patient.finding(FORGEABLE, what)
    missing = [one for one in filters.elements(network) if not _is_there(rules, one)]
    if missing:
        what = f"the packet filter does not know it: {'; '.join(missing)}"
        yield patient.finding("filter-elements", what)
    chains = {key[2] for key in rules.chains if key[:2] == OURS and rules.chains[key].rules}
    lost = [*filters.damaged(), *(["inet minirt ports"] if "ports" not in chains else [])]
    if lost:
        yield patient.finding("filter-rules", f"chains lack rules: {', '.join(lost)}")


def of_ports(patient: Patient) -> Iterator[Finding]:
    """Look whether each published port leads to who published it, and its socket lives."""
    found = {
        (one.protocol, ":" in one.address, one.host_ip, one.host_port): one
        for one in published.look(patient.host.rules)
    }
    for address, facts in patient.living.items():
        for document in facts.ports:
            binding = port_binding.from_json(document)
            if binding.is_v6 != (ip_address(address).version == 6):
                continue
            host_ip = "" if binding.host_ip in port_binding.ANY else binding.host_ip
            here = found.get((binding.protocol, binding.is_v6, host_ip, binding.host_port))
            port = f"{binding.protocol} {binding}"
            if here is None or here.address != address:
                yield patient.finding("port-lost", f"port {port} of {facts.name} leads nowhere")
            elif not here.is_held:
                what = f"nobody holds port {port} of {facts.name}"
                yield patient.finding("port-free", what, f"minirt restart {facts.name}")


def of_others(patient: Patient) -> Iterator[Finding]:
    """Let packets of the network walk through other tables, and see what these refuse."""
    if patient.network.internal or patient.bridge is None:
        return
    refusals: dict[tuple[str, str], str] = {}
    for way, packet in _packets(patient):
        for by in _refused(patient, packet):
            refusals.setdefault((by.place, by.text), way)
    for (place, text), way in refusals.items():
        what = f"{way} is refused by a rule that is not ours: {place}: {text}"
        yield patient.finding("foreign-drop", what, _allow(patient, place))
    yield from _legacy(patient)


def _packets(patient: Patient) -> Iterator[tuple[str, Packet]]:
    network, bridge = patient.network, patient.network.bridge
    inside = ip_address(int(network.gateway4) ^ 1) if network.gateway4 else network.gateway4
    host = patient.host
    outside = next((one.name for one in host.devices if host.leads_out(one)), "")
    out = Packet(inside, ip_address(_SOMEBODY[4]), "tcp", 443, came_by=bridge, leaves_by=outside)
    yield "what its containers send out", out
    back = replace(out, source=out.target, target=inside, came_by=outside, leaves_by=bridge)
    yield "the answer to its containers", replace(back, state="established")
    if patient.host.filters_bridges and network.icc:
        within = replace(out, target=network.gateway4, leaves_by=bridge)
        yield "what its containers send each other", within


def _refused(patient: Patient, packet: Packet) -> list[Crossed]:
    """Return the rule, or the policy, of another table that drops the packet; at most one."""
    rules = patient.host.rules
    chains = {key: one for key, one in rules.chains.items() if key[:2] != OURS}
    others = Ruleset(chains, rules.sets, rules.tables)
    walk = Walk(others, patient.host.facts(), [], [])
    if walk.hook(packet, "forward") is None:
        return walk.crossed[-1:]
    return []


def _allow(patient: Patient, place: str) -> str:
    """Return the command that lets the network pass: minirt's own, where it knows how."""
    is_firewalld = place.startswith(f"{firewalld.TABLE} ")
    if place.startswith(("ip filter ", "ip6 filter ")) or (
        is_firewalld and firewalld.puts_into_zone(patient.network)
    ):
        return f"minirt network reload {patient.network.name}"
    bridge = patient.network.bridge
    if is_firewalld:  # Its table is nobody else's to change.
        return firewalld.remedy(bridge)
    family, table, chain = place.split(" ", 2)
    rules = (f"insert rule {family} {table} {chain} {way} {bridge} accept" for way in _BOTH)
    return "nft '" + "; ".join(rules) + "'"


_BOTH = ("iifname", "oifname")


def _legacy(patient: Patient) -> Iterator[Finding]:
    """Look at the older iptables, whose rules nft doesn't list."""
    table = Table(4, legacy=True)
    forward = table.chain(foreign.FORWARD)
    if forward is None or forward.policy != "drop":
        return
    ours = table.chain(foreign.OURS)
    allowed = [one for one in (ours.rules if ours else []) + forward.rules]
    if any(one.link() == patient.network.bridge for one in allowed):
        return
    what = "the policy of FORWARD in iptables-legacy is DROP"
    yield patient.finding("foreign-drop", what)


def _is_there(rules: Ruleset, element: str) -> bool:
    """Say whether "SET { KEY : VALUE }" is in our table."""
    name, _, rest = element.partition(" { ")
    known = rules.sets.get((*OURS, name))
    spelled = {relevance.spelled(one) for one in known.elements} if known else set()
    return rest.removesuffix(" }") in spelled
