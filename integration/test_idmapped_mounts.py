"""Files of the host shown with the ids of a container (mount_setattr(2), "ID-mapped mounts")."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.bundles import Bundle
from integration.own_ids import FIRST, WHO, bundle, shared, without_ids
from integration.sandbox import shell
from minirt.errors import KernelRefused

__all__ = ["bundle", "shared"]  # fixtures


def test_a_bind_shows_nobody_unless_it_is_idmapped(bundle: Bundle, shared: Path) -> None:
    bundle.mount("/plain", "bind", shared, "rbind")
    bundle.mount("/mapped", "bind", shared, "bind", "idmap")
    script = f"{WHO} /plain/0 /mapped/0 /mapped/33; cat /mapped/0; touch /mapped/new"
    ended = bundle.run("sh", "-c", f"{script}; cat /plain/0; touch /plain/no")
    assert ended.lines[:4] == ["65534:65534", "0:0", "33:33", "of 0cat: can't open '/plain/0': "
                               "Permission denied"]  # fmt: skip
    assert sorted(one.name for one in shared.iterdir()) == ["0", "33", "new"]
    assert (shared / "new").stat().st_uid == 0


def test_a_mount_may_have_mappings_of_its_own(bundle: Bundle, shared: Path) -> None:
    bundle.mount("/x", "bind", shared, "ro")
    for first in (FIRST, 0):
        one = {"containerID": 0, "hostID": first + 7, "size": 1}
        two = {"containerID": 33, "hostID": first + 8, "size": 1}
        bundle.config["mounts"][-1].update(uidMappings=[one, two], gidMappings=[two, one])
        assert bundle.run("sh", "-c", f"{WHO} /x/0 /x/33").lines == ["7:7", "8:8"]
        without_ids(bundle)


def test_ridmap_reaches_what_is_mounted_below_and_idmap_does_not(
    bundle: Bundle, shared: Path
) -> None:
    (shared / "below").mkdir()
    (shared / "other").mkdir(mode=0o755)
    shell("mount", "--bind", shared / "other", shared / "below")
    try:
        for option, owner in (("idmap", "65534:65534"), ("ridmap", "0:0")):
            bundle.mount("/x", "bind", shared, "rbind", option)
            assert bundle.run("sh", "-c", f"{WHO} /x/below").lines == [owner]
            bundle.config["mounts"].pop()
    finally:
        shell("umount", shared / "below")


def test_what_can_not_be_idmapped_is_named(bundle: Bundle) -> None:
    bundle.mount("/x", "bind", "/proc/sys", "bind", "idmap")
    with pytest.raises(KernelRefused, match="Cannot map the owners of the files in /proc/sys"):
        bundle.create("true")


def test_the_way_to_a_source_is_the_hosts_root_alone_to_go(bundle: Bundle, shared: Path) -> None:
    (shared / "secret").mkdir(mode=0o700)
    (shared / "secret" / "open").mkdir(mode=0o755)
    bundle.mount("/x", "bind", shared / "secret" / "open", "rbind")
    assert bundle.run("ls", "-d", "/x").lines == ["/x"]
