from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.network import port_binding, port_syntax
from minirt.network.port_binding import Binding
from minirt.network.port_syntax import PortRequest

numbers = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("80", PortRequest("tcp", 80)),
        (":80", PortRequest("tcp", 80)),
        ("0:80", PortRequest("tcp", 80)),
        ("8080:80", PortRequest("tcp", 80, "", 8080, 8080)),
        ("8080:80/udp", PortRequest("udp", 80, "", 8080, 8080)),
        ("8080:80/UDP", PortRequest("udp", 80, "", 8080, 8080)),
        ("8080:80/", PortRequest("tcp", 80, "", 8080, 8080)),
        ("127.0.0.1:8080:80", PortRequest("tcp", 80, "127.0.0.1", 8080, 8080)),
        ("127.0.0.1::80", PortRequest("tcp", 80, "127.0.0.1")),
        ("0.0.0.0:8080:80", PortRequest("tcp", 80, "0.0.0.0", 8080, 8080)),
        ("[::1]:8080:80", PortRequest("tcp", 80, "::1", 8080, 8080)),
        ("[::]::80", PortRequest("tcp", 80, "::")),
        ("8000-8002:80", PortRequest("tcp", 80, "", 8000, 8002)),
        ("target=80,published=8080", PortRequest("tcp", 80, "", 8080, 8080)),
        ("target=80,protocol=udp,mode=host", PortRequest("udp", 80)),
        ("published=8000-8002,target=80", PortRequest("tcp", 80, "", 8000, 8002)),
    ],
)
def test_a_port_is_read_as_docker_reads_it(text: str, request_: PortRequest) -> None:
    assert port_syntax.parse([text]) == [request_]


def test_ranges_go_together_one_to_one() -> None:
    assert port_syntax.parse(["8000-8002:80-82/udp"]) == [
        PortRequest("udp", 80 + number, "", 8000 + number, 8000 + number) for number in range(3)
    ]
    assert port_syntax.parse(["80-82"]) == [PortRequest("tcp", 80 + number) for number in range(3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("99999:80", "Invalid hostPort: 99999"),
        ("foo:80", "Invalid hostPort: foo"),
        ("8002-8000:80", "Invalid hostPort: 8002-8000"),
        ("-1:80", "Invalid hostPort: -1"),
        ("8080:99999", "Invalid containerPort: 99999"),
        ("٨٠", "Invalid containerPort"),
        ("8080:80/foo", "Invalid proto: foo"),
        ("8080:", "No port specified: 8080:<empty>"),
        ("", "No port specified: <empty>"),
        ("1.2.3:80:80", "Invalid ip address: 1.2.3"),
        ("localhost:80:80", "Invalid ip address: localhost"),
        ("::1:8080:80", "too many colons in address"),
        ("[::1:8080:80", "Invalid ip address"),
        ("[1.2.3.4]:8080:80", "Invalid ip address"),
        ("8000-8002:80-81", "Invalid ranges specified for container and host Ports: 80-81"),
        ("8000:80-82", "Invalid ranges specified"),
        ("published=8080", "No port specified"),
        ("target=80,mode=other", "Invalid publish mode"),
        ("target=80,foo", "Invalid field"),
    ],
)
def test_what_is_no_port_is_refused_in_dockers_words(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match="(?s)" + words.replace("(", r"\(")):
        port_syntax.parse([text])


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        found = port_syntax.parse([text])
    except InvalidRequest:
        return
    assert found
    assert all(0 <= one.container_port <= 65535 for one in found)


@given(numbers, numbers, st.sampled_from(["tcp", "udp"]), st.ip_addresses())
def test_what_was_written_is_read(host: int, port: int, protocol: str, address: object) -> None:
    shown = f"[{address}]" if ":" in str(address) else str(address)
    (found,) = port_syntax.parse([f"{shown}:{host}:{port}/{protocol}"])
    assert found == PortRequest(protocol, port, str(address), host, host)


def test_a_binding_comes_back_from_a_lease_without_its_sockets() -> None:
    binding = Binding("tcp", 80, "::1", 8080, (3,))
    assert port_binding.from_json(port_binding.to_json(binding)) == Binding("tcp", 80, "::1", 8080)
    assert str(binding) == "[::1]:8080"
    assert str(Binding("tcp", 80, "0.0.0.0", 8080)) == "0.0.0.0:8080"
