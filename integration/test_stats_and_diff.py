"""``stats`` and ``diff``: what the kernel has counted, and what was written."""

from __future__ import annotations

import json

import pytest

from integration.conftest import Minirt
from integration.sandbox import needs_controller, wait_until

pytestmark = pytest.mark.core

BUSY = "dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; touch /up; while :; do :; done"


@needs_controller("memory")
@needs_controller("pids")
def test_stats_of_one_that_works_and_one_that_sleeps(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "busy", "--net", "none", "-m", "100m", image, "sh", "-c", BUSY)
    minirt("run", "-d", "--name", "idle", image, "sleep", "1000")
    wait_until(lambda: minirt("exec", "busy", "test", "-e", "/up", code=None).returncode == 0)
    gateway = minirt("inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "idle")
    minirt("exec", "idle", "ping", "-c", "1", gateway.stdout.strip())
    done = minirt("stats", "--no-stream", "--format", "json")
    rows = {row["Name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows.keys() == {"busy", "idle"}
    busy, idle = rows["busy"], rows["idle"]
    assert float(busy["CPUPerc"].rstrip("%")) > 2 > float(idle["CPUPerc"].rstrip("%"))
    used, limit = busy["MemUsage"].split(" / ")
    assert limit == "100MiB"
    assert 20 <= float(used.removesuffix("MiB")) < 100
    assert idle["PIDs"] == "1"
    assert busy["NetIO"] == "0B / 0B" != idle["NetIO"]
    table = minirt("stats", "--no-stream", "-a", "idle").stdout.splitlines()
    assert table[0].split("  ")[0] == "CONTAINER ID"
    assert "MEM USAGE / LIMIT" in table[0]
    minirt("rm", "-f", "busy")
    minirt("stop", "-t", "0", "idle")
    ended = minirt("stats", "--no-stream", "-a").stdout.splitlines()[1]
    assert " ".join(ended.split()[2:]) == "0.00% 0B / 0B 0.00% 0B / 0B 0B / 0B 0"
    assert "No such container" in minirt("stats", "--no-stream", "none", code=1).stderr


def test_diff_tells_what_was_written(minirt: Minirt, image: str) -> None:
    script = "echo x > /new; mkdir -p /a/b; rm /etc/group; chmod 700 /tmp; echo y >> /etc/passwd"
    minirt("run", "--name", "one", "--net", "none", image, "sh", "-c", script)
    assert minirt("diff", "one").stdout.splitlines() == [
        "A /a",
        "A /a/b",
        "C /etc",
        "D /etc/group",
        "C /etc/passwd",
        "A /new",
        "C /tmp",
    ]
    minirt("run", "--name", "two", "--net", "none", image, "true")
    assert minirt("diff", "two").stdout == ""
