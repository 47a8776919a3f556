"""AppArmor and SELinux, where they are in force; where not, an error that says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import oci
from integration.oci import Oci
from integration.traces import Ground
from minirt.kernel import security_modules

NAMESPACES = Path("/sys/kernel/security/apparmor/policy/namespaces")
LABEL = "system_u:system_r:container_t:s0:c1,c2"
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


@pytest.mark.skipif(security_modules.has_selinux(), reason="SELinux is in force here")
def test_without_selinux_a_label_is_refused(one: Oci) -> None:
    one.process["selinuxLabel"] = LABEL
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1)
    assert "SELinux is not in force" in refused.stderr
    del one.process["selinuxLabel"]
    one.linux["mountLabel"] = LABEL
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1)
    assert "linux.mountLabel" in refused.stderr
    assert one.is_clean()
