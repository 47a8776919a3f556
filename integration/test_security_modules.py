"""AppArmor and SELinux, where they are in force; where not, an error that says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import oci, selinux
from integration.oci import Oci
from integration.traces import Ground
from minirt.kernel import security_modules

NAMESPACES = Path("/sys/kernel/security/apparmor/policy/namespaces")
SHOW = ("cat", "/proc/self/attr/current")
needs_apparmor = pytest.mark.skipif(
    not security_modules.has_apparmor(), reason="AppArmor is not in force on this machine"
)


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    return oci.make(ground.root / "oci", rootfs)


@pytest.fixture
def profile(ground: Ground) -> Iterator[str]:
    """Make a policy namespace: its "unconfined" is a profile that no parser has to load."""
    folder = NAMESPACES / ground.cgroup
    folder.mkdir()
    yield f":{folder.name}:unconfined"
    folder.rmdir()


@pytest.fixture
def policy(tmp_path: Path) -> None:
    """Let SELinux be in force, with the policy in selinux.cil."""
    selinux.enforce(tmp_path)


def profile_of(pid: int) -> str:
    return Path(f"/proc/{pid}/attr/apparmor/current").read_text().strip(" \n\0")


@needs_apparmor
@pytest.mark.parametrize("harmless", [False, True])
def test_the_profile_confines_the_command_and_its_visitors(
    one: Oci, profile: str, harmless: bool
) -> None:
    one.process["noNewPrivileges"] = harmless
    one.start("control")
    assert profile_of(one.state("control")["pid"]) == "unconfined"
    one("delete", "--force", "control")
    one.process["apparmorProfile"] = profile
    one.start("a", "sh", "-c", "sleep 100; true")
    assert profile.strip(":").split(":")[0] in profile_of(one.state("a")["pid"])
    script = "exec > /dev/null 2>&1; sleep 100; true"  # Who reads its streams waits for its end.
    one("exec", "--detach", "--pid-file", one.top / "pid", "a", "sh", "-c", script)
    assert profile.strip(":").split(":")[0] in profile_of(int((one.top / "pid").read_text()))
    one("delete", "--force", "a")


@needs_apparmor
def test_a_profile_that_is_not_loaded_is_an_error_of_the_start(one: Oci) -> None:
    one.process["apparmorProfile"] = "no-such-profile"
    one.create("a", "true")
    refused = one("start", "a", code=1)
    assert "no-such-profile" in refused.stderr
    assert "loaded" in refused.stderr
    one("delete", "--force", "a")
    del one.process["apparmorProfile"]
    one.start("a")
    refused = one("exec", "--apparmor", "no-such-profile", "a", "true", code=255)
    assert "loaded" in refused.stderr
    one("delete", "--force", "a")


@pytest.mark.skipif(security_modules.has_apparmor(), reason="AppArmor is in force here")
def test_without_apparmor_a_profile_is_refused(one: Oci) -> None:
    one.process["apparmorProfile"] = "docker-default"
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1)
    assert "AppArmor is not in force" in refused.stderr
    assert one.is_clean()
    one.process["apparmorProfile"] = "unconfined"
    one.start("a")
    assert "AppArmor" in one("exec", "--apparmor", "x", "a", "true", code=255).stderr
    one("delete", "--force", "a")


def test_without_selinux_a_label_is_refused(one: Oci) -> None:
    if selinux.has_kernel() and selinux.current() != "kernel":
        pytest.skip("SELinux is in force here")
    one.process["selinuxLabel"] = selinux.CONTAINER
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1)
    assert "SELinux is not in force" in refused.stderr
    del one.process["selinuxLabel"]
    one.linux["mountLabel"] = selinux.SHARED
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1)
    assert "linux.mountLabel" in refused.stderr
    assert one.is_clean()


# ---- SELinux (docs/oci.md says how) --------------------------------------------------------------


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("harmless", [False, True])
def test_the_command_and_its_visitors_have_the_label_of_the_config(
    one: Oci, harmless: bool
) -> None:
    one.process["noNewPrivileges"] = harmless
    one.write(*SHOW)
    control = one("run", "--bundle", one.bundle, "control").stdout.strip("\0")
    assert control == selinux.HOST
    one.process["selinuxLabel"] = selinux.CONTAINER
    one.write(*SHOW)
    assert one("run", "--bundle", one.bundle, "a").stdout.strip("\0") == selinux.CONTAINER
    one.start("b", "sh", "-c", "cat /proc/self/attr/current; sleep 100")
    assert one("exec", "b", *SHOW).stdout.strip("\0") == selinux.CONTAINER
    assert one.said().strip("\0") == selinux.CONTAINER
    one("delete", "--force", "b")


@pytest.mark.usefixtures("policy")
def test_a_container_with_ids_of_its_own_has_the_labels_too(one: Oci) -> None:
    ids = [{"containerID": 0, "hostID": 1_000_000, "size": 65536}]
    one.linux["namespaces"].append({"type": "user"})
    one.linux.update(uidMappings=ids, gidMappings=ids)
    for label, files in (("", selinux.FILES), (selinux.CONTAINER, selinux.SHARED)):
        one.process["selinuxLabel"], one.linux["mountLabel"] = label, label and files
        one.start("a")
        root = Path("/proc") / str(one.state("a")["pid"]) / "root"
        assert one("exec", "a", *SHOW).stdout.strip("\0") == (label or selinux.HOST)
        found = {selinux.of_file(root / name) for name in ("dev/shm", "dev/pts", "sys/firmware")}
        one("delete", "--force", "a")
        assert found == {files}


@pytest.mark.usefixtures("policy")
def test_a_visitor_can_have_a_label_of_its_own(one: Oci) -> None:
    one.start("a")
    assert one("exec", "a", *SHOW).stdout.strip("\0") == selinux.HOST
    words = ("exec", "--process-label", selinux.CONTAINER, "a", *SHOW)
    assert one(*words).stdout.strip("\0") == selinux.CONTAINER
    file = one.top / "process.json"
    visitor = {**one.process, "args": SHOW, "selinuxLabel": selinux.CONTAINER}
    file.write_text(json.dumps(visitor))
    assert one("exec", "--process", file, "a").stdout.strip("\0") == selinux.CONTAINER
    one("delete", "--force", "a")


@pytest.mark.usefixtures("policy")
def test_a_labelled_command_is_held_to_what_the_policy_allows_it(one: Oci) -> None:
    def read_a_file(process_label: str, mount_label: str, code: int) -> str:
        one.process["selinuxLabel"], one.linux["mountLabel"] = process_label, mount_label
        one.write("sh", "-c", "echo text > /dev/shm/file; cat /dev/shm/file")
        done = one("run", "--bundle", one.bundle, "a", code=code)
        return done.stdout + done.stderr

    assert "denied" in read_a_file(selinux.CONTAINER, selinux.SECRET, 1)
    assert read_a_file(selinux.CONTAINER, selinux.SHARED, 0) == "text\n"
    assert read_a_file("", selinux.SECRET, 0) == "text\n"


@pytest.mark.usefixtures("policy")
def test_what_is_mounted_for_the_container_has_the_label_of_mounts(one: Oci) -> None:
    for name in ("lower", "upper", "work", "shown"):
        (one.top / name).mkdir()
        (one.top / name / "file").touch()
    (one.top / "work/file").unlink()
    layers = [f"{kind}dir={one.top / kind}" for kind in ("lower", "upper", "work")]
    one.config["mounts"] += [
        {"destination": "/over", "type": "overlay", "source": "overlay", "options": layers},
        {"destination": "/shown", "source": str(one.top / "shown"), "options": ["bind"]},
    ]
    labelled = ["over/file", "dev/null", "dev/shm", "dev/pts/ptmx", "dev/mqueue"]
    labelled.append("sys/firmware")  # an empty folder hides it
    others = ["shown/file", "bin/busybox", "proc/version", "sys"]
    for label in ("", selinux.SHARED):
        one.linux["mountLabel"] = label
        one.start("a")
        root = Path("/proc") / str(one.state("a")["pid"]) / "root"
        found = {name: selinux.of_file(root / name) for name in labelled + others}
        one("delete", "--force", "a")
        expected = label or selinux.FILES
        assert {name: found[name] for name in labelled} == dict.fromkeys(labelled, expected)
        assert selinux.SHARED not in {found[name] for name in others}


@pytest.mark.usefixtures("policy")
def test_the_session_keyrings_have_the_label_of_the_command(one: Oci) -> None:
    for label in ("", selinux.CONTAINER):
        one.process["selinuxLabel"] = label
        before = selinux.session_keyrings()
        one.start("a")
        script = "exec > /dev/null 2>&1; sleep 100; true"
        one("exec", "--detach", "a", "sh", "-c", script)
        made = selinux.session_keyrings() - before
        assert [selinux.of_key(serial) for serial in made] == [label or selinux.HOST] * 2
        one("delete", "--force", "a")


@pytest.mark.usefixtures("policy")
def test_a_label_that_the_policy_does_not_know_is_an_error(one: Oci) -> None:
    one.process["selinuxLabel"] = selinux.UNKNOWN
    one.write("true")
    refused = one("run", "--bundle", one.bundle, "a", code=1).stderr
    assert f"{selinux.UNKNOWN!r}: the policy of SELinux has no such label" in refused
    del one.process["selinuxLabel"]
    one.linux["mountLabel"] = selinux.UNKNOWN
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert f"it refuses 'context={selinux.UNKNOWN}'" in refused
    assert one.is_clean()
    del one.linux["mountLabel"]
    one.start("a")
    refused = one("exec", "--process-label", selinux.UNKNOWN, "a", "true", code=255).stderr
    assert "no such label" in refused
    one("delete", "--force", "a")


@pytest.mark.usefixtures("policy")
def test_a_label_that_the_caller_may_not_give_is_an_error(one: Oci) -> None:
    one.process["selinuxLabel"] = selinux.FORBIDDEN
    one.write("true")
    refused = one("run", "--bundle", one.bundle, "a", code=None)
    assert refused.returncode == 1
    assert "denied" in refused.stderr
    assert one.is_clean()
