"""Annotations of config.json that callers of crun know, crun(1).

minirt itself does not obey them, as Docker with runc does not: the groups of its fork server say
nothing about the user of ``minirt run``.
"""

from __future__ import annotations

from dataclasses import replace

from minirt.runtime.spec import Process, Spec


def with_groups(process: Process, spec: Spec) -> Process:
    """Return a process of the container that keeps the caller's groups if an annotation says so.

    As with crun, each value of run.oci.keep_original_groups but "0" means that neither init nor a
    process of ``exec`` calls setgroups(2). podman's ``--group-add keep-groups`` sets it to "1".
    """
    if spec.annotations.get("run.oci.keep_original_groups", "0") == "0":
        return process
    return replace(process, user=replace(process.user, keeps_groups=True))
