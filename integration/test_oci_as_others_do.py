"""What callers know from runc and crun: each test runs with all the runtimes that agree.

Where runc and crun differ from each other, a test names those that do as minirt-oci does.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from integration import oci
from integration.oci import Oci, each_runtime
from integration.peers import needs_peer
from integration.sandbox import (
    cgroup_roots,
    controllers,
    is_cgroup2_only,
    needs_controller,
    shell,
    wait_until,
)
from integration.traces import Ground


@pytest.fixture
def one(ground: Ground, rootfs: Path, runtime: str) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.program = oci.RUNTIMES[runtime]
    made.config["ociVersion"] = "1.0.2"  # Debian 12's crun knows no later one
    made.linux["cgroupsPath"] = f"/{ground.cgroup}/a"
    return made


def run(one: Oci, *args: str) -> str:
    """Return what a command prints in a container of its own."""
    one.write(*args)
    return one("run", "--bundle", one.bundle, "a", input="").stdout


def mount(one: Oci, destination: str, kind: str, source: object, *options: str) -> None:
    """Add a mount to the config."""
    added = {"destination": destination, "type": kind, "source": str(source)}
    one.config["mounts"].append({**added, "options": list(options)})


def status(text: str) -> dict[str, str]:
    """Return the lines of /proc/PID/status."""
    pairs = (line.split(":", 1) for line in text.splitlines())
    return {name: value.strip() for name, value in pairs}


# ---- paths -------------------------------------------------------------------------------------


@each_runtime()
@pytest.mark.parametrize("path", [".", "./", "./."])
def test_the_root_may_be_the_bundle_itself(one: Oci, path: str) -> None:
    for file in [*one.rootfs.iterdir()]:
        file.rename(one.bundle / file.name)
    one.config["root"]["path"] = path
    assert "config.json" in run(one, "ls", "/").split()


@each_runtime()
@pytest.mark.parametrize("path", ["./rootfs", "rootfs/", "rootfs/.", "../bundle/rootfs", "/"])
def test_the_root_may_be_spelled_in_each_way_that_leads_to_it(one: Oci, path: str) -> None:
    (one.rootfs / "here").touch()
    one.config["root"]["path"] = str(one.rootfs) if path == "/" else path
    assert run(one, "ls", "/here") == "/here\n"


@each_runtime("runc")
@pytest.mark.parametrize("path", ["link", "link/", "here/rootfs", "BUNDLE/link"])
def test_a_root_that_is_a_symlink_or_behind_one_is_refused(one: Oci, path: str) -> None:
    (one.bundle / "link").symlink_to("rootfs")
    (one.bundle / "here").symlink_to(".")
    one.config["root"]["path"] = path.replace("BUNDLE", str(one.bundle))
    one.write("true")
    assert "symlink" in one("run", "--bundle", one.bundle, "a", code=1).stderr
    assert one.is_clean()


@each_runtime("runc")
def test_the_path_of_the_bundle_may_have_symlinks(one: Oci) -> None:
    """The control; and what ".." takes away is not looked at."""
    (one.top / "way").symlink_to("bundle")
    (one.bundle / "link").symlink_to("rootfs")
    one.config["root"]["path"] = "link/../rootfs"
    one.write("ls", "/bin/busybox")
    assert one("run", "--bundle", one.top / "way", "a").stdout == "/bin/busybox\n"


@each_runtime()
@pytest.mark.parametrize("bundle", [".", "./", "../bundle", "bundle/../../bundle"])
def test_the_bundle_may_be_named_from_the_working_directory(one: Oci, bundle: str) -> None:
    (one.bundle / "bundle").mkdir()
    one.write("true")
    words = one.words("run", "--bundle", bundle, "a")
    subprocess.run(words, cwd=one.bundle, stdin=subprocess.DEVNULL, check=True)


# ---- mounts ------------------------------------------------------------------------------------


@each_runtime()
@pytest.mark.parametrize("option", ["mode=755", "size=1m", "uid=5", "newinstance", "lowerdir=x"])
def test_a_bind_ignores_what_only_a_file_system_understands(one: Oci, option: str) -> None:
    (one.top / "source").mkdir(mode=0o711)
    mount(one, "/mnt", "bind", one.top / "source", "rbind", option)
    assert run(one, "stat", "-c", "%a %u", "/mnt") == "711 0\n"


@each_runtime()
@pytest.mark.parametrize("kind", ["tmpfs", "proc", "sysfs", "mqueue", "devpts"])
def test_a_file_system_refuses_what_it_does_not_understand(one: Oci, kind: str) -> None:
    mount(one, "/mnt", kind, kind, "nonsense")
    one.write("true")
    assert "nvalid argument" in one("run", "--bundle", one.bundle, "a", code=1, input="").stderr


@each_runtime("runc")
@pytest.mark.parametrize("kind", ["tmpfs", "mqueue", "devpts"])
def test_what_is_no_tmpfs_ignores_tmpcopyup(one: Oci, kind: str) -> None:
    mount(one, "/mnt", kind, kind, "tmpcopyup")
    assert kind in run(one, "grep", " /mnt ", "/proc/self/mounts")


@each_runtime()
@pytest.mark.parametrize("options", [("rbind", "bind"), ("bind", "rbind"), ("rbind", "ro", "bind")])
def test_rbind_stays_recursive_whatever_follows(one: Oci, options: tuple[str, ...]) -> None:
    below = one.top / "source/below"
    below.mkdir(parents=True)
    shell("mount", "-t", "tmpfs", "tmpfs", below)
    (below / "seen").touch()
    mount(one, "/mnt", "bind", one.top / "source", *options)
    seen = run(one, "ls", "/mnt/below")
    shell("umount", below)
    assert seen == "seen\n"


@each_runtime()
@pytest.mark.parametrize("destination", ["/dev", "/dev/", "/./dev"])
def test_dev_becomes_readonly_after_its_children_are_mounted(one: Oci, destination: str) -> None:
    for each in one.config["mounts"]:
        if each["destination"] == "/dev":
            each["destination"] = destination
            each["options"].append("ro")
    script = "touch /dev/shm/x && ls /dev; echo > /dev/null; touch /dev/x"
    one.write("sh", "-c", script)
    done = one("run", "--bundle", one.bundle, "a", code=1, input="")
    assert {"null", "pts", "mqueue", "stdin"} <= set(done.stdout.split())
    assert done.stderr == "touch: /dev/x: Read-only file system\n"


@each_runtime()
def test_so_does_every_tmpfs(one: Oci) -> None:
    (one.top / "source").mkdir()
    mount(one, "/mnt", "tmpfs", "tmpfs", "ro")
    mount(one, "/mnt/made/for/it", "bind", one.top / "source", "bind")
    one.write("sh", "-c", "touch /mnt/made/for/it/x; touch /mnt/x")
    done = one("run", "--bundle", one.bundle, "a", code=1, input="")
    assert done.stderr == "touch: /mnt/x: Read-only file system\n"
    assert (one.top / "source/x").exists()


# ---- process -----------------------------------------------------------------------------------


@each_runtime()
@pytest.mark.parametrize(("gids", "groups"), [(None, ""), ([], ""), ([50], "50"), ([33], "33")])
def test_the_supplementary_groups_are_exactly_those_of_the_config(
    one: Oci, gids: list[int] | None, groups: str
) -> None:
    one.process["user"] = {"uid": 33, "gid": 33, "additionalGids": gids}
    if gids is None:
        del one.process["user"]["additionalGids"]
    assert status(run(one, "cat", "/proc/self/status"))["Groups"] == groups


@each_runtime("runc")
@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ((), "33 33 50"),
        (("--user", "7"), "7 33 50"),
        (("--user", "7:8"), "7 8 50"),
        (("--additional-gids", "9"), "33 33 9 50"),
        (("--user", "7:8", "-g", "9"), "7 8 9 50"),
    ],
)
def test_exec_adds_groups_and_changes_only_the_ids_that_are_named(
    one: Oci, words: tuple[str, ...], ids: str
) -> None:
    one.process["user"] = {"uid": 33, "gid": 33, "additionalGids": [50]}
    one.start("a")
    found = status(one("exec", *words, "a", "cat", "/proc/self/status").stdout)
    one("delete", "--force", "a")
    assert [found["Uid"].split()[0], found["Gid"].split()[0], *found["Groups"].split()] == (
        ids.split()
    )


KEEP_GROUPS = "run.oci.keep_original_groups"


def with_groups(groups: str, words: list[str]) -> str:
    """Return what a program prints that is started with these supplementary groups."""
    return shell("setpriv", f"--groups={groups}", "--", *words, input="").stdout


@each_runtime("crun")
@pytest.mark.parametrize(
    ("annotations", "groups", "groups_of_exec"),
    [
        ({}, "50", "50"),
        ({KEEP_GROUPS: "0"}, "50", "50"),
        ({KEEP_GROUPS: "1"}, "7 8", "9"),
        ({KEEP_GROUPS: ""}, "7 8", "9"),
    ],
)
def test_an_annotation_keeps_the_groups_of_the_caller(
    one: Oci, annotations: dict[str, str], groups: str, groups_of_exec: str
) -> None:
    one.process["user"] = {"uid": 33, "gid": 33, "additionalGids": [50]}
    one.config["annotations"] = annotations
    one.write("cat", "/proc/self/status")
    words = one.words("run", "--bundle", one.bundle, "a")
    found = status(with_groups("7,8", words))
    one.start("a")
    of_exec = status(with_groups("9", one.words("exec", "a", "cat", "/proc/self/status")))
    one("delete", "--force", "a")
    assert (found["Groups"], of_exec["Groups"]) == (groups, groups_of_exec)
    assert found["Uid"].split() == ["33"] * 4


@each_runtime("crun")
def test_in_a_user_namespace_too_and_there_groups_without_a_mapping_are_nobodys(one: Oci) -> None:
    in_user_namespace(one)
    one.config["annotations"] = {KEEP_GROUPS: "1"}
    one.write("cat", "/proc/self/status")
    one.bundle.chmod(0o755)
    script = f'mount --bind {one.bundle} /mnt; exec "$@"'
    words = ["unshare", "-m", "sh", "-c", script, "sh", *one.words("run", "--bundle", "/mnt", "a")]
    assert status(with_groups("7,1000050", words))["Groups"] == "65534 50"


@each_runtime()
def test_the_loopback_of_a_new_network_is_up(one: Oci) -> None:
    assert "LOOPBACK,UP" in run(one, "ip", "addr", "show", "lo").split("\n")[0]
    assert "127.0.0.1/8" in run(one, "ip", "addr", "show", "lo")


@each_runtime()
def test_the_loopback_of_the_hosts_network_is_left_alone(one: Oci) -> None:
    one.share("network")
    shell("ip", "link", "set", "lo", "down")
    found = run(one, "ip", "link", "show", "lo")
    shell("ip", "link", "set", "lo", "up")
    assert "UP" not in found


# ---- verbs -------------------------------------------------------------------------------------


@each_runtime()
def test_signal_0_asks_whether_the_container_runs(one: Oci) -> None:
    one.start("a")
    pid = one.state("a")["pid"]
    one("kill", "a", "0")
    assert Path(f"/proc/{pid}").exists()
    one("kill", "a", "KILL")
    one.await_end("a")
    assert "container not running" in one("kill", "a", "0", code=1).stderr
    one("delete", "a")


@each_runtime()
def test_signal_0_to_all_changes_nothing(one: Oci) -> None:
    one.start("a")
    one("kill", "--all", "a", "0")
    assert one.status("a") == "running"
    one("delete", "--force", "a")


SPECS = pytest.mark.parametrize("words", [(), ("--rootless",)], ids=str)


@SPECS
@needs_peer("runc")
def test_spec_writes_what_runc_writes_on_this_machine(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = []
    for name in ("minirt-oci", "runc"):
        folder = tmp_path / name
        folder.mkdir()
        shell(*oci.RUNTIMES[name], "spec", *words, "--bundle", folder)
        document: dict[str, Any] = json.loads((folder / "config.json").read_text())
        del document["hostname"], document["ociVersion"]
        found.append(document)
    assert found[0] == found[1]


# ---- options after the ID ----------------------------------------------------------------------


@each_runtime("runc")
@pytest.mark.parametrize(
    "words",
    [
        ("update", "a", "--pids-limit", "5"),
        ("update", "a", "-pids-limit=5"),
        ("state", "a", "--help"),
        ("kill", "a", "CONT", "--all"),
        ("kill", "a", "--", "CONT"),
        ("events", "a", "--stats"),
        ("list", "-q", "--format", "json"),
        ("ps", "-f", "json", "a"),
        ("exec", "--cwd=/tmp", "a", "true", "--cwd", "/nowhere"),
        ("delete", "a", "--force"),
    ],
    ids=" ".join,
)
def test_options_may_follow_the_id(one: Oci, words: tuple[str, ...]) -> None:
    one.start("a")
    one(*words)
    one("delete", "--force", "a")


@each_runtime("runc")
@pytest.mark.parametrize("verb", ["run", "create"])
def test_options_of_creation_may_follow_the_id(one: Oci, verb: str) -> None:
    one.write("true")
    file = one.top / "pid"
    words = one.words(verb, "a", "--bundle", one.bundle, f"--pid-file={file}")
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    assert file.exists()
    one("delete", "--force", "a")


@each_runtime("runc")
def test_behind_the_id_an_unknown_option_is_an_argument(one: Oci) -> None:
    one.start("a")
    one("kill", "a", "-9", code=1)
    assert one.status("a") == "running"
    one("delete", "--force", "a")


@each_runtime("crun")
def test_letters_may_share_a_dash_and_a_value_follow_its_letter(one: Oci) -> None:
    one.start("a")
    done = one("exec", "-eA=1", "-u7:8", "a", "/bin/sh", "-c", "echo $A; id -u")
    one("delete", "-f", "a")
    assert done.stdout.split() == ["1", "7"]


@each_runtime("crun")
def test_kill_and_delete_take_a_regular_expression(one: Oci) -> None:
    one.start("a")
    one("kill", "-r", "^[ab]$", "KILL")
    one.await_end("a")
    one("delete", "-fr", "^[ab]$")
    assert one.is_clean()


# ---- hooks -------------------------------------------------------------------------------------


@each_runtime("runc")
@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "poststart"])
def test_the_output_of_a_failing_hook_is_in_the_error_message(one: Oci, kind: str) -> None:
    script = "echo to-stdout; echo to-stderr >&2; exit 3"
    one.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    one.write("true")
    done = one("run", "--bundle", one.bundle, "a", code=1, input="")
    assert "stdout: to-stdout" in done.stderr
    assert "stderr: to-stderr" in done.stderr
    assert not done.stdout


@each_runtime("runc")
def test_hooks_start_in_the_bundle_and_create_container_hooks_in_the_root(one: Oci) -> None:
    """With crun all of them start in the bundle."""
    file, folders = one.top / "folders", {}
    for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        folders[kind] = one.rootfs if kind == "createContainer" else one.bundle
        script = f"echo {kind} $PWD >> {file}"
        one.config.setdefault("hooks", {})[kind] = [
            {"path": "/bin/sh", "args": ["sh", "-c", script]}
        ]
    run(one, "true")
    assert file.read_text().split("\n")[:-1] == [f"{kind} {at}" for kind, at in folders.items()]


# ---- terminals ---------------------------------------------------------------------------------


def through_terminal(*words: str) -> str:
    """Return what a program prints into a pipe while its standard input is a terminal."""
    master, slave = os.openpty()
    try:
        done = subprocess.run(words, stdin=slave, capture_output=True, check=True)
        return done.stdout.decode()
    finally:
        os.close(master)
        os.close(slave)


@each_runtime("runc")
def test_a_foreground_terminal_leaves_newlines_to_the_callers_terminal(one: Oci) -> None:
    one.process["terminal"] = True
    one.write("echo", "a")
    assert through_terminal(*one.words("run", "--bundle", one.bundle, "a")) == "a\n"


@each_runtime("runc")
def test_so_does_that_of_exec(one: Oci) -> None:
    one.start("a")
    said = through_terminal(*one.words("exec", "--tty", "a", "echo", "b"))
    one("delete", "--force", "a")
    assert said == "b\n"


@each_runtime("runc")
def test_the_callers_terminal_translates_newlines(one: Oci) -> None:
    one.process["terminal"] = True
    one.write("echo", "a")
    master, slave = os.openpty()
    with subprocess.Popen(
        one.words("run", "--bundle", one.bundle, "a"),
        stdin=slave,
        stdout=slave,
        stderr=subprocess.DEVNULL,
    ) as running:
        assert running.wait() == 0
    seen = os.read(master, 100)
    os.close(master)
    os.close(slave)
    assert seen == b"a\r\n"


# ---- limits that are set back ------------------------------------------------------------------


def limits_of(ground: Ground, *files: str) -> dict[str, str]:
    """Return what files of the container's cgroup say, in whatever hierarchy they are."""
    folders = [root / ground.cgroup / "a" for root in cgroup_roots()]
    return {
        file: (folder / file).read_text().strip()
        for folder in folders
        for file in files
        if (folder / file).exists()
    }


