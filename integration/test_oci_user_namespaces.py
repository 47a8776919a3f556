"""minirt-oci and user namespaces: its life, exec, and configs with maps that make no sense."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration import deadly, oci, traces
from integration.decoys import devices, state_of
from integration.oci import Oci
from integration.peers import needs_peer
from integration.sandbox import shell
from integration.traces import Ground
from minirt.kernel.user_namespaces import HIGHEST
from minirt.oci import main

__all__ = ["devices"]  # fixtures

FIRST, COUNT = 1_000_000, 65536
MAP = [{"containerID": 0, "hostID": FIRST, "size": COUNT}]
MOST = 200  # steps of one process: many more than there are


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.linux["namespaces"].append({"type": "user"})
    made.linux.update(uidMappings=MAP, gidMappings=MAP)
    shell("chown", "--recursive", "--no-dereference", f"{FIRST}:{FIRST}", made.rootfs)
    return made


def test_its_life(one: Oci, devices: Path) -> None:
    before = state_of(devices)
    one.start("a", "sh", "-c", "echo said; id -u; exec sleep 100")
    state = one.state("a")
    assert state["status"] == "running"
    assert Path(f"/proc/{state['pid']}").stat().st_uid == FIRST
    inside = one("exec", "a", "sh", "-c", "id -u; cat /proc/self/uid_map; echo > /dev/stdout")
    assert inside.stdout.split()[:3] == ["0", "0", str(FIRST)]
    assert one("exec", "--user", "33:33", "a", "id", "-u").stdout == "33\n"
    one("kill", "a", "KILL")
    one.await_end("a")
    one("delete", "a")
    assert one.is_clean()
    assert one.said().split() == ["said", "0"]
    assert state_of(devices) == before, "the null device is the host's"


def test_what_create_leaves_behind_can_be_started_by_another_process(one: Oci) -> None:
    """The name of its gate belongs to the host's root; init has the socket itself."""
    one.create("a", "id", "-u")
    assert one.status("a") == "created"
    one("start", "a")
    one.await_end("a")
    one("delete", "a")
    assert one.said() == "0\n"


def test_limits_are_set_by_who_may_raise_them(one: Oci) -> None:
    one.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    one.start("a")
    script = ("sh", "-c", "ulimit -n; ulimit -Hn")
    assert one("exec", "a", *script).stdout.split() == ["100", "200"]
    one("delete", "--force", "a")


def test_a_group_that_it_may_manage_is_its_own(one: Oci) -> None:
    """Only of version 2: cgroups(7), "Delegating a hierarchy"."""
    for mount in one.config["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"].remove("ro")
    one.start("a")
    pid = one.state("a")["pid"]
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    group = next((line.split(":")[2] for line in lines if line.startswith("0::")), None)
    found = [top / str(group).lstrip("/") for top in unified()]
    for folder in found:
        assert (folder.stat().st_uid, (folder / "cgroup.procs").stat().st_uid) == (FIRST, FIRST)
        assert (folder / "cgroup.freeze").stat().st_uid == 0
    one("delete", "--force", "a")


