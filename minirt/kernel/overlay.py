"""Many read-only layers and one writable, seen as one (Documentation/filesystems/overlayfs.rst)."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from minirt.kernel import libc, mounts
from minirt.kernel.steps import step

# Layers come from strangers: a redirect in one must not lead to another folder, nor may a
# file of one be the data of another.
_OPTIONS = ("redirect_dir=nofollow", "metacopy=off")
MOST_LAYERS = 500  # OVL_MAX_STACK of fs/overlayfs
_LONGEST_VALUE = 255  # bytes that fsconfig(2) takes with FSCONFIG_SET_STRING
_LONGEST = 4095  # bytes of options that mount(2) takes: the rest it cuts off, and says nothing


def mount(lower: Sequence[Path], upper: Path, work: Path, target: Path) -> None:
    """Mount ``upper`` over the layers ``lower``, topmost first, on ``target``. Raises OSError."""
    told = ":".join(map(_escaped, lower))
    told = ",".join([f"lowerdir={told},upperdir={upper},workdir={work}", *_OPTIONS])
    with step("lay the writable layer over the image", "mount", "-t", "overlay", "-o", told,
              "overlay", target):  # fmt: skip
        if len(lower) > MOST_LAYERS:
            raise OSError(errno.E2BIG, f"the image has more than {MOST_LAYERS} layers")
        try:
            merged = _assembled(lower, upper, work)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _mount_as_before(error, lower, upper, work, target)
            return
        try:
            with _opened(target) as onto:
                mounts.attach(merged, onto)
        finally:
            os.close(merged)


def _mount_as_before(
    error: OSError, lower: Sequence[Path], upper: Path, work: Path, target: Path
) -> None:
    """Try again without "lowerdir+", as Linux before 6.8; if that was not it, ``error`` stands."""
    try:
        mount_in_one_string(lower, upper, work, target)
    except OSError as second:
        raise (error if second.errno == errno.EINVAL else second) from None


def _assembled(lower: Sequence[Path], upper: Path, work: Path) -> int:
    """Name the layers one by one: no limit on the whole, and nothing to escape."""
    layers = [f"lowerdir+={one}" for one in lower]
    return mounts.new("overlay", [*layers, f"upperdir={upper}", f"workdir={work}", *_OPTIONS])


def named_apart(options: Sequence[str]) -> list[str]:
    """Return options of overlayfs in which no list of layers is too long for fsconfig(2).

    It takes 255 bytes at once. So the layers are named one by one, topmost first ("lowerdir+",
    since Linux 6.5), and without the backslashes that a list needs.
    """
    found = []
    for option in options:
        key, _, layers = option.partition("=")
        if key != "lowerdir" or len(os.fsencode(layers)) <= _LONGEST_VALUE:
            found.append(option)
            continue
        plain = [re.sub(r"\\(.)", r"\1", one) for one in re.split(r"(?<!\\):", layers)]
        found += [f"lowerdir+={one}" for one in plain]
    return found


def mount_in_one_string(lower: Sequence[Path], upper: Path, work: Path, target: Path) -> None:
    """Name all layers in the one page that mount(2) takes: by numbers, if paths are too long.

    For Linux before 6.8. Raises OSError.
    """
    told = _in_one_string(lower, upper, work)
    if _fits(told):
        libc.mount("overlay", str(target), "overlay", 0, told)
        return
    with contextlib.ExitStack() as held:
        numbers = [Path(str(held.enter_context(_opened(one)))) for one in lower]
        told = _in_one_string(numbers, upper, work)
        if not _fits(told):
            raise OSError(errno.E2BIG, "the names of its folders are too long for this kernel")
        here = held.enter_context(_opened(Path()))
        os.chdir("/proc/self/fd")
        try:
            libc.mount("overlay", str(target), "overlay", 0, told)
        finally:
            os.fchdir(here)


def _in_one_string(lower: Sequence[Path], upper: Path, work: Path) -> str:
    layers = ":".join(map(_escaped, lower))
    places = [f"lowerdir={layers}", f"upperdir={_escaped(upper)}", f"workdir={_escaped(work)}"]
    return ",".join([*places, *_OPTIONS])


def _fits(options: str) -> bool:
    return len(os.fsencode(options)) <= _LONGEST


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _escaped(path: Path) -> str:
    """Escape what separates options and layers."""
    text = str(path)
    for special in "\\:,":
        text = text.replace(special, f"\\{special}")
    return text