@each_runtime("crun")
@pytest.mark.parametrize(
    ("files", "limits", "back"),
    [
        (("cpu.idle",), {"idle": 1}, {"idle": 0}),
        (
            ("cpu.cfs_burst_us", "cpu.max.burst"),
            {"quota": 20_000, "period": 50_000, "burst": 10_000},
            {"burst": 0},
        ),
    ],
)
def test_update_sets_back_what_has_a_zero_of_its_own(
    one: Oci, ground: Ground, files: tuple[str, ...], limits: dict[str, int], back: dict[str, int]
) -> None:
    if "cpu" not in controllers():
        pytest.skip("no cgroup controller cpu")
    one.linux["resources"]["cpu"] = limits
    one.start("a")
    assert "0" not in limits_of(ground, *files).values()
    one("update", "--resources", "-", "a", input=json.dumps({"cpu": back}))
    found = limits_of(ground, *files)
    one("delete", "--force", "a")
    assert set(found.values()) == {"0"}


# ---- rules of devices --------------------------------------------------------------------------

ABSENT = {
    "type": "c",
    "major": 10,
    "minor": 250,
}  # no driver has this number: open(2) ends with ENODEV


def device_is_reachable(one: Oci) -> dict[str, bool]:
    """Say for reading and writing whether the container "a" reaches the driver of ABSENT."""
    script = "mknod /dev/x c 10 250; true < /dev/x; true > /dev/x; rm /dev/x"
    said = one("exec", "a", "sh", "-c", script).stderr.splitlines()
    return {
        way: "No such device" in line for way, line in zip(("read", "write"), said, strict=True)
    }


