"""The exit codes of mistakes are Docker's: they are what scripts see.

Docker's client refuses a flag (unknown, without a value, with one that cannot be read) with 125,
and too few or too many arguments, and unknown commands, with 1. What its daemon refuses is 125 of
``run``, else 1. Each line here ran with a real Docker too; the last test does so again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.firewalls import forget_rules
from integration.peers import dockerd, needs_peer
from integration.sandbox import minirt_words, shell
from integration.traces import Ground

# "one" runs, "two" was created.
CODES: dict[int, tuple[str, ...]] = {
    1: (
        # words missing, words too many, unknown commands
        *(
            "run",
            "create",
            "exec",
            "exec one",
            "exec -e one",
            "start",
            "stop",
            "kill",
            "rm",
            "wait",
        ),
        *("pause", "attach", "restart", "logs", "logs a b", "port", "top", "cp", "cp a", "diff"),
        *("rename", "rename one", "update", "inspect", "ps extra", "version extra", "info extra"),
        *("network create", "network create a b", "network rm", "network connect a"),
        *("volume create a b", "volume ls x", "volume rm", "image ls a b", "image rm"),
        *("image import", "nope", "network nope", "volume nope", "start -i"),
        # what the daemon refuses
        *("create nope:latest true", "create --name !! busybox true", "create busybox"),
        *("create --name one busybox true", "create -v a:b:c:d busybox true"),
        *("create --cap-add NOPE busybox true", "create --tmpfs x busybox true"),
        *("create -w rel busybox true", "create --stop-signal NOPE busybox true"),
        *("create --memory 1 busybox true", "create --mount type=nope,target=/x busybox true"),
        *("create --volumes-from nope busybox true", "create --restart x busybox true"),
        *("stop nope", "rm nope", "rm one", "exec nope true", "exec two true", "kill -s NOPE one"),
        *(
            "start nope",
            "logs nope",
            "rename nope x",
            "cp a b",
            "pause two",
            "top two",
            "diff nope",
        ),
        *("ps -f nope=1", "ps -f status=nope", "network ls -f nope=1", "volume ls -f nope=1"),
        *("volume prune -f --filter nope=1", "network create --subnet x n5", "network rm nope"),
        *("inspect nope", "inspect --type x one", "run -it busybox true"),
        *("network create --driver nope n5", "network create bridge", "ps --format {{"),
    ),
    125: (
        *("run --nope busybox true", "create --nope busybox true", "exec --nope one true"),
        *("ps --nope", "network create --nope n5", "image load --nope", "--nope ps", "rm -x one"),
        *("run --memory", "network create --label", "stop -t", "volume create --label"),
        *("run --memory abc busybox true", "create --memory abc busybox true", "stop -t x one"),
        *("create --stop-timeout x busybox true", "create --publish foo busybox true"),
        *("create --env-file /nope busybox true", "create --ulimit x busybox true"),
        *("create --mount x busybox true", "create --cpus x busybox true", "ps -n x"),
        *("create --shm-size x busybox true", "create --dns x busybox true"),
        *("create --add-host x busybox true", "update --memory x one", "update --cpus x one"),
        *("ps -f name", "network ls -f name", "network prune -f --filter nope"),
        *("volume ls -f name", "volume prune -f --filter nope"),
        *("run nope:latest true", "run --name !! busybox true", "run -v a:b:c:d busybox true"),
        *("run --network nope busybox true", "run --cap-add NOPE busybox true"),
    ),
    126: ("run busybox /etc", "exec one /etc", "exec -w rel one true"),
    127: ("run busybox nocmd",),
    64: (
        *("inspect -f {{ one", "inspect -f {{ nope", "network inspect -f {{ bridge"),
        *("version -f {{", "info -f {{", "image inspect -f {{ busybox", "volume inspect -f {{ x"),
    ),
}


def wrong(words: list[str]) -> list[tuple[str, int, int, str]]:
    """Run each line; return those with another code: the line, its code, the wanted one, words."""
    found = []
    for wanted, lines in CODES.items():
        for line in lines:
            done = shell(*words, *line.split(), code=None)
            if done.returncode != wanted:
                found.append((line, done.returncode, wanted, done.stderr))
    return found


def test_mistakes_have_dockers_exit_codes(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sleep", "1000")
    minirt("create", "--name", "two", image, "true")
    found = wrong(minirt_words())
    assert not found, "\n".join(map(str, found))
    # A bug of Docker's (moby issue 45795) makes 126 of this one.
    minirt("exec", "one", "nocmd", code=127)


@needs_peer("dockerd", "docker", "containerd", "runc")
@pytest.mark.slow
def test_docker_has_these_exit_codes(ground: Ground, rootfs: Path) -> None:
    tar = rootfs.parent / "codes.tar"
    shell("tar", "-C", rootfs, "-c", ".", "-f", tar)
    with dockerd(ground) as docker:
        shell(*docker, "import", tar, "busybox")
        shell(*docker, "run", "-d", "--name", "one", "busybox", "sleep", "1000")
        shell(*docker, "create", "--name", "two", "busybox", "true")
        found = wrong(docker)
        assert not found, "".join(map(str, found))
    forget_rules()
    shell("ip", "link", "del", "docker0", code=None)


def test_attachable_is_told_by_inspect(minirt: Minirt) -> None:
    minirt("network", "create", "--attachable", "net1")
    minirt("network", "create", "net2")
    told = minirt("network", "inspect", "-f", "{{.Attachable}}", "net1", "net2").stdout
    assert told == "true\nfalse\n"
    minirt("network", "rm", "net1", "net2")
