"""Seccomp profiles that are longer than one program of the kernel, or than all of them together."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from integration import oci
from integration.oci import Oci, each_runtime
from integration.sandbox import shell
from integration.supervisor import Supervisor
from integration.traces import Ground
from minirt.kernel import syscall_tables

CALLS = syscall_tables.load()[syscall_tables.native()]
ALLOW, REFUSE = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
FIRST = 0o2000  # the lowest mode with a rule of its own
TRY = "touch /x; chmod 0711 /x && echo plain; chmod 02711 /x && echo special; true"
LOADERS = """
import ctypes, os, sys
program = bytes.fromhex("2000000000000000") + bytes.fromhex("1500000000000000") * 3900
program += bytes.fromhex("060000000000ff7f")
text = ctypes.create_string_buffer(program)
class Header(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("text", ctypes.c_void_p))
header = Header(len(program) // 8, ctypes.addressof(text))
for _ in range(int(sys.argv[1])):
    assert ctypes.CDLL(None).syscall(int(sys.argv[2]), 1, 0, ctypes.byref(header)) == 0
os.execvp(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


def rules_for_modes(count: int, action: str) -> list[dict[str, Any]]:
    """Return ``count`` rules, each for one mode that chmod(1) may ask for."""
    calls = (("chmod", 1), ("fchmodat", 2))
    return [
        {
            "names": [name],
            "action": action,
            "args": [{"index": index, "value": FIRST + number, "op": "SCMP_CMP_EQ"}],
        }
        for number in range(count // len(calls))
        for name, index in calls
    ]


def profile(default: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": rules}


@pytest.mark.parametrize("harmless", [False, True])
def test_20000_rules_hold_for_init_and_for_exec(one: Oci, harmless: bool) -> None:
    one.process["noNewPrivileges"] = harmless
    one.linux["seccomp"] = profile(ALLOW, rules_for_modes(20_000, REFUSE))
    before = time.monotonic()
    one.start("a", "sh", "-c", f"{TRY}; sleep 100")
    assert time.monotonic() - before < 10  # 0.6 s
    of_exec = one("exec", "a", "sh", "-c", TRY)
    one("delete", "--force", "a")
    for said in (one.said(), of_exec.stdout + of_exec.stderr):
        assert "plain\n" in said and "special" not in said
        assert "Operation not permitted" in said


def test_without_the_rules_both_modes_are_allowed(one: Oci) -> None:
    """The control."""
    one.linux["seccomp"] = profile(ALLOW, rules_for_modes(0, REFUSE))
    one.write("sh", "-c", TRY)
    assert one("run", "--bundle", one.bundle, "a", input="").stdout == "plain\nspecial\n"


def test_20000_rules_that_allow_hold_where_everything_else_is_refused(one: Oci) -> None:
    """seccomp(2) is refused, too, once the last program has been loaded."""
    calls = CALLS.keys() - {"chmod", "fchmodat", "seccomp"}
    everything = {"names": sorted(calls), "action": ALLOW}
    one.linux["seccomp"] = profile(REFUSE, [*rules_for_modes(20_000, ALLOW), everything])
    one.write("sh", "-c", TRY)
    assert one("run", "--bundle", one.bundle, "a", input="").stdout == "special\n"


def test_a_supervisor_is_asked_beside_many_rules(one: Oci, ground: Ground) -> None:
    path = ground.root / "agent"
    asked = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}
    rules = [*rules_for_modes(20_000, REFUSE), asked]
    one.linux["seccomp"] = {**profile(ALLOW, rules), "listenerPath": str(path)}
    one.linux["seccomp"]["flags"] = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    one.write("sh", "-c", f"mkdir /made; {TRY}")
    with Supervisor(path, lambda _number: 0) as agent:
        done = one("run", "--bundle", one.bundle, "a", input="")
    assert (done.stdout, len(agent.documents), len(agent.calls)) == ("plain\n", 1, 1)
    assert (one.rootfs / "made").exists()


def test_more_rules_than_the_kernel_takes_are_refused_with_the_limit(one: Oci) -> None:
    one.linux["seccomp"] = profile(ALLOW, rules_for_modes(40_000, REFUSE))
    one.write("true")
    before = time.monotonic()
    said = one("run", "--bundle", one.bundle, "a", code=1, input="").stderr
    assert time.monotonic() - before < 10
    assert "linux.seccomp is too large" in said
    assert "allows 32768 in all filters of a process together" in said
    assert one.is_clean()


@each_runtime("runc")
def test_runc_and_minirt_take_what_fits_into_one_program(one: Oci, runtime: str) -> None:
    one.program = oci.RUNTIMES[runtime]
    one.config["ociVersion"] = "1.0.2"
    one.linux["seccomp"] = profile(ALLOW, rules_for_modes(2000, REFUSE))
    one.write("sh", "-c", TRY)
    assert one("run", "--bundle", one.bundle, "a", input="").stdout == "plain\n"


@pytest.mark.parametrize(("loaded", "code"), [(2, 0), (8, 1)])
def test_filters_that_the_caller_has_loaded_before_count_too(
    one: Oci, loaded: int, code: int
) -> None:
    one.linux["seccomp"] = profile(ALLOW, rules_for_modes(20_000, REFUSE))
    one.write("true")
    words = one.words("run", "--bundle", one.bundle, "a")
    number = CALLS["seccomp"]
    done = shell(sys.executable, "-c", LOADERS, loaded, number, *words, code=code, input="")
    assert ("beside the filters that this process has inherited" in done.stderr) == bool(code)
    assert one.is_clean()
