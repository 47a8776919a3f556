"""Whom the fork server serves, and that it belongs to nobody's session."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of
from integration.sandbox import wait_until
from integration.serving import listening, run, server
from integration.traces import Ground
from integration.warm import commands_of
from minirt.kernel import cgroups

__all__ = ["server"]  # fixtures
pytestmark = pytest.mark.in_process  # Its tests start and stop servers themselves.

# What a client does, by another user, who has found a way to the socket.
CLIENT = """
import os, socket, sys
from minirt.server import client
place, user = sys.argv[1], int(sys.argv[2])
sys.argv[:] = ["minirt", *sys.argv[3:]]
folder = os.open(os.path.dirname(place), os.O_PATH)
os.setresuid(user, user, user)
line = socket.socket(socket.AF_UNIX)
line.connect(f"/proc/self/fd/{folder}/{os.path.basename(place)}")
pidfd = client.hand_over(line, [])
print("refused" if pidfd is None else client.wait(line, pidfd)[1])
"""


def test_only_root_reaches_it(server: int, ground: Ground) -> None:
    (place,) = listening(ground)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(ground.run.stat().st_mode) == 0o700


@pytest.mark.parametrize(("user", "answer"), [(0, "0"), (65534, "refused")])
def test_who_reaches_it_all_the_same_must_be_the_same_user(
    server: int, ground: Ground, user: int, answer: str
) -> None:
    (place,) = listening(ground)
    place.chmod(0o666)
    place.parent.chmod(0o711)
    wait_until(lambda: commands_of(server), "a child that waits")
    words = (sys.executable, "-c", CLIENT, place, str(user), "network", "create", "theirs")
    asked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert asked.stdout.splitlines()[-1:] == [answer], asked.stderr
    assert ("theirs" in run("network", "ls").stdout) == (user == 0)
    run("network", "rm", "theirs")


def test_the_end_of_a_session_or_a_unit_is_nothing_to_it(
    server: int, minirt: Minirt, image: str, ground: Ground
) -> None:
    """Not in the hierarchy by which systemd knows them either; and so are monitors."""
    assert os.getsid(server) == server
    assert run("run", "-d", "--name", "one", "--net", "none", image, "sleep", "100").returncode == 0
    hierarchies = len(cgroups.mounted())
    for pid in (server, monitor_of(minirt, "one")):
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        own = [one for one in lines if one.endswith(f"/{ground.cgroup}/monitors")]
        assert len(own) == hierarchies, lines
        session = [one for one in lines if ":name=systemd:" in one]
        assert set(session) <= set(own)
    run("rm", "-f", "one")
