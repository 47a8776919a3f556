"""The options of ``minirt run``: each by what the command sees of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.sandbox import needs_controller, needs_tool

QUIET = ("run", "--rm", "--net", "none")


def test_environment(minirt: Minirt, image: str, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# a comment\nFROM_FILE=1\nBOTH=file\n\nMINIRT_TEST_PASSED\n")
    os.environ["MINIRT_TEST_PASSED"] = "on"
    words = ("-e", "A=b c", "-e", "BOTH=flag", "-e", "NOT_SET_ANYWHERE", "--env-file", file)
    seen = minirt(*QUIET, *words, image, "env").stdout.splitlines()
    assert {"FROM_FILE=1", "BOTH=flag", "A=b c", "MINIRT_TEST_PASSED=on", "HOME=/root"} <= set(seen)
    assert seen[0].startswith("PATH=/usr/local/sbin:")
    assert not any(one.startswith(("NOT_SET", "TERM=", "MINIRT_ROOT")) for one in seen)


def test_name_hostname_entrypoint_workdir_user_label(minirt: Minirt, image: str) -> None:
    words = ("--name", "one", "--hostname", "web.example", "--domainname", "test", "-l", "a=b")
    script = (
        "hostname; cat /proc/sys/kernel/domainname; pwd; id -u; id -G; echo $HOME; stat -c %u:%a ."
    )
    options = ("--entrypoint", "sh", "-w", "/new/place", "-u", "www:users", "--group-add", "7")
    seen = minirt(*QUIET, *words, *options, image, "-c", script).stdout.split("\n")
    assert seen[:2] == ["web.example", "test"]
    assert seen[2:4] == ["/new/place", "33"]
    assert set(seen[4].split()) == {"100", "7"}
    assert seen[5:7] == ["/home/www", "0:755"]
    minirt("create", *words, image, "true")
    template = "{{.Name}} {{.Config.Hostname}} {{.Config.Labels.a}}"
    assert minirt("inspect", "-f", template, "one").stdout == "/one web.example b\n"


def test_without_words_everything_is_as_docker_has_it(minirt: Minirt, image: str) -> None:
    script = "echo $$ $PWD $(id -u) $(umask) $(hostname | wc -c); grep -E 'Cap|NoNew|Secc' "
    script += "/proc/self/status; ls /proc/sys/kernel/random > /dev/null; echo x > /proc/sys/vm/x"
    done = minirt(*QUIET, image, "sh", "-c", script, code=1)
    lines = done.stdout.splitlines()
    assert lines[0] == "1 / 0 0022 13"
    facts = dict(line.split() for line in lines[1:])
    assert facts["CapEff:"] == facts["CapBnd:"] == "00000000a80425fb"
    assert facts["CapInh:"] == facts["CapAmb:"] == "0" * 16
    assert facts["Seccomp:"] == "2"


def test_capabilities(minirt: Minirt, image: str) -> None:
    words = ("grep", "CapEff", "/proc/self/status")

    def effective(*options: str) -> int:
        return int(minirt(*QUIET, *options, image, *words).stdout.split()[1], 16)

    default = 0xA80425FB
    assert effective("--cap-add", "NET_ADMIN") == default | 1 << 12
    assert effective("--cap-drop", "CHOWN", "--cap-drop", "kill") == default & ~(1 | 1 << 5)
    assert effective("--cap-drop", "ALL", "--cap-add", "cap_net_raw") == 1 << 13
    everything = int(Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0], 16)
    assert effective("--cap-add", "ALL") == everything


def test_privileged(minirt: Minirt, image: str) -> None:
    script = "mount -t tmpfs none /mnt && echo mounted; head -c1 /proc/keys | wc -c; "
    script += "test -w /sys && echo writable; grep Seccomp: /proc/self/status"
    lines = minirt(*QUIET, "--privileged", image, "sh", "-c", script).stdout.split()
    assert lines[0] == "mounted"
    assert lines[-2:] == ["Seccomp:", "0"]
    assert "mounted" not in minirt(*QUIET, image, "sh", "-c", script, code=None).stdout


def test_limits_of_its_own(minirt: Minirt, image: str) -> None:
    words = ["--ulimit", "nofile=123:456", "--ulimit", "core=0", "--shm-size", "8m"]
    words += ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.shmmax=4096"]
    script = "ulimit -n; ulimit -Hn; ulimit -c; df -k /dev/shm | tail -1; "
    script += "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax"
    seen = minirt(*QUIET, *words, image, "sh", "-c", script).stdout.splitlines()
    assert seen[:3] == ["123", "456", "0"]
    assert seen[3].split()[1] == "8192"
    assert seen[4:] == ["1", "4096"]


@needs_controller("memory")
def test_too_much_memory_is_the_end(minirt: Minirt, image: str) -> None:
    words = ("run", "--name", "one", "--net", "none", "-m", "16m", image)
    minirt(*words, "sh", "-c", "tail /dev/zero; exit $?", code=137)
    state = "{{.State.OOMKilled}} {{.State.ExitCode}} {{.HostConfig.Memory}}"
    assert minirt("inspect", "-f", state, "one").stdout == f"true 137 {16 << 20}\n"


@needs_controller("pids")
def test_the_number_of_processes_is_limited(minirt: Minirt, image: str) -> None:
    script = "for n in 1 2 3 4 5 6 7 8; do sleep 100 & done"
    done = minirt(*QUIET, "--pids-limit", "5", image, "sh", "-c", script, code=2)
    assert "can't fork" in done.stderr
    minirt(*QUIET, "--pids-limit", "50", image, "sh", "-c", script)


@needs_controller("cpu")
def test_processor_time_is_limited(minirt: Minirt, image: str) -> None:
    script = "while :; do :; done"
    minirt(
        "run", "-d", "--name", "one", "--cpus", "0.1", "--net", "none", image, "sh", "-c", script
    )
    pid = pid_of(minirt, "one")
    start, before = time.monotonic(), processor_seconds(pid)
    time.sleep(1.5)
    used, whole = processor_seconds(pid) - before, time.monotonic() - start
    assert 0 < used / whole < 0.2, "it may use a tenth of a processor"


def processor_seconds(pid: int) -> float:
    """Return the time that a process has computed, proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_names_and_servers_of_its_own(minirt: Minirt, image: str) -> None:
    words = ("--dns", "192.0.2.53", "--dns-search", "example.test", "--dns-opt", "ndots:3")
    hosts = ("--add-host", "db:10.1.2.3", "--add-host", "six:2001:db8::1", "--hostname", "me.dom")
    seen = minirt("run", "--rm", *words, *hosts, image, "cat", "/etc/resolv.conf", "/etc/hosts")
    text = seen.stdout
    for line in ("nameserver 192.0.2.53", "search example.test", "options ndots:3"):
        assert line in text.splitlines()
    assert "10.1.2.3\tdb\n2001:db8::1\tsix\n172.17.0.2\tme.dom me\n" in text


