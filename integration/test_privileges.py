"""The last steps before a command: what the kernel says of who has taken them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from minirt.kernel import capabilities, keyrings, libc, processes, rlimits
from minirt.kernel.capabilities import mask
from minirt.runtime import privileges, seccomp_profile, seccomp_programs
from minirt.runtime.filters import Filters
from minirt.runtime.spec import Capabilities, Process, User

FOURTEEN = tuple(capabilities.names(0xA804_25FB))
KILL_ALL_BUT_EXEC = {
    "defaultAction": "SCMP_ACT_KILL_PROCESS",
    "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}],
}
DROPPING = ["prctl", "capset", "setgroups", "setresgid", "setresuid"]


def process(uid: int = 0, gid: int = 0, groups: tuple[int, ...] = (), **changes: object) -> Process:
    sets = Capabilities(bounding=FOURTEEN, effective=FOURTEEN, permitted=FOURTEEN)
    user = User(uid=uid, gid=gid, additional_gids=groups, umask=0o022)
    plain = Process(args=("true",), user=user, capabilities=sets)
    return replace(plain, **changes)  # type: ignore[arg-type]


def after(one: Process, programs: tuple[bytes, ...] = (), *words: str, hides: bool = False) -> str:
    """Drop to what ``one`` says in a child, execute words there, and return what they print."""
    read, write = os.pipe()
    command = words or ("cat", "/proc/self/status")

    def child() -> int:
        os.dup2(write, 1)
        os.dup2(write, 2)
        path, environment = f"/usr/bin/{command[0]}", {"PATH": "/usr/bin"}
        keyrings.leave_session_keyring()
        privileges.drop(one, Filters(programs), hides=hides)
        os.execve(path, command, environment)
        return 0

    pid = processes.fork(child)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    code = processes.wait(pid)
    return text if code == 0 else f"exit code {code}: {text}"


def status(one: Process, programs: tuple[bytes, ...] = ()) -> dict[str, str]:
    lines = after(one, programs).splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def sets(found: dict[str, str]) -> dict[str, int]:
    return {key: int(found[f"Cap{key}"], 16) for key in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


def test_root_has_what_it_was_given_and_can_never_have_more() -> None:
    found = sets(status(process()))
    assert found == {"Inh": 0, "Prm": mask(FOURTEEN), "Eff": mask(FOURTEEN), "Amb": 0} | {
        "Bnd": 0xA804_25FB
    }


def test_another_user_has_nothing_but_what_its_files_may_give_it() -> None:
    found = sets(status(process(1000, 1000)))
    assert found == {"Inh": 0, "Prm": 0, "Eff": 0, "Amb": 0, "Bnd": 0xA804_25FB}


def test_nothing_asked_is_nothing_had() -> None:
    assert set(sets(status(process(capabilities=Capabilities()))).values()) == {0}


def test_ambient_capabilities_reach_another_users_program() -> None:
    some = ("CAP_NET_BIND_SERVICE",)
    asked = Capabilities(FOURTEEN, some, some, some, some)
    found = sets(status(process(1000, capabilities=asked)))
    bit = mask(some)
    assert found == {"Inh": bit, "Prm": bit, "Eff": bit, "Amb": bit, "Bnd": 0xA804_25FB}


def test_what_this_root_lacks_is_left_out() -> None:
    every = capabilities.NAMES
    asked = Capabilities(bounding=every, effective=every, permitted=every)
    assert sets(status(process(capabilities=asked)))["Bnd"] == capabilities.bounding()


def test_the_groups_are_those_asked_for_and_no_others() -> None:
    os.setgroups([4, 27])
    found = status(process(1234, 5, (50, 5)))
    assert (found["Uid"], found["Gid"]) == ("\t".join(["1234"] * 4), "\t".join(["5"] * 4))
    assert set(found["Groups"].split()) == {"5", "50"}
    assert set(status(process())["Groups"].split()) == set()
    os.setgroups([])


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_the_filter_holds_with_and_without_no_new_privileges(no_new_privileges: bool) -> None:
    programs = seccomp_programs.compile_rules(seccomp_profile.default(FOURTEEN))
    one = process(1000, no_new_privileges=no_new_privileges)
    found = status(one, programs)
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", str(int(no_new_privileges)))
    assert "Operation not permitted" in after(one, programs, "unshare", "--user", "true")
    assert after(one, (), "unshare", "--user", "true") == ""


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_a_filter_that_kills_all_but_execve_still_lets_it_start(no_new_privileges: bool) -> None:
    """SIGSYS (31) must come from the new program's first call, not from our last ones."""
    names = ["execve"] if no_new_privileges else ["execve", *DROPPING]
    rules = KILL_ALL_BUT_EXEC | {"syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]}
    programs = seccomp_programs.compile_rules(rules)
    traced = process(no_new_privileges=no_new_privileges)
    assert after(traced, programs, "true") == f"exit code {128 + 31}: "
    # Allowed to brk and map, the program gets as far as loading its libraries.
    names += ["brk", "mmap", "access", "openat", "fstat", "newfstatat", "close", "read", "pread64"]
    names += ["arch_prctl", "set_tid_address", "set_robust_list", "rseq", "mprotect", "prlimit64"]
    names += ["munmap", "exit_group", "getrandom"]
    programs = seccomp_programs.compile_rules(rules | {"syscalls": [{**rule(names)}]})
    assert after(traced, programs, "true") == ""


def rule(names: list[str]) -> dict[str, object]:
    return {"names": names, "action": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize("ids", [(0, 0), (0, 5), (1000, 0), (1000, 1000)], ids=str)
@pytest.mark.parametrize("hides", [True, False], ids=["hides", "control"])
def test_the_program_after_a_process_that_hides_can_not_be_traced(
    ids: tuple[int, int], hides: bool
) -> None:
    """From its first instruction on: what it executes in turn is like any other program."""
    if Path("/proc/sys/fs/suid_dumpable").read_text().strip() == "1":
        pytest.skip("fs.suid_dumpable lets every process be traced")
    ask = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    again = (
        f"{ask[:-1]}, flush=True); import os; os.execv('/usr/bin/python3', ['p', '-c', {ask!r}])"
    )
    said = after(process(*ids), (), "python3", "-c", again, hides=hides)
    assert said.split()[1] == "1"
    assert (said.split()[0] == "1") != hides


def test_with_no_new_privileges_setuid_programs_give_nothing(tmp_path: Path) -> None:
    tool = tmp_path / "id"
    tool.write_bytes(Path("/usr/bin/id").read_bytes())
    tool.chmod(0o4755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    words = ("env", str(tool), "-u")
    assert after(process(1000, no_new_privileges=True), (), *words).strip() == "1000"
    assert after(process(1000), (), *words).strip() == "0"


def session_keyring() -> int:
    return libc.syscall("keyctl", 0, -3, 0)  # KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING


def test_the_session_keyring_is_a_new_one() -> None:
    def child() -> int:
        keyrings.leave_session_keyring()
        first = session_keyring()
        keyrings.leave_session_keyring()
        return 0 if session_keyring() != first else 1

    assert child_code(child) == 0


def child_code(main: Callable[[], int]) -> int:
    return processes.wait(processes.fork(main))


def test_limits_are_set_and_one_above_the_hard_one_is_refused() -> None:
    def child() -> int:
        rlimits.write("nofile", 64, 128)
        rlimits.write("core", 0, 0)
        assert rlimits.read("nofile") == (64, 128)
        os.setresuid(1000, 1000, 1000)
        try:
            rlimits.write("nofile", 64, 256)
        except PermissionError:
            return 0
        return 1

    assert child_code(child) == 0
    with pytest.raises(ValueError, match="above the hard one"):
        rlimits.write("nofile", 5, 4)
    with pytest.raises(KeyError):
        rlimits.write("files", 5, 5)
