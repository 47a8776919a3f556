"""What goes over the wire to systemd, byte by byte (D-Bus Specification, "Type System")."""

from __future__ import annotations

import pytest

from minirt.errors import InvalidRequest
from minirt.kernel import dbus
from minirt.oci import systemd_properties
from minirt.oci.systemd import Scope


@pytest.mark.parametrize(
    ("signature", "value", "data"),
    [
        ("u", 5, b"\5\0\0\0"),
        ("s", "ab", b"\2\0\0\0ab\0"),
        ("g", "su", b"\2su\0"),
        ("v", ("b", True), b"\1b\0\0\1\0\0\0"),
        ("ay", [1, 2], b"\2\0\0\0\1\2"),
        ("at", [7], b"\x08\0\0\0\0\0\0\0\7" + bytes(7)),
        ("(yt)", (1, 2), b"\1" + bytes(7) + b"\2" + bytes(7)),
        ("a{ys}", [(1, "x")], b"\x0a\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0x\0"),
        ("as", [], bytes(4)),
    ],
)
def test_each_type_is_aligned_to_its_size(signature: str, value: object, data: bytes) -> None:
    assert dbus.pack(signature, value) == data
    read = dbus.unpack(signature, data)
    assert read == [value[1] if isinstance(value, tuple) and signature == "v" else value]


def test_values_after_each_other_are_aligned_from_the_start_of_the_message() -> None:
    words = ("x", [("PIDs", ("au", [0])), ("Delegate", ("b", True))], "end", -3)
    packed = dbus.pack("sa(sv)sx", *words)
    assert dbus.unpack("sa(sv)sx", packed) == ["x", [("PIDs", [0]), ("Delegate", 1)], "end", -3]


@pytest.mark.parametrize(
    ("inside", "group"),
    [
        ("-.slice", "/u.scope"),
        ("a.slice", "/a.slice/u.scope"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice/u.scope"),
    ],
)
def test_slices_nest_by_their_dashes(inside: str, group: str) -> None:
    assert Scope("u.scope", inside, "").group == group


def test_limits_in_the_words_of_systemd() -> None:
    limits = {
        "memory": {"limit": 1 << 20, "swap": 3 << 20, "reservation": 5},
        "cpu": {"quota": 12_345, "period": 50_000, "shares": 1024, "cpus": "0-2,8"},
        "pids": {"limit": -1},
        "unified": {"memory.high": "max", "io.weight": "default 5"},
    }
    no_limit = (1 << 64) - 1
    assert dict(systemd_properties.of_limits(limits)) == {
        "MemoryMax": ("t", 1 << 20),
        "MemorySwapMax": ("t", 2 << 20),
        "MemoryLow": ("t", 5),
        "CPUWeight": ("t", 100),
        "CPUQuotaPeriodUSec": ("t", 50_000),
        "CPUQuotaPerSecUSec": ("t", 250_000),  # 24.69 %, and systemd counts in whole ones
        "AllowedCPUs": ("ay", b"\x07\x01"),
        "TasksMax": ("t", no_limit),
        "MemoryHigh": ("t", no_limit),
    }


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("KillSignal", "37", ("KillSignal", ("i", 37))),
        ("TimeoutStopUSec", "uint64 5", ("TimeoutStopUSec", ("t", 5))),
        ("TimeoutStopSec", "uint64 5", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("CollectMode", "'inactive'", ("CollectMode", ("s", "inactive"))),
        ("SendSIGHUP", "true", ("SendSIGHUP", ("b", True))),
    ],
)
def test_annotations_are_properties_in_the_text_form_of_gvariant(
    key: str, text: str, found: object
) -> None:
    asked = {f"org.systemd.property.{key}": text, "other": "["}
    assert systemd_properties.of_annotations(asked) == [found]


@pytest.mark.parametrize("text", ["", "x", "byte 1", "[1]", "uint64 x", "'"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="property"):
        systemd_properties.of_annotations({"org.systemd.property.X": text})
