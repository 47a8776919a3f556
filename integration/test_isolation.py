"""What a container can't do, asked from inside of one; and that it could if it were let.

The attacks are those that other runtimes have suffered. Each test has a control: the same
question where the protection is off, so that a "no" can't come from a wrong question.
"""

from __future__ import annotations

import errno
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import cgroup_roots, compiled, is_cgroup2_only, minirt_words, shell
from minirt.kernel import capabilities

QUIET = ("run", "--rm", "--net", "none")
UNCONFINED = ("--security-opt", "seccomp=unconfined", "--cap-add", "ALL")
STATUS = "grep -E '^(Cap|Seccomp:|NoNewPrivs|Groups)' /proc/self/status"
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
Inside = Callable[..., str]
ONLY_X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 has it")


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the probe."""
    return compiled(Path(__file__).with_name("probe.c"), tmp_path_factory.mktemp("probe"))


@pytest.fixture(params=["run", "exec"])
def inside(request: pytest.FixtureRequest, minirt: Minirt, image: str) -> Iterator[Inside]:
    """Return a function that runs a shell line in a new container, or in a running one."""

    def run(line: str, *flags: object, code: int | None = 0) -> str:
        done = minirt(*QUIET, *flags, image, "sh", "-c", line, code=code)
        return done.stdout + done.stderr

    def execute(line: str, *flags: object, code: int | None = 0) -> str:
        minirt("run", "-d", "--net", "none", "--name", "one-more", *flags, image, "sleep", "1000")
        done = minirt("exec", "one-more", "sh", "-c", line, code=code)
        minirt("rm", "-f", "one-more")
        return done.stdout + done.stderr

    yield run if request.param == "run" else execute


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
    assert answers(control)["unshare"] != errno.EPERM
    assert answers(inside(*through)) == {"unshare": errno.EPERM, "getpid": 0}


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


# ---- devices -------------------------------------------------------------------------------------

OPEN_NODE = "rm -f /d; mknod /d {kind} {numbers} && exec 3< /d && echo done"


@pytest.mark.parametrize(
    ("kind", "numbers", "opens"),
    [("c", "1 3", True), ("c", "1 11", False), ("c", "1 1", False), ("b", "254 0", False)],
)
def test_only_harmless_devices_open_whoever_made_their_node(
    inside: Inside, kind: str, numbers: str, opens: bool
) -> None:
    shown = inside(OPEN_NODE.format(kind=kind, numbers=numbers), code=None)
    assert ("done" in shown.split()) == opens
    assert opens or "Operation not permitted" in shown


def test_a_privileged_container_opens_any_device(inside: Inside) -> None:
    assert inside(OPEN_NODE.format(kind="c", numbers="1 11"), "--privileged") == "done\n"


# ---- descriptors, sockets, folders ---------------------------------------------------------------


def test_no_descriptor_of_the_operator_reaches_a_container(minirt: Minirt, image: str) -> None:
    list_all = "ls /proc/self/fd; echo -; ls /proc/1/fd"
    leaky = 'exec 7</etc/passwd 8>/dev/null 9</; exec "$@"'
    assert {"7", "8", "9"} <= set(
        shell("sh", "-c", leaky, "-", "ls", "/proc/self/fd").stdout.split()
    )
    words = minirt_words(*QUIET, image, "sh", "-c", list_all)
    one, init = shell("sh", "-c", leaky, "-", *words).stdout.split("-")
    assert set(one.split()) == {"0", "1", "2", "3"}  # 3: the folder itself
    assert set(init.split()) <= {"0", "1", "2", "3"}
    minirt("run", "-d", "--net", "none", "--name", "one", image, "sleep", "1000")
    words = minirt_words("exec", "one", "sh", "-c", list_all)
    one, init = shell("sh", "-c", leaky, "-", *words).stdout.split("-")
    assert set(one.split()) == {"0", "1", "2", "3"}
    assert set(init.split()) == {"0", "1", "2"}


@pytest.mark.parametrize("folder", ["/proc/self/fd/{}", "/proc/1/fd/{}", "/proc/self/cwd/../.."])
def test_no_working_directory_leads_out(minirt: Minirt, image: str, folder: str) -> None:
    """CVE-2024-21626: a descriptor of the host's, leaked until the very exec, as the cwd."""
    secret = Path("/tmp/only-the-host-has-this")
    secret.touch()
    control = "exec 9</; cd /proc/self/fd/9; ls -a tmp"
    assert secret.name in shell("sh", "-c", control).stdout
    for number in (3, 4, 6, 9) if "{}" in folder else (0,):
        words = (*QUIET, "-w", folder.format(number), image, "ls", "-a", ".", "..", "../../tmp")
        done = minirt(*words, code=None)
        assert secret.name not in done.stdout
        assert done.returncode != 0 or "{}" not in folder
    secret.unlink()


def test_no_abstract_socket_of_ours_is_within_reach_on_the_hosts_network(
    minirt: Minirt, image: str
) -> None:
    """CVE-2020-15257: abstract sockets follow the network namespace, not the file system."""
    minirt("run", "-d", "--net", "host", "--name", "one", image, "sleep", "1000")
    with socket.socket(socket.AF_UNIX) as control:
        control.bind("\0control")
        shown = minirt("exec", "one", "cat", "/proc/net/unix").stdout
    assert [line.split()[-1] for line in shown.splitlines() if "@" in line] == ["@control"]


def test_the_interpreter_is_never_seen_from_inside(minirt: Minirt, image: str) -> None:
    """CVE-2019-5736, CVE-2016-9962: while others enter, no process shows a file of the host's."""
    watch = (
        "while [ ! -e /stop ]; do for p in /proc/[0-9]*; do"
        " for l in exe cwd root; do readlink $p/$l; done; ls -l $p/fd | grep -o '> .*'; done;"
        " done > /seen 2>/dev/null; touch /seen-all; sleep 1000"
    )
    minirt("run", "-d", "--net", "none", "--name", "one", image, "sh", "-c", watch)
    for _ in range(10):
        minirt("exec", "one", "true")
    minirt("exec", "-d", "one", "sleep", "1000")  # the control: who stays is seen for certain
    until = (
        "until grep -qx /bin/sleep /seen; do sleep 0.1; done; touch /stop;"
        " until [ -e /seen-all ]; do sleep 0.1; done; sort -u /seen"
    )
    seen = minirt("exec", "one", "sh", "-c", until).stdout
    assert "python" not in seen
    assert str(Path(sys.executable).resolve().parent) not in seen


def test_a_fork_bomb_dies_with_its_container(minirt: Minirt, image: str) -> None:
    bomb = "f() { (setsid sleep 1000 &); f & f; }; f"
    flags = ("-d", "--net", "none", "--name", "bomb", "--pids-limit", "60")
    minirt("run", *flags, image, "sh", "-c", bomb)
    minirt("rm", "-f", "bomb")  # that nothing is left is looked at after every test
    assert minirt("ps", "-aq").stdout == ""


def test_memory_is_taken_from_the_container_that_wants_too_much(minirt: Minirt, image: str) -> None:
    hungry = ("sh", "-c", "x=a; while [ ${#x} -lt 33554432 ]; do x=$x$x; done")
    minirt("run", "--rm", "--net", "none", image, *hungry)  # The control: it has no limit.
    minirt("run", "-d", "--net", "none", "--name", "other", image, "sleep", "1000")
    flags = ("--net", "none", "--name", "hungry", "-m", "16m")
    minirt("run", *flags, image, *hungry, code=137)
    minirt("exec", "other", "true")
    shown = minirt("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry").stdout
    assert shown.split() == ["true", "137"]
