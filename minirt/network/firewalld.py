"""firewalld beside us: a network's bridge goes into the zone that may send where it wants.

Nobody but firewalld changes its table, which has an owner in the kernel (nft(8), "flags owner"),
and an accept of ours in another table doesn't help a packet in its own. What it offers is a zone,
by D-Bus: the bridge is bound to "trusted" at run time, so nothing is written to /etc, and what a
reload forgets the next command that uses the network brings back. A bridge that an admin has put
into a zone stays there.

With iptables as its backend it has no table, but a chain that is meant for others (foreign.py).

Source: firewalld.dbus(5), firewalld.zone(5).
"""

from __future__ import annotations

import errno
import re

from minirt.kernel import nft_rules, nftables
from minirt.kernel.steps import step
from minirt.network.spec import Network

TABLE = "inet firewalld"
_ZONE = "trusted"
_NAME = "org.fedoraproject.FirewallD1"
_ZONES = ("/org/fedoraproject/FirewallD1", f"{_NAME}.zone")
# Since 2.0, before it, and before 0.9.
_CHAINS = ("filter_FORWARD_POLICIES", "filter_FORWARD_ZONES", "filter_FORWARD_IN_ZONES")
# Somebody was faster, after our look: the bridge has a zone, or has none any more.
_DONE = ("ALREADY_ENABLED", "ZONE_ALREADY_SET", "ZONE_CONFLICT", "NOT_ENABLED", "UNKNOWN_INTERFACE")


def admit(network: Network) -> None:
    """Let a network's packets pass firewalld, where that is here and has no zone for its bridge."""
    if _is_here() and puts_into_zone(network):
        _tell("add the bridge to a zone of firewalld", "add", network.bridge)


def forget(network: Network) -> None:
    """Take the bridge out of the zone again."""
    if _is_here() and network.bridge in _named_links():
        _tell("remove the bridge from the zone of firewalld", "remove", network.bridge)


def puts_into_zone(network: Network) -> bool:
    """Whether a network's bridge is to be put into the zone: nobody has put it into another one.

    A bridge that was there before the network may be the host's way to its neighbours:
    to trust it would open the host to them, so that is left to the admin.
    """
    return not network.adopted and not has_zone(network.bridge)


def has_zone(bridge: str) -> bool:
    """Whether a zone of firewalld has the bridge, by its name or its beginning ("br-+")."""
    named = _named_links()
    return bridge in named or any(bridge.startswith(one[:-1]) for one in named if one.endswith("*"))


def remedy(bridge: str) -> str:
    """Return what an admin types to let a bridge pass that is in another zone, or is not ours."""
    return f"firewall-cmd --zone={_ZONE} --change-interface={bridge}"


def _is_here() -> bool:
    """Whether firewalld filters this network namespace: another one's is none of our business."""
    return nft_rules.has_table(TABLE)


def _named_links() -> set[str]:
    """Return the links that firewalld's rules name; to ask firewalld itself takes much longer."""
    for chain in _CHAINS:
        try:
            listed = nftables.ask(f"list chain {TABLE} {chain}")
        except FileNotFoundError:
            continue
        return set(re.findall(r'[io]ifname "([^"]+)"', listed))
    return set()


def _tell(title: str, verb: str, bridge: str) -> None:
    """Have a link added to the zone, or removed from it.

    Where nobody answers the table is somebody else's, or has outlived its owner: nothing is
    to be done here, and ``network doctor`` finds what it refuses.
    """
    from minirt.kernel import dbus

    try:
        with dbus.system_bus() as bus:
            if not bus.has_peer(_NAME):
                return
            (zone,) = bus.call(*_ZONES, "getZoneOfInterface", "s", bridge, to=_NAME)
            if zone != (_ZONE if verb == "remove" else ""):
                return  # The admin's choice, or somebody was faster.
            with step(title, "firewall-cmd", f"--zone={_ZONE}", f"--{verb}-interface={bridge}"):
                bus.call(*_ZONES, f"{verb}Interface", "ss", _ZONE, bridge, to=_NAME)
    except (FileNotFoundError, ConnectionRefusedError):
        return
    except dbus.Refused as error:
        if not error.text.startswith(_DONE):
            raise OSError(errno.EIO, f"firewalld: {error.text or error.name}") from error
