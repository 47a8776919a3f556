"""What to type instead of a command that minirt doesn't have."""

from __future__ import annotations

from collections.abc import Iterable

_SKOPEO = "skopeo copy docker://NAME oci-archive:FILE, then minirt image load -i FILE"
_ARCHIVE = "minirt image save NAME -o FILE, then skopeo copy oci-archive:FILE docker://NAME"
# Docker's and podman's commands, where minirt has something of the kind.
_ELSEWHERE = {
    "images": "minirt image ls",
    "rmi": "minirt image rm",
    "load": "minirt image load",
    "save": "minirt image save",
    "import": "minirt image import",
    "ls": "minirt ps",
    "networks": "minirt network ls",
    "volumes": "minirt volume ls",
    "pull": _SKOPEO,
    "push": _ARCHIVE,
    "build": "rootfs-tools/ makes root file systems, and minirt image import images of them",
    "system": "minirt info, minirt prune, minirt stats",
}
_LONG_FORMS = {"list": "ls", "remove": "rm", "delete": "rm"}


def instead(word: str, verbs: Iterable[str], of: str = "") -> str:
    """Return what to type instead of ``word``, which is no verb of minirt or of its group ``of``.

    "" if nobody can guess.
    """
    if word == "container" and not of:
        return "the verbs of containers stand alone: minirt ps, minirt rm, …"
    if word in _ELSEWHERE and not of:
        return _ELSEWHERE[word]
    from difflib import get_close_matches

    near = get_close_matches(_LONG_FORMS.get(word, word), verbs, n=1)
    return " ".join(["minirt", *filter(None, [of]), near[0]]) if near else ""
