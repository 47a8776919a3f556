"""Networks with machines on them: namespaces that are plugged in as containers are."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration.sandbox import Outside, in_netns, shell, started
from minirt.kernel import namespaces
from minirt.network import bridge, create, endpoint, identity, leases
from minirt.network.leases import Facts, Lease
from minirt.network.plan import Plan
from minirt.network.spec import Network

PEER = (sys.executable, "-I", Path(__file__).with_name("peer.py"))


@dataclass(frozen=True, slots=True)
class Machine:
    """A namespace on a network; a server at port 80 tells who asks it."""

    pid: int
    lease: Lease

    @property
    def address(self) -> str:
        """Its address, without the prefix length."""
        return str(self.lease.address.ip)

    def ask(self, host: str, port: int, protocol: str = "tcp") -> str:
        """Ask a server from here."""
        return in_netns(self.pid, *PEER, "ask", protocol, host, port).stdout.strip()


def network(name: str = "net1", **plan: object) -> Network:
    """Make a network."""
    return create.create(Plan(name, **plan))  # type: ignore[arg-type]


@contextlib.contextmanager
def machine(
    on: Network,
    *,
    name: str = "one",
    wanted: str = "",
    wanted6: str = "",
    mac: str = "",
    default_route: bool = True,
    trusted: bool = False,
) -> Iterator[Machine]:
    """Plug a new namespace into a network for the body."""
    lease = leases.take(on, wanted=wanted)
    with contextlib.ExitStack() as held:
        held.callback(leases.release, lease)
        lease6 = leases.take6(on, wanted=wanted6, beside=lease.address.ip)
        if lease6:
            held.callback(leases.release, lease6)
        words = ("unshare", "--net", *PEER, "serve", 80)
        keeper = held.enter_context(started(*words))
        assert keeper.stdout and keeper.stdout.readline() == "up\n"
        bridge.ensure(on)
        with namespaces.network_of(keeper.pid) as netns:
            endpoint.plug(
                on,
                lease,
                netns,
                interface="eth0",
                mac=mac,
                lease6=lease6,
                default_route=default_route,
                trusted=trusted,
            )
            addresses = [one.address for one in (lease, lease6) if one]
            mac = mac or identity.mac_of(lease.address.ip)
            endpoint.introduce(on, addresses, netns, interface="eth0", mac=mac)
        for one in filter(None, (lease, lease6)):
            leases.write(one, Facts("c" * 64, name, pid=keeper.pid))
        yield Machine(keeper.pid, lease)


@contextlib.contextmanager
def served(outside: Outside) -> Iterator[None]:
    """Serve at port 90 of the machine outside, telling who asks."""
    with started(*outside.enter(), *PEER, "serve", 90) as server:
        assert server.stdout and server.stdout.readline()
        yield


def ask(host: str, port: int, protocol: str = "tcp") -> str:
    """Ask a server from the host of the test."""
    return shell(*PEER, "ask", protocol, host, port).stdout.strip()


def elements() -> set[str]:
    """Return the keys of all published ports."""
    found = set()
    for name in ("pub4_any", "pub4_addr", "pub6_any", "pub6_addr"):
        shown = json.loads(shell("nft", "-j", "list", "map", "inet", "minirt", name).stdout)
        for one in shown["nftables"]:
            for key, _ in one.get("map", {}).get("elem", []):
                found.add(" . ".join(str(part) for part in key["concat"]))
    return found
