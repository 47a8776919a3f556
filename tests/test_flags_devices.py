from __future__ import annotations

import pytest

from minirt.container.flags import devices
from minirt.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "host", "inside", "access"),
    [
        ("/dev/null", "/dev/null", "/dev/null", "rwm"),
        ("/dev/null:r", "/dev/null", "/dev/null", "r"),
        ("/dev/null:/dev/x", "/dev/null", "/dev/x", "rwm"),
        ("/dev/null:/dev/x:mr", "/dev/null", "/dev/x", "mr"),
        ("/dev/null:/dev/../x/./y", "/dev/null", "/x/y", "rwm"),
    ],
)
def test_forms_of_a_device(text: str, host: str, inside: str, access: str) -> None:
    assert devices.device(text) == {"host": host, "inside": inside, "access": access}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "bad format"),
        ("/dev/null:/dev/x:rwx", "bad mode specified: rwx"),
        ("/dev/null:/dev/x:rr", "bad mode specified: rr"),
        ("/dev/null:/a:/b:rw", "bad format"),
        ("null", "null is not an absolute path"),
        ("/dev/null:x", "x is not an absolute path"),
        ("/dev/nothing-there", "no such file or directory"),
    ],
)
def test_what_is_no_device_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        devices.device(text)


def test_rules_of_the_cgroup() -> None:
    assert devices.parsed(devices.rule("c 42:* rwm")) == {
        "allow": True,
        "type": "c",
        "major": 42,
        "access": "rwm",
    }
    assert devices.parsed(devices.rule("a *:* r")) == {"allow": True, "type": "a", "access": "r"}
    for text in ("c 1:3", "x 1:3 r", "c 1 r", "c 1:3 rwmr", "c 1:3 r\n"):
        with pytest.raises(InvalidRequest, match="invalid device cgroup format"):
            devices.rule(text)
