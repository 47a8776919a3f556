from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.images.changes import apply


@pytest.mark.parametrize(
    ("instruction", "outcome"),
    [
        ('CMD ["httpd", "-f"]', {"Cmd": ["httpd", "-f"]}),
        ("cmd httpd -f", {"Cmd": ["/bin/sh", "-c", "httpd -f"]}),
        ("CMD ['no json']", {"Cmd": ["/bin/sh", "-c", "['no json']"]}),
        ("CMD []", {"Cmd": []}),
        ('ENTRYPOINT ["/init"]', {"Entrypoint": ["/init"]}),
        ("ENV A=1 B='two words' C=", {"Env": ["A=1", "B=two words", "C="]}),
        ("ENV A one two", {"Env": ["A=one two"]}),
        ('LABEL "a.b"="c d"', {"Labels": {"a.b": "c d"}}),
        ("EXPOSE 80 53/udp", {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        ("EXPOSE 80-81", {"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}}),
        ("USER www:www", {"User": "www:www"}),
        ("WORKDIR /www/", {"WorkingDir": "/www"}),
        ("WORKDIR //x/../y", {"WorkingDir": "/y"}),
        ('VOLUME ["/a b", "/c"]', {"Volumes": {"/a b": {}, "/c": {}}}),
        ("VOLUME /a /c/", {"Volumes": {"/a": {}, "/c": {}}}),
        ("STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
        ("STOPSIGNAL 9", {"StopSignal": "9"}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        ('HEALTHCHECK CMD ["a", "b"]', {"Healthcheck": {"Test": ["CMD", "a", "b"]}}),
        (
            "HEALTHCHECK --interval=1m1.5s --start-period=5ms --retries=2  CMD  a b",
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "a b"],
                    "Interval": 61_500_000_000,
                    "StartPeriod": 5_000_000,
                    "Retries": 2,
                }
            },
        ),
        ("ONBUILD RUN make", {"OnBuild": ["RUN make"]}),
    ],
)
def test_an_instruction_changes_the_configuration(
    instruction: str, outcome: dict[str, Any]
) -> None:
    assert apply({}, instruction) == outcome


def test_instructions_add_to_what_is_there() -> None:
    changed: dict[str, Any] = {}
    for one in ("ENV A=1 B=2", "ENV A=3", "WORKDIR /a", "WORKDIR b", "EXPOSE 1", "EXPOSE 2/udp"):
        changed = apply(changed, one)
    assert changed == {
        "Env": ["A=3", "B=2"],
        "WorkingDir": "/a/b",
        "ExposedPorts": {"1/tcp": {}, "2/udp": {}},
    }


@pytest.mark.parametrize(
    "instruction",
    [
        *("", "CMD", "RUN true", "FROM scratch", "ENV A", "ENV =1", "ENV A='"),
        *("LABEL a=b c", "EXPOSE x", "EXPOSE 0", "EXPOSE 70000", "EXPOSE 2-1", "EXPOSE 80/icmp"),
        *("USER a b", "VOLUME a", "VOLUME /../etc", 'VOLUME ["/a/../.."]', "STOPSIGNAL NOPE"),
        *("HEALTHCHECK", "HEALTHCHECK CMD", "HEALTHCHECK a", "HEALTHCHECK --nope=1 CMD a"),
        *("HEALTHCHECK --interval=5 CMD a", "HEALTHCHECK --interval=1..s CMD a", "ONBUILD FROM x"),
        *("HEALTHCHECK --retries=x CMD a", "HEALTHCHECK --timeout= CMD a", "ONBUILD"),
        *("STOPSIGNAL 65", "STOPSIGNAL 0", "ENV A=1\0", 'CMD ["a\\u0000"]', "EXPOSE ８０"),
        *("ENV A=\udcff", 'CMD ["\\ud800"]', "LABEL \udc80=b", "WORKDIR /\ud800"),
    ],
)
def test_an_instruction_that_makes_no_sense_is_refused(instruction: str) -> None:
    with pytest.raises(InvalidRequest):
        apply({}, instruction)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_understood_or_refused(text: str) -> None:
    for keyword in ("CMD", "ENV", "EXPOSE", "LABEL", "USER", "VOLUME", "WORKDIR", "STOPSIGNAL"):
        try:
            changed = apply({}, f"{keyword} {text}")
        except InvalidRequest:
            continue
        assert len(changed) == 1


@given(st.text(max_size=30))
def test_a_working_directory_is_always_absolute_and_clean(text: str) -> None:
    try:
        where = apply({"WorkingDir": "/a"}, f"WORKDIR {text}")["WorkingDir"]
    except InvalidRequest:
        return
    assert where.startswith("/")
    assert ".." not in where.split("/")
