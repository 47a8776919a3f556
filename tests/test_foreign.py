from __future__ import annotations

import pytest

from minirt.kernel.xtables import Rule
from minirt.network.foreign import rules


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("jump DOCKER-USER", "DOCKER-USER"),
        ('iifname "docker0" jump DOCKER-ISOLATION-STAGE-2', "DOCKER-ISOLATION-STAGE-2"),
        ("-A FORWARD -j DOCKER-USER", "DOCKER-USER"),
        ("-A FORWARD -i eth0 -g ufw-user-forward", "ufw-user-forward"),
        ('iifname "eth0" accept', ""),
    ],
)
def test_a_rule_tells_to_which_chain_it_leads(text: str, target: str) -> None:
    assert Rule(text, 1).target() == target


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("return", True),
        ("reject with icmp port-unreachable", True),
        ("-A DOCKER-USER -j RETURN", True),
        ("-A FORWARD -j REJECT --reject-with icmp-port-unreachable", True),
        ('iifname "eth0" drop', False),
        ("-A FORWARD -i eth0 -j DROP", False),
        ("-A FORWARD -j DOCKER-USER", False),
        ("ct state established,related accept", False),
    ],
)
def test_a_rule_tells_whether_packets_come_past_it(text: str, ends: bool) -> None:
    assert Rule(text, 1).ends_all() is ends


def test_what_docker_publishes_is_reached_as_published_only() -> None:
    both, one = rules("br", ["DOCKER", "DOCKER-ISOLATION-STAGE-2"]), rules("br", ["DOCKER"])
    assert [" ".join(words) for words in both[1:3]] == [
        "-i br -m conntrack --ctstate DNAT -j DOCKER",
        "-i br -j DOCKER-ISOLATION-STAGE-2",
    ]
    assert one[1] == ["-i", "br", "-j", "DOCKER"]  # It refuses, too: it must see everything.
    assert rules("br", []) == [["-i", "br", "-j", "ACCEPT"], ["-o", "br", "-j", "ACCEPT"]]
