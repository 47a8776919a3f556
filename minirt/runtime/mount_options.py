"""The options of an OCI mount, sorted (config.md, "Linux mount options").

Some are attributes of the mount, some say how events travel, and all that are left belong
to the file system. A bind mount shows a file system that is mounted already, so mount(2) ignores
those for it, and so do runc and crun: "mode=755" on a bind has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from minirt.kernel.mounts import Attribute, Propagation

_SET = {
    "ro": Attribute.RDONLY,
    "nosuid": Attribute.NOSUID,
    "nodev": Attribute.NODEV,
    "noexec": Attribute.NOEXEC,
    "noatime": Attribute.NOATIME,
    "nodiratime": Attribute.NODIRATIME,
    "strictatime": Attribute.STRICTATIME,
    "nosymfollow": Attribute.NOSYMFOLLOW,
}
_CLEAR = {
    "rw": Attribute.RDONLY,
    "suid": Attribute.NOSUID,
    "dev": Attribute.NODEV,
    "exec": Attribute.NOEXEC,
    "atime": Attribute.ATIME,
    "diratime": Attribute.NODIRATIME,
    "symfollow": Attribute.NOSYMFOLLOW,
    "relatime": Attribute.ATIME,
    "nostrictatime": Attribute.ATIME,
}
_PROPAGATIONS = ("private", "slave", "shared", "unbindable")
# Without meaning here: the default anyway, or of SELinux, or about the filling of a volume, or
# (the last three) nothing that Linux still asks about.
_IGNORED = {"defaults", "async", "loud", "norelatime", "rnorelatime", "z", "Z", "copy", "nocopy"}
_IGNORED |= {"silent", "iversion", "noiversion"}
_IGNORED |= {""}  # podman-run(1) --systemd has it among the options of its tmpfs
# Of a file that minirt itself shows. Where a symlink of the image leads into the mount of a folder,
# no target is made for it, and the file is left out.
OWN_FILE = "x-minirt.own-file"
# About a file system as a whole.
WHOLE = {"sync", "dirsync", "lazytime", "nolazytime", "mand", "nomand"}


@dataclass(slots=True)
class Options:
    """The same, sorted."""

    add: Attribute = Attribute.NONE
    clear: Attribute = Attribute.NONE
    add_below: Attribute = Attribute.NONE  # "rro" and its like: also on what is mounted below
    clear_below: Attribute = Attribute.NONE
    propagation: Propagation = Propagation.NONE
    propagates_below: bool = False
    bind: bool = False
    recursive: bool = False
    maps_below: bool = False  # "ridmap": owners also on what is mounted below
    copies_up: bool = False  # a tmpfs that begins with what it covers
    own_file: bool = False  # OWN_FILE
    own: tuple[str, ...] = ()  # the file system's


def known() -> list[str]:
    """Return all options that are about the mount; those of file systems are theirs."""
    plain = {*_SET, *_CLEAR}
    travel = {f"{letter}{word}" for letter in ("", "r") for word in _PROPAGATIONS}
    return sorted(
        {*plain, *(f"r{word}" for word in plain), *travel, *_IGNORED, *WHOLE}
        | {"bind", "rbind", "tmpcopyup", "idmap", "ridmap"}
    )


@cache
def parse(texts: tuple[str, ...]) -> Options:
    """Sort the options; a later one overrules an earlier one. Shared: only read it."""
    found = Options()
    for text in texts:
        if not _take(found, text):
            found.own = (*found.own, text)
    return found


def _take(found: Options, text: str) -> bool:
    """Take one option, if it is one for the mount rather than for the file system."""
    if text in ("bind", "rbind"):
        found.bind, found.recursive = True, found.recursive or text == "rbind"
    elif text in ("idmap", "ridmap"):
        found.maps_below = text == "ridmap"
    elif text == "tmpcopyup":
        found.copies_up = True
    elif text == OWN_FILE:
        found.own_file = True
    elif text in _SET:
        field = _SET[text] if not _SET[text] & Attribute.ATIME else Attribute.ATIME
        found.add, found.clear = found.add & ~field | _SET[text], found.clear & ~field
    elif text in _CLEAR:
        found.clear, found.add = found.clear | _CLEAR[text], found.add & ~_CLEAR[text]
    elif text[:1] == "r" and text[1:] in _SET:
        found.add_below |= _SET[text[1:]]
    elif text[:1] == "r" and text[1:] in _CLEAR:
        found.clear_below |= _CLEAR[text[1:]]
    elif text.removeprefix("r") in _PROPAGATIONS:
        found.propagation = Propagation[text.removeprefix("r").upper()]
        found.propagates_below = text.startswith("r")
    else:
        return text in _IGNORED
    return True
