"""Manifests and configurations, checked before anybody believes them.

They come with the image: every type and every size is a claim. What passes here has the shape
of OCI's image-spec (manifest.md, config.md), so that nobody else has to ask again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from minirt.errors import InvalidRequest, in_quotes
from minirt.images.layout import CONFIG_TYPE, LARGEST_DOCUMENT, MANIFEST_TYPE
from minirt.images.names import DIGEST
from minirt.state import parse_json

MOST_LAYERS = 500  # overlayfs takes no more (OVL_MAX_STACK)

INDEX_TYPES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
MANIFEST_TYPES = {MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json"}
_CONFIG_TYPES = {CONFIG_TYPE, "application/vnd.docker.container.image.v1+json"}
_LAYER_TYPES = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
}
_LISTS = ("Cmd", "Entrypoint", "Env", "OnBuild", "Shell")
_TEXTS = ("User", "WorkingDir", "StopSignal", "Hostname", "Domainname")
_HEALTH_NUMBERS = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,20})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_SOME_MOMENT = "1970-01-01T00:00:00Z"
_SETS = ("ExposedPorts", "Volumes")


def parse(raw: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object that may be anything. Raises InvalidRequest.

    What Python takes for JSON and others do not is refused (RFC 8259, 6 and 8.2): NaN, numbers
    beyond all bounds, and half of a surrogate pair, which no output could show.
    """
    if len(raw) > LARGEST_DOCUMENT:
        raise _wrong(what, f"it has more than {LARGEST_DOCUMENT >> 20} MiB")
    try:
        document = parse_json(raw)
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise _wrong(what, "it is no JSON: it is nested too deeply") from None
    except UnicodeEncodeError:
        raise _wrong(what, "it has half of a surrogate pair, which is no text") from None
    except ValueError as error:
        raise _wrong(what, f"it is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise _wrong(what, "it is no JSON object")
    return document


def check_descriptor(document: Any, what: str) -> dict[str, Any]:
    """Return a descriptor with a digest, a size and a media type. Raises InvalidRequest."""
    if not isinstance(document, dict):
        raise _wrong(what, "it is no descriptor")
    digest, size = document.get("digest"), document.get("size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise _wrong(
            what, f"its digest is {in_quotes(str(digest)[:80])}, and only sha256 is understood"
        )
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _wrong(what, "its size is no number of bytes")
    if not isinstance(document.get("mediaType"), str):
        raise _wrong(what, "it has no media type")
    return document


def check_index(document: dict[str, Any], what: str = "index") -> list[dict[str, Any]]:
    """Return the descriptors in an index. Raises InvalidRequest."""
    _check_kind(document, what, INDEX_TYPES, "layers")
    manifests = document.get("manifests")
    if not isinstance(manifests, list) or len(manifests) > 10_000:
        raise _wrong(what, "it lists no manifests")
    for one in manifests:
        check_descriptor(one, f"entry of the {what}")
        for key in ("annotations", "platform"):
            if not isinstance(one.get(key) or {}, dict):
                raise _wrong(what, f"{key} are no object")
    return manifests


def check_manifest(document: dict[str, Any], media_type: str = "") -> dict[str, Any]:
    """Return the manifest of one image. Raises InvalidRequest."""
    what = "manifest"
    if media_type and media_type not in MANIFEST_TYPES:
        raise _wrong(what, f"its descriptor says that it is {in_quotes(media_type[:80])}")
    _check_kind(document, what, {media_type} if media_type else MANIFEST_TYPES, "manifests")
    config = check_descriptor(document.get("config"), "configuration in the manifest")
    if config["mediaType"] not in _CONFIG_TYPES:
        raise _wrong(
            what, f"its configuration is {in_quotes(config['mediaType'][:80])}, not an image's"
        )
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise _wrong(what, "it has no list of layers")
    if len(layers) > MOST_LAYERS:
        raise _wrong(what, f"it has {len(layers)} layers, and overlayfs takes {MOST_LAYERS}")
    for one in layers:
        kind = check_descriptor(one, "layer in the manifest")["mediaType"]
        if kind not in _LAYER_TYPES:
            raise _wrong(what, f"a layer is {in_quotes(kind[:80])}, which minirt can't unpack")
    return document


def check_config(document: dict[str, Any], layers: int) -> dict[str, Any]:
    """Return an image's configuration, for that number of layers. Raises InvalidRequest."""
    what = "configuration"
    rootfs = document.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    diff_ids = [] if diff_ids is None and not layers else diff_ids
    if not isinstance(diff_ids, list) or len(diff_ids) != layers:
        raise _wrong(what, f"it does not name the digests of {layers} layers")
    if not all(isinstance(one, str) and DIGEST.fullmatch(one) for one in diff_ids):
        raise _wrong(what, "the digest of a layer is no sha256")
    if document.get("os", "linux") != "linux":
        raise _wrong(what, f"it is made for {in_quotes(str(document['os'])[:40])}, not for Linux")
    execution = document.get("config") or {}
    if not isinstance(execution, dict):
        raise _wrong(what, "'config' is no object")
    for key in ("created", "architecture", "author", "variant", "docker_version"):
        _expect(document, key, isinstance(document.get(key) or "", str))
    _expect(document, "created", _is_moment(document.get("created") or _SOME_MOMENT))
    _expect(document, "history", _is_history(document.get("history") or []))
    for key in _LISTS:
        _expect(execution, key, _are_texts(execution.get(key), list))
    for key in _TEXTS:
        _expect(execution, key, _are_texts([execution.get(key) or ""], list))
    for key in _SETS:
        _expect(execution, key, _are_texts(execution.get(key), dict))
    _expect(execution, "Healthcheck", _is_health_check(execution.get("Healthcheck") or {}))
    _expect(execution, "StopTimeout", isinstance(execution.get("StopTimeout") or 0, int))
    labels = execution.get("Labels") or {}
    _expect(execution, "Labels", _are_texts(labels, dict) and _are_texts(labels.values(), object))
    return document


def _check_kind(document: dict[str, Any], what: str, types: set[str], not_to_have: str) -> None:
    """Refuse a document that could be read as two things (CVE-2021-41190)."""
    kind = document.get("mediaType") or next(iter(types))
    if not isinstance(kind, str) or kind not in types:
        raise _wrong(what, f"it says to be {in_quotes(str(kind)[:80])}")
    if not_to_have in document:
        raise _wrong(what, f"it has {in_quotes(not_to_have)} too, so it could be read in two ways")
    if document.get("schemaVersion") != 2:
        raise _wrong(what, f"its schema is {str(document.get('schemaVersion'))[:20]}, not 2")


def _is_moment(text: str) -> bool:
    """Say whether it is a moment of RFC 3339 that Python's calendar has too."""
    try:
        datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return False
    return bool(_MOMENT.fullmatch(text))


def _is_history(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(one, dict) and isinstance(one.get("comment") or "", str) for one in entries
    )


def _is_health_check(check: Any) -> bool:
    return (
        isinstance(check, dict)
        and _are_texts(check.get("Test"), list)
        and all(isinstance(check.get(key) or 0, int) for key in _HEALTH_NUMBERS)
    )


def _are_texts(values: Any, kind: type[object]) -> bool:
    if values is None:
        return True
    return (
        isinstance(values, kind)
        and isinstance(values, Iterable)
        and all(isinstance(one, str) and "\0" not in one for one in values)
    )


def _expect(document: dict[str, Any], key: str, fits: bool) -> None:
    if not fits:
        raise _wrong("configuration", f"{key} has a value that it can't have")


def _wrong(what: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The image's {what} is not valid", why)
