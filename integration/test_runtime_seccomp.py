"""The filter of system calls, in force for the command, and in nobody's way before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration import bundles
from integration.bundles import Bundle, enter_and_wait
from integration.traces import Ground
from minirt.container import defaults
from minirt.errors import MinirtError
from minirt.runtime import seccomp_profile


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


def allow(*names: str) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW"}


# What busybox's "true" needs, besides the execve(2) that starts it.
TRUE = (
    *("execve", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "mprotect"),
    *("prlimit64", "readlink", "readlinkat", "getrandom", "exit_group", "getuid", "getgid"),
    *("fstat", "newfstatat", "uname", "setuid", "setgid", "prctl"),
)
# What the last steps before it need: they come after the filter, where no_new_privs is not set.
# They are Python's, whose memory may grow or shrink at any moment, the more so in a large process.
LAST = (
    *("setgroups", "setresgid", "setresuid", "capset", "write", "read"),
    *("mmap", "munmap", "mremap", "madvise", "futex"),
    *("getpid", "tgkill"),  # Under xdist we have threads, and those hear of a new user (nptl(7)).
)


@pytest.mark.parametrize("harmless", [False, True])
def test_the_default_profile_is_in_force_for_init_and_for_visitors(
    bundle: Bundle, harmless: bool
) -> None:
    bundle.linux["seccomp"] = seccomp_profile.default(defaults.CAPABILITIES)
    bundle.process["noNewPrivileges"] = harmless
    script = "grep -w Seccomp /proc/self/status; mount -t tmpfs x /tmp"
    with bundle.running() as created:
        visitor = enter_and_wait(created, "sh", "-c", script)
    for seen in (bundle.run("sh", "-c", script), visitor):
        assert seen.lines[0].split() == ["Seccomp:", "2"]
        assert "Operation not permitted" in seen.output or "permission denied" in seen.output


@pytest.mark.parametrize("harmless", [False, True])
@pytest.mark.parametrize("default", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"])
def test_a_filter_that_allows_next_to_nothing_still_lets_the_command_start(
    bundle: Bundle, default: str, harmless: bool
) -> None:
    """It forbids what the springboard needs: then the command is executed directly."""
    bundle.linux["seccomp"] = {"defaultAction": default, "syscalls": [allow(*TRUE, *LAST)]}
    bundle.process["noNewPrivileges"] = harmless
    assert bundle.run("true").code == 0


def test_where_the_springboard_is_forbidden_our_own_binary_is_refused(bundle: Bundle) -> None:
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["execveat"], "action": "SCMP_ACT_ERRNO"}],
    }
    assert bundle.run("true").code == 0
    with pytest.raises(MinirtError, match="it is minirt itself"):
        bundle.run("/proc/self/exe")


@pytest.mark.parametrize(
    ("rule", "code", "said"),
    [
        ({"action": "SCMP_ACT_ERRNO", "errnoRet": 122}, 1, "quota exceeded"),
        ({"action": "SCMP_ACT_ERRNO"}, 1, "not permitted"),
        ({"action": "SCMP_ACT_TRACE", "errnoRet": 5}, 1, "not implemented"),  # nobody traces
        ({"action": "SCMP_ACT_TRAP"}, 128 + 31, ""),  # SIGSYS
        ({"action": "SCMP_ACT_KILL"}, 128 + 31, ""),
        ({"action": "SCMP_ACT_KILL_THREAD"}, 128 + 31, ""),
        ({"action": "SCMP_ACT_KILL_PROCESS"}, 128 + 31, ""),
        ({"action": "SCMP_ACT_LOG"}, 0, ""),
        ({"action": "SCMP_ACT_ALLOW"}, 0, ""),
    ],
)
def test_each_action_does_what_it_is_called(
    bundle: Bundle, rule: dict[str, Any], code: int, said: str
) -> None:
    flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": [*flags, "SECCOMP_FILTER_FLAG_TSYNC"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], **rule}],
    }
    ended = bundle.run("sh", "-c", "mkdir /a; echo $?")
    assert ended.lines[-1] == str(code)
    assert said in ended.output
