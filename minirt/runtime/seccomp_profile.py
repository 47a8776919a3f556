"""Which system calls a container may use: minirt's own list, and those that operators bring.

The list is seccomp_profile.json: groups of calls, each with its reason. In effect it is what
Docker allows, so that what runs there runs here. A group may depend on a capability: who may
mount anything needs mount(2), and nobody else does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from minirt.kernel import syscall_tables

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
    """Return config.json's linux.seccomp for a process with these capabilities to gain."""
    groups = json.loads(FILE.read_bytes())["groups"]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "architectures": _architectures(),
        "syscalls": [_rule(one) for one in groups if _fits(one, set(capabilities))],
    }


def adapt(profile: Mapping[str, Any], capabilities: Collection[str]) -> dict[str, Any]:
    """Turn a profile in Docker's format into linux.seccomp; one in that form already stays so.

    Docker's has conditions on capabilities, machines and kernels at each rule ("includes",
    "excludes"), and for each machine the other architectures that it runs ("archMap").
    """
    rules = [one for one in profile.get("syscalls") or () if _is_included(one, capabilities)]
    kept = ("names", "action", "errnoRet", "args")
    adapted = {key: value for key, value in profile.items() if key != "archMap"}
    if not adapted.get("architectures"):
        adapted["architectures"] = _architectures()
    adapted["syscalls"] = [
        {key: one[key] for key in kept if one.get(key) is not None}
        | ({"names": [one["name"]]} if one.get("name") else {})
        for one in rules
    ]
    return adapted


def _architectures() -> list[str]:
    return [_OCI_NAMES[name] for name in syscall_tables.WAYS_IN[syscall_tables.native()]]


def _fits(group: Mapping[str, Any], capabilities: set[str]) -> bool:
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


def _is_included(rule: Mapping[str, Any], capabilities: Collection[str]) -> bool:
    """Ask the conditions of a rule of Docker's. All capabilities must be there, one machine."""
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    here = _GO_NAMES[syscall_tables.native()]
    if not set(wanted.get("caps") or ()) <= set(capabilities):
        return False
    if set(unwanted.get("caps") or ()) & set(capabilities):
        return False
    if wanted.get("arches") and not here & set(wanted["arches"]):
        return False
    return not here & set(unwanted.get("arches") or ())
