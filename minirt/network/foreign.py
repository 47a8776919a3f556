"""Firewalls beside us: what they refuse, they offer a place to allow.

A packet passes only if every table lets it pass, and Docker, ufw and many people set the policy
of iptables' FORWARD to drop. (With br_netfilter even frames inside a bridge meet it.)
So there is a chain of our own with a few rules for each network, and one rule that leads to
it: from the chain that is meant for others, else from the end of FORWARD. No policy is ever
changed, and what our own table refuses (rules.nft) stays refused. What a firewall forgets when
it loads its rules again, the next command that uses the network brings back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile

from minirt.kernel import locks
from minirt.kernel.xtables import Chain, Rule, Table
from minirt.network.spec import Network
from minirt.state import made, run_dir

OURS = "MINIRT"
FORWARD = "FORWARD"


@dataclass(frozen=True, slots=True)
class Hook:
    """A place that a firewall offers, and the chains that say about its own links first."""

    seen: str  # the chain that FORWARD leads to where this firewall is at work
    chain: str
    ahead: tuple[str, ...] = ()


HOOKS = (
    # DOCKER lets published ports pass, STAGE-2 drops what else goes to a bridge of Docker's.
    Hook("DOCKER-USER", "DOCKER-USER", ("DOCKER", "DOCKER-ISOLATION-STAGE-2")),
    # Behind ufw-user-forward, to which "ufw route deny" appends at any time.
    Hook("ufw-before-forward", "ufw-after-forward"),
    Hook("ufw6-before-forward", "ufw6-after-forward"),
    Hook("FORWARD_direct", "FORWARD_direct"),  # firewalld with this backend; else firewalld.py
)


def admit(network: Network) -> None:
    """Let a network's packets pass the firewalls that are here now, as far as they refuse them."""
    for table in _tables(network):
        forward = table.chain(FORWARD)
        hook = _hook(forward) if forward else None
        if hook is not None and not _is_done(table, hook, network):
            with _changing():
                _add(table, hook, network)


def forget(network: Network) -> None:
    """Take back what was added for a network; with the last network, all that was added."""
    for table in _tables(network):
        if table.chain(OURS) is None:
            continue
        with _changing():
            table.remove(OURS, _of(table.chain(OURS), network))
            left = table.chain(OURS)
            if left is None or left.rules:
                continue
            for name in (FORWARD, *(hook.chain for hook in HOOKS)):
                table.remove(name, _ways_in(table.chain(name)))
            table.remove_chain(OURS)


def rules(link: str, ahead: list[str]) -> list[list[str]]:
    """Return the rules of a bridge, where the chains ``ahead`` decide first, as words.

    The first of two lets pass what comes to published ports, the second refuses the rest. The
    first can't know whether a packet was sent there, or to a container's own address, which is
    nobody's business here. (Where one chain does both, it knows.)
    """
    first = [["-i", link, "-j", chain] for chain in ahead]
    state = ["-m", "conntrack", "--ctstate"]
    if len(ahead) > 1:
        first[0][2:2] = [*state, "DNAT"]
    if ahead:  # They don't know the answers to those that they let in.
        first = [["-i", link, *state, "RELATED,ESTABLISHED", "-j", "ACCEPT"], *first]
    return [*first, ["-i", link, "-j", "ACCEPT"], ["-o", link, "-j", "ACCEPT"]]


def _add(table: Table, hook: Hook, network: Network) -> None:
    if table.chain(OURS) is None:
        table.add_chain(OURS)
    present, wanted = _of(table.chain(OURS), network), _wanted(table, hook, network)
    if len(present) != len(wanted):
        table.remove(OURS, present)
        for words in wanted:
            table.add(OURS, words)
    chain = table.chain(hook.chain)
    if chain is not None and not _is_led_last(chain):
        _lead(table, hook.chain, chain)


def _lead(table: Table, name: str, chain: Chain) -> None:
    """Lead to our chain behind all rules of a chain that packets get to, and from nowhere else."""
    end = next((rule for rule in chain.rules if rule.ends_all()), None)
    number = end.number if end else len(chain.rules) + 1
    table.add(name, ["-j", OURS], before=end)
    others = [rule for rule in _ways_in(table.chain(name)) if rule.number != number]
    table.remove(name, others)


def _is_led_last(chain: Chain) -> bool:
    """Whether what others have put into a chain comes before our rule, also what came later."""
    met = [*takewhile(lambda rule: not rule.ends_all(), chain.rules)]
    return bool(met) and met[-1].target() == OURS


def _is_done(table: Table, hook: Hook, network: Network) -> bool:
    present = _of(table.chain(OURS), network)
    is_complete = len(present) == len(_wanted(table, hook, network))
    chain = table.chain(hook.chain)
    return is_complete and chain is not None and _is_led_last(chain)


def _wanted(table: Table, hook: Hook, network: Network) -> list[list[str]]:
    return rules(network.bridge, [name for name in hook.ahead if table.chain(name) is not None])


def _hook(forward: Chain) -> Hook | None:
    """Return where rules belong; None: nobody refuses anything."""
    targets = {rule.target() for rule in forward.rules}
    for hook in HOOKS:
        if hook.seen in targets:
            return hook
    is_refusing = forward.rules and forward.rules[-1].ends_all()
    if forward.policy == "drop" or is_refusing or OURS in targets:
        return Hook(FORWARD, FORWARD)
    return None


def _of(chain: Chain | None, network: Network) -> list[Rule]:
    return [rule for rule in chain.rules if rule.link() == network.bridge] if chain else []


def _ways_in(chain: Chain | None) -> list[Rule]:
    return [rule for rule in chain.rules if rule.target() == OURS] if chain else []


def _tables(network: Network) -> list[Table]:
    families = [4] if network.subnet6 is None else [4, 6]
    return [Table(one, legacy) for one in families for legacy in (False, True)]


@contextmanager
def _changing() -> Iterator[None]:
    fd = locks.acquire(made(run_dir() / "networks") / ".foreign", wait=True)
    try:
        yield
    finally:
        os.close(fd)
