"""Where a container that is being made gets its cgroup: by our own hands, or by systemd's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from minirt.errors import Conflict, MinirtError
from minirt.kernel.cgroups import Cgroup
from minirt.oci import groups, records
from minirt.oci.records import Record
from minirt.runtime.spec import Spec

if TYPE_CHECKING:
    from minirt.oci.systemd import Scope


def check(path: str, identifier: str) -> None:
    """Refuse a cgroupsPath that names no group, or one too deep. Raises InvalidRequest."""
    _named(path, identifier, "")


def note(record: Record, path: str) -> Record:
    """Write down the group before it is made: then it can be removed. Raises Conflict."""
    name, scope = _named(path, record.id, record.description)
    group = groups.of(name)
    if group is not None:
        try:
            groups.check_free(group)
        except MinirtError:
            records.save(record)
            raise
        made = groups.missing_of(group)
        if scope:  # The slices above it are systemd's, which removes what nobody uses.
            made = tuple(path for path in made if path.endswith(scope.unit))
        record = replace(record, cgroup=name, made=made, unit=scope.unit if scope else "")
    records.save(record)
    return record


@contextmanager
def placed(record: Record, spec: Spec) -> Iterator[Cgroup | None]:
    """Have the group, with its limits, to be entered during the body."""
    if not record.unit:
        yield groups.make(record.cgroup, spec.resources) if record.cgroup else None
        return
    from minirt.oci import systemd, systemd_properties

    properties = systemd_properties.of_annotations(spec.annotations)
    group = groups.of(record.cgroup)
    if group and groups.is_version_2_alone(group):
        properties += systemd_properties.of_limits(spec.resources)
    scope = systemd.scope_for(spec.cgroups_path, record.id, record.description)
    try:
        with systemd.started(scope, properties):
            yield groups.make(record.cgroup, spec.resources)
    except Conflict:  # Another's: not to be touched when what there is of ours is undone.
        records.save(replace(record, cgroup="", made=(), unit=""))
        raise


def _named(path: str, identifier: str, description: str) -> tuple[str, Scope | None]:
    """Return the name of the group, and its scope if systemd is to make it."""
    if not groups.by_systemd():
        name, scope = groups.name_for(path, identifier), None
    else:
        from minirt.oci import systemd

        scope = systemd.scope_for(path, identifier, description)
        name = scope.group
    groups.check_depth(name)
    return name, scope
