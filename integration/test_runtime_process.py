"""The command itself: its user, its limits, its descriptors, and how it fails to start."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.traces import Ground
from minirt.errors import CommandNotFound, CommandNotRunnable, InvalidRequest, MinirtError
from minirt.kernel import libc


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    return bundles.make(ground.root / "bundle", rootfs)


def status(bundle: Bundle) -> dict[str, str]:
    lines = bundle.run("cat", "/proc/self/status").lines
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


# ---- starting, and failing to ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [("true", 0), ("exit 7", 7), ("kill -9 $$; exit 3", 3), ("sleep 9 & kill $!; wait $!", 143)],
)
def test_the_exit_code_is_that_of_the_command(bundle: Bundle, command: str, code: int) -> None:
    assert bundle.run("sh", "-c", command).code == code


@pytest.mark.parametrize(
    ("command", "error", "why"),
    [
        ("no-such-command", CommandNotFound, "no folder of the image's PATH"),
        ("/no/such/file", CommandNotFound, "no such file"),
        ("/etc/passwd/x", CommandNotFound, "no such file"),
        ("/etc/passwd", CommandNotRunnable, "not executable"),
        ("/etc", CommandNotRunnable, "a folder"),
        ("/dev/null", CommandNotRunnable, "no regular file"),
        ("", CommandNotFound, "Cannot run"),
    ],
)
def test_a_command_that_cannot_run_is_refused_before_it_starts(
    bundle: Bundle, command: str, error: type[MinirtError], why: str
) -> None:
    with pytest.raises(error, match=why):
        bundle.create(command)


@pytest.mark.parametrize(
    ("content", "error"),
    [("#!/no/such/interpreter\n", CommandNotFound), ("\x7fELFnonsense", CommandNotRunnable)],
)
def test_what_only_the_kernel_can_refuse_is_an_error_of_the_start(
    bundle: Bundle, content: str, error: type[MinirtError]
) -> None:
    program = bundle.add_layer("programs") / "program"
    program.write_text(content)
    program.chmod(0o755)
    with pytest.raises(error, match="Cannot run /program"):
        bundle.run("/program")


def test_a_script_runs(bundle: Bundle) -> None:
    program = bundle.add_layer("programs") / "program"
    program.write_text("#!/bin/sh\necho $0 $1\n")
    program.chmod(0o755)
    assert bundle.run("/program", "word").output == "/program word\n"


def test_it_is_searched_in_the_path_of_its_environment(bundle: Bundle) -> None:
    program = bundle.add_layer("programs") / "opt" / "tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    bundle.process["env"] = ["PATH=/etc:/opt"]
    assert bundle.run("tool").output == "found\n"


# ---- descriptors -------------------------------------------------------------------------------


def test_it_has_three_descriptors_and_no_more(bundle: Bundle) -> None:
    leaks = [os.open("/", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY)]
    for fd in leaks:
        os.set_inheritable(fd, True)
    seen = bundle.run("ls", "/proc/self/fd")
    for fd in leaks:
        os.close(fd)
    assert seen.lines == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def test_further_descriptors_are_handed_through_when_asked(bundle: Bundle) -> None:
    read, write = os.pipe()
    taken = [os.dup(read) for _ in range(20)]  # 3 and 4 are in use by now, whoever has them
    os.set_inheritable(write, True)  # As what came through execve(2) is.
    bundle.setting["keep_fds"] = write - 2
    seen = bundle.run("sh", "-c", f"echo told >&{write}; echo said")
    os.close(write)
    assert seen.output == "said\n"
    assert os.read(read, 100) == b"told\n"
    for fd in [read, *taken]:
        os.close(fd)


@pytest.mark.parametrize("number", range(3, 12))
def test_no_descriptor_of_ours_can_be_the_working_directory(bundle: Bundle, number: int) -> None:
    bundle.process["cwd"] = f"/proc/self/fd/{number}"
    with pytest.raises(InvalidRequest, match="working directory"):
        bundle.create("true")


def test_nor_can_one_behind_a_symlink(bundle: Bundle) -> None:
    (bundle.add_layer("links") / "link").symlink_to("/proc/self/fd/4")
    bundle.process["cwd"] = "/link"
    with pytest.raises(InvalidRequest, match="working directory"):
        bundle.create("true")


# ---- surroundings ------------------------------------------------------------------------------


def test_a_missing_working_directory_is_made(bundle: Bundle) -> None:
    bundle.process["cwd"] = "/a/b"
    seen = bundle.run("sh", "-c", "pwd; stat -c %a:%u . ..")
    assert seen.lines == ["/a/b", "755:0", "755:0"]


def test_a_working_directory_that_is_a_file_is_refused(bundle: Bundle) -> None:
    bundle.process["cwd"] = "/etc/passwd"
    with pytest.raises(InvalidRequest, match="/etc/passwd as the working directory"):
        bundle.create("true")


def test_the_environment_is_that_of_the_config_and_a_home(bundle: Bundle) -> None:
    bundle.process["env"] = ["PATH=/bin", "A=1", "A=2", "B=x=y"]
    assert bundle.run("env").lines == ["PATH=/bin", "A=2", "B=x=y", "HOME=/root"]


def test_the_user_is_looked_up_in_the_image(bundle: Bundle) -> None:
    bundle.setting["user"] = "www"
    seen = bundle.run("sh", "-c", "id -u; id -g; id -G; echo $HOME")
    assert seen.lines == ["33", "33", "33 50", "/www"]


def test_an_unknown_user_is_an_error(bundle: Bundle) -> None:
    bundle.setting["user"] = "nobody"
    with pytest.raises(InvalidRequest, match="unable to find user nobody"):
        bundle.create("true")


def test_the_numbers_of_the_config_are_taken_as_they_are(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1234, "gid": 50, "additionalGids": [7, 8], "umask": 0o077}
    seen = bundle.run("sh", "-c", "id -u; id -G; umask; echo $HOME; echo > /dev/stdout")
    assert seen.lines == ["1234", "50 7 8", "0077", "/", ""]


def test_root_has_the_capabilities_of_the_config_and_others_none(bundle: Bundle) -> None:
    as_root = status(bundle)
    sets = [as_root[key] for key in ("CapBnd", "CapEff", "CapPrm")]
    assert sets == ["00000000a80425fb"] * 3
    assert (as_root["CapInh"], as_root["CapAmb"]) == ("0" * 16, "0" * 16)
    bundle.setting["user"] = "33"
    as_other = status(bundle)
    assert as_other["CapBnd"] == "00000000a80425fb"
    assert {as_other[key] for key in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}


def test_an_ambient_capability_reaches_a_user(bundle: Bundle) -> None:
    names = ["CAP_NET_BIND_SERVICE"]
    for name in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        bundle.process["capabilities"][name] = names
    bundle.setting["user"] = "33"
    assert status(bundle)["CapEff"] == "0000000000000400"


def test_no_new_privileges_is_set_only_when_asked(bundle: Bundle) -> None:
    assert status(bundle)["NoNewPrivs"] == "0"
    bundle.process["noNewPrivileges"] = True
    assert status(bundle)["NoNewPrivs"] == "1"


def test_signals_are_as_a_program_expects_them(bundle: Bundle) -> None:
    with contextlib.ExitStack() as held:
        for number in (signal.SIGPIPE, 32, 33):  # the last two are glibc's own, nptl(7)
            held.enter_context(ignored(number))
        found = status(bundle)
    assert {found[key] for key in ("SigIgn", "SigBlk", "SigCgt")} == {"0" * 16}
    assert bundle.run("sh", "-c", "yes | head -1").output == "y\n"


@contextlib.contextmanager
def ignored(number: int) -> Iterator[None]:
    """Ignore a signal as the kernel knows it, whatever the C library thinks of it."""
    action = int(signal.SIG_IGN).to_bytes(32, sys.byteorder)  # struct sigaction of the kernel
    before = ctypes.create_string_buffer(len(action))
    libc.syscall("rt_sigaction", number, action, before, 8)
    yield
    libc.syscall("rt_sigaction", number, before, None, 8)


def test_limits_are_set(bundle: Bundle) -> None:
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 12, "hard": 34}]
    assert bundle.run("sh", "-c", "ulimit -Sn; ulimit -Hn").lines == ["12", "34"]


def test_a_limit_that_cannot_be_raised_is_explained(bundle: Bundle) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 12, "hard": hard + 1}]
    if has_capability(24):  # CAP_SYS_RESOURCE
        assert bundle.run("sh", "-c", "ulimit -Hn").output == f"{hard + 1}\n"
        return
    with pytest.raises(InvalidRequest, match="Cannot set the limit of nofile"):
        bundle.run("true")


def has_capability(number: int) -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("CapEff"))
    return bool(int(mask, 16) >> number & 1)


def test_the_oom_score_is_set(bundle: Bundle) -> None:
    bundle.process["oomScoreAdj"] = 321
    assert bundle.run("cat", "/proc/self/oom_score_adj").output == "321\n"


def test_it_leads_a_session_of_its_own(bundle: Bundle) -> None:
    fields = bundle.run("sh", "-c", "cat /proc/$$/stat").output.split()
    assert (fields[0], fields[5], fields[6]) == ("1", "1", "0")  # pid, session, terminal


def test_it_can_be_dumped_again_and_reads_itself(bundle: Bundle) -> None:
    found = bundle.run("stat", "-c", "%u", "/proc/self/fd")
    assert found.output == "0\n"
    bundle.setting["user"] = "33"
    assert bundle.run("stat", "-c", "%u", "/proc/self/fd").output == "33\n"


def test_standard_streams_belong_to_the_user_and_files_do_not(bundle: Bundle) -> None:
    path = bundle.top / "out"
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    read, write = os.pipe()
    bundle.setting |= {"user": "33", "stdio": (fd, fd, write)}
    created = bundle.create("true")
    bundles.started_or_discarded(created)
    assert os.fstat(write).st_uid == 33
    assert stat.S_ISREG(os.fstat(fd).st_mode) and os.fstat(fd).st_uid == 0
    bundles.collected(created)
    for one in (fd, read, write):
        os.close(one)
