"""Cgroups that a privileged container makes below its own: as deep and as many as it likes."""

from __future__ import annotations

import pytest

from integration.conftest import Minirt
from integration.greed import wait_until_ready
from integration.peaks import all_stay_small

# In each hierarchy: names that fill the longest path several times, with a process at the end;
# more levels than Python allows calls inside each other; and many groups side by side.
SCRIPT = """
long=$(printf %0200d 0)
for place in /sys/fs/cgroup /sys/fs/cgroup/*; do
    cd $place 2> /dev/null && [ -e cgroup.procs ] || continue
    for level in $(seq 40); do mkdir $long && cd $long || break; done 2> /dev/null
    sleep 1000 & echo $! > cgroup.procs
    cd $place
    for level in $(seq 1200); do mkdir d && cd d || break; done 2> /dev/null
    cd $place
    for number in $(seq 500); do mkdir side$number; done
done
echo ready
wait
"""


@pytest.mark.slow
def test_cgroups_that_are_deep_and_many(minirt: Minirt, image: str) -> None:
    words = ("--privileged", "--net", "none", "--name", "one", image, "sh", "-c", SCRIPT)
    with all_stay_small():
        minirt("run", "-d", *words)
        wait_until_ready(minirt)
        assert "sleep 1000" in minirt("top", "one").stdout
        for verb in (("stats", "--no-stream"), ("pause", "one"), ("unpause", "one")):
            minirt(*verb)
        minirt("exec", "one", "true")
        minirt("restart", "-t", "0", "one")
        wait_until_ready(minirt)
        minirt("rm", "-f", "one")
    assert minirt("ps", "-aq").stdout == ""
