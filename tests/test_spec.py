from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirt.container import defaults
from minirt.errors import InvalidRequest
from minirt.kernel import numa
from minirt.kernel.mounts import Propagation
from minirt.kernel.namespaces import Namespace
from minirt.runtime import reader, spec
from minirt.runtime.spec import Capabilities, Device, Hook, Mount, Rlimit, User

HOOK = {"path": "/bin/hook", "args": ["hook", "a"], "env": ["A=1"], "timeout": 5}
DOCUMENT: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "one",
    "domainname": "example.org",
    "process": {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 1, "gid": 2, "additionalGids": [3, 4], "umask": 63},
        "args": ["sh", "-c", "true"],
        "env": ["PATH=/bin", "A=1", "A=2"],
        "cwd": "/srv",
        "capabilities": {"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "ambient": []},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        "noNewPrivileges": True,
        "oomScoreAdj": -5,
    },
    "mounts": [
        *defaults.mounts(1024),
        {"destination": "/srv", "type": "bind", "source": "/data", "options": ["rbind", "ro"]},
    ],
    "hooks": {
        kind: [HOOK]
        for kind in (
            *("prestart", "createRuntime", "createContainer"),
            *("startContainer", "poststart", "poststop"),
        )
    },
    "annotations": {"org.example": "x"},
    "linux": {
        "namespaces": [
            {"type": "mount"},
            {"type": "uts"},
            {"type": "ipc", "path": ""},
            {"type": "network", "path": "/run/netns/other"},
        ],
        "devices": [
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "gid": 9}
        ],
        "resources": {"pids": {"limit": 5}},
        "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1000"},
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "rootfsPropagation": "rslave",
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
        "cgroupsPath": "group/one",
    },
}

BOTH_KINDS_OF_NODES = {
    "mode": "MPOL_BIND",
    "nodes": "0",
    "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the document with another value in one place."""
    document = copy.deepcopy(DOCUMENT)
    parent: Any = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return document


def test_everything_is_read() -> None:
    read = reader.read(DOCUMENT)
    assert str(read.root.path) == "rootfs" and read.root.readonly
    assert (read.hostname, read.domainname) == ("one", "example.org")
    process = read.process
    assert process.terminal and process.console_size == (24, 80)
    assert process.user == User(1, 2, (3, 4), 63)
    assert process.args == ("sh", "-c", "true")
    assert process.env == ("PATH=/bin", "A=2")
    assert process.cwd == "/srv"
    assert process.capabilities.bounding == process.capabilities.permitted == ("CAP_CHOWN",)
    assert process.capabilities.effective == ()
    assert process.rlimits == (Rlimit("RLIMIT_NOFILE", 10, 20),)
    assert process.no_new_privileges and process.oom_score_adj == -5
    assert read.mounts[-1] == Mount("/srv", "bind", "/data", ("rbind", "ro"))
    assert read.namespaces == {
        Namespace.MOUNT: "",
        Namespace.UTS: "",
        Namespace.IPC: "",
        Namespace.NET: "/run/netns/other",
    }
    assert read.new_namespaces() == Namespace.MOUNT | Namespace.UTS | Namespace.IPC
    assert read.devices == (Device("/dev/fuse", "c", 10, 229, 438, 0, 9),)
    assert read.hooks.poststop == (Hook("/bin/hook", ("hook", "a"), ("A=1",), 5),)
    assert read.rootfs_propagation == Propagation.SLAVE
    assert read.resources == {"pids": {"limit": 5}}
    assert read.seccomp == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert read.cgroups_path == "group/one"
    assert read.annotations == {"org.example": "x"}


def test_what_may_be_left_out_may_be_left_out_or_null() -> None:
    least = {
        "root": {"path": "/r"},
        "process": {"args": ["x"], "cwd": "/"},
        "linux": {"namespaces": [{"type": "mount"}], "devices": None, "seccomp": None},
        "hooks": None,
        "mounts": None,
    }
    read = reader.read(least)
    assert (read.mounts, read.hooks, read.seccomp) == ((), spec.Hooks(), None)
    assert read.process.user == User(0, 0, (), 0o022)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [("0", {0}), ("0-3", {0, 1, 2, 3}), ("7,0-1, 5", {0, 1, 5, 7}), ("1023", {1023})],
)
def test_nodes_of_memory_are_numbers_and_ranges(text: str, nodes: set[int]) -> None:
    policy = {"mode": "MPOL_BIND", "nodes": text, "flags": ["MPOL_F_STATIC_NODES"]}
    linux = {**DOCUMENT["linux"], "memoryPolicy": policy}
    found = reader.read({**DOCUMENT, "linux": linux}).memory_policy
    assert found == numa.MemoryPolicy("BIND", frozenset(nodes), ("STATIC_NODES",))
    assert int.from_bytes(numa.mask(nodes), "little") == sum(1 << node for node in nodes)
    assert len(numa.mask(nodes)) % 8 == 0


