"""``minirt-oci features``: what is supported, and nothing else (features.md).

All lists come from the tables that the code itself works with, so they can't promise more.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from minirt import __version__
from minirt.kernel import capabilities, cgroup_mounts, seccomp, syscall_tables
from minirt.oci.words import Asked
from minirt.runtime import mount_options, seccomp_rules
from minirt.runtime.spec import NAMESPACES, OCI_VERSION

_HOOKS = (
    *("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"),
)


def run(asked: Asked) -> int:
    """Print the document."""
    sys.stdout.write(json.dumps(document(), indent=2) + "\n")
    return 0


def document() -> dict[str, Any]:
    """Return what features.md describes, for this machine."""
    versions = {one.version for one in cgroup_mounts.hierarchies()}
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": list(_HOOKS),
        "mountOptions": mount_options.known(),
        "linux": {
            "namespaces": sorted(set(NAMESPACES) - _missing_namespaces()),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {
                "v1": 1 in versions,
                "v2": 2 in versions,
                "systemd": True,
                "systemdUser": False,
                "rdma": True,
            },
            "seccomp": _seccomp(),
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {"org.minirt.version": __version__},
    }


def _missing_namespaces() -> set[str]:
    """Return what this kernel lacks."""
    here = {one.name for one in Path("/proc/self/ns").iterdir()}
    names = {"mount": "mnt", "network": "net"}
    return {name for name in NAMESPACES if names.get(name, name) not in here}


def _seccomp() -> dict[str, Any]:
    native = set(syscall_tables.WAYS_IN[syscall_tables.native()])
    return {
        "enabled": True,
        "actions": sorted(seccomp_rules.ACTIONS),
        "operators": sorted(seccomp_rules.OPERATORS),
        "archs": sorted(one for one, name in seccomp_rules.ARCHITECTURES.items() if name in native),
        "knownFlags": sorted(seccomp.FLAGS),
        "supportedFlags": sorted(seccomp.FLAGS),
    }
