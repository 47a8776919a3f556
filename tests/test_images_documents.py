"""Manifests and configurations are refused before anybody believes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.images import documents, platforms
from minirt.images.layout import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE

DIGEST = "sha256:" + "a" * 64


def descriptor(media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 1, **more}


def manifest(**changes: Any) -> dict[str, Any]:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE),
        "layers": [descriptor(LAYER_TYPE + "+gzip")],
    }
    return {**document, **changes}


def config(**changes: Any) -> dict[str, Any]:
    return {"os": "linux", "rootfs": {"type": "layers", "diff_ids": [DIGEST]}, **changes}


def test_a_manifest_as_others_write_it_is_taken() -> None:
    assert documents.check_manifest(manifest()) == manifest()
    without_type = {key: value for key, value in manifest().items() if key != "mediaType"}
    assert documents.check_manifest(without_type) == without_type


@pytest.mark.parametrize(
    "changes",
    [
        {"manifests": []},  # CVE-2021-41190: an index too
        {"mediaType": "application/vnd.oci.image.index.v1+json"},
        {"mediaType": 1},
        {"schemaVersion": 1},
        {"config": descriptor("application/vnd.unknown.config.v1+json")},
        {"config": None},
        {"layers": {}},
        {"layers": [descriptor("application/vnd.oci.image.layer.v1.tar+encrypted")]},
        {"layers": [descriptor(LAYER_TYPE, size=-1)]},
        {"layers": [descriptor(LAYER_TYPE, size=True)]},
        {"layers": [descriptor(LAYER_TYPE, digest="sha512:" + "a" * 128)]},
        {"layers": [descriptor(LAYER_TYPE, digest=DIGEST + "\n")]},
        {"layers": [descriptor(LAYER_TYPE, digest="sha256:../../../etc/passwd")]},
        {"layers": [descriptor(LAYER_TYPE)] * 501},
    ],
)
def test_a_manifest_that_claims_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        documents.check_manifest(manifest(**changes))


def test_a_manifest_is_what_its_descriptor_says() -> None:
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    with pytest.raises(InvalidRequest):
        documents.check_manifest(manifest(), docker)


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({}, 2),
        ({"rootfs": None}, 1),
        ({"rootfs": {"diff_ids": ["sha256:x"]}}, 1),
        ({"os": "windows"}, 1),
        ({"config": ["x"]}, 1),
        ({"config": {"Env": "A=1"}}, 1),
        ({"config": {"Env": [1]}}, 1),
        ({"config": {"Cmd": ["a\0b"]}}, 1),
        ({"config": {"Labels": {"a": 1}}}, 1),
        ({"config": {"Volumes": ["/a"]}}, 1),
        ({"config": {"User": 0, "WorkingDir": 5}}, 1),
        ({"created": 5}, 1),
        ({"created": "now"}, 1),
        ({"created": "2026-99-01T00:00:00Z"}, 1),
        ({"created": "2026-01-01T00:00:00"}, 1),
        ({"created": "2026-W01-1T00:00:00Z"}, 1),
        ({"created": "99999-01-01T00:00:00Z"}, 1),
        ({"created": "2026-01-01T00:00:00+99:99"}, 1),
        ({"history": 5}, 1),
        ({"history": {"comment": "x"}}, 1),
        ({"history": ["x"]}, 1),
        ({"history": [{"comment": ["x"]}]}, 1),
        ({"variant": [1]}, 1),
        ({"config": {"Healthcheck": 5}}, 1),
        ({"config": {"Healthcheck": {"Test": "true"}}}, 1),
        ({"config": {"Healthcheck": {"Test": ["CMD", 5]}}}, 1),
        ({"config": {"Healthcheck": {"Test": ["CMD", "x"], "Interval": "1s"}}}, 1),
        ({"config": {"StopTimeout": "x"}}, 1),
    ],
)
def test_a_configuration_that_claims_nonsense_is_refused(
    changes: dict[str, Any], layers: int
) -> None:
    with pytest.raises(InvalidRequest):
        documents.check_config(config(**changes), layers)


@pytest.mark.parametrize(
    "created",
    [
        None,
        "",
        "0001-01-01T00:00:00Z",
        "2026-01-02T03:04:05.123456789Z",
        "2026-01-01T00:00:00-08:00",
    ],
)
def test_a_moment_as_builders_write_it_is_taken(created: str | None) -> None:
    full = {
        "created": created,
        "history": [{"created_by": "x", "comment": ""}, {}],
        "variant": "v8",
        "config": {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 10**9}, "StopTimeout": 5},
    }
    assert documents.check_config(config(**full), 1)["created"] == created


def test_a_descriptor_does_not_make_up_a_kind_of_manifest() -> None:
    with pytest.raises(InvalidRequest):
        documents.check_manifest(manifest(mediaType="text/made-up"), "text/made-up")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": NaN}',
        b'{"a": [-Infinity]}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"\\udcff": 1}',
        b'{"a": "\\udc00\\ud800"}',
    ],
)
def test_what_only_python_takes_for_json_is_refused(raw: bytes) -> None:
    json.loads(raw)
    with pytest.raises(InvalidRequest):
        documents.parse(raw, "manifest")


def test_a_surrogate_pair_is_text() -> None:
    assert documents.parse(b'{"a": "\\ud83d\\ude00"}', "manifest") == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b" " * (5 << 20)]
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        documents.parse(raw, "manifest")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["config", "rootfs", "os", "created", "Env", "layers", "manifests"]),
        json_values,
    ),
    st.dictionaries(
        st.sampled_from(["Cmd", "Env", "Labels", "Volumes", "User", "ExposedPorts"]), json_values
    ),
)
def test_no_document_causes_anything_but_a_refusal(
    document: dict[str, Any], execution: dict[str, Any]
) -> None:
    read = documents.parse(json.dumps(document).encode(), "manifest")
    for check in (
        lambda: documents.check_manifest({**manifest(), **read}),
        lambda: documents.check_config({**config(), **read}, 1),
        lambda: documents.check_config(config(config=execution), 1),
        lambda: documents.check_index({"schemaVersion": 2, **read}),
    ):
        try:
            check()
        except InvalidRequest:
            continue


def test_of_several_images_this_machines_is_chosen() -> None:
    mine = descriptor(
        MANIFEST_TYPE, platform={"os": "linux", "architecture": platforms.architecture()}
    )
    other = descriptor(MANIFEST_TYPE, platform={"os": "linux", "architecture": "mips"})
    proof = descriptor(MANIFEST_TYPE, platform={"os": "unknown", "architecture": "unknown"})
    assert platforms.chosen([other, mine, proof]) == [mine]
    assert platforms.chosen([other, proof]) == [other]  # the only one: perhaps it is emulated
    with pytest.raises(InvalidRequest, match="linux/mips"):
        platforms.chosen([other, other])
