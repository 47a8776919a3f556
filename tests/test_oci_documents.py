"""What callers of minirt-oci parse, and what they hand over."""

from __future__ import annotations

import ast
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import CommandNotFound, CommandNotRunnable, InvalidRequest, MinirtError
from minirt.oci import OCI_VERSION, log, main, records
from minirt.oci.groups import with_devices
from minirt.oci.verbs import events, features, kill, ps, spec, update
from minirt.oci.verbs import list as listing
from minirt.oci.words import Asked
from minirt.runtime import mount_options, reader
from minirt.runtime import spec as runtime_spec

PACKAGE = Path(main.__file__).parent


# ---- documents ---------------------------------------------------------------------------------


def test_the_template_is_a_config_that_can_be_obeyed() -> None:
    wanted = reader.read(spec.template(rootless=False))
    assert wanted.process.terminal
    assert wanted.root.readonly


def test_the_template_for_users_has_their_mappings() -> None:
    linux = spec.template(rootless=True)["linux"]
    assert {"type": "user"} in linux["namespaces"]
    assert linux["uidMappings"][0]["containerID"] == 0


def test_features_are_what_the_code_has() -> None:
    found = features.document()
    assert found["ociVersionMax"] == runtime_spec.OCI_VERSION == OCI_VERSION
    assert {"mount", "pid", "network", "user"} <= set(found["linux"]["namespaces"])
    assert "SCMP_ACT_ERRNO" in found["linux"]["seccomp"]["actions"]
    assert "SCMP_ACT_NOTIFY" in found["linux"]["seccomp"]["actions"]
    assert found["linux"]["mountExtensions"]["idmap"]["enabled"]
    json.dumps(found)


def test_each_mount_option_that_is_promised_is_understood() -> None:
    for option in features.document()["mountOptions"]:
        own = mount_options.parse((option,)).own  # what a whole file system is told
        assert set(own) <= mount_options.WHOLE, option
    assert {"ro", "rro", "rbind", "rslave", "nosymfollow"} <= set(mount_options.known())


def test_a_table_is_as_wide_as_its_cells() -> None:
    lines = listing.table([["ID", "PID"], ["a" * 20, "1"]]).splitlines()
    assert lines == [f"{'ID':<23}PID", f"{'a' * 20}   1"]


def test_of_ps_the_lines_of_some_processes_are_kept() -> None:
    shown = "UID   PID CMD\nroot    1 init\nroot   12 sh -c 1\n"
    assert list(ps.only(shown.splitlines(keepends=True), {12})) == [
        "UID   PID CMD\n",
        "root   12 sh -c 1\n",
    ]
    with pytest.raises(InvalidRequest, match="PID"):
        list(ps.only(["CMD\n", "init\n"], {1}))


def test_digits_of_any_length_before_the_pid_of_another_process_are_no_pid() -> None:
    shown = ["CMD PID\n", "x " + "9" * 5000 + " 13\n", "init 12\n"]
    assert list(ps.only(shown, {12})) == ["CMD PID\n", "init 12\n"]


# ---- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "pattern"),
    [
        (CommandNotFound("Cannot run x", "why"), 'exec: "x": executable file not found in \\$PATH'),
        (CommandNotFound("Cannot run /x", "why"), 'exec: "/x": .*no such file or directory'),
        (CommandNotRunnable("Cannot run /x", "why"), 'exec: "/x": permission denied'),
        (MinirtError("What"), "^What$"),
        (MinirtError("What", "why", "Do that."), "^What: why. Do that$"),
    ],
)
def test_errors_have_the_words_by_which_callers_know_them(error: MinirtError, pattern: str) -> None:
    assert re.search(pattern, log.explained(error))


# ---- what is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("SIGRTMIN+3", signal.SIGRTMIN + 3)],
)
def test_signals_have_numbers_and_names(text: str, number: int) -> None:
    assert kill.parse(text) == number


@given(st.text(max_size=12))
def test_any_text_is_a_signal_or_refused(text: str) -> None:
    try:
        assert 0 <= kill.parse(text) < signal.NSIG  # 0: is there such a process? (kill(2))
    except InvalidRequest:
        pass


@given(st.text(max_size=20))
def test_an_id_that_is_taken_is_a_plain_name(text: str) -> None:
    try:
        name = records.check_id(text)
    except InvalidRequest as error:
        assert "invalid container ID" in str(error)
        return
    assert name == text
    assert Path("/root", name).parent == Path("/root")
    assert Path("/root", name).name == name


def update_for(**options: str) -> dict[str, Any]:
    values = {key.replace("_", "-"): [value] for key, value in options.items()}
    return update.from_options(Asked("update", values, ["id"]))


def test_options_of_update_become_resources() -> None:
    assert update_for(memory="64M", memory_swap="-1", pids_limit="7", cpuset_cpus="0-1") == {
        "memory": {"limit": 64 << 20, "swap": -1},
        "pids": {"limit": 7},
        "cpu": {"cpus": "0-1"},
    }
    assert update_for(memory="1gb") == {"memory": {"limit": 1 << 30}}


@pytest.mark.parametrize("text", ["", "M", "1.5M", "12x", "--1"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        update_for(memory=text)


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("500ms", 0.5), ("1m", 60)])
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert events.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "0s"])
def test_a_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        events.seconds(text)


def test_the_devices_of_every_container_are_allowed_after_the_configs_rules() -> None:
    deny = {"allow": False, "access": "rwm"}
    rules = with_devices({"devices": [deny]})["devices"]
    assert rules[0] == deny
    assert all(rule["allow"] for rule in rules[1:])
    assert with_devices({}) == {}  # who limits no devices needs no exceptions


# ---- the cost of a start -----------------------------------------------------------------------


def test_the_version_needs_next_to_no_imports() -> None:
    script = "import sys; before = set(sys.modules); from minirt.oci import main; "
    script += "main.run(['--version']); print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split("\n")[2].split())
    assert not loaded & {"argparse", "click", "dataclasses", "pathlib", "ctypes", "typing"}


def test_it_stands_on_the_runtime_alone() -> None:
    """Nothing of images, networks or monitors comes along."""
    allowed = {"oci", "runtime", "kernel", "errors", "state", "light_dataclasses", "__version__"}
    imported = [
        (path.relative_to(PACKAGE), f"{node.module}.{one.name}")
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minirt"
        for one in node.names
    ]
    assert {name.split(".")[1] for _, name in imported} > {"oci", "runtime", "kernel"}
    wrong = [f"{path}: {name}" for path, name in imported if name.split(".")[1] not in allowed]
    assert not wrong, "\n".join(wrong)