@needs_tool("tini-static")
def test_a_small_init(minirt: Minirt, image: str) -> None:
    seen = minirt(*QUIET, "--init", image, "cat", "/proc/1/cmdline", code=0).stdout
    assert seen.split("\0")[:3] == ["/sbin/docker-init", "--", "cat"]


def test_rm_removes_all(minirt: Minirt, image: str) -> None:
    minirt("run", "--rm", "-v", "/anonymous", "-v", "named:/x", image, "true")
    assert minirt("ps", "-aq").stdout == ""
    assert minirt("volume", "ls", "-q").stdout == "named\n"


def test_modes_of_network(minirt: Minirt, image: str) -> None:
    links = "ls /sys/class/net"
    assert minirt(*QUIET, image, "sh", "-c", links).stdout.split() == ["lo"]
    minirt("run", "-d", "--name", "one", image, "sleep", "1000")
    host = minirt("run", "--rm", "--net", "host", image, "sh", "-c", f"{links}; hostname").stdout
    assert host.split()[-1] == os.uname().nodename
    assert "minirt0" in host
    words = ("run", "--rm", "--net", "container:one", image, "sh", "-c", "hostname; ip -4 -o a")
    joined = minirt(*words).stdout
    assert joined.startswith(minirt("ps", "-q").stdout)
    assert "172.17.0.2/16" in joined
    minirt("stop", "-t", "0", "one")
    assert "not running" in minirt(*words, code=125).stderr
