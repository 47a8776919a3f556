from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.kernel import capabilities

HEADER = Path("/usr/include/linux/capability.h")


@given(st.sets(st.sampled_from(capabilities.NAMES)))
def test_names_and_masks_are_the_same_thing(names: set[str]) -> None:
    assert set(capabilities.names(capabilities.mask(names))) == names


def test_the_masks_are_those_of_the_kernel() -> None:
    assert capabilities.mask(["CAP_CHOWN"]) == 1
    assert capabilities.mask(["CAP_SYS_ADMIN"]) == 0x20_0000
    assert capabilities.mask(["CAP_CHECKPOINT_RESTORE"]) == 1 << 40


@pytest.mark.skipif(not HEADER.exists(), reason="linux-libc-dev is not installed")
def test_each_number_is_the_one_of_the_kernels_header() -> None:
    source = "\n".join(["#include <linux/capability.h>", "CAP_LAST_CAP", *capabilities.NAMES, ""])
    words = ["cpp", "-P", "-"]
    done = subprocess.run(words, input=source, capture_output=True, text=True, check=True)
    last, *numbers = done.stdout.split()[-len(capabilities.NAMES) - 1 :]
    assert numbers == [str(number) for number in range(len(capabilities.NAMES))]
    assert int(last) == len(capabilities.NAMES) - 1


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        capabilities.mask(["CAP_EVERYTHING"])


def test_the_kernel_knows_what_its_proc_says() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert capabilities.known_to_kernel() == (1 << last + 1) - 1


def test_the_bounding_set_is_the_one_in_proc() -> None:
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith("CapBnd:")]
    assert capabilities.bounding() == int(line.split()[1], 16)
    assert capabilities.available() == capabilities.names(int(line.split()[1], 16))
