"""An error about new namespaces names the limit or the switch of the host that forbids them.

Each limit is set in a new user namespace, so that it binds the test alone (namespaces(7)).
"""

from __future__ import annotations

import errno
import os
import sys

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell
from minirt.kernel.namespaces import Namespace

OWN_USER_NAMESPACE = ("unshare", "--user", "--map-root-user")
CLONE = """
import os, sys
from minirt.kernel import clone
from minirt.kernel.namespaces import Namespace
try:
    os.waitpid(clone.clone(lambda: 0, Namespace(int(sys.argv[1]))).pid, 0)
    print("cloned")
except OSError as error:
    print(error.strerror)
"""
UNSHARE = """
import sys
from minirt.kernel.namespaces import Namespace, unshare
try:
    unshare(Namespace(int(sys.argv[1])))
    print("unshared")
except OSError as error:
    print(error.strerror)
"""
LIMITS = {
    Namespace.MOUNT: "mnt",
    Namespace.CGROUP: "cgroup",
    Namespace.UTS: "uts",
    Namespace.IPC: "ipc",
    Namespace.USER: "user",
    Namespace.PID: "pid",
    Namespace.NET: "net",
}
REFUSAL = """
import errno, os, sys
from minirt.kernel.namespaces import Namespace, refusal
error = OSError(errno.EPERM, os.strerror(errno.EPERM))
print(refusal(error, Namespace(int(sys.argv[1]))).strerror)
"""


def run_limited(limit: str, value: int, *words: str) -> str:
    """Run a command in a user namespace that has this limit; return its output."""
    script = f'echo {value} > /proc/sys/user/max_{limit}_namespaces && exec "$@"'
    return shell(*OWN_USER_NAMESPACE, "sh", "-c", script, "sh", *words).stdout.strip()


@pytest.mark.parametrize("kind", LIMITS, ids=LIMITS.values())
def test_error_names_limit_that_is_zero(kind: Namespace) -> None:
    limit = LIMITS[kind]
    expected = f"a limit of namespaces is 0. Raise it: sysctl -w user.max_{limit}_namespaces=10000"
    python = (sys.executable, "-c")
    assert run_limited(limit, 0, *python, CLONE, str(int(kind))) == expected
    assert run_limited(limit, 0, *python, UNSHARE, str(int(kind))) == expected
    assert run_limited(limit, 5, *python, CLONE, str(int(kind))) == "cloned"
    assert run_limited(limit, 5, *python, UNSHARE, str(int(kind))) == "unshared"


def test_error_names_value_of_limit_that_is_reached() -> None:
    inside_another = 'unshare --net sh -c \'exec "$@"\' sh "$@"'
    clone = (sys.executable, "-c", CLONE, str(int(Namespace.NET)))
    words = ("sh", "-c", inside_another, "sh", *clone)
    assert run_limited("net", 1, *words).startswith(
        "there are as many namespaces as are allowed. Here user.max_net_namespaces is 1;"
    )
    assert run_limited("net", 2, *words) == "cloned"


@pytest.mark.parametrize(
    ("switch", "forbids", "permits"),
    [("unprivileged_userns_clone", 0, 1), ("apparmor_restrict_unprivileged_userns", 1, 0)],
)
def test_error_names_switch_that_forbids_user_namespaces(
    switch: str, forbids: int, permits: int
) -> None:
    def error(value: int, kind: Namespace) -> str:
        """Return the words for EPERM on a host where the switch has this value."""
        folder = "/proc/sys/kernel"
        script = (
            f"mount -t tmpfs none /proc && mkdir -p {folder} && echo {value} > {folder}/{switch}"
        )
        words = ("sh", "-c", f'{script} && exec "$@"', "sh", sys.executable, "-c", REFUSAL)
        return shell("unshare", "--mount", *words, str(int(kind))).stdout.strip()

    expected = (
        f"this host forbids user namespaces. Allow them there: sysctl -w kernel.{switch}={permits}"
    )
    assert error(forbids, Namespace.USER | Namespace.NET) == expected
    assert error(permits, Namespace.USER | Namespace.NET) == os.strerror(errno.EPERM)
    assert error(forbids, Namespace.NET) == os.strerror(errno.EPERM)


def test_run_without_pid_namespaces_names_the_limit(minirt: Minirt, image: str) -> None:
    script = 'echo 0 > /proc/sys/user/max_pid_namespaces && exec "$@"'
    words = ("sh", "-c", script, "sh", sys.executable, "-m", "minirt", "run", "--rm", image, "true")
    refused = shell(*OWN_USER_NAMESPACE, *words, code=125)
    assert "monitor: a limit of namespaces is 0." in refused.stderr
    assert "sysctl -w user.max_pid_namespaces=10000" in refused.stderr
