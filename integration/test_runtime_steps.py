"""The commands that init tells: typed into a shell they make the same root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.sandbox import needs_tool, shell
from integration.traces import Ground
from minirt.kernel import steps
from minirt.kernel.steps import Step

BY_HAND = ("mount", "mkdir", "touch", "mknod", "ln", "cd", "hostname", "sysctl")
LOOK = """
busybox cut -d' ' -f5,6 /proc/self/mountinfo
for link in /dev/fd /dev/ptmx /dev/std*; do readlink $link; done
busybox stat -c '%n %a %t:%T' /dev /dev/*
hostname
cat /proc/sys/net/ipv4/ip_forward
"""


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    made = bundles.make(ground.root / "bundle", rootfs)
    tool = made.add_layer("tools") / "bin" / "umount"
    tool.parent.mkdir()
    tool.symlink_to("busybox")
    return made


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Path]:
    """Return a file that the commands of all processes are written to."""
    path = tmp_path / "told"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(one: Step) -> None:
        os.write(fd, f"{one.actor} {one.command}\0".encode())

    steps.send_to(write, fd)
    yield path
    steps.send_to(None)
    os.close(fd)


def lines(told: Path, actor: str) -> list[str]:
    found = [line.split(" ", 1) for line in told.read_text().split("\0") if line]
    return [command for who, command in found if who == actor]


def test_init_tells_its_steps_until_it_becomes_the_command(bundle: Bundle, told: Path) -> None:
    seen = bundle.run("ls", "/proc/self/fd")
    assert seen.lines == ["0", "1", "2", "3"]
    by_init = lines(told, "init")
    starts = ["hostname one", "keyctl", "mount --make-rslave", "mount -t overlay", "cd ", "exec ls"]
    positions = [next(n for n, one in enumerate(by_init) if one.startswith(s)) for s in starts]
    assert positions == sorted(positions)


@needs_tool("mount", "sysctl")
@pytest.mark.parametrize("readonly", [False, True])
def test_what_init_tells_can_be_typed(
    bundle: Bundle, told: Path, tmp_path: Path, readonly: bool
) -> None:
    (tmp_path / "source").mkdir()
    bundle.config["root"]["readonly"] = readonly
    bundle.mount("/srv/deep", "bind", tmp_path / "source", "rbind", "ro")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    made = bundle.run("sh", "-c", LOOK)
    typed = [one for one in lines(told, "init") if one.split()[0] in BY_HAND]
    again = bundle.top.with_name("again")
    for name in ("upper", "work", "rootfs"):
        (again / name).mkdir(parents=True)
    layers = [str(one) for one in bundle.layers[:-1]]
    story = "\n".join(typed).replace(str(bundle.top), str(again))
    for one in layers:
        story = story.replace(one.replace(str(bundle.top), str(again)), one)
    (again / "typed").write_text(f"exec 3>&1 >/dev/null\n{story}\nPATH=/bin\nexec >&3\n{LOOK}")
    options = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--kill-child")
    done = shell("unshare", *options, "sh", "-e", again / "typed")
    assert done.stdout.splitlines() == made.lines
