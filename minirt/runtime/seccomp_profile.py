"""Which system calls a container may use: minirt's own list, and those that operators bring.

The list is seccomp_profile.json: groups of calls, each with its reason. In effect it is what
Docker allows, so that what runs there runs here. A group may depend on a capability: who may
mount anything needs mount(2), and nobody else does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from minirt.errors import in_quotes
from minirt.kernel import syscall_tables
from minirt.runtime.document import Place

FILE = Path(__file__).with_name("seccomp_profile.json")
_OCI_NAMES = {
    "x86_64": "SCMP_ARCH_X86_64",
    "x32": "SCMP_ARCH_X32",
    "i386": "SCMP_ARCH_X86",
    "aarch64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
}
_GO_NAMES = {"x86_64": {"amd64", "x32", "x86"}, "aarch64": {"arm64", "arm"}}
_EPERM = 1


def default(capabilities: Collection[str]) -> dict[str, Any]:
    """Return config.json's linux.seccomp for a process with these capabilities to gain.

    It is everybody's: not to be changed.
    """
    return _default(frozenset(capabilities))


@cache
def _default(capabilities: frozenset[str]) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "architectures": _architectures(),
        "syscalls": [_rule(one) for one in groups() if _fits(one, capabilities)],
    }


@cache
def groups() -> list[dict[str, Any]]:
    """Return the groups of the list, as they stand in the file."""
    return list(json.loads(FILE.read_bytes())["groups"])


def adapt(document: Any, capabilities: Collection[str]) -> dict[str, Any]:
    """Turn a profile in Docker's format into linux.seccomp; one in that form already stays so.

    Docker's has conditions on capabilities, machines and kernels at each rule ("includes",
    "excludes"), and for each machine the other architectures that it runs ("archMap").
    Raises InvalidRequest.
    """
    profile = Place(document, "the seccomp profile")
    adapted = {key: value for key, value in profile.object().items() if key != "archMap"}
    if not adapted.get("architectures"):
        adapted["architectures"] = _architectures()
    adapted["syscalls"] = [
        {key: one.get(key).value for key in ("action", "errnoRet", "args") if one.has(key)}
        | {"names": [*one.get("names").texts(), *_name(one)]}
        for one in profile.get("syscalls").items()
        if _is_included(one, set(capabilities))
    ]
    return adapted


def _architectures() -> list[str]:
    return [_OCI_NAMES[name] for name in syscall_tables.WAYS_IN[syscall_tables.native()]]


def _fits(group: Mapping[str, Any], capabilities: frozenset[str]) -> bool:
    return (
        set(group.get("needs", ())) <= capabilities
        and not set(group.get("without", ())) & capabilities
        and syscall_tables.native() in group.get("machines", [syscall_tables.native()])
    )


def _rule(group: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for line in group["names"] for name in line.split()]
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if "errno" in group:
        rule |= {"action": "SCMP_ACT_ERRNO", "errnoRet": group["errno"]}
    if "args" in group:
        rule["args"] = [
            {
                "index": one["index"],
                "op": "SCMP_CMP_MASKED_EQ",
                "value": int(str(one["mask"]), 0),
                "valueTwo": int(str(one["equals"]), 0),
            }
            for one in group["args"]
        ]
    return rule


def _name(rule: Place) -> list[str]:
    """Read the older form of a rule, for one call."""
    return [rule.get("name").text()] if rule.has("name") else []


def _is_included(rule: Place, capabilities: set[str]) -> bool:
    """Ask the conditions of a rule: all of the capabilities, one of the machines, the kernel."""
    wanted, unwanted = rule.get("includes"), rule.get("excludes")
    here = _GO_NAMES[syscall_tables.native()]
    machines = set(wanted.get("arches").texts())
    return (
        set(wanted.get("caps").texts()) <= capabilities
        and not set(unwanted.get("caps").texts()) & capabilities
        and (not machines or bool(machines & here))
        and not set(unwanted.get("arches").texts()) & here
        and (not wanted.has("minKernel") or _kernel_is(wanted.get("minKernel")))
        and not (unwanted.has("minKernel") and _kernel_is(unwanted.get("minKernel")))
    )


def _kernel_is(version: Place) -> bool:
    """Say whether the running kernel is of this version ("4.8") or newer."""
    asked = version.text().split(".")
    if not all(one.isascii() and one.isdigit() for one in asked):
        version.refuse(f"is {in_quotes(version.value)}, not a version like 4.8")
    running = re.findall(r"[0-9]+", os.uname().release)
    return [int(one) for one in running[: len(asked)]] >= [int(one) for one in asked]
