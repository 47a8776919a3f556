"""The filter table of iptables(8): in nftables, or in the kernel's older form, "legacy".

Both may be there at once, each with rules, and a packet must please both. What is there is
asked of the kernel where that is cheap. It is changed with iptables' own program, since that
understands only what it has written itself (nft's "ct state" is a stranger to it), and would
no longer list the table for whoever owns it. Its comments nft(8) doesn't show.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from minirt.kernel import nft_rules, nftables
from minirt.kernel.steps import step

_COUNTER = re.compile(r"counter packets \d+ bytes \d+ ")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as a tool prints it, and its place in the chain."""

    text: str
    number: int

    def target(self) -> str:
        """Return the chain that it leads to; "": it leads to none."""
        found = re.search(r"(?:jump|goto|-j|-g) (\S+)", self.text)
        return found[1] if found else ""

    def link(self) -> str:
        """Return the link by which its packets come or go; "": by any."""
        found = re.search(r"(?:[io]ifname |-[io] )(\S+)", self.text)
        return found[1].strip('"') if found else ""

    def ends_all(self) -> bool:
        """Whether no packet comes past it."""
        return bool(re.match(r"(-A \S+ -j )?(return|drop|reject)\b", self.text, re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: its rules, and what happens to packets that please none of them."""

    policy: str  # "accept", "drop"; of a chain that others jump to ""
    rules: list[Rule]


@dataclass(frozen=True, slots=True)
class Table:
    """The filter table in one of its forms, for one version of IP."""

    family: int  # 4 or 6
    legacy: bool

    @property
    def program(self) -> str:
        """Return the program that changes it."""
        name = "iptables" if self.family == 4 else "ip6tables"
        return f"{name}-{'legacy' if self.legacy else 'nft'}"

    def chain(self, name: str) -> Chain | None:
        """Return a chain; None: there is none."""
        return self._legacy_chain(name) if self.legacy else self._nft_chain(name)

    def _nft_chain(self, name: str) -> Chain | None:
        family = "ip" if self.family == 4 else "ip6"
        table = f"{family} filter"
        # Asked first, without libnftables, which takes its time for what is not there: it looks
        # for something alike among all elements of all sets.
        if not nft_rules.has_chain(table, name):
            return None
        try:
            listed = nftables.ask(f"list chain {table} {name}")
        except FileNotFoundError:
            return None
        policy = re.search(r"type filter .* policy (\w+);", listed)
        first = 3 if policy else 2  # after the lines that begin the table, and the chain
        lines = [_COUNTER.sub("", line.strip()) for line in listed.splitlines()[first:-2]]
        rules = [Rule(line, number) for number, line in enumerate(lines, 1)]
        return Chain(policy[1] if policy else "", rules)

    def _legacy_chain(self, name: str) -> Chain | None:
        names = Path(f"/proc/net/{'ip' if self.family == 4 else 'ip6'}_tables_names")
        try:
            used = "filter" in names.read_text().split()
        except FileNotFoundError:
            return None
        if not used or shutil.which(self.program) is None:
            return None
        code, listed = self._run("-S", name)
        if code != 0:
            return None
        head, *lines = listed.splitlines()
        policy = head.split()[2].lower() if head.startswith("-P") else ""
        return Chain(policy, [Rule(line, number) for number, line in enumerate(lines, 1)])

    def add_chain(self, name: str) -> None:
        """Make a chain."""
        self._do("add a chain to a foreign firewall", "-N", name)

    def remove_chain(self, name: str) -> None:
        """Remove a chain that is empty, and to which nothing leads."""
        self._do("remove the chain from a foreign firewall", "-X", name)

    def add(self, chain: str, words: list[str], before: Rule | None = None) -> None:
        """Add a rule, before another or at the end."""
        where = ("-I", chain, str(before.number)) if before else ("-A", chain)
        self._do("add a rule to a foreign firewall", *where, *words)

    def remove(self, chain: str, rules: list[Rule]) -> None:
        """Remove rules."""
        for number in sorted((one.number for one in rules), reverse=True):
            self._do("remove the rule from a foreign firewall", "-D", chain, str(number))

    def _do(self, title: str, *words: str) -> None:
        with step(title, self.program, "-w", *words):
            code, said = self._run(*words)
        if code != 0:
            raise OSError(errno.EIO, f"{self.program}: {said.strip()}")

    def _run(self, *words: str) -> tuple[int, str]:
        """Run the program; return its exit code and what it printed."""
        import subprocess

        done = subprocess.run(
            [self.program, "-w", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        return done.returncode, done.stdout
