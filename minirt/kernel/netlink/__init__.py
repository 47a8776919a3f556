"""Links, addresses and routes (rtnetlink(7)).

records.py      links, addresses and routes as Python sees them
messages.py     the same as they go through the socket, byte by byte
channel.py      the socket: a request, its answers, its error
connection.py   what one can ask for, each change told as the ip(8) command that does it
survey.py       all there is, for people to see
pyroute.py      what the kernel tells of a link there: pyroute2's only home
departure.py    a link goes, and nobody waits until the kernel has forgotten it
"""

from minirt.kernel.netlink.connection import Connection, connect
from minirt.kernel.netlink.messages import learns_from_all, switch
from minirt.kernel.netlink.records import (
    ETHERNET_MTU,
    LOOPBACK,
    Address,
    Interface,
    Link,
    Peer,
    Route,
)

__all__ = [
    "ETHERNET_MTU",
    "LOOPBACK",
    "Address",
    "Connection",
    "Interface",
    "Link",
    "Peer",
    "Route",
    "connect",
    "learns_from_all",
    "switch",
]
