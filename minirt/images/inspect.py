"""All that is known of an image, in the shape of ``docker image inspect``."""

from __future__ import annotations

from typing import Any

from minirt.images.store import Image

_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time, which Docker prints for "it doesn't say"


def document(image: Image) -> dict[str, Any]:
    """Return what ``inspect`` prints of an image."""
    config = image.config
    history = config.get("history") or [{}]
    repositories = sorted({name.rpartition(":")[0] for name in image.names})
    return {
        "Id": image.id,
        "RepoTags": list(image.names),
        "RepoDigests": [f"{one}@{image.manifest}" for one in repositories],
        "Parent": "",
        "Comment": history[-1].get("comment") or "",
        "Created": image.created or _NEVER,
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": _execution(image.execution),
        "Architecture": config.get("architecture") or "",
        "Variant": config.get("variant") or "",
        "Os": config.get("os") or "linux",
        "Size": image.size,
        "GraphDriver": {"Name": "overlay", "Data": _folders(image)},
        "RootFS": {"Type": "layers", "Layers": image.diff_ids},
        "Metadata": {"LastTagTime": _NEVER},
    }


def _execution(execution: dict[str, Any]) -> dict[str, Any]:
    """Return how to run it, with every field that scripts ask for."""
    unset: dict[str, Any] = {
        "User": "",
        "ExposedPorts": None,
        "Env": None,
        "Cmd": None,
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
    }
    return {**unset, **execution}


def _folders(image: Image) -> dict[str, str]:
    upper, *lower = [str(one) for one in image.layers] or [""]
    return {"UpperDir": upper} | ({"LowerDir": ":".join(lower)} if lower else {})
