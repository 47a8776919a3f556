"""What nft(8) lists of a network namespace, so that two can be compared."""

from __future__ import annotations

import re

from integration.sandbox import shell

LISTINGS = (("list",), ("-a", "list"), ("-j", "list"), ("--debug=netlink", "list"))
TABLES_HANDLE = re.compile(r'(?m)^(table .*) # handle \d+$|("table": {[^}]*), "handle": \d+')
UDP_CHECKSUM_BEFORE = "csum_type 1 csum_off 6 csum_flags 0x0"
UDP_CHECKSUM = "csum_type 0 csum_off 0 csum_flags 0x1"


def ruleset(pid: int | str) -> list[str]:
    """Return all that is in a namespace, also as the kernel has it: its expressions.

    But for the handles of tables: they count what was begun and undone, too, as the kernel does
    where it has to load a module first. And nft 1.0.6 mends a checksum of UDP as if there always
    were one; later ones, and we, let the kernel look.
    """
    enter = ("nsenter", f"--net=/proc/{pid}/ns/net", "nft")
    listings = [shell(*enter, *words, "ruleset").stdout for words in LISTINGS]
    listings = [TABLES_HANDLE.sub(r"\1\2", one) for one in listings]
    return [one.replace(UDP_CHECKSUM_BEFORE, UDP_CHECKSUM) for one in listings]


def in_order(listings: list[str]) -> list[list[str]]:
    """Sort their lines: each set of the kernel's has an order of its own by chance."""
    return [sorted(one.splitlines()) for one in listings]