@each_runtime("runc")
@pytest.mark.parametrize(
    ("access", "reached"),
    [
        ("rwm", {"read": True, "write": True}),
        ("mrw", {"read": True, "write": True}),
        ("rwa", {"read": True, "write": True}),
        ("wmw", {"read": False, "write": True}),
        ("ar", {"read": True, "write": False}),
    ],
)
@needs_controller("devices")
def test_letters_of_a_device_rule_come_in_any_order_and_unknown_ones_are_ignored(
    one: Oci, access: str, reached: dict[str, bool]
) -> None:
    one.linux["resources"]["devices"].append({**ABSENT, "allow": True, "access": access})
    one.start("a")
    found = device_is_reachable(one)
    one("delete", "--force", "a")
    assert found == reached


@each_runtime("runc")
def test_a_device_rule_without_a_known_letter_is_refused(one: Oci) -> None:
    one.linux["resources"]["devices"].append({**ABSENT, "allow": True, "access": "x"})
    one.write("true")
    one("run", "--bundle", one.bundle, "a", code=1, input="")
    assert one.is_clean()


@each_runtime("runc")
@pytest.mark.parametrize("access", ["rwm", "mrw", "rwa", "x"])
def test_update_changes_no_devices_whatever_letters_a_rule_has(one: Oci, access: str) -> None:
    one.start("a")
    resources = {"devices": [{**ABSENT, "allow": True, "access": access}], "pids": {"limit": 77}}
    one("update", "--resources", "-", "a", input=json.dumps(resources))
    found = device_is_reachable(one)
    one("delete", "--force", "a")
    assert found == {"read": False, "write": False}


