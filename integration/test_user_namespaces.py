"""Containers in a user namespace: ids of their own (config-linux.md, "User namespaces")."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration import bundles
from integration.bundles import Bundle

FIRST, COUNT = 1_000_000, 65536
MAP = [{"containerID": 0, "hostID": FIRST, "size": COUNT}]


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path) -> Bundle:
    made = bundles.make(tmp_path, rootfs)
    made.linux["namespaces"].append({"type": "user"})
    made.linux.update(uidMappings=MAP, gidMappings=MAP)
    return made


def test_its_root_is_nobody_outside(bundle: Bundle) -> None:
    script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups"
    ended = bundle.run("sh", "-c", script)
    line = f"         0    {FIRST}      {COUNT}"
    assert ended.lines == ["0", "0", line, line, "allow"]
