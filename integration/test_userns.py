"""``minirt run --userns``: containers whose root is nobody on the host."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of, pid_of
from integration.sandbox import shell, wait_until
from minirt.container.user_ids import COUNT, FIRST

QUIET = ("run", "--rm", "--net", "none")
PRIVATE = ("--userns", "private")


def first_of(minirt: Minirt, name: str) -> int:
    """Return which id of the host the root of a container is."""
    return Path(f"/proc/{pid_of(minirt, name)}").stat().st_uid


def start(minirt: Minirt, name: str, *options: str) -> None:
    minirt("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")


def test_no_two_containers_that_live_have_an_id_in_common(minirt: Minirt, image: str) -> None:
    for name in ("one", "two", "three"):
        start(minirt, name, "--net", "none", *PRIVATE)
    firsts = [first_of(minirt, name) for name in ("one", "two", "three")]
    assert firsts == [FIRST, FIRST + COUNT, FIRST + 2 * COUNT]
    minirt("rm", "-f", "two")
    start(minirt, "four", "--net", "none", *PRIVATE)
    assert first_of(minirt, "four") == FIRST + COUNT, "what was given back can be had again"
    os.kill(monitor_of(minirt, "one"), signal.SIGKILL)
    wait_until(lambda: minirt("inspect", "-f", "{{.State.Running}}", "one").stdout == "false\n")
    start(minirt, "five", "--net", "none", *PRIVATE)
    assert first_of(minirt, "five") == FIRST, "the dead hold nothing"


def id_of(minirt: Minirt, name: str) -> str:
    return minirt("inspect", "-f", "{{.Id}}", name).stdout.strip()


def test_its_files_are_its_own_also_when_its_ids_are_others(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "one", "--net", "none", *PRIVATE, image, "sh", "-c",
           "stat -c %u /file 2>&1; touch /file; exec sleep 1000")  # fmt: skip
    start(minirt, "other", "--net", "none", *PRIVATE)
    minirt("start", "one")
    assert first_of(minirt, "one") == FIRST + COUNT
    minirt("stop", "-t", "0", "one")
    minirt("rm", "-f", "other")
    minirt("start", "one")
    assert first_of(minirt, "one") == FIRST
    wait_until(lambda: minirt("logs", "one").stdout.splitlines()[-1:] == ["0"])


def test_volumes_and_folders_keep_the_ids_of_the_inside(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    start(minirt, "other", "--net", "none", *PRIVATE)
    share = ("-v", "data:/data", "-v", f"{tmp_path}:/host:idmap")
    script = "touch /data/x /host/x; chown 33:34 /data/x /host/x"
    minirt(*QUIET, *PRIVATE, *share, image, "sh", "-c", script)
    found = (tmp_path / "x").stat()
    assert (found.st_uid, found.st_gid) == (33, 34)
    minirt("rm", "-f", "other")
    for options in (PRIVATE, ()):
        seen = minirt(*QUIET, *options, *share, image, "stat", "-c", "%u:%g", "/data/x", "/host/x")
        assert seen.stdout == "33:34\n33:34\n"
    minirt("volume", "rm", "data")


def test_a_folder_whose_owners_can_not_be_mapped_is_named(minirt: Minirt, image: str) -> None:
    refused = minirt(*QUIET, *PRIVATE, "-v", "/proc/sys:/x", image, "true", code=125)
    assert "Cannot map the owners of the files in /proc/sys" in refused.stderr
    assert minirt("ps", "-a", "-q").stdout == ""


# ---- networks ------------------------------------------------------------------------------------


def test_its_network_works_with_names_and_ports(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "shop")
    start(minirt, "box", "--net", "shop", *PRIVATE)
    web = ("--net", "shop", "-p", "8080:80", *PRIVATE)
    minirt("run", "-d", "--name", "web", *web, image, "httpd", "-f", "-p", "80", "-h", "/etc")
    fetch = ("wget", "-q", "-O", "-", "http://web/hostname")
    wait_until(lambda: minirt("exec", "box", *fetch, code=None).returncode == 0)
    assert minirt("exec", "box", *fetch).stdout.strip() == id_of(minirt, "web")[:12]
    assert minirt("exec", "box", "ping", "-c", "1", "web").returncode == 0
    groups = minirt("exec", "box", "cat", "/proc/sys/net/ipv4/ping_group_range").stdout
    assert groups.split() == ["0", str(COUNT - 1)]
    through = shell("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/hostname")
    assert through.stdout.strip() == id_of(minirt, "web")[:12]
    minirt("rm", "-f", "box", "web")
    minirt("network", "rm", "shop")


def test_it_has_a_say_in_its_own_network_and_in_no_other(minirt: Minirt, image: str) -> None:
    command = ("sh", "-c", "ip link add test-x type dummy || ip link set lo mtu 1400 && echo did")
    admin = (*PRIVATE, "--cap-add", "NET_ADMIN")
    assert "did" in minirt(*QUIET, *admin, image, *command).stdout
    shared = ("run", "--rm", "--net", "host")
    assert "did" not in minirt(*shared, *admin, image, *command, code=None).stdout
    control = minirt(*shared, "--cap-add", "NET_ADMIN", image, *command)
    assert "did" in control.stdout


@pytest.mark.parametrize("with_ids", [True, False])
def test_it_shares_the_network_of_another_container(
    minirt: Minirt, image: str, with_ids: bool
) -> None:
    minirt("run", "-d", "--name", "web", *(PRIVATE if with_ids else ()), image,
           *("httpd", "-f", "-p", "80", "-h", "/etc"))  # fmt: skip
    joined = ("run", "--rm", "--net", "container:web", *PRIVATE, image)
    fetch = ("wget", "-q", "-O", "-", "http://127.0.0.1/hostname")
    wait_until(lambda: minirt(*joined, *fetch, code=None).returncode == 0)
    assert "eth0" in minirt(*joined, "ls", "/sys/class/net").stdout
    minirt("rm", "-f", "web")


def test_it_shares_the_processes_of_the_host_and_can_end_none(minirt: Minirt, image: str) -> None:
    command = ("run", "--rm", "--net", "none", "--pid", "host", *PRIVATE, image)
    own = str(os.getpid())
    assert own in minirt(*command, "ps", "-o", "pid").stdout.split()
    assert "not permitted" in minirt(*command, "kill", "-CONT", own, code=1).stderr
    plain = ("run", "--rm", "--net", "none", "--pid", "host", image)
    assert minirt(*plain, "kill", "-CONT", own).returncode == 0


def test_it_shares_memory_with_another_container(minirt: Minirt, image: str) -> None:
    start(minirt, "one", "--net", "none", "--ipc", "shareable", *PRIVATE)
    minirt("exec", "one", "sh", "-c", "echo shared > /dev/shm/x; chmod 644 /dev/shm/x")
    command = (*QUIET, "--ipc", "container:one", *PRIVATE, image, "cat", "/dev/shm/x")
    assert minirt(*command).stdout == "shared\n"
    minirt("rm", "-f", "one")


# ---- the rest of run -----------------------------------------------------------------------------


def test_users_terminals_and_exec(minirt: Minirt, image: str) -> None:
    start(minirt, "one", "--net", "none", *PRIVATE, "-u", "33:34", "--tmpfs", "/t:mode=1777")
    assert minirt("exec", "one", "sh", "-c", "id -u; id -g; touch /t/x").stdout == "33\n34\n"
    assert minirt("exec", "-u", "0", "-t", "one", "sh", "-c", "tty; id -u").stdout.split() == [
        *("/dev/pts/0", "0")
    ]
    assert minirt("exec", "one", "sh", "-c", "echo said > /dev/stdout").stdout == "said\n"
    terminal = minirt(*QUIET, *PRIVATE, "-t", image, "sh", "-c", "tty; stat -c %u $(tty)").stdout
    assert terminal.split() == ["/dev/pts/0", "0"]
    assert Path(f"/proc/{pid_of(minirt, 'one')}").stat().st_uid == FIRST + 33


def test_all_powers_are_powers_over_its_own(minirt: Minirt, image: str) -> None:
    """--privileged: every capability, but only inside."""
    every = (*QUIET, "--privileged", *PRIVATE, image, "sh", "-c")
    assert minirt(*every, "mount -t tmpfs x /tmp && echo did").stdout == "did\n"
    assert minirt(*every, "mknod /tmp/x b 8 0 || echo refused").stdout == "refused\n"
    assert "denied" in minirt(*every, "echo 0 > /proc/sys/vm/overcommit_memory", code=1).stderr


def test_a_range_may_be_named(minirt: Minirt, image: str) -> None:
    found = minirt(*QUIET, "--userns", "200000:1000", image, "cat", "/proc/self/uid_map").stdout
    assert found.split() == ["0", "200000", "1000"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--userns", "keep-id"), "invalid USER mode"),
        (("--userns", "5:0"), "one is the least"),
        (("--userns", "4294967290:10"), "ids go from 0 to 4294967294"),
        (("--userns", f"{FIRST + 5}:10"), "are for containers with --userns private"),
        (("--userns", "private", "--pid", "container:x"), "Conflicting options"),
    ],
)
def test_what_makes_no_sense_is_refused(
    minirt: Minirt, image: str, options: tuple[str, ...], why: str
) -> None:
    assert why in minirt(*QUIET, *options, image, "true", code=125).stderr


def test_without_it_the_ids_are_those_of_the_host(minirt: Minirt, image: str) -> None:
    for options in ((), ("--userns", "host")):
        seen = minirt(*QUIET, *options, image, "cat", "/proc/self/uid_map").stdout
        assert seen.split() == ["0", "0", "4294967295"]


# ---- attacks, with controls ----------------------------------------------------------------------


def test_who_breaks_out_is_nobody(minirt: Minirt, image: str, tmp_path: Path) -> None:
    """Suppose the way out is found: a process of the container's ids, in the host's mounts."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    tmp_path.chmod(0o755)
    start(minirt, "one", "--net", "none", *PRIVATE)
    start(minirt, "two", "--net", "none")
    for name, escapes in (("one", False), ("two", True)):
        pid = pid_of(minirt, name)
        words = ["nsenter", "--target", str(pid), *(["--user"] if not escapes else []), "--pid"]
        out = ("setpriv", "--reuid=0", "--regid=0", "--clear-groups", "cat", secret)
        found = shell(*words, *out, code=None)
        assert (found.stdout == "secret") == escapes, name


