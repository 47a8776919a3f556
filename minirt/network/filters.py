"""The packet filter: its table, and the elements of networks in it (rules.nft)."""

from __future__ import annotations

import re
import zlib
from functools import cache
from pathlib import Path

from minirt.kernel import nft_rules, nftables
from minirt.kernel.nft_elements import Element, has, mark_key, name_key
from minirt.network import icc, leases, nat, port_binding, spec, spoofing, store
from minirt.network.nat import TABLE
from minirt.network.spec import Network

RULES = Path(__file__).with_name("rules.nft")
_CHAIN = re.compile(r"chain (\w+) \{( type .+ hook )?")


def knows(network: Network) -> bool:
    """Say whether the rules are there, as they are today, with this network's elements."""
    return is_whole() and _has(network)


def is_whole() -> bool:
    """Say whether the table is there, not that of an older minirt, and nobody has taken rules away.

    Each start asks this: 10 µs for each of six chains. What somebody has done to the elements of
    other networks and ports waits for "network reload" (docs/decisions/what-is-repaired-when.md).
    """
    return is_loaded() and not damaged()


def damaged() -> list[str]:
    """Return the base chains that lack rules, with their tables.

    The table of the bridge family may be missing: where the kernel has no such family, and else
    spoofing.bind puts it back.
    """
    found = []
    for table, path in ((TABLE, RULES), (spoofing.TABLE, spoofing.RULES)):
        for chain, wanted in rules_of(path).items():
            there = nft_rules.rules_in(table, chain)
            if there != wanted and not (there is None and table == spoofing.TABLE):
                found.append(f"{table} {chain}")
    return found


def get_ready() -> None:
    """Read the files of rules, before somebody waits for it."""
    for path in (RULES, spoofing.RULES):
        rules_of(path)


@cache
def rules_of(path: Path) -> dict[str, int]:
    """Return how many rules a file of rules has for each base chain: one in a line."""
    chain, base, found = "", set(), dict[str, int]()
    for line in map(str.strip, path.read_text().splitlines()):
        if match := _CHAIN.match(line):
            chain = match[1]
            if match[2]:
                base.add(chain)
        elif line == "}":
            chain = ""
        elif chain and line and not line.startswith("#"):
            found[chain] = found.get(chain, 0) + 1
    return {name: count for name, count in found.items() if name in base}


def is_loaded() -> bool:
    """Say whether the table is there, and not that of an older minirt."""
    return has(Element(TABLE, "version", (mark_key(version()),)))


def _has(network: Network) -> bool:
    return has(Element(TABLE, "bridges", (name_key(network.bridge),)))


@cache
def version() -> int:
    """Return what tells these rules from those of another minirt: a checksum of them."""
    return zlib.crc32(b"".join(one.read_bytes() for one in (RULES, spoofing.RULES, icc.RULES)))


def load() -> None:
    """Make the tables, or replace their rules; elements stay."""
    spoofing.restore()
    icc.restore()
    nftables.replace(TABLE, RULES)
    renew = f"flush set {TABLE} version; add element {TABLE} version {{ {version():#010x} }}"
    nftables.run(renew, "say which packet filter it is")


def restore() -> None:
    """Put the whole packet filter back: rules, networks, and the ports of who lives."""
    load()
    for network in store.bridged():
        admit(network)
        for address, facts in leases.living(network).items():
            nat.publish([port_binding.from_json(one) for one in facts.ports], address)


def admit(network: Network) -> None:
    """Let the packets of a network pass. Nothing happens if they do already."""
    spoofing.admit(network)
    commands = [f"add element {TABLE} {one}" for one in elements(network)]
    nftables.run("; ".join(commands), "admit the network to the packet filter")


def forget(network: Network) -> None:
    """Remove the elements of a network, as far as they are there.

    All questions come first: who closes nftables' socket after something was removed waits
    until the kernel has cleaned up, 10-20 ms.
    """
    is_there = _has(network)
    spoofing.forget(network)
    icc.forget(network)
    if not is_there:
        return
    keys = (one.partition(" : ")[0].removesuffix(" }") + " }" for one in elements(network))
    commands = [f"delete element {TABLE} {key}" for key in keys]
    nftables.run("; ".join(commands), "remove the network from the packet filter")


def elements(network: Network) -> list[str]:
    """Return the elements that a network has, each with its set."""
    bridge = network.bridge
    found = [
        f"bridges {{ {bridge} }}",
        f"same {{ {bridge} . {bridge} : {'accept' if network.icc else 'goto noicc'} }}",
        f"local4 {{ {network.subnet4} . {bridge} }}",
    ]
    if network.subnet6 is not None:
        found.append(f"local6 {{ {network.subnet6} . {bridge} }}")
    if network.internal:
        found.append(f"internal {{ {bridge} }}")
    if network.masquerade:
        outbound = network.options.get(spec.OUTBOUND4)
        if outbound:
            found.append(f"snat4 {{ {network.subnet4} : {outbound} }}")
        outbound = network.options.get(spec.OUTBOUND6)
        if outbound and network.subnet6 is not None:
            found.append(f"snat6 {{ {network.subnet6} : {outbound} }}")
        found.append(f"masq4 {{ {network.subnet4} }}")
        if network.subnet6 is not None:
            found.append(f"masq6 {{ {network.subnet6} }}")
    return found
