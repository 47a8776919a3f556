"""Prove that the tests catch twenty faults: put each into a copy of minirt, and see a test fail.

    .venv/bin/python tools/seeded_faults.py                   all faults, in the last commit
    .venv/bin/python tools/seeded_faults.py --commit bdbb72f  the same, in an older one
    .venv/bin/python tools/seeded_faults.py veth descriptor   those with a word in their name

As root. The copy is a git worktree of the commit; the working tree is left alone. Before any
fault is made, the named tests must pass there: without that control a failure proves nothing. The
exit code is 1 if a fault is not caught or its text is not found exactly once.

Whoever makes the suite faster runs this with the commit before and the commit after.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PASSED, FAILED = 0, 1  # exit codes of pytest; all others say that it could not run the tests


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake in minirt: in ``file``, ``old`` becomes ``new``, and one of ``tests`` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]  # files, or FILE::TEST


FAULTS = (
    Fault(
        "a descriptor leaks into the container",
        "minirt/runtime/stripped.py",
        "    processes.close_all_but(with_standard(kept))\n",
        "",
        ("integration/test_runtime_process.py::test_it_has_three_descriptors_and_no_more",),
    ),
    Fault(
        "the nft elements of published ports are forgotten",
        "minirt/network/nat.py",
        "for change in (add, delete) for one in elements",
        "for change in (add, add) for one in elements",
        (
            "integration/test_network_leases.py::"
            "test_who_takes_the_address_of_the_dead_closes_its_ports",
        ),
    ),
    Fault(
        "the file of a lease stays",
        "minirt/kernel/locks.py",
        "    path.unlink(missing_ok=True)\n    os.close(fd)\n",
        "    os.close(fd)\n",
        (
            "integration/test_network_leases.py::"
            "test_a_sweep_frees_what_the_dead_had_and_nothing_else",
        ),
    ),
    Fault(
        "a lease is not released",
        "minirt/network/leases.py",
        "    locks.release(lease.path, lease.fd)\n",
        "    pass\n",
        (
            "integration/test_network_leases.py::"
            "test_a_sweep_frees_what_the_dead_had_and_nothing_else",
        ),
    ),
    Fault(
        "an error has no remedy",
        "minirt/commands/each.py",
        'InvalidRequest("The input device is not a TTY", "", remedy)',
        'InvalidRequest("The input device is not a TTY", "", "")',
        ("integration/test_run_terminal.py::test_a_terminal_is_not_fed_from_what_is_none",),
    ),
    Fault(
        "the record of a removed container stays",
        "minirt/container/ending.py",
        "        remains = [set_aside(one)]\n    except",
        "        remains = []\n    except",
        ("integration/test_removal.py::test_of_several_nothing_is_left_when_they_are_removed",),
    ),
    Fault(
        "the name of a removed container stays",
        "minirt/container/names.py",
        '        link.rename(record.directory(container_id) / "name")\n',
        "        pass\n",
        ("integration/test_removal.py::test_of_several_nothing_is_left_when_they_are_removed",),
    ),
    Fault(
        "the wire of a disconnected container stays",
        "minirt/network/endpoint.py",
        "            departure.delete(wire)\n",
        "            pass\n",
        ("integration/test_network_leases.py::test_unplugging_takes_the_wire_away",),
    ),
    Fault(
        "the wire of a dead container still carries packets",
        "minirt/container/ending.py",
        "                links.set_down(index)\n",
        "                pass\n",
        ("integration/test_passed_sockets.py",),
    ),
    Fault(
        "a cgroup stays",
        "minirt/kernel/cgroup_removal.py",
        "    _insist(path.rmdir, path)\n",
        "",
        ("integration/test_cgroups.py::test_groups_made_inside_are_killed_and_removed_too",),
    ),
    Fault(
        "a file that tells of the host is not masked",
        "minirt/runtime/rootfs.py",
        "                _attach_copy(null, fd, Attribute.RDONLY)\n",
        "                pass\n",
        ("integration/test_isolation.py::test_what_tells_of_the_host_is_hidden",),
    ),
    Fault(
        "a read-only root can be written to",
        "minirt/runtime/rootfs.py",
        "        mounts.change(root, add=Attribute.RDONLY)\n",
        "        pass\n",
        ("integration/test_run_mounts.py::test_a_root_that_is_read_only",),
    ),
    Fault(
        "a signal is not forwarded",
        "minirt/container/attach.py",
        "if one not in _OWN and one < signal.SIGRTMIN}",
        "if one in ()}",
        ("integration/test_run_signals.py::test_run_passes_signals_on",),
    ),
    Fault(
        "the names of the dead are answered",
        "minirt/network/zone.py",
        "        if not locks.descriptor_is_held(fd):\n            return None\n",
        "",
        (
            "integration/test_dns_names.py::"
            "test_the_dead_are_not_answered_for_and_the_others_of_an_alias_stay",
            "tests/test_zone.py",
        ),
    ),
    Fault(
        "an answer may be remembered",
        "minirt/network/wire.py",
        "TTL = 0\n",
        "TTL = 60\n",
        ("integration/test_dns_names.py::test_an_answer_is_for_now_only", "tests/test_answers.py"),
    ),
    Fault(
        "the port of a start that failed is not released",
        "minirt/network/ports.py",
        "            os.close(fd)\n",
        "            pass\n",
        (
            "integration/test_network_ports.py::"
            "test_the_same_port_twice_is_refused_and_nothing_is_held",
        ),
    ),
    Fault(
        "the seccomp profile lets bpf(2) and others through",
        "minirt/runtime/seccomp_profile.json",
        '"names": ["mknod mknodat"]}',
        '"names": ["mknod mknodat bpf keyctl add_key userfaultfd"]}',
        (
            "integration/test_isolation.py::test_system_calls_that_reach_the_host_are_refused",
            "tests/test_seccomp_profile.py",
        ),
    ),
    Fault(
        "a capability can be had again",
        "minirt/runtime/privileges.py",
        "    capabilities.limit_bounding(sets.bounding)\n",
        "",
        (
            "integration/test_privileges.py::"
            "test_root_has_what_it_was_given_and_can_never_have_more",
        ),
    ),
    Fault(
        "no_new_privs is not set",
        "minirt/runtime/privileges.py",
        "            prctl.set_no_new_privs(1)\n",
        "            pass\n",
        (
            "integration/test_runtime_process.py::test_no_new_privileges_is_set_only_when_asked",
            "integration/test_isolation.py::"
            "test_a_setuid_program_gives_its_power_unless_that_is_forbidden",
        ),
    ),
    Fault(
        "the operator's session keyring comes along",
        "minirt/runtime/init.py",
        "    keyrings.leave_session_keyring()\n",
        "",
        ("integration/test_keyrings.py::test_the_keys_of_the_operators_session_stay_there",),
    ),
    Fault(
        "every port of a bridge may use further addresses",
        "minirt/network/spoofing.py",
        "{'trusted' if trusted else 'strict'}",
        "{'trusted'}",
        (
            "integration/test_network_spoofing.py::"
            "test_only_a_container_that_may_configure_its_network_has_further_addresses",
        ),
    ),
    Fault(
        "others can read the log",
        "minirt/container/log_writer.py",
        "os.O_CLOEXEC, 0o600)",
        "os.O_CLOEXEC, 0o644)",
        ("integration/test_secrets_at_rest.py::test_nothing_that_minirt_keeps_is_open_to_others",),
    ),
)


def main() -> int:
    """Try the faults that are asked for; print a line for each, and return the exit code."""
    parser = argparse.ArgumentParser(description="Prove that the tests catch seeded faults.")
    parser.add_argument("words", nargs="*", help="only the faults whose names have one of these")
    parser.add_argument("--commit", default="HEAD", help="which commit is tried (HEAD)")
    asked = parser.parse_args()
    words = asked.words or [""]
    faults = [one for one in FAULTS if any(word in one.name for word in words)]
    with worktree(asked.commit) as copy:
        tests = sorted({test for one in faults for test in one.tests})
        if run(copy, tests) != PASSED:
            print("Without any fault the named tests must pass.", file=sys.stderr)
            return 1
        results = {one.name: try_fault(copy, one) for one in faults}
    return int(any(result != "caught" for result in results.values()))


@contextlib.contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check a commit out into a folder for the body."""
    with tempfile.TemporaryDirectory(prefix="seeded-faults-", dir="/tmp") as folder:
        copy = Path(folder) / "minirt"
        git("worktree", "add", "--quiet", "--detach", copy, commit)
        try:
            yield copy
        finally:
            git("worktree", "remove", "--force", copy)


def git(*words: object) -> None:
    """Run git in this repository. Raises CalledProcessError."""
    subprocess.run(["git", "-C", str(TOP), *map(str, words)], check=True)


def try_fault(copy: Path, fault: Fault) -> str:
    """Make a fault, run its tests, and mend it; print and return what came of it."""
    file = copy / fault.file
    text = file.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        result = f"its text is found {text.count(fault.old)} times"
    else:
        file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        code = run(copy, fault.tests, quiet=True)
        file.write_text(text, encoding="utf-8")
        results = {FAILED: "caught", PASSED: "NOT CAUGHT"}
        result = results.get(code, f"pytest ended with {code}")
    print(f"{result:12}  {fault.name}", flush=True)
    return result


def run(copy: Path, tests: list[str] | tuple[str, ...], *, quiet: bool = False) -> int:
    """Run tests of the copy up to the first that fails; return pytest's exit code."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        words, cwd=copy, check=False, stdout=subprocess.DEVNULL if quiet else None
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
