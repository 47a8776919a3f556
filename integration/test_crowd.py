"""Many at once, and one right after the other."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from integration.conftest import Minirt
from integration.sandbox import PATIENCE, minirt_words, shell

SHELLS, EACH = 8, 25
CROWD = SHELLS * EACH


def test_a_run_can_follow_itself_at_once(image: str) -> None:
    """Name, address and host port are free when the exit code is there."""
    words = minirt_words("run", "--rm", "--name", "one", "-p", "8080:80", image, "true")
    line = f"for n in $(seq 20); do {' '.join(words)} || exit 1; done"
    shell("sh", "-c", line, seconds=60)


@pytest.mark.slow
def test_two_hundred_containers_from_eight_shells(
    minirt: Minirt, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    minirt("network", "create", "--subnet", "10.55.0.0/16", "net1")
    began = time.monotonic()
    run = " ".join(minirt_words("run", "-d", "--net", "net1", "--name"))
    line = f"for n in $(seq {EACH}); do {run} c$0-$n {image} sleep 100000 || exit 1; done"
    shells = [
        subprocess.Popen(
            ["sh", "-c", line, str(number)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(SHELLS)
    ]
    for one in shells:
        said = one.communicate(timeout=240 * PATIENCE)[1]
        assert one.returncode == 0, said
    started = time.monotonic()
    (network,) = json.loads(minirt("network", "inspect", "net1").stdout)
    by_name = {one["Name"]: one["IPv4Address"] for one in network["Containers"].values()}
    assert len(by_name) == CROWD
    assert len(set(by_name.values())) == CROWD
    assert f"10.55.0.{CROWD + 1}/16" in by_name.values(), "the lowest free address comes first"
    # All names, from one of them, as its programs see them.
    script = "for n in $@; do nslookup $n | awk '/^Name/ { n = $2 } /^Address/ { a = $2 } "
    script += "END { print n, a }'; done"
    seen = minirt("exec", "c3-7", "sh", "-c", script, "sh", *by_name, seconds=60).stdout
    found = dict(line.split() for line in seen.splitlines())
    assert found == {name: address.partition("/")[0] for name, address in by_name.items()}
    asked = time.monotonic()
    minirt("rm", "-f", *by_name, seconds=120)
    ended = time.monotonic()
    (network,) = json.loads(minirt("network", "inspect", "net1").stdout)
    assert network["Containers"] == {}
    with capsys.disabled():
        print(
            f"\n{CROWD} containers: started in {started - began:.1f} s"
            f" (load {os.getloadavg()[0]:.1f}), all names asked in {asked - started:.1f} s,"
            f" removed in {ended - asked:.1f} s"
        )
