from __future__ import annotations

import errno
import os

import pytest

from minirt.errors import KernelRefused
from minirt.network.lacks import needs


def test_a_kernel_without_a_part_of_linux_is_named_with_the_part() -> None:
    with pytest.raises(KernelRefused) as refused, needs("veth pairs", "veth"):
        raise OSError(errno.EOPNOTSUPP, "Unknown device type")
    assert str(refused.value) == (
        "This kernel has no veth pairs: Unknown device type. "
        "Load its module (modprobe veth), or take a kernel that has it."
    )


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(FileExistsError), needs("veth pairs", "veth"):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