def test_its_neighbours_are_strangers(minirt: Minirt, image: str) -> None:
    """The root of one may do nothing to the processes of the other, even where it sees them."""
    for name in ("one", "two"):
        start(minirt, name, "--net", "none", *PRIVATE)
    one, two = pid_of(minirt, "one"), pid_of(minirt, "two")
    enter = ("nsenter", "--target", one, "--user", "--preserve-credentials")
    become = ("setpriv", "--reuid=0", "--regid=0", "--clear-groups", "--")
    refused = shell(*enter[:-1], *become, "kill", "-CONT", two, code=None)
    assert refused.returncode and "not permitted" in refused.stderr
    assert shell(*enter[:-1], *become, "kill", "-CONT", one).returncode == 0


def test_programs_with_powers_have_them_inside_only(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """A setuid program of the host's root, on a folder that is shown inside."""
    tool = tmp_path / "busybox"
    tool.write_bytes(Path(shell("sh", "-c", "command -v busybox").stdout.strip()).read_bytes())
    tool.chmod(0o4755)
    tmp_path.chmod(0o755)
    options = ("--net", "none", *PRIVATE, "-u", "33", "-v", f"{tmp_path}:/x")
    minirt("run", "-d", "--name", "one", *options, image, "/x/busybox", "sleep", "1000")
    lines = Path(f"/proc/{pid_of(minirt, 'one')}/status").read_text().splitlines()
    uids = next(line.split()[1:] for line in lines if line.startswith("Uid:"))
    assert set(map(int, uids)) <= {FIRST, FIRST + 33}
