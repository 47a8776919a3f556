"""A valid config, changed in one place: a clear error, or a container. Never anything else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration import deadly, oci, traces
from integration.oci import Oci
from integration.traces import Ground
from minirt.oci import main

JUNK: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 1 << 63, 1.5, "", "/", "..", "/proc/self/fd/1", "\0", "x" * 5000),
    *([], [None], [""], {}, {"a": 1}, [[]], "\ud800", "/dev/null", "rbind", "0"),
)
EXAMPLES = 60


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.config["hooks"] = {"prestart": [{"path": "/bin/true", "args": ["true"], "timeout": 5}]}
    made.config["annotations"] = {"key": "value"}
    made.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [1]}
    made.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    made.linux["resources"]["pids"] = {"limit": 20}
    made.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    made.linux["devices"] = [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}],
    }
    made.create("a", "true")  # What is made once for all has been made.
    made("delete", "a")
    return made


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of every value in a document."""
    if path:
        yield path
    keys: Iterable[Any] = ()
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        inner = value[key]
        yield from places(inner, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any, remove: bool) -> Any:
    """Return the document with another value in one place, or without that place."""
    made = copy.deepcopy(document)
    holder = made
    for key in path[:-1]:
        holder = holder[key]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return made


@pytest.mark.slow
def test_one_change_makes_an_error_or_a_container(one: Oci, ground: Ground) -> None:
    before = traces.now(ground)
    everywhere = sorted(places(one.config), key=str)

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.sampled_from(everywhere), st.sampled_from(JUNK), st.booleans())
    def change(path: tuple[Any, ...], value: Any, remove: bool) -> None:
        config = changed(one.config, path, value, remove)
        if isinstance(config.get("linux"), dict):
            text = config["linux"].get("cgroupsPath")
            assert text is None  # or it could name a group of others
        (one.bundle / "config.json").write_text(json.dumps(config))
        words = ("--root", str(one.root), "create", "--bundle", str(one.bundle), "a")
        death = deadly.run(one.top / "out", *words, program=main.run)
        assert death.code in (0, 1), death.said
        assert "Traceback" not in death.said, death.said
        if death.code == 0:
            assert one.status("a") == "created"
            one("delete", "a")
        else:
            assert "level=error" in death.said, f"no reason was given for {path}"
        assert one.is_clean()

    change()
    assert not traces.left_by(ground, before)
