from __future__ import annotations

import copy
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from minirt.errors import InvalidRequest
from minirt.kernel import seccomp_compiler as bpf
from minirt.kernel import syscall_tables
from minirt.kernel.syscall_tables import ARCHITECTURES
from minirt.runtime import filters, seccomp_profile, seccomp_programs, seccomp_rules
from tests.bpf_machine import run_all

TABLES = syscall_tables.load()
DEFAULT_CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID"),
        *("SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
    )
]
EPERM, ENOSYS, ENOPROTOOPT = bpf.ERRNO | 1, bpf.ERRNO | 38, bpf.ERRNO | 92
NATIVE = syscall_tables.native()

# attacks.md calls this the kernel's attack surface: what no container needs and many holes used.
REFUSED = [
    *("unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "fsopen", "fsmount"),
    *("move_mount", "mount_setattr", "bpf", "perf_event_open", "keyctl", "add_key", "request_key"),
    *("userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "kexec_load"),
    *("kexec_file_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"),
    *("swapon", "swapoff", "reboot", "quotactl", "acct", "syslog", "settimeofday", "kcmp"),
    *("clock_settime", "pidfd_getfd", "sethostname", "iopl", "ioperm", "mbind", "move_pages"),
    *("vhangup", "nfsservctl"),
]


def program(*more: str) -> tuple[bytes, ...]:
    profile = seccomp_profile.default([*DEFAULT_CAPABILITIES, *more])
    return seccomp_programs.compile_rules(profile)


def ask(code: tuple[bytes, ...], call: str, *arguments: int, architecture: str = NATIVE) -> int:
    number = TABLES[architecture][call]
    return run_all(code, ARCHITECTURES[architecture].word, number, arguments)


@pytest.mark.parametrize("architecture", syscall_tables.WAYS_IN[NATIVE])
def test_the_default_refuses_what_no_container_needs_on_every_way_in(architecture: str) -> None:
    code = program()
    calls = [call for call in REFUSED if call in TABLES[architecture]]
    assert len(calls) > 30
    assert {call: ask(code, call, architecture=architecture) for call in calls} == dict.fromkeys(
        calls, EPERM
    )


def test_most_calls_are_allowed_by_default() -> None:
    code = program()
    allowed = [call for call in TABLES[NATIVE] if ask(code, call) == bpf.ALLOW]
    assert {"read", "execve", "mknodat", "ptrace", "chroot", "personality"} <= set(allowed)
    assert len(allowed) > 250


def test_processes_may_be_born_but_not_in_namespaces_of_their_own() -> None:
    code = program()
    assert ask(code, "clone", 0x11) == bpf.ALLOW
    for flag in (0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 1 << 30):
        assert ask(code, "clone", 0x11 | flag) == EPERM
    assert ask(code, "clone3") == ENOSYS


def test_who_may_administrate_may_mount() -> None:
    code = program("CAP_SYS_ADMIN")
    for call in ("mount", "clone3", "unshare", "setns"):
        assert ask(code, call) == bpf.ALLOW
    assert ask(code, "clone", 0x1000_0000) == bpf.ALLOW
    assert ask(code, "pivot_root") == EPERM


@pytest.mark.parametrize("architecture", syscall_tables.WAYS_IN[NATIVE])
@pytest.mark.parametrize(("call", "listed"), [("socket", {1, 2, 10, 16, 17}), ("socketpair", {1})])
def test_sockets_of_listed_families_only_are_allowed(
    call: str, listed: set[int], architecture: str
) -> None:
    """AF_UNIX, AF_INET, AF_INET6, AF_NETLINK and AF_PACKET; 44 is AF_XDP."""
    if call not in TABLES[architecture]:
        pytest.skip(f"{architecture} has no {call}(2)")
    code = program("CAP_NET_ADMIN")
    answers = {n: ask(code, call, n, architecture=architecture) for n in range(300)}
    assert {n for n, answer in answers.items() if answer == bpf.ALLOW} == listed
    assert set(answers.values()) == {bpf.ALLOW, EPERM}
    if architecture == NATIVE:  # The kernel reads 32 bits of the number.
        assert ask(code, call, (1 << 32) + 44) == EPERM
        assert ask(code, call, (1 << 32) + 1) == bpf.ALLOW


@pytest.mark.parametrize("architecture", syscall_tables.WAYS_IN[NATIVE])
def test_smc_sockets_are_not_made_by_a_protocol_of_another_family(architecture: str) -> None:
    """256 is IPPROTO_SMC, and htons(ETH_P_802_3) of a packet socket; 262 is IPPROTO_MPTCP."""
    code = program()
    answers = {
        (family, protocol): ask(code, "socket", family, 1, protocol, architecture=architecture)
        for family in (1, 2, 10, 16, 17)
        for protocol in (0, 6, 255, 256, 262)
    }
    refused = {key for key, answer in answers.items() if answer != bpf.ALLOW}
    assert refused == {(2, 256), (10, 256)}
    assert {answers[key] for key in refused} == {EPERM}


@pytest.mark.parametrize("architecture", syscall_tables.WAYS_IN[NATIVE])
def test_no_packet_socket_has_the_kernel_write_into_its_frames(architecture: str) -> None:
    """263 is SOL_PACKET; 15 and 24 are PACKET_VNET_HDR and PACKET_VNET_HDR_SZ."""
    code, packet = program(), 263
    answers = {
        n: ask(code, "setsockopt", 3, packet, n, architecture=architecture) for n in range(32)
    }
    assert {n for n, answer in answers.items() if answer == ENOPROTOOPT} == {15, 24}
    assert set(answers.values()) == {ENOPROTOOPT, bpf.ALLOW}
    for level in (0, 1, 6):
        assert ask(code, "setsockopt", 3, level, 15, architecture=architecture) == bpf.ALLOW
    high = 1 << 32  # The kernel reads 32 bits.
    assert ask(code, "setsockopt", 3, high + packet, high + 15) == ENOPROTOOPT


@pytest.mark.parametrize("architecture", syscall_tables.WAYS_IN[NATIVE])
def test_a_multiplexer_makes_no_socket_of_a_family_that_is_hidden_in_memory(
    architecture: str,
) -> None:
    """socketcall(2): the first argument is the call, the second points to the arguments."""
    code = program()
    for call in ("socket", "socketpair"):
        if call in TABLES[architecture]:
            assert ask(code, call, 38, architecture=architecture) == EPERM
            assert ask(code, call, 1, architecture=architecture) == bpf.ALLOW
    if "socketcall" in TABLES[architecture]:
        answers = {n: ask(code, "socketcall", n, architecture=architecture) for n in range(1, 21)}
        assert {n for n, answer in answers.items() if answer == ENOSYS} == {1, 8, 14}
        assert {answer for answer in answers.values()} == {ENOSYS, bpf.ALLOW}


def test_no_call_with_a_condition_is_reached_by_another_call() -> None:
    """Those that carry other calls are known, and what they carry is under no condition."""
    conditional = {
        name
        for group in seccomp_profile.groups()
        if "args" in group
        for line in group["names"]
        for name in line.split()
    }
    assert conditional == {
        "socket",
        "socketpair",
        "socketcall",
        "setsockopt",
        "personality",
        "clone",
    }
    code = program()
    # ipc(2) carries calls on messages, semaphores and shared memory only; the others are refused.
    for call, answer in {"ipc": bpf.ALLOW, "io_uring_enter": EPERM, "clone3": ENOSYS}.items():
        for architecture in syscall_tables.WAYS_IN[NATIVE]:
            if call in TABLES[architecture]:
                assert ask(code, call, 1, architecture=architecture) == answer


def test_each_name_of_the_profile_is_a_system_call_of_some_machine() -> None:
    known = {name for table in TABLES.values() for name in table}
    # Newer than the headers that the tables came from, or never numbered on these machines.
    known |= {"getxattrat", "setxattrat", "listxattrat", "removexattrat", "getsid", "uretprobe"}
    rules = seccomp_profile.default(DEFAULT_CAPABILITIES)["syscalls"]
    assert {name for rule in rules for name in rule["names"]} - known == set()


def test_a_profile_of_dockers_is_read_with_its_conditions() -> None:
    docker = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": None, "comment": "x"},
            {"name": "write", "action": "SCMP_ACT_ALLOW"},
            {
                "names": ["mount"],
                "action": "SCMP_ACT_ALLOW",
                "includes": {"caps": ["CAP_SYS_ADMIN"]},
            },
            {"names": ["close"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
            {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["pipe2"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "999.1"}},
            {
                "names": ["chroot"],
                "action": "SCMP_ACT_ALLOW",
                "excludes": {"caps": ["CAP_SYS_ADMIN"]},
            },
        ],
    }
    code = seccomp_programs.compile_rules(seccomp_profile.adapt(docker, []))
    calls = ("read", "write", "mount", "close", "dup", "pipe2", "chroot")
    assert {call for call in calls if ask(code, call) == bpf.ALLOW} == {
        *("read", "write", "dup", "chroot")
    }
    code = seccomp_programs.compile_rules(seccomp_profile.adapt(docker, ["CAP_SYS_ADMIN"]))
    assert {call for call in calls if ask(code, call) == bpf.ALLOW} == {
        *("read", "write", "dup", "mount")
    }


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"syscalls": {}},
        {"syscalls": ["read"]},
        {"syscalls": [{"names": "read"}]},
        {"syscalls": [{"names": ["x"], "includes": {"minKernel": "new"}}]},
        {"syscalls": [{"names": ["x"], "includes": {"caps": [1]}}]},
    ],
)
def test_a_file_that_is_no_profile_is_refused(document: object) -> None:
    with pytest.raises(InvalidRequest, match="the seccomp profile"):
        seccomp_profile.adapt(document, [])