# ---- what init shows and says ------------------------------------------------------------------


def in_user_namespace(one: Oci) -> None:
    """Give the container a user namespace, and its files to the root in there."""
    one.linux["namespaces"].append({"type": "user"})
    mappings = [{"containerID": 0, "hostID": 1_000_000, "size": 65536}]
    one.linux.update(uidMappings=mappings, gidMappings=mappings)
    one.config["mounts"] = [each for each in one.config["mounts"] if each["type"] != "cgroup"]
    shell("chown", "--recursive", "--no-dereference", "1000000:1000000", one.rootfs)


def run_in_reach(one: Oci, *args: str) -> str:
    """Return what a command prints in a container whose bundle everybody can reach."""
    one.write(*args)
    one.bundle.chmod(0o755)
    script = f'mount --bind {one.bundle} /mnt; exec "$@"'
    words = [*one.words("run"), "--bundle", "/mnt", "a"]
    return shell("unshare", "-m", "sh", "-c", script, "sh", *words, input="").stdout


@each_runtime()
@pytest.mark.parametrize("options", [("rbind",), ("bind", "ro"), ("rbind", "rshared")])
def test_a_bind_source_inside_the_root_shows_earlier_mounts(
    one: Oci, options: tuple[str, ...]
) -> None:
    mount(one, "/x", "tmpfs", "tmpfs")
    mount(one, "/y", "bind", one.rootfs / "x", *options)
    mount(one, "/z", "bind", "rootfs/x", *options)
    assert run(one, "sh", "-c", "touch /x/seen; ls /y /z").split() == ["/y:", "seen", "/z:", "seen"]


