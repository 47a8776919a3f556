"""The nftables rules in a container that lead port 53 of 127.0.0.11 to its resolver's sockets.

The sockets listen at a random port of 127.0.0.11, so that a server of the container's own can
bind port 53. There are two ways to lead queries to them:

* **Rewriting.** Rules write the sockets' port into queries, and 53 back into answers, before
  connection tracking sees them. The container's network namespace needs no connection tracking.
* **DNAT.** The kernel remembers each query and translates its answer. From then on it tracks
  every connection of the container.

Rewriting is cheaper and preferred. Since 6.18.44 Linux refuses rules that write packet payload
(EPERM) in a network namespace whose owner is not the initial user namespace. That concerns
containers with ``--userns private``, and all containers if minirt itself runs in a user
namespace. Older kernels allow it, so minirt asks the kernel and remembers the answer until the
next boot:

    RUN/kernel.json    {"payload_writes": false}
"""

from __future__ import annotations

from minirt.kernel import namespaces, nft_messages, nft_rules
from minirt.kernel.namespaces import Netns
from minirt.kernel.nft_messages import Change
from minirt.kernel.nft_rules import NOTRACK, address_is, dnat_to, port_is, set_port
from minirt.state import made, read_json, run_dir, write_json

_TABLE, _CHAIN = "ip minirt_dns", "output"
_ANSWERS = "kernel.json"
_PRIORITY_RAW, _PRIORITY_DSTNAT = -300, -100  # NF_IP_PRI_RAW, NF_IP_PRI_NAT_DST


def load(address: str, port: int, netns: Netns) -> None:
    """Lead port 53 of ``address`` to ``port`` of it inside ``netns``, for UDP and TCP.

    Rules of an earlier call are replaced. Raises OSError.
    """
    rewrite = _rewrite(address, port)
    changes = rewrite if _may_write(rewrite, netns) else _dnat(address, port)
    nft_messages.run(changes, f"lead port 53 of {address} to the resolver", netns)


def _rewrite(address: str, port: int) -> list[Change]:
    changes = _empty_chain("filter", _PRIORITY_RAW)
    for protocol in ("udp", "tcp"):
        for end, field, old, new in (("daddr", "dport", 53, port), ("saddr", "sport", port, 53)):
            match = address_is(end, address), port_is(protocol, field, old)
            changes.append(
                nft_rules.add_rule(_TABLE, _CHAIN, *match, NOTRACK, set_port(protocol, field, new))
            )
    return changes


def _dnat(address: str, port: int) -> list[Change]:
    """Return the same with DNAT.

    "redirect" would not do: for packets of the host's own it chooses 127.0.0.1, where a server of
    the container's may listen (net/netfilter/nf_nat_redirect.c).
    """
    changes = _empty_chain("nat", _PRIORITY_DSTNAT)
    for protocol in ("udp", "tcp"):
        match = address_is("daddr", address), port_is(protocol, "dport", 53)
        changes.append(nft_rules.add_rule(_TABLE, _CHAIN, *match, dnat_to(address, port)))
    return changes


def _empty_chain(kind: str, priority: int) -> list[Change]:
    chain = nft_rules.add_chain(_TABLE, _CHAIN, "output", priority, kind=kind)
    return [nft_rules.add_table(_TABLE), nft_rules.flush_table(_TABLE), chain]


def _may_write(changes: list[Change], netns: Netns) -> bool:
    """Return whether the kernel accepts rules that write payload in ``netns``."""
    if namespaces.is_owned_by_initial_user_namespace(netns):
        return True
    folder = run_dir()
    try:
        return bool(read_json(folder / _ANSWERS)["payload_writes"])
    except FileNotFoundError:
        allowed = nft_messages.would_run(changes, netns)
        write_json(made(folder) / _ANSWERS, {"payload_writes": allowed}, durable=False)
        return allowed
