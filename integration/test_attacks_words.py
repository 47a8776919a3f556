"""Words of the command line that are more than they seem: paths, lines, settings, code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell


@pytest.mark.parametrize(
    "words",
    [
        ("--hostname", "a\n127.0.0.1 evil"),
        ("--name", "a\n127.0.0.1 evil"),
        ("--add-host", "a\n127.0.0.1 evil:10.0.0.1"),
        ("--network-alias", "a\n127.0.0.1 evil"),
        ("--dns-search", "a\nnameserver 6.6.6.6"),
        ("--dns", "1.1.1.1\nnameserver 6.6.6.6"),
        ("--name", "../../etc/passwd"),
        ("--name", "-rm"),
        ("--user", "1_0"),
        ("--memory", "٣m"),
        ("--publish", "80\n:80"),
    ],
)
def test_no_word_becomes_two_lines_of_a_file_or_another_path(
    minirt: Minirt, image: str, words: tuple[str, ...]
) -> None:
    refused = minirt("run", "--rm", *words, image, "true", code=None)
    assert refused.returncode in (1, 2, 125), refused.stderr
    assert "Traceback" not in refused.stderr


def test_words_that_are_what_they_seem_are_taken(minirt: Minirt, image: str) -> None:
    """The control for the test above: none was refused for another reason."""
    words: tuple[str, ...] = ("--hostname", "a", "--name", "one", "--add-host", "c:10.0.0.1")
    words += ("--network-alias", "d", "--dns-search", "e", "--dns", "1.1.1.1", "--user", "10")
    words += ("--memory", "30m", "--publish", "80:80", "--net", "net1")
    minirt("network", "create", "net1")
    shown = minirt("run", "--rm", *words, image, "sh", "-c", "hostname; cat /etc/hosts; id -u")
    assert shown.stdout.startswith("a\n") and shown.stdout.endswith("\n10\n")
    assert ["10.0.0.1", "c"] in [line.split() for line in shown.stdout.splitlines()]


@pytest.mark.parametrize(
    "setting",
    [
        "kernel.core_pattern=x",
        "net/../kernel/core_pattern=x",
        "net.ipv4/../../kernel/core_pattern=x",
        "kernel.shm_rmid_forced=1+kernel.core_pattern=x",
        "kernel.shm_rmid_forced=1\nkernel.core_pattern=x",
    ],
)
def test_no_sysctl_of_a_container_sets_one_of_the_machine(
    minirt: Minirt, image: str, setting: str
) -> None:
    """CVE-2022-0811: one word for the program that set them was two settings."""
    sysctl = Path("/proc/sys")
    before = (sysctl / "kernel/core_pattern").read_text()
    words = ("run", "--rm", "--net", "none", "--sysctl")
    assert minirt(*words, setting, image, "true", code=125).stderr.startswith("minirt: ")
    assert (sysctl / "kernel/core_pattern").read_text() == before
    minirt(*words, "kernel.shm_rmid_forced=1", image, "true")  # It is not the word alone.


@pytest.mark.parametrize(
    "path", ["net/../kernel/core_pattern", "net/ipv4/../../kernel/core_pattern"]
)
def test_who_joins_a_path_with_the_name_of_a_sysctl_is_led_to_another(path: str) -> None:
    """The control for the test above."""
    assert Path("/proc/sys", path).samefile("/proc/sys/kernel/core_pattern")


def test_variables_of_a_container_are_none_of_its_runtime(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """What they name is there on the host as well: sitecustomize is imported by every Python."""
    marker, library = tmp_path / "marker", tmp_path / "no-library.so"
    (tmp_path / "sitecustomize.py").write_text(f"open({str(marker)!r}, 'w')")
    variables = [f"PYTHONPATH={tmp_path}", f"LD_PRELOAD={library}", f"PYTHONSTARTUP={library}"]
    flags = [word for one in variables for word in ("-e", one)]
    minirt("run", "-d", "--name", "one", "--net", "none", *flags, image, "sleep", "1000")
    for words in ("run", "--rm", "--net", "none", *flags, image), ("exec", *flags, "one"):
        done = minirt(*words, "env")
        assert set(variables) <= {*done.stdout.splitlines()}
        assert done.stderr == ""
    assert not marker.exists()
    naive = shell("env", *variables, sys.executable, "-c", "")  # The control.
    assert marker.exists() and "LD_PRELOAD" in naive.stderr