def unified() -> list[Path]:
    """Return where version 2 is mounted, if it is."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [Path(line.split()[1]) for line in lines if line.split()[2] == "cgroup2"][:1]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_peer(name)) for name in ("crun", "runc")]
)
def test_another_runtime_makes_the_same_of_the_same_config(one: Oci, name: str) -> None:
    """It gets a bundle that everybody can reach, and, for crun, only one version of cgroups."""
    one.config["mounts"] = [each for each in one.config["mounts"] if each["type"] != "cgroup"]
    one.config["ociVersion"] = "1.0.2"  # Debian 12's crun knows no later one
    one.write("sh", "-c", "id -u; cat /proc/self/uid_map; stat -c %u:%g /dev/null /bin/sh /dev/pts")
    ours = one("run", "--bundle", one.bundle, "a").stdout
    one.bundle.chmod(0o755)
    before = f"umount /sys/fs/cgroup/unified; mount --bind {one.bundle} /mnt; "
    words = (name, "--root", one.top / name, "run", "--bundle", "/mnt", "a")
    # With a pipe as its input: crun gives the host's null device to the container's root.
    done = shell(
        "unshare", "-m", "sh", "-c", before + 'exec "$@"', "sh", *words, code=None, input=""
    )
    assert (done.stdout, done.returncode) == (ours, 0), done.stderr


# ---- killed on the way, and configs that make no sense -------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("actor", "every"), [("command", 1), ("init", 12), ("outfitter", 1)], ids=str
)
def test_create_killed_at_each_step(one: Oci, ground: Ground, actor: str, every: int) -> None:
    source = one.top / "source"
    source.mkdir()
    bind = {"destination": "/x", "type": "bind", "source": str(source), "options": ["idmap"]}
    one.config["mounts"].append(bind)
    one.create("a", "sleep", "100")
    one("delete", "--force", "a")
    before, deaths = traces.now(ground), []
    for number in range(1, MOST, every):
        words = ("--root", str(one.root), "create", "--bundle", str(one.bundle), "a")
        out = one.top / "out"
        death = deadly.run_until(out, actor, number, signal.SIGKILL, *words, program=main.run)
        assert "Traceback" not in death.said, death.said
        one("delete", "--force", "a")
        left = traces.left_by(ground, before)
        assert not left, f"after the {actor}'s step {number}, {death.step!r}: left {left}"
        assert one.is_clean()
        if not death.step:
            break
        deaths.append(death.step)
    assert deaths


IDS = st.sampled_from([0, 1, 2, FIRST, COUNT - 1, COUNT, HIGHEST, HIGHEST + 1, -1, None, "0"])
LINES = st.fixed_dictionaries({"containerID": IDS, "hostID": IDS, "size": IDS})
MAPS = st.lists(LINES, min_size=1, max_size=3)
SOUND = st.builds(
    lambda first, size: [{"containerID": 0, "hostID": first, "size": size}],
    st.sampled_from([0, 1, FIRST, 2**31]),
    st.sampled_from([1, 2, 6, COUNT]),
)


@pytest.mark.slow
def test_maps_make_an_error_or_a_container_that_has_them(one: Oci, ground: Ground) -> None:
    one.create("a", "true")
    one("delete", "a")
    before = traces.now(ground)
    # With few ids the group of the terminals is missing, and others than root own the files.
    one.config["mounts"] = [each for each in one.config["mounts"] if each["type"] != "devpts"]
    made: list[bool] = []

    @settings(
        max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.one_of(MAPS, SOUND), st.one_of(MAPS, SOUND))
    def change(uids: list[dict[str, Any]], gids: list[dict[str, Any]]) -> None:
        one.linux.update(uidMappings=uids, gidMappings=gids)
        (one.bundle / "config.json").write_text(json.dumps(one.config))
        words = ("--root", str(one.root), "create", "--bundle", str(one.bundle), "a")
        death = deadly.run(one.top / "out", *words, program=main.run)
        assert "Traceback" not in death.said, death.said
        made.append(death.code == 0)
        if death.code == 0:
            pid = one.state("a")["pid"]
            for name, lines in (("uid_map", uids), ("gid_map", gids)):
                asked = [[one["containerID"], one["hostID"], one["size"]] for one in lines]
                text = Path(f"/proc/{pid}/{name}").read_text()
                assert [list(map(int, line.split())) for line in text.splitlines()] == asked
            one("delete", "--force", "a")
        else:
            assert death.code == 1 and "level=error" in death.said, death.said
        assert one.is_clean()

    change()
    assert any(made) and not all(made)
    assert not traces.left_by(ground, before)


def test_a_device_for_a_user_that_is_not_mapped_is_refused(one: Oci) -> None:
    device = {"path": "/dev/none", "type": "c", "major": 1, "minor": 3, "uid": COUNT}
    one.linux["devices"] = [device]
    one.write("true")
    done = one("run", "--bundle", one.bundle, "a", code=1)
    assert "/dev/none" in done.stderr and f"no user {COUNT}" in done.stderr
    assert one.is_clean()
