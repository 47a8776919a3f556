"""Look for what is wrong with the networks of a host, in the kernel as it is now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from minirt.explain import (
    ailments_filter,
    ailments_inside,
    ailments_kernel,
    ailments_links,
    ailments_names,
    terrain,
)
from minirt.explain.ailments_inside import Expected
from minirt.explain.findings import Finding, Patient
from minirt.kernel import netlink
from minirt.network import leases
from minirt.network.spec import Network


def examine(networks: Sequence[Network], expected: Mapping[int, Expected]) -> list[Finding]:
    """Return what was found, the host's first.

    ``expected`` is what each running container should have inside, by the pid of its init.
    """
    found = list(ailments_kernel.of_kernel())
    living = {one.name: leases.living(one) for one in networks}
    names = {facts.pid: facts.name for one in living.values() for facts in one.values()}
    with netlink.connect() as links:
        routes = links.routes()
    with terrain.look(names) as ground:
        if ground.host.filters_bridges:
            found.append(_bridged())
        found += ailments_links.of_uplinks(ground.host)
        for network in networks:
            own = {str(address): facts for address, facts in living[network.name].items()}
            patient = Patient(network, ground, own)
            found += _of_network(patient, expected)
            found += ailments_links.of_routes(patient, routes)
    if any(one.code == f"no-{ailments_kernel.OPTIONAL}" for one in found):
        found = [one for one in found if one.code != ailments_filter.FORGEABLE]
    return list(dict.fromkeys(found))


def _of_network(patient: Patient, expected: Mapping[int, Expected]) -> Iterator[Finding]:
    if patient.bridge is None and patient.network.is_default and not patient.living:
        return  # It is made when it is first used.
    yield from ailments_links.of_bridge(patient)
    yield from ailments_links.of_wires(patient)
    yield from ailments_inside.of_insides(patient, expected)
    yield from ailments_inside.of_strangers(patient)
    yield from ailments_links.of_switches(patient)
    yield from ailments_filter.of_table(patient)
    yield from ailments_filter.of_ports(patient)
    yield from ailments_filter.of_others(patient)
    yield from ailments_names.of_resolver(patient)


def _bridged() -> Finding:
    what = "bridge-nf-call-iptables is on: also what is only bridged meets the packet filters"
    mend = "sysctl -w net.bridge.bridge-nf-call-iptables=0"
    return Finding("bridge-nf", "host", what, mend, is_fault=False)