def test_a_capability_that_nobody_knows_is_left_out_of_the_sets() -> None:
    sets = {"bounding": ["CAP_NEW", "CAP_CHOWN"], "ambient": ["CHOWN"]}
    process = {**DOCUMENT["process"], "capabilities": sets}
    found = reader.read({**DOCUMENT, "process": process}).process.capabilities
    assert found == Capabilities(bounding=("CAP_CHOWN",), unknown=("CAP_NEW", "CHOWN"))


def test_unknown_keys_are_ignored() -> None:
    assert reader.read({**DOCUMENT, "solaris": {"anet": []}}) == reader.read(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("process", "args"), [], "process.args is empty"),
        (("process", "args"), None, "process.args is empty"),
        (("process", "args", 1), 5, r"process.args\[1\] is not a string"),
        (("process", "args", 0), "a\0b", r"process.args\[0\] has a zero byte"),
        (("process", "cwd"), "srv", "process.cwd is 'srv', not an absolute path"),
        (("process", "env", 1), "A", r"process.env\[1\] is not of the form"),
        (("process", "env", 1), "=A", r"process.env\[1\] is not of the form"),
        (("process", "user", "uid"), -1, "process.user.uid is -1"),
        (("process", "user", "uid"), True, "process.user.uid is not a whole number"),
        (("process", "user", "uid"), 1 << 31, "process.user.uid is 2147483648"),
        (("process", "rlimits", 0, "type"), "NOFILE", r"process.rlimits\[0\].type is 'NOFILE'"),
        (("process", "rlimits", 0, "soft"), 21, r"rlimits\[0\] has a soft limit of 21"),
        (("process", "capabilities", "bounding"), [1], r"bounding\[0\] is not a string"),
        (("process", "oomScoreAdj"), 1001, "process.oomScoreAdj is 1001"),
        (("process",), None, "process is missing"),
        (("root", "path"), "", "root.path is empty"),
        (("mounts", 0, "destination"), "", r"mounts\[0\].destination is empty"),
        (("mounts", 0, "options"), "ro", r"mounts\[0\].options is not a list"),
        (("linux", "namespaces", 1, "type"), "mount", r"namespaces\[1\] is there twice"),
        (("linux", "namespaces", 1, "type"), "mnt", r"namespaces\[1\].type is 'mnt', not one of"),
        (("linux", "namespaces", 3, "path"), "x", r"namespaces\[3\].path is 'x'"),
        (("linux", "namespaces", 1, "type"), "user", "needs linux.uidMappings"),
        (("linux", "memoryPolicy"), {"nodes": "0"}, "linux.memoryPolicy.mode is missing"),
        (("linux", "memoryPolicy"), {"mode": "BIND", "nodes": "0"}, "mode is 'BIND', not one of"),
        (("linux", "memoryPolicy"), {"mode": "MPOL_BIND"}, "memoryPolicy.nodes is empty"),
        (("linux", "memoryPolicy"), {"mode": "MPOL_LOCAL", "nodes": "0"}, "has nodes or flags"),
        (("linux", "memoryPolicy"), {"mode": "MPOL_BIND", "nodes": "1-x"}, "has '1-x'"),
        (("linux", "memoryPolicy"), {"mode": "MPOL_BIND", "nodes": "2-1"}, "ends before it begins"),
        (("linux", "memoryPolicy"), {"mode": "MPOL_BIND", "nodes": "9999"}, "below 1024"),
        (("linux", "memoryPolicy"), BOTH_KINDS_OF_NODES, "exclude each other"),
        (("linux", "gidMappings"), [{"containerID": 0, "hostID": 1, "size": 2}], "gidMappings is"),
        (("linux", "maskedPaths", 0), "proc/kcore", r"linux.maskedPaths\[0\]"),
        (("linux", "rootfsPropagation"), "shred", "linux.rootfsPropagation is 'shred'"),
        (("linux", "devices", 0, "type"), "x", r"linux.devices\[0\].type"),
        (("linux", "sysctl"), {"vm.swappiness": "1"}, "belongs to the whole machine"),
        (("hooks", "prestart", 0, "timeout"), 0, r"hooks.prestart\[0\].timeout is 0"),
        (("hooks", "prestart", 0, "path"), "hook", r"hooks.prestart\[0\].path"),
        (("hostname",), "x" * 65, "longer than 64 bytes"),
        (("annotations", "org.example"), 5, "annotations.org.example is not a string"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(path: Any, value: Any, named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        reader.read(changed(path, value))


def test_a_name_without_a_namespace_of_ones_own_would_rename_the_host() -> None:
    document = changed(("linux", "namespaces"), [{"type": "mount"}])
    document["linux"]["sysctl"] = {}
    with pytest.raises(InvalidRequest, match="would rename the host"):
        reader.read(document)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(places(DOCUMENT), key=str)), json)
def test_any_document_is_read_or_refused_with_a_place(path: Any, value: Any) -> None:
    try:
        read = reader.read(changed(path, value))
    except InvalidRequest as error:
        assert error.why
    else:
        assert read.process.args


@settings(deadline=None)
@given(json)
def test_any_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        reader.read(value)
