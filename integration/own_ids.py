"""Bundles with ids of their own, for the tests of user namespaces and idmapped mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle
from integration.traces import Ground

FIRST, COUNT = 1_000_000, 65536
WHO = "stat -c %u:%g"


@pytest.fixture
def bundle(ground: Ground, rootfs: Path) -> Bundle:
    """Return a bundle whose root is FIRST outside."""
    return with_ids(bundles.make(ground.root / "bundle", rootfs), FIRST)


def mapping(first: int, size: int = COUNT) -> list[dict[str, int]]:
    """Return a map of as many ids as a container usually has."""
    return [{"containerID": 0, "hostID": first, "size": size}]


def with_ids(bundle: Bundle, first: int) -> Bundle:
    """Give it a user namespace whose ids begin at ``first``."""
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=mapping(first), gidMappings=mapping(first))
    return bundle


def join(bundle: Bundle, pid: int, *kinds: str) -> None:
    """Let it join the namespaces of a process."""
    names = {"mount": "mnt", "network": "net"}
    kept = [one for one in bundle.linux["namespaces"] if one["type"] not in kinds]
    paths = {kind: f"/proc/{pid}/ns/{names.get(kind, kind)}" for kind in kinds}
    joined = [{"type": kind, "path": path} for kind, path in paths.items()]
    bundle.linux["namespaces"] = kept + joined


def grant(bundle: Bundle, *names: str) -> None:
    """Grant it these capabilities and no others."""
    sets = ("bounding", "effective", "permitted")
    bundle.process["capabilities"] = {key: list(names) for key in sets}


def without_ids(bundle: Bundle) -> None:
    """Take its user namespace away: for controls."""
    left = [one for one in bundle.linux["namespaces"] if one["type"] != "user"]
    bundle.linux["namespaces"] = left
    bundle.linux.update(uidMappings=[], gidMappings=[])


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Return a folder of the host with a file of its root and one of somebody else."""
    tmp_path.chmod(0o755)
    for uid in (0, 33):
        (tmp_path / str(uid)).write_text(f"of {uid}")
        os.chown(tmp_path / str(uid), uid, uid)
    (tmp_path / "0").chmod(0o600)
    return tmp_path
