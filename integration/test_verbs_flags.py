"""What each flag of ``run`` changes inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.conftest import Minirt

pytestmark = pytest.mark.core

QUIET = ("run", "--rm", "--net", "none")


def status(field: str) -> str:
    """Return the shell command that prints a field of proc_pid_status(5)."""
    return f"grep {field}: /proc/self/status | cut -f2"


@pytest.mark.parametrize(
    ("flags", "command", "shown"),
    [
        (("-e", "A=b c"), "echo $A", "b c"),
        (("-w", "/a/new/folder"), "pwd", "/a/new/folder"),
        (("-u", "33"), "id -u; id -g", "33\n33"),
        (("-u", "www:0"), "id -u; id -g", "33\n0"),
        (("-u", "7:8", "--group-add", "9", "--group-add", "www"), "id -G", "8 9 33"),
        (("-h", "me"), "hostname; cat /etc/hostname", "me\nme"),
        (("--domainname", "example.org"), "cat /proc/sys/kernel/domainname", "example.org"),
        (("--read-only",), "touch /x 2>&1 || touch /dev/shm/x", "touch: /x: Read-only file system"),
        (("--ulimit", "nofile=100:200"), "ulimit -Sn; ulimit -Hn", "100\n200"),
        (("--shm-size", "1m"), "df -k /dev/shm | awk 'NR == 2 {print $2}'", "1024"),
        (("--sysctl", "net.ipv4.ip_default_ttl=9"), "cat /proc/sys/net/ipv4/ip_default_ttl", "9"),
        (("--sysctl", "kernel.msgmax=4096"), "cat /proc/sys/kernel/msgmax", "4096"),
        (("--cap-drop", "ALL", "--cap-add", "NET_RAW"), status("CapEff"), "0000000000002000"),
        (("--security-opt", "no-new-privileges"), status("NoNewPrivs"), "1"),
        (("--security-opt", "seccomp=unconfined"), status("Seccomp"), "0"),
        ((), status("Seccomp"), "2"),
    ],
)
def test_a_flag_is_seen_inside(
    minirt: Minirt, image: str, flags: tuple[str, ...], command: str, shown: str
) -> None:
    assert minirt(*QUIET, *flags, image, "sh", "-c", command).stdout.strip() == shown


def test_environment_files_come_before_flags_and_names_take_their_value_from_outside(
    minirt: Minirt, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "yes")
    file = tmp_path / "env"
    file.write_text("# comment\nA=file\nB=file\nFROM_OUTSIDE\n")
    flags = ("--env-file", file, "-e", "A=flag", "-e", "NOT_SET_ANYWHERE")
    shown = minirt(*QUIET, *flags, image, "env").stdout.splitlines()
    assert {"A=flag", "B=file", "FROM_OUTSIDE=yes"} <= set(shown)
    assert not [line for line in shown if line.startswith("NOT_SET")]
    file.write_text("A B=1\n")
    assert (
        "contains whitespaces" in minirt("run", "--env-file", file, image, "env", code=125).stderr
    )


def test_an_entrypoint_takes_the_words_as_its_arguments(minirt: Minirt, image: str) -> None:
    done = minirt(*QUIET, "--entrypoint", "/bin/echo", image, "-n", "x", "--net", "y")
    assert done.stdout == "x --net y"


def test_hosts_and_resolv_conf_say_what_was_asked_for(minirt: Minirt, image: str) -> None:
    flags = ("--add-host", "box:10.1.2.3", "--dns", "9.9.9.9", "--dns-search", "example.org")
    shown = minirt("run", "--rm", *flags, image, "cat", "/etc/hosts", "/etc/resolv.conf").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["10.1.2.3", "box"] in lines
    assert ["nameserver", "9.9.9.9"] in lines
    assert ["search", "example.org"] in lines


def test_the_stop_signal_is_the_one_that_was_chosen(minirt: Minirt, image: str) -> None:
    script = "trap 'exit 7' USR1; touch /ready; while :; do sleep 0.1; done"
    flags = ("-d", "--name", "one", "--net", "none", "--stop-signal", "USR1")
    minirt("run", *flags, image, "sh", "-c", script)
    minirt("exec", "one", "sh", "-c", "until [ -e /ready ]; do sleep 0.1; done")
    minirt("stop", "one")
    assert minirt("inspect", "-f", "{{.State.ExitCode}}", "one").stdout == "7\n"


def test_labels_are_kept(minirt: Minirt, image: str, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a=file\nb\n")
    words = ("--name", "one", "--net", "none", "--label-file", file, "-l", "a=flag")
    minirt("create", *words, image, "true")
    template = '{{index .Config.Labels "a"}}|{{json .Config.Labels}}'
    assert minirt("inspect", "-f", template, "one").stdout == 'flag|{"a":"flag","b":""}\n'
    assert minirt("ps", "-aq", "-f", "label=a=flag").stdout.count("\n") == 1


def test_odd_requests_are_warned_of(minirt: Minirt, image: str) -> None:
    done = minirt("run", "--rm", "--net", "none", "-p", "8080:80", image, "true")
    assert done.stderr.startswith("WARNING: Published ports are discarded")
