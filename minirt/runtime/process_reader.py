"""The part of a config.json about the process: also alone, as exec --process has it."""

from __future__ import annotations

from itertools import chain

from minirt.errors import in_quotes
from minirt.kernel import capabilities, rlimits, scheduling
from minirt.kernel.scheduling import Scheduler
from minirt.runtime.document import Place
from minirt.runtime.spec import Capabilities, Process, Rlimit, User

_LARGEST_ID = (1 << 31) - 1
_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
_LIMITS = {f"RLIMIT_{name.upper()}": name for name in rlimits.NUMBERS}


def process(place: Place) -> Process:
    """Read config.md, "Process". Raises InvalidRequest."""
    if place.value is None:
        place.refuse("is missing")
    args = place.get("args").texts()
    if place.has("execCPUAffinity"):
        place.get("execCPUAffinity").refuse("is not supported")
    if not args:
        place.get("args").refuse("is empty: there is nothing to run")
    size = place.get("consoleSize")
    return Process(
        args=args,
        cwd=place.get("cwd").absolute(),
        env=environment(place.get("env")),
        terminal=place.get("terminal").truth(),
        console_size=_size(size) if size.value is not None else None,
        user=_user(place.get("user")),
        capabilities=_capabilities(place.get("capabilities")),
        rlimits=_rlimits(place.get("rlimits")),
        no_new_privileges=place.get("noNewPrivileges").truth(),
        oom_score_adj=_oom_score(place.get("oomScoreAdj")),
        io_priority=_io_priority(place.get("ioPriority")),
        scheduler=_scheduler(place.get("scheduler")),
        apparmor_profile=apparmor_profile(place.get("apparmorProfile")),
        selinux_label=selinux_label(place.get("selinuxLabel")),
    )


def apparmor_profile(place: Place) -> str:
    """Read the name of a profile; without AppArmor there is only "unconfined"."""
    profile = place.text("")
    if not profile:
        return ""
    from minirt.kernel import security_modules

    if security_modules.has_apparmor():
        return profile
    if profile != "unconfined":
        place.refuse(f"is {in_quotes(profile)}, but AppArmor is not in force on this machine")
    return ""


def selinux_label(place: Place) -> str:
    """Read a label of a process or of a mount."""
    label = place.text("")
    if label:
        from minirt.kernel import security_modules

        if not security_modules.has_selinux():
            place.refuse(f"is {in_quotes(label)}, but SELinux is not in force on this machine")
    return label


def environment(place: Place) -> tuple[str, ...]:
    """Read the environment; of a name that is there twice the last value counts."""
    found = {}
    for one in place.items():
        name, equals, value = one.text().partition("=")
        if not name or not equals:
            one.refuse("is not of the form NAME=VALUE")
        found[name] = value
    return tuple(f"{name}={value}" for name, value in found.items())


def _size(place: Place) -> tuple[int, int]:
    largest = (1 << 16) - 1
    return place.get("height").number(0, 0, largest), place.get("width").number(0, 0, largest)


def _user(place: Place) -> User:
    return User(
        uid=place.get("uid").number(0, 0, _LARGEST_ID),
        gid=place.get("gid").number(0, 0, _LARGEST_ID),
        additional_gids=tuple(
            one.number(None, 0, _LARGEST_ID) for one in place.get("additionalGids").items()
        ),
        umask=place.get("umask").number(0o022, 0, 0o777),
    )


def _capabilities(place: Place) -> Capabilities:
    return known_capabilities(Capabilities(*(place.get(name).texts() for name in _SETS)))


def known_capabilities(asked: Capabilities) -> Capabilities:
    """Return the sets without the names that mean nothing: those may be of a later kernel."""
    sets = {name: getattr(asked, name) for name in _SETS}
    unknown = {*asked.unknown, *chain(*sets.values())} - capabilities.NUMBERS.keys()
    if unknown == {*asked.unknown}:
        return asked
    known = {name: tuple(n for n in one if n not in unknown) for name, one in sets.items()}
    return Capabilities(**known, unknown=tuple(sorted(unknown)))


def _rlimits(place: Place) -> tuple[Rlimit, ...]:
    found: dict[str, Rlimit] = {}
    for one in place.items():
        kind = one.get("type").one_of(_LIMITS)
        if kind in found:
            one.refuse(f"limits {kind} a second time")
        soft, hard = one.get("soft").number(), one.get("hard").number()
        if soft > hard:
            one.refuse(f"has a soft limit of {soft}, above the hard one of {hard}")
        found[kind] = Rlimit(f"RLIMIT_{kind.upper()}", soft, hard)
    return tuple(found.values())


def _oom_score(place: Place) -> int | None:
    return None if place.value is None else place.number(None, -1000, 1000)


def _io_priority(place: Place) -> tuple[int, int] | None:
    if place.value is None:
        return None
    kinds = {f"IOPRIO_CLASS_{name}": number for name, number in scheduling.IO_CLASSES.items()}
    return place.get("class").one_of(kinds), place.get("priority").number(0, 0, 7)


def _scheduler(place: Place) -> Scheduler | None:
    """Read config.md, "Scheduler"."""
    if place.value is None:
        return None
    known = {f"SCHED_FLAG_{name}": bit for name, bit in scheduling.FLAGS.items()}
    flags = 0
    for one in place.get("flags").items():
        flags |= one.one_of(known)
    policies = {f"SCHED_{name}": number for name, number in scheduling.POLICIES.items()}
    return Scheduler(
        policy=place.get("policy").one_of(policies),
        flags=flags,
        nice=place.get("nice").number(0, -20, 19),
        priority=place.get("priority").number(0, 0, 99),
        runtime=place.get("runtime").number(0),
        deadline=place.get("deadline").number(0),
        period=place.get("period").number(0),
    )