def order_of(said: str, *places: str) -> list[str]:
    """Return these places in the order of /proc/self/mountinfo, by which the kernel made them.

    Before Linux 6.8 it is the order in which they were mounted.
    """
    return [line.split()[4] for line in said.splitlines() if line.split()[4] in places]


def with_three_binds(one: Oci, option: str) -> None:
    for place, propagation in (("/a", option), ("/b", "rprivate"), ("/c", option)):
        (one.top / place[1:]).mkdir()
        mount(one, place, "bind", one.top / place[1:], "rbind", propagation)
    one.write("cat", "/proc/self/mountinfo")


@each_runtime()
@pytest.mark.parametrize("option", ["rshared", "rslave", "rprivate"])
def test_mounts_are_made_in_the_order_of_the_config(one: Oci, option: str) -> None:
    with_three_binds(one, option)
    words = one.words("run", "--bundle", one.bundle, "a")
    said = shell("unshare", "--mount", "--propagation=shared", *words, input="").stdout
    assert order_of(said, "/", "/proc", "/dev", "/a", "/b", "/c") == [
        *("/", "/proc", "/dev", "/a", "/b", "/c")
    ]


@each_runtime("runc")  # crun is run in a namespace without peers here
def test_a_shared_bind_is_a_peer_of_the_hosts_mount(one: Oci) -> None:
    source = one.top / "source"
    source.mkdir()
    mount(one, "/a", "bind", source, "rbind", "rshared")
    one.linux["rootfsPropagation"] = "rshared"  # without that it is none with runc
    one.write("grep", " /a ", "/proc/self/mountinfo")
    script = f'mount --bind {source} {source}; grep " {source} " /proc/self/mountinfo; exec "$@"'
    words = one.words("run", "--bundle", one.bundle, "a")
    outer = ("unshare", "--mount", "--propagation=shared", "sh", "-c", script, "sh")
    host, container = (line.split()[6] for line in shell(*outer, *words).stdout.splitlines())
    assert host == container and host.startswith("shared:")


