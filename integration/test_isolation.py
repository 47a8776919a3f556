"""What a container can't do, asked from inside of one; and that it could if it were let.

The attacks are those that other runtimes have suffered. Each test has a control: the same
question where the protection is off, so that a "no" can't come from a wrong question.
"""

from __future__ import annotations

import errno
import platform
import shutil
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.inside import QUIET, Inside, inside
from integration.sandbox import cgroup_roots, compiled, is_cgroup2_only, minirt_words, shell
from minirt.kernel import capabilities

__all__ = ["inside"]  # fixtures

UNCONFINED = ("--security-opt", "seccomp=unconfined", "--cap-add", "ALL")
STATUS = "grep -E '^(Cap|Seccomp:|NoNewPrivs|Groups)' /proc/self/status"
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
ONLY_X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 has it")


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the probe."""
    return compiled(Path(__file__).with_name("probe.c"), tmp_path_factory.mktemp("probe"))


def status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (x.partition(":") for x in text.splitlines())}


# ---- capabilities, users, groups -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "effective", "bounding"),
    [
        ((), 0xA804_25FB, 0xA804_25FB),
        (("-u", "1000"), 0, 0xA804_25FB),
        (("--cap-add", "SYS_TIME"), 0xAA04_25FB, 0xAA04_25FB),
        (("--cap-drop", "ALL"), 0, 0),
        (("-u", "1000", "--cap-add", "NET_ADMIN"), 0, 0xA804_35FB),
        (("--privileged",), None, None),
    ],
)
def test_capabilities_are_those_granted_and_none_is_inherited(
    inside: Inside, flags: tuple[str, ...], effective: int | None, bounding: int | None
) -> None:
    found = status(inside(STATUS, *flags))
    every = capabilities.bounding()  # what this machine's root has, and --privileged hands on
    assert int(found["CapBnd"], 16) == (every if bounding is None else bounding)
    wanted = every if effective is None else effective
    assert [int(found[f"Cap{one}"], 16) for one in ("Eff", "Prm")] == [wanted, wanted]
    assert [int(found[f"Cap{one}"], 16) for one in ("Inh", "Amb")] == [0, 0]


@pytest.mark.parametrize(("user", "groups"), [("0", "0"), ("1234", "0"), ("1000:50", "50")])
def test_groups_of_the_operator_do_not_come_along(
    minirt: Minirt, image: str, user: str, groups: str
) -> None:
    words = minirt_words(*QUIET, "-u", user, image, "sh", "-c", STATUS)
    as_operator = ("setpriv", "--groups", "4,27", "--")
    assert status(shell(*as_operator, "sh", "-c", STATUS).stdout)["Groups"] == "4 27"
    assert status(shell(*as_operator, *words).stdout)["Groups"] == groups


def test_inheritable_capabilities_of_the_operator_do_not_come_along(
    minirt: Minirt, image: str
) -> None:
    """CVE-2022-24769: with them a program of the image gives its user what only root is to have."""
    as_operator = ("setpriv", "--inh-caps", "+chown", "--ambient-caps", "+chown", "--")
    control = status(shell(*as_operator, "sh", "-c", STATUS).stdout)
    assert (control["CapInh"], control["CapAmb"]) == ("0000000000000001", "0000000000000001")
    found = status(shell(*as_operator, *minirt_words(*QUIET, image, "sh", "-c", STATUS)).stdout)
    assert (int(found["CapInh"], 16), int(found["CapAmb"], 16)) == (0, 0)


def test_a_setuid_program_gives_its_power_unless_that_is_forbidden(
    minirt: Minirt, image: str, probe: Path, tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    shutil.copy(probe, tool)
    tool.chmod(0o4755)
    as_user = ("-u", "1000", "-v", f"{tool}:/tool")
    command = (image, "/tool", "euid")
    assert minirt(*QUIET, *as_user, *command).stdout == "0\n"
    forbidden = ("--security-opt", "no-new-privileges")
    assert minirt(*QUIET, *as_user, *forbidden, *command).stdout == "1000\n"


# ---- system calls --------------------------------------------------------------------------------


def answers(text: str) -> dict[str, int]:
    pairs = (line.rsplit(" ", 1) for line in text.splitlines())
    return {name: int(number) for name, number in pairs}


def test_system_calls_that_reach_the_host_are_refused(inside: Inside, probe: Path) -> None:
    found = answers(inside("/probe", "-v", f"{probe}:/probe:ro"))
    assert (found.pop("getpid"), found.pop("+socket")) == (0, 0)
    assert found.pop("clone3") == errno.ENOSYS
    assert found == dict.fromkeys(found, errno.EPERM)
    assert len(found) > 35
    control = answers(inside("/probe", "-v", f"{probe}:/probe:ro", *UNCONFINED))
    # Left of EPERM: what this very root may not do, such as to read the log of the kernel.
    assert len([name for name, code in control.items() if code == errno.EPERM]) < 5
    assert errno.EPERM not in (control["mount"], control["keyctl"], control["setns"])


@ONLY_X86
def test_the_door_of_32_bit_programs_is_watched_too(inside: Inside, probe: Path) -> None:
    through = ("/probe i386", "-v", f"{probe}:/probe:ro")
    control = inside(*through, "--security-opt", "seccomp=unconfined", code=None)
    if not control.startswith("unshare"):
        pytest.skip("this kernel runs no 32-bit programs")
    sockets = ("socketcall-AF_ALG", "socketcall-socketpair", "socket-AF_ALG")
    assert answers(control)["unshare"] != errno.EPERM
    assert {name: answers(control)[name] for name in sockets} == dict.fromkeys(sockets, 0)
    assert answers(inside(*through)) == {
        "unshare": errno.EPERM,
        "getpid": 0,
        "socketcall-AF_ALG": errno.ENOSYS,
        "socketcall-socketpair": errno.ENOSYS,
        "socket-AF_ALG": errno.EPERM,
    }


# include/linux/socket.h: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK and AF_PACKET; AF_XDP is 44.
ALLOWED_FAMILIES = {1, 2, 10, 16, 17}


def refused_families(found: dict[str, int]) -> dict[str, set[int]]:
    """Return the families that each call was refused with EPERM."""
    refused: dict[str, set[int]] = {}
    for name, code in found.items():
        call, _, family = name.partition("-")
        refused.setdefault(call, set())
        if code == errno.EPERM:
            refused[call].add(int(family))
    return refused


def test_sockets_are_made_of_listed_address_families_only(inside: Inside, probe: Path) -> None:
    through = ("/probe families", "-v", f"{probe}:/probe:ro")
    control = answers(inside(*through, *UNCONFINED))
    found = answers(inside(*through))
    assert len(found) == len(control) >= 2 * 46
    others = set(range(46)) - ALLOWED_FAMILIES
    calls = refused_families(found)
    assert calls["socket"] == others
    assert calls["socketpair"] == set(range(46)) - {1}
    if control.get("i386-1") == 0:
        assert calls["i386"] == others
    for family in ALLOWED_FAMILIES:
        assert found[f"socket-{family}"] == control[f"socket-{family}"]
    assert [found[f"socket-{one}"] for one in (1, 2, 16, 17)] == [0, 0, 0, 0]
    assert found["socketpair-1"] == 0
    # Without the filter other families are there, as far as this kernel has them.
    assert any(control[f"socket-{one}"] == 0 for one in others)
    assert refused_families(control)["socket"] < others


def test_privileged_containers_may_have_sockets_of_every_family(
    inside: Inside, probe: Path
) -> None:
    through = ("/probe families", "-v", f"{probe}:/probe:ro")
    assert refused_families(answers(inside(*through, "--privileged")))["socket"] == set()


# ---- /proc, /sys and cgroups ---------------------------------------------------------------------

MASKED = "/proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/timer_list /sys/firmware"


def test_what_tells_of_the_host_is_hidden(inside: Inside) -> None:
    line = (
        f"for one in {MASKED}; do if [ -d $one ]; then ls -A $one;"
        " elif [ -e $one ]; then head -c 64 $one; fi; done"
    )
    assert inside(line) == ""
    assert inside(line, "--privileged") != ""


def test_masks_cannot_be_taken_off(inside: Inside) -> None:
    line = "umount /proc/keys; mount -o remount,rw /proc/sys; head -c 64 /proc/keys"
    shown = inside(line)
    assert "umount: can't unmount /proc/keys: Operation not permitted" in shown
    assert len(shown.splitlines()) == 2
    control = inside(line, *UNCONFINED)
    assert control and "can't" not in control  # the keys


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/uevent_helper",
        "/sys/kernel/profiling",
        "/sys/fs/cgroup/pids/cgroup.procs",
        "/sys/fs/cgroup/pids/notify_on_release",
        "/sys/fs/cgroup/cgroup.procs",
    ],
)
def test_switches_of_the_host_cannot_be_turned(minirt: Minirt, image: str, path: str) -> None:
    if not Path(path).exists():
        pytest.skip("this kernel has no such switch")
    before = CORE_PATTERN.read_bytes()
    line = f"test -e {path} && echo 1 > {path}"
    shown = minirt(*QUIET, image, "sh", "-c", line, code=1).stderr
    assert "Read-only file system" in shown
    assert CORE_PATTERN.read_bytes() == before


def test_who_is_privileged_can_turn_them(minirt: Minirt, image: str) -> None:
    """The control for the test above; it writes what is there."""
    line = f"cat {CORE_PATTERN} > /value && cat /value > {CORE_PATTERN}"
    minirt(*QUIET, "--privileged", image, "sh", "-c", line)
    assert "Read-only" in minirt(*QUIET, image, "sh", "-c", line, code=1).stderr


def test_a_container_sees_its_own_cgroups_only(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--net", "none", "--name", "other-one", image, "sleep", "1000")
    line = "find /sys/fs/cgroup -name cgroup.procs; find /sys/fs/cgroup -name release_agent"
    found = minirt(*QUIET, image, "sh", "-c", line).stdout.split()
    assert found
    assert {len(Path(one).parent.relative_to("/sys/fs/cgroup").parts) for one in found} <= {0, 1}
    assert not [one for one in found if one.endswith("release_agent")]
    on_host = [one for root in cgroup_roots() for one in root.glob("release_agent")]
    assert bool(on_host) != is_cgroup2_only()  # The control: version 1 has them.
    shown = minirt(*QUIET, image, "sh", "-c", f"cat {found[0]}; cut -d: -f3 /proc/self/cgroup")
    assert shown.stdout.split()[0] == "1"
    assert set(shown.stdout.split()[-1:]) == {"/"}
