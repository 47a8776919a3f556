"""What a container makes as large as it can is read up to a limit, by every command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.greed import HUGE, QUIET, wait_until_ready
from integration.peaks import LARGEST, all_stay_small, peaks
from integration.sandbox import wait_until
from minirt.container import process_list


def test_a_reader_without_a_limit_is_seen(tmp_path: Path) -> None:
    """The control of all that follows: this is how it is noticed."""
    large = tmp_path / "large"
    large.touch()
    with large.open("r+b") as file:
        file.truncate(200 << 20)
    with peaks() as seen:
        subprocess.run([sys.executable, "-c", f"open({str(large)!r}, 'rb').read()"], check=True)
    assert seen.highest[0] > LARGEST


def test_a_command_line_of_a_gigabyte_is_cut(minirt: Minirt, image: str, greedy: Path) -> None:
    minirt("network", "create", "net1")
    words = ("-v", f"{greedy}:/greedy", image, "/greedy", "command-line", HUGE)
    minirt("run", "-d", "--name", "one", "--net", "net1", *words)
    wait_until_ready(minirt)
    with all_stay_small():
        shown = minirt("top", "one", "-o", "pid,args").stdout
        for verb in (("doctor", "net1"), ("explain", "net1"), ("path", "one", "host")):
            minirt("network", *verb, code=None)
        minirt("dns", "query", "--from", "one", "one")
        minirt("dns", "trace", "--from", "one", "one")
    command = shown.splitlines()[1].split(maxsplit=1)[1].rstrip()
    assert command.strip("x") == " …"
    assert process_list.LONGEST // 2 < len(command) <= process_list.LONGEST


def test_a_port_is_held_by_a_process_with_a_command_line_of_a_gigabyte(
    minirt: Minirt, image: str, greedy: Path
) -> None:
    """Whose short name has 15 characters: then psutil would read the command line as well."""
    name = "a-name-of-15-and-more"
    script = f"cp /greedy /tmp/{name}; exec /tmp/{name} command-line {HUGE} 20003"
    words = ("-v", f"{greedy}:/greedy", image, "sh", "-c", script)
    minirt("run", "-d", "--net", "host", "--name", "one", *words)
    wait_until_ready(minirt)
    with all_stay_small():
        failed = minirt("run", "--rm", "-p", "127.0.0.1:20003:80/udp", image, "true", code=125)
    assert f"by process {pid_of(minirt, 'one')} ({name[:15]})" in failed.stderr


def test_a_crowd_is_listed_briefly(minirt: Minirt, image: str) -> None:
    crowd = process_list.CROWD + 10
    script = f"for i in $(seq {crowd}); do sleep 1000 {'0' * 500} & done; echo ready; wait"
    minirt(*QUIET, image, "sh", "-c", script)
    wait_until_ready(minirt)
    with all_stay_small():
        lines = minirt("top", "one", "-o", "pid,args").stdout.splitlines()
    assert len(lines) > crowd
    assert lines[-1].endswith(" …")


@pytest.mark.parametrize("name", ["hosts", "resolv.conf", "hostname", "passwd", "group"])
def test_a_file_in_etc_is_as_large_as_a_disk(minirt: Minirt, image: str, name: str) -> None:
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    script = f"truncate -s {HUGE} /etc/{name}; echo ready; exec sleep 1000"
    minirt("run", "-d", "--name", "one", "--net", "net1", image, "sh", "-c", script)
    wait_until_ready(minirt)
    is_refused = name in ("passwd", "group")
    with all_stay_small():
        minirt("network", "connect", "net2", "one")
        for user in ("0", "www"):
            done = minirt("exec", "-u", user, "one", "true", code=126 if is_refused else None)
            assert ("it is larger than 1048576 bytes" in done.stderr) == is_refused
        minirt("network", "disconnect", "net2", "one")
        for verb in ("query", "trace"):
            minirt("dns", verb, "--from", "one", "one", code=None)
        for words in (("inspect", "one"), ("diff", "one"), ("ps", "-s"), ("stats", "--no-stream")):
            minirt(*words)
        minirt("restart", "-t", "0", "one", code=None)
        minirt("rm", "-f", "one")


def test_hosts_that_are_too_large_are_written_anew(minirt: Minirt, image: str) -> None:
    """With all addresses that the container has; a small file keeps what the container wrote."""
    minirt("network", "create", "net1")
    minirt("network", "create", "net2")
    words = ("--net", "net1", "--add-host", "other:192.0.2.9", "--hostname", "here")
    minirt("run", "-d", "--name", "one", *words, image, "sleep", "1000")

    def own() -> list[str]:
        lines = minirt("exec", "one", "cat", "/etc/hosts").stdout.splitlines()
        return [line for line in lines if line.endswith(("\there", "\tother", "\tmine"))]

    first = own()
    minirt("exec", "one", "sh", "-c", "printf '192.0.2.1\\tmine' >> /etc/hosts")
    minirt("network", "connect", "net2", "one")
    second = own()
    assert second[:-1] == [*first, "192.0.2.1\tmine"]
    minirt("network", "disconnect", "net2", "one")
    assert own() == second[:-1]
    minirt("exec", "one", "truncate", "-s", HUGE, "/etc/hosts")
    minirt("network", "connect", "net2", "one")
    assert own() == [*first, second[-1]]


def test_a_resolv_conf_that_is_too_large_is_refused(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "one", image, "sleep", "1000")
    minirt("exec", "one", "truncate", "-s", HUGE, "/etc/resolv.conf")
    for verb in ("query", "trace"):
        failed = minirt("dns", verb, "--from", "one", "x", code=1)
        assert "it is larger than 65536 bytes. A restart writes it anew" in failed.stderr


def test_a_search_list_of_thousands_is_cut(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "--internal", "net1")
    minirt("run", "-d", "--name", "one", "--net", "net1", image, "sleep", "1000")
    script = "{ echo nameserver 127.0.0.11; echo search $(seq 10000); } > /etc/resolv.conf"
    minirt("exec", "one", "sh", "-c", script)
    with all_stay_small():
        traced = minirt("dns", "trace", "--from", "one", "x", code=1, seconds=120).stdout
    assert "(9968 more)" in traced


@pytest.mark.parametrize(
    "lines",
    [f"options ndots:{'9' * 5000}", "nameserver fe80::1%a\0b", "nameserver fe80::1%\udcff..a"],
    ids=["number of 5000 digits", "zero byte in a zone", "zone that is no text"],
)
def test_dns_verbs_answer_whatever_a_resolv_conf_says(
    minirt: Minirt, image: str, lines: str
) -> None:
    minirt("network", "create", "--internal", "net1")
    minirt("run", "-d", "--name", "one", "--net", "net1", image, "sleep", "1000")
    file = Path(f"/proc/{pid_of(minirt, 'one')}/root/etc/resolv.conf")
    file.write_text(f"{lines}\nnameserver 127.0.0.11\n", errors="surrogateescape")
    for verb in ("query", "trace"):
        assert "one's on net1, by its name" in minirt("dns", verb, "--from", "one", "one").stdout


def test_a_hundred_thousand_sockets_are_not_kept(minirt: Minirt, image: str, greedy: Path) -> None:
    minirt("network", "create", "net1")
    words = ("-v", f"{greedy}:/greedy", "--ulimit", "nofile=10100", image)
    minirt("run", "-d", "--name", "one", "--net", "net1", *words, "/greedy", "sockets", 100_000)
    wait_until_ready(minirt, word="all")
    with all_stay_small():
        minirt("network", "doctor", "net1", code=None, seconds=120)
        minirt("network", "path", "one", "one:20000/udp", code=None, seconds=120)
        minirt("dns", "query", "--from", "one", "one", seconds=120)


@pytest.mark.slow
def test_no_command_grows_with_what_a_container_has_done(
    minirt: Minirt, image: str, greedy: Path, tmp_path: Path
) -> None:
    """Every command, beside a container with all of it at once; then when that is dead."""
    script = f"""
        truncate -s {HUGE} /etc/hosts /etc/hostname /etc/resolv.conf /etc/passwd /etc/group
        truncate -s {HUGE} /data/sparse
        /greedy files /var 5000 200; /greedy folders /data 3000 1
        head -c 100000000 /dev/zero | tr '\\0' x
        /greedy command-line {HUGE} & for i in $(seq 200); do sleep 1000 & done
        touch /up; wait
    """
    for name in ("net1", "net2"):
        minirt("network", "create", name)
    words = ("-i", "-p", "127.0.0.1:8080:80", "-v", f"{greedy}:/greedy", "-v", "data:/data")
    note = tmp_path / "note"
    note.touch()
    with all_stay_small():
        minirt("run", "-d", "--name", "one", "--net", "net1", *words, image, "sh", "-c", script)
        up = Path(f"/proc/{pid_of(minirt, 'one')}/root/up")
        wait_until(up.exists, "all of it", seconds=60)
        for line in ALIVE:
            minirt(*line.split(), code=None, seconds=120)
        minirt("cp", note, "one:/note", seconds=120)
        minirt("cp", "one:/data", tmp_path / "data", seconds=120)
        minirt("kill", "one")
        assert minirt("wait", "one").stdout == "137\n"
        for line in DEAD:
            minirt(*line.split(), code=None, seconds=120)
        minirt("cp", note, "one:/note2", seconds=120)
        failed = minirt("start", "one", code=1, seconds=120)
        assert "Cannot read /etc/passwd of the image: it is larger" in failed.stderr
        minirt("rm", "-f", "one", seconds=120)
        minirt("volume", "rm", "data", seconds=120)
        minirt("network", "prune", "-f")
    assert minirt("ps", "-aq").stdout == ""


ALIVE = """\
ps -a -s
inspect one
top one
top one -o pid,args
stats --no-stream
logs --tail 1000000000 one
logs --tail 5 one
diff one
exec one true
exec -d one true
port one
pause one
unpause one
update --pids-limit 1000 one
rename one two
rename two one
network ls
network inspect net1
network connect net2 one
network disconnect net2 one
network explain net1
network path one host
network doctor net1
network reload net1
dns query --from one one
dns trace --from one one
volume ls
volume inspect data
image ls
image inspect busybox
info
stop -t 0 two""".splitlines()
DEAD = """\
ps -a -s
inspect one
logs --tail 5 one
diff one
stats --no-stream one
network connect net2 one
network disconnect net2 one
rename one two
rename two one
restart -t 0 one
stop -t 0 one
volume ls
image prune -f""".splitlines()