@each_runtime("runc")
def test_in_a_user_namespace_the_root_is_made_before_what_is_mounted_in_it(one: Oci) -> None:
    in_user_namespace(one)
    with_three_binds(one, "rprivate")
    said = run_in_reach(one, "cat", "/proc/self/mountinfo")
    assert order_of(said, "/", "/a", "/b", "/c") == ["/", "/a", "/b", "/c"]


@each_runtime("crun")
def test_so_it_does_in_a_user_namespace(one: Oci) -> None:
    in_user_namespace(one)
    (one.rootfs / "hidden").mkdir()
    mount(one, "/x", "tmpfs", "tmpfs")
    mount(one, "/y", "bind", "rootfs/x", "rbind")
    mount(one, "/z", "bind", "rootfs/hidden", "rbind")
    assert run_in_reach(one, "sh", "-c", "touch /x/seen; ls /y /z").split() == [
        "/y:",
        "seen",
        "/z:",
    ]


@each_runtime("runc")
@pytest.mark.parametrize(("cap", "uid"), [("CAP_KILL", 0), ("CAP_KILL", 33), ("CAP_CHOWN", 33)])
def test_exec_cap_makes_what_is_inheritable_ambient(one: Oci, cap: str, uid: int) -> None:
    sets = ("bounding", "effective", "permitted", "inheritable")
    one.process["capabilities"] = {key: ["CAP_CHOWN", "CAP_KILL"] for key in sets}
    one.process["user"] = {"uid": uid, "gid": uid}
    one.start("a")
    found = status(one("exec", "--cap", cap, "a", "cat", "/proc/self/status").stdout)
    one("delete", "--force", "a")
    assert int(found["CapAmb"], 16) == 1 << {"CAP_CHOWN": 0, "CAP_KILL": 5}[cap]


@each_runtime("runc")
def test_unified_is_refused_in_the_same_words_where_version_1_has_the_controllers(one: Oci) -> None:
    if is_cgroup2_only():
        pytest.skip("version 2 has the controllers")
    one.linux["resources"]["unified"] = {"memory.high": "1000000"}
    one.write("true")
    said = one("run", "--bundle", one.bundle, "a", code=1, input="").stderr
    assert "invalid configuration: cannot use unified on cgroup v1" in said


