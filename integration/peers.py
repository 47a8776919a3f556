"""Docker, containerd and runc: setup.sh unpacks them into a folder, for tests alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from integration.sandbox import (
    REPOSITORY,
    cgroup_roots,
    needs_tool,
    shell,
    started,
    wait_until,
)
from integration.traces import Ground

FOLDERS = [str(REPOSITORY / ".peers/usr" / name) for name in ("bin", "sbin")]


def needs_peer(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these programs is neither unpacked nor installed."""
    on_path()
    return needs_tool(*names)


def on_path() -> None:
    """Let this process, and what it starts, find them: they call each other by their names."""
    path = os.environ["PATH"].split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(one for one in FOLDERS if one not in path)])


@contextlib.contextmanager
def dockerd(ground: Ground) -> Iterator[list[str]]:
    """Keep a Docker daemon with its own files running; give the words that its client begins with.

    It sets the policy of FORWARD to drop if it is the one that switches forwarding on.
    """
    where = ground.root.parent / "d"  # short: the path of a Unix socket ends at 107 bytes
    where.mkdir()
    host = f"unix://{where}/sock"
    # The shims' sockets are in /run/containerd, whatever the options say.
    hide = 'mount -t tmpfs tmpfs /run; exec "$@"'
    words: list[object] = ["unshare", "--mount", "sh", "-c", hide, "sh", "dockerd", "-H", host]
    words += ["--data-root", where / "data", "--exec-root", where / "exec"]
    words += ["--pidfile", where / "pid", "--storage-driver", "vfs"]
    (where / "config").write_text("{}")
    words += ["--cgroup-parent", f"/{ground.cgroup}/docker", "--config-file", where / "config"]
    words += ["--exec-opt", "native.cgroupdriver=cgroupfs"]
    with (where / "log").open("w") as log, started(*words, stdout=log, stderr=log) as daemon:
        client = ["docker", "--host", host]

        def answers() -> bool:
            assert daemon.poll() is None, (where / "log").read_text()[-4000:]
            return shell(*client, "version", code=None).returncode == 0

        wait_until(answers, "dockerd", 30)
        try:
            yield client
        finally:
            for one in shell(*client, "ps", "-aq").stdout.split():
                shell(*client, "rm", "-f", one, code=None)
            daemon.terminate()
            daemon.wait(20)
            for root in cgroup_roots():
                with contextlib.suppress(FileNotFoundError):
                    (root / ground.cgroup / "docker").rmdir()
