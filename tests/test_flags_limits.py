from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.container.flags import limits
from minirt.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("64", 64),
        ("64b", 64),
        ("64k", 64 << 10),
        ("64KB", 64 << 10),
        ("64kiB", 64 << 10),
        ("1.5g", 3 << 29),
        ("2 m", 2 << 20),
        ("1t", 1 << 40),
    ],
)
def test_sizes_are_read_as_docker_reads_them(text: str, amount: int) -> None:
    assert limits.size(text, "--memory") == amount


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1mm", "1..5", "0x10", "1e3", "٣m", "9p9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid size"):
        limits.size(text, "--memory")


@pytest.mark.parametrize("text", ["9999999p", "9" * 309, "9" * 300 + "p"])
def test_more_than_the_kernel_can_count_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="more than the kernel can count"):
        limits.size(text, "--memory")


@given(st.integers(0, 1 << 20), st.sampled_from("bkmg"))
def test_a_number_with_a_unit_is_that_many_bytes(number: int, unit: str) -> None:
    assert limits.size(f"{number}{unit}", "-m") == number << 10 * "bkmg".index(unit)


@given(st.text())
def test_any_text_is_a_size_or_a_clear_refusal(text: str) -> None:
    try:
        assert limits.size(text, "-m") >= 0
    except InvalidRequest as error:
        assert "-m" in str(error)


@pytest.mark.parametrize(
    ("limit", "swap", "result"),
    [
        ("", "", (0, 0)),
        ("64m", "", (64 << 20, 0)),
        ("64m", "-1", (64 << 20, -1)),
        ("64m", "64m", (64 << 20, 64 << 20)),
    ],
)
def test_memory_and_swap_go_together(limit: str, swap: str, result: tuple[int, int]) -> None:
    assert limits.memory(limit, swap) == result


@pytest.mark.parametrize(
    ("limit", "swap", "why"),
    [
        ("5m", "", "least memory limit"),
        ("", "64m", "needs a limit of memory"),
        ("64m", "32m", "can't be less"),
    ],
)
def test_contradicting_limits_of_memory_are_refused(limit: str, swap: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        limits.memory(limit, swap)


@pytest.mark.parametrize(
    ("text", "nanos"), [("", 0), ("0", 0), ("1", 10**9), (".5", 5 * 10**8), ("0.01", 10**7)]
)
def test_processors_are_counted_in_thousand_millionths(text: str, nanos: int) -> None:
    assert limits.nano_cpus(text) == nanos


@pytest.mark.parametrize("text", ["-1", "x", "0.001", "1.0000000001", "1/2", "nan"])
def test_what_is_no_number_of_processors_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--cpus"):
        limits.nano_cpus(text)


@pytest.mark.parametrize(
    ("text", "soft", "hard"),
    [("nofile=1024", 1024, 1024), ("core=0:10", 0, 10), ("nproc=5:-1", 5, -1), ("cpu=-1", -1, -1)],
)
def test_ulimits_have_a_soft_and_a_hard_limit(text: str, soft: int, hard: int) -> None:
    limit = limits.ulimit(text)
    assert (limit["soft"], limit["hard"]) == (soft, hard)


@pytest.mark.parametrize(
    "text", ["nofile", "=1", "foo=1", "nofile=2:1", "cpu=-1:5", "core=1:2:3", "core="]
)
def test_what_is_no_ulimit_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--ulimit"):
        limits.ulimit(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("net.ipv4.ip_forward=1", "net.ipv4.ip_forward"),
        ("net/ipv4/ip_forward=1", "net.ipv4.ip_forward"),
        ("kernel.shmmax=5", "kernel.shmmax"),
        ("fs.mqueue.msg_max=5", "fs.mqueue.msg_max"),
    ],
)
def test_sysctls_of_namespaces_are_taken(text: str, name: str) -> None:
    assert limits.sysctl(text)[0] == name


@pytest.mark.parametrize(
    "text",
    ["kernel.panic=1", "vm.swappiness=1", "net.ipv4.x", "net/../vm.x=1", "kernel.hostname=x", "=1"],
)
def test_sysctls_of_the_machine_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--sysctl"):
        limits.sysctl(text)