@each_runtime("crun")
def test_two_domain_names_are_refused_unless_they_are_the_same(one: Oci) -> None:
    one.config["domainname"] = "x"
    one.linux["sysctl"] = {"kernel.domainname": "x"}
    assert run(one, "cat", "/proc/sys/kernel/domainname") == "x\n"
    one.linux["sysctl"] = {"kernel.domainname": "y"}
    one.write("true")
    assert "conflicts" in one("run", "--bundle", one.bundle, "a", code=1, input="").stderr


@each_runtime()
def test_a_host_name_among_the_kernel_parameters_conflicts_with_that_of_the_config(
    one: Oci,
) -> None:
    one.linux["sysctl"] = {"kernel.hostname": "y"}
    one.write("true")
    assert "conflicts" in one("run", "--bundle", one.bundle, "a", code=1, input="").stderr


# ---- standard streams that are files -----------------------------------------------------------


@each_runtime("runc")
@pytest.mark.parametrize("verb", ["run", "exec"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_file_that_is_written_to_belongs_to_the_user(one: Oci, verb: str, stream: str) -> None:
    """With crun its group changes as well."""
    file = one.top / "file"
    script = ("sh", "-c", f"echo again >> /dev/{stream}")
    one.process["user"] = {"uid": 33, "gid": 34}
    words: tuple[object, ...] = ("run", "--detach", "--bundle", one.bundle, "a")
    if verb == "exec":
        one.start("a")
        words = ("exec", "--detach", "a", *script)
    else:
        one.write(*script)
    with file.open("w") as opened:
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        streams[stream] = opened.fileno()
        subprocess.run(one.words(*words), check=True, **streams)  # type: ignore[call-overload]
    wait_until(lambda: file.read_text() == "again\n")
    one("delete", "--force", "a")
    assert (file.stat().st_uid, file.stat().st_gid) == (33, 0)


@each_runtime("runc")
def test_a_file_stays_its_owners_if_the_container_has_ids_of_its_own(one: Oci) -> None:
    """With crun it does not."""
    in_user_namespace(one)
    one.bundle.chmod(0o755)
    one.process["user"] = {"uid": 33, "gid": 34}
    one.write("true")
    with (one.top / "file").open("w") as opened:
        script = f'mount --bind {one.bundle} /mnt; exec "$@"'
        words = ["unshare", "-m", "sh", "-c", script, "sh", *one.words("run", "--bundle", "/mnt")]
        subprocess.run([*words, "a"], stdin=subprocess.DEVNULL, stdout=opened, check=True)
        assert os.fstat(opened.fileno()).st_uid == 0


# ---- between create and start ------------------------------------------------------------------


@each_runtime("crun")
def test_init_holds_no_folder_of_the_host_between_create_and_start(one: Oci) -> None:
    """A descriptor of a folder leads to all that lies around it: here it would be /proc."""
    one.create("a", "true")
    pid = one.state("a")["pid"]
    descriptors = Path(f"/proc/{pid}/fd").iterdir()
    folders = [str(each.readlink()) for each in descriptors if each.is_dir()]
    one("delete", "--force", "a")
    assert folders == []


@each_runtime("crun")
def test_in_a_user_namespace_devices_of_the_config_are_made_for_it(one: Oci) -> None:
    """Also those that the host lacks."""
    in_user_namespace(one)
    of_config = {"fileMode": 0o640, "uid": 7, "gid": 8}
    one.linux["devices"] = [
        {"path": "/dev/none", "type": "c", "major": 1, "minor": 3, **of_config},
        {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 3, **of_config},
        {"path": "/dev/below/disk", "type": "b", "major": 7, "minor": 0, **of_config},
        {"path": "/dev/fifo", "type": "p", "fileMode": 0o600},
    ]
    nodes = ("/dev/none", "/dev/kmsg", "/dev/below/disk", "/dev/fifo")
    script = f"echo x > /dev/none && stat -c '%a %u %g %t %T' {' '.join(nodes)}"
    assert run_in_reach(one, "sh", "-c", script).splitlines() == [
        "640 7 8 1 3",
        "640 7 8 1 3",
        "640 7 8 7 0",
        "600 0 0 0 0",
    ]
