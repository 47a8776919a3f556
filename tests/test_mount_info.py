from __future__ import annotations

import pytest

from minirt.kernel import mount_info

TEXT = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /mnt rw - tmpfs none rw
31 30 0:26 / /mnt/a\\040b rw shared:7 master:2 - tmpfs none rw
32 22 0:27 / /srv rw master:9 - tmpfs none rw
"""


@pytest.mark.parametrize(
    ("path", "place", "shared", "master"),
    [
        ("/home/x", "/", True, False),
        ("/mnt", "/mnt", False, False),
        ("/mnt2/x", "/", True, False),
        ("/mnt/a b/c", "/mnt/a b", True, True),
        ("/srv/x", "/srv", False, True),
    ],
)
def test_a_path_is_in_the_mount_that_is_nearest(
    path: str, place: str, shared: bool, master: bool
) -> None:
    assert mount_info.around(path, TEXT) == mount_info.MountPoint(place, shared, master)


def test_mounts_that_are_stacked_are_all_found() -> None:
    more = f"{TEXT}33 30 0:28 / /mnt rw - tmpfs minirt-oci:a\\040b rw\n"
    assert mount_info.sources_at("/mnt", more) == ["none", "minirt-oci:a b"]
    assert mount_info.sources_at("/mnt/a", more) == []


def test_this_machine_can_be_read() -> None:
    assert mount_info.around("/proc/self").place == "/proc"