def test_two_conditions_on_one_argument_mean_either() -> None:
    rule = {
        "names": ["personality"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (0, 8)],
    }
    code = seccomp_programs.compile_rules({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]})
    assert [ask(code, "personality", value) for value in (0, 8, 9)] == [
        bpf.ALLOW,
        bpf.ALLOW,
        EPERM,
    ]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({}, "linux.seccomp.defaultAction is missing"),
        ({"defaultAction": "ALLOW"}, "linux.seccomp.defaultAction is 'ALLOW'"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "linux.seccomp.defaultAction would"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}, "linux.seccomp.flags[0]"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x"]}, "architectures[0]"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}, "defaultErrnoRet is 4096"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, "defaultErrnoRet is an error"),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_KILL"}]},
            "linux.seccomp.syscalls[0].names",
        ),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["x"], "action": "SCMP_ACT_KILL", "args": [{"index": 6}]}],
            },
            "linux.seccomp.syscalls[0].args[0].index is 6",
        ),
    ],
)
def test_a_wrong_profile_is_refused_with_the_place(document: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        seccomp_rules.read(document)
    assert where in str(error.value)


OTHER = bytes.fromhex("0600000000000000")  # a program that returns 0


def equals(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def cached(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "root" / "cache" / "seccomp").iterdir()
    return found


def test_a_compiled_profile_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    rules = seccomp_profile.default(DEFAULT_CAPABILITIES)
    code = seccomp_programs.compiled(rules)
    status = cached(tmp_path).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_size) == (0o600, len(code[0]))
    cached(tmp_path).write_bytes(OTHER)  # taken as it is: the name is all that it goes by
    assert seccomp_programs.compiled(rules) == (OTHER,)


def test_several_programs_of_a_profile_are_kept_apart() -> None:
    """Some of them end with zeros, as an instruction that returns 0 does."""
    rules = [
        {"names": [name], "action": "SCMP_ACT_KILL_THREAD", "args": [equals(place, value)]}
        for value in range(2000)
        for place, name in enumerate(("personality", "read", "write"))
    ]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    programs = seccomp_programs.compiled(profile)
    assert len(programs) > 1
    assert seccomp_programs.compiled(profile) == programs == seccomp_programs.compile_rules(profile)


@pytest.mark.parametrize("damage", ["cut", "open to others", "link", "fifo", "empty", "long"])
def test_a_kept_profile_that_looks_wrong_is_compiled_again(tmp_path: Path, damage: str) -> None:
    rules = {"defaultAction": "SCMP_ACT_ALLOW"}
    code = seccomp_programs.compiled(rules)
    file = cached(tmp_path)
    if damage == "cut":
        file.write_bytes(code[0][:-1])
    elif damage == "open to others":
        file.write_bytes(OTHER)
        file.chmod(0o666)
    elif damage == "long":
        file.write_bytes(OTHER * 4097)
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        file.unlink()
        if damage == "fifo":
            os.mkfifo(file)
        else:
            (tmp_path / "other").write_bytes(OTHER)
            file.symlink_to(tmp_path / "other")
    assert seccomp_programs.compiled(rules) == code


def test_another_profile_is_another_program() -> None:
    first = seccomp_programs.compiled({"defaultAction": "SCMP_ACT_ALLOW"})
    assert seccomp_programs.compiled({"defaultAction": "SCMP_ACT_ERRNO"}) != first


def test_a_filter_that_is_ready_is_taken_for_the_same_rules_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filters, "_ready", None)
    rules = seccomp_profile.default(["CAP_CHOWN"])
    apart = filters.prepare(rules)
    filters.get_ready(rules)
    monkeypatch.setattr(seccomp_programs, "compiled", lambda _rules: (b"another",))
    assert filters.prepare(copy.deepcopy(rules)) == apart
    assert filters.prepare(seccomp_profile.default(["CAP_SYS_ADMIN"])).programs == (b"another",)
    assert filters.prepare(None).programs == ()
