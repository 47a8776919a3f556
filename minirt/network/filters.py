"""The packet filter: its table, and the elements of networks in it (rules.nft)."""

from __future__ import annotations

from pathlib import Path

from minirt.kernel import nftables
from minirt.network.spec import Network

RULES = Path(__file__).with_name("rules.nft")
TABLE = "inet minirt"


def knows(network: Network) -> bool:
    """Say whether the table is there, with this network's elements."""
    try:
        nftables.ask(f"get element {TABLE} bridges {{ {network.bridge} }}")
    except FileNotFoundError:
        return False
    return True


def is_loaded() -> bool:
    """Say whether the table is there."""
    try:
        nftables.ask(f"list chain {TABLE} noicc")
    except FileNotFoundError:
        return False
    return True


def load() -> None:
    """Make the table, or replace its rules; elements stay."""
    nftables.load(RULES)


def admit(network: Network) -> None:
    """Let the packets of a network pass. Nothing happens if they do already."""
    commands = [f"add element {TABLE} {one}" for one in elements(network)]
    nftables.run("; ".join(commands), "admit the network to the packet filter")


def forget(network: Network) -> None:
    """Remove the elements of a network, as far as they are there."""
    if not knows(network):
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
        found.append(f"masq4 {{ {network.subnet4} }}")
        if network.subnet6 is not None:
            found.append(f"masq6 {{ {network.subnet6} }}")
    return found
