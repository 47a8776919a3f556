from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirt.kernel.namespaces import Namespace
from minirt.runtime import sysctls

ALL = dict.fromkeys(Namespace, "")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
    ],
)
def test_both_separators_are_understood(key: str, path: str) -> None:
    assert sysctls.path_of(key) == path


@pytest.mark.parametrize(
    "key", ["net.ipv4.ip_forward", "kernel.msgmax", "fs.mqueue.msg_max", "kernel.domainname"]
)
def test_a_parameter_of_its_own_namespaces_may_be_set(key: str) -> None:
    assert sysctls.check(key, "1", ALL) == ""
    assert "would change the host" in sysctls.check(key, "1", {Namespace.MOUNT: ""})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vm.swappiness", "1"),
        ("kernel.core_pattern", "|/bin/x"),
        ("kernel.hostname", "x"),
        ("net/../kernel/core_pattern", "|/bin/x"),
        ("net.ipv4/../../kernel.core_pattern", "x"),
        ("net//ipv4", "1"),
        ("net", "1"),
        ("", "1"),
        ("net.ipv4.ip_forward\n", "1"),
        ("net.ipv4.ip_forward", "1\nkernel.core_pattern=x"),
        ("net.ipv4.ip_forward", "1\0"),
        ("fs.mqueue/../../kernel/core_pattern", "x"),
    ],
)
def test_what_reaches_the_machine_is_refused(key: str, value: str) -> None:
    assert sysctls.check(key, value, ALL) != ""


BEGINNINGS = st.sampled_from(["net", "kernel", "fs/mqueue", "fs.mqueue", "kernel.msgmax", "vm", ""])
NAMES = ["ipv4", "ip_forward", "msgmax", "domainname", "hostname", "eth0", "core_pattern", "mqueue"]
PIECES = st.sampled_from([*NAMES, *NAMES, "..", ".", "", "\n", "\0", "a b"])
PARTS = st.tuples(st.sampled_from("./"), PIECES).map("".join)
KEYS = st.builds(lambda first, parts: first + "".join(parts), BEGINNINGS, st.lists(PARTS))
VALUES = st.sampled_from(["1", "", "a b"]) | st.text()


def test_no_key_leaves_the_folders_of_its_namespaces() -> None:
    accepted: set[str] = set()

    @settings(max_examples=300)
    @given(KEYS | st.text(), VALUES)
    def look(key: str, value: str) -> None:
        if sysctls.check(key, value, ALL) == "":
            path = sysctls.path_of(key)
            assert path.startswith(("net/", "fs/mqueue/")) or path in (
                "kernel/msgmax",
                "kernel/domainname",
            )
            assert not {"", ".."} & set(path.split("/"))
            assert not {"\n", "\0"} & {*key, *value}
            accepted.add(path)

    look()
    assert accepted, "no key was accepted, so nothing was looked at"
