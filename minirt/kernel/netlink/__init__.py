"""Links, addresses and routes (rtnetlink(7)).

messages.py     what goes through the socket, in pyroute2's words: its only home
channel.py      the socket: a request, its answers, its error
records.py      links, addresses and routes, read from messages and written to them
connection.py   what one can ask for, each change told as the ip(8) command that does it
departure.py    a link goes, and nobody waits until the kernel has forgotten it
"""

from minirt.kernel.netlink.connection import Connection, connect, preload
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
    "preload",
]
