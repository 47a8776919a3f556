"""The story of --explain: its commands are true, and do the same when typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import SERVER, Minirt
from integration.containers import pid_of
from integration.sandbox import another_network, in_netns, shell

COMMAND = re.compile(r"^ {20}\$ (.*)$", re.MULTILINE)
BAR = re.compile(r"^ +[\d.]+ +[\d.]+  [ #]{50}  (\w+) +(.*)$", re.MULTILINE)
SHOWN = ("addr", "route", "link")


def commands(story: str) -> list[str]:
    return COMMAND.findall(story)


def bars(drawn: str) -> list[str]:
    return [f"{actor} {title}" for actor, title in BAR.findall(drawn)]


def test_run_tells_its_steps_in_order(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "mynet")
    told = minirt("--explain", "run", "--rm", "--net", "mynet", image, "true").stderr
    plot = [
        "unshare --pid --fork",
        "unshare --mount",
        "mount --make-rslave /",
        "mount -t overlay -o lowerdir=$LAYER",
        "mount -t proc",
        "cd $ROOTFS && pivot_root . .",
        "bwrap --seccomp",
        "setpriv --bounding-set",
        "setpriv --reuid",
        "exec true",
    ]
    typed = commands(told)
    for part in plot:
        assert any(line.startswith(part) for line in typed), f"{part} is not in {told}"
    places = [next(n for n, line in enumerate(typed) if line.startswith(part)) for part in plot]
    assert places == sorted(places)
    for part in ("ip link add veth", "nsenter --net=/proc/$INIT/ns/net ip addr add"):
        assert any(line.startswith(part) for line in typed)
    assert "FAILED" not in told
    assert [line for line in typed if line.startswith("exec ")] == ["exec true"]
    for actor in ("command", "monitor", "init"):
        assert re.search(rf"^ +{actor} +\d+\.\d\d ms  \w", told, re.MULTILINE)


def test_devices_are_limited_before_init_opens_any(minirt: Minirt, image: str) -> None:
    """Version 1 denies all devices for a moment, before it allows some (cgroups(7))."""
    told = minirt("--explain", "run", "--rm", "--net", "none", image, "true").stderr
    assert told.rindex("limit the devices") < told.index("keep mounts to this namespace")


def test_exec_and_connect_tell_theirs(minirt: Minirt, image: str) -> None:
    for name in ("net1", "net2"):
        told = minirt("--explain", "network", "create", name).stderr
        assert any(line.startswith("ip link add br-") for line in commands(told))
    minirt("run", "-d", "--name", "web", "--net", "net1", image, "sleep", "100")
    told = minirt("--explain", "exec", "web", "true").stderr
    assert any(line.startswith("nsenter --target") for line in commands(told))
    told = minirt("--explain", "network", "connect", "net2", "web").stderr
    assert any(" eth1" in line and "ip addr add" in line for line in commands(told))
    told = minirt("--explain", "network", "disconnect", "net2", "web").stderr
    assert any(line.startswith("ip link del veth") for line in commands(told))


def test_the_story_is_silent_once_the_container_runs(minirt: Minirt, image: str) -> None:
    done = minirt("--explain", "run", "--rm", "--net", "none", image, "sh", "-c", "echo out")
    assert done.stdout == "out\n"


@pytest.mark.parametrize("options", [(), ("--userns", "private")])
def test_a_network_made_by_hand_from_the_story_is_the_same(
    minirt: Minirt, image: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Type what minirt told: the bridge, the wire, both of its ends, the packet filter."""
    made = minirt("--explain", "network", "create", "mynet").stderr
    run = ("run", "-d", "--name", "web", "--net", "mynet", *options, image, "sleep", "100")
    told = minirt("--explain", *run).stderr
    assert "FAILED" not in told
    pid = pid_of(minirt, "web")
    ours = picture(pid)
    minirt("rm", "-f", "web")
    minirt("network", "rm", "mynet")
    shell("nft", "delete", "table", "inet", "minirt")

    network = [line for line in commands(made) if line.split()[0] in ("ip", "sysctl", "nft")]
    wiring = [line for line in commands(told) if re.match(r"ip |nsenter --net|nft ", line)]
    script = tmp_path / "by-hand.sh"
    lines = ["set -eu", *network, "INIT=$1", *wiring]
    script.write_text("\n".join(lines) + "\n")
    with another_network() as pid:
        shell("sh", script, pid)
        assert picture(pid) == ours
        shell("ip", "link", "del", next(one for one in ours["bridges"] if one.startswith("br-")))


def picture(pid: int) -> dict[str, Any]:
    """Return what can be seen of a container's network, less what chance decides."""
    inside = {one: json.loads(in_netns(pid, "ip", "-j", one).stdout) for one in SHOWN}
    for link in (*inside["link"], *inside["addr"]):
        for key in ("ifindex", "link_index", "link_netnsid", "flags", "txqlen", "link"):
            link.pop(key, None)
        link["addr_info"] = [
            {key: one[key] for key in ("family", "local", "prefixlen")}
            for one in link.get("addr_info", [])
        ]
    ports = json.loads(shell("bridge", "-j", "-d", "link").stdout)
    return {
        **inside,
        "bridges": sorted(one["ifname"] for one in links("bridge")),
        "veths": sorted(one["ifname"] for one in links("veth")),
        "hairpin": [one.get("hairpin") for one in ports],
        "filter": re.sub(r"#.*|\b127\.0\.0\.11:\d+", "", shell("nft", "list", "ruleset").stdout),
        "names": re.sub(r":\d+", "", in_netns(pid, "nft", "list", "ruleset").stdout),
    }


def links(kind: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(shell("ip", "-j", "link", "show", "type", kind).stdout)
    return found


@pytest.mark.core
def test_time_draws_where_it_goes(minirt: Minirt, image: str, road: str) -> None:
    minirt("network", "create", "mynet")
    drawn = minirt("--time", "run", "--rm", "--net", "mynet", image, "true").stderr
    rows = bars(drawn)
    if road == SERVER:
        plot = ["client start an interpreter, call the server", "server hand the command line over"]
    else:
        plot = ["command start an interpreter, import what it takes"]
    plot += [
        "command find the image",
        "command write the record, claim the name",
        "init lay the writable layer over the image",
        "init make it the root",
        "command open the gate, wait for execve",
        "monitor take down what others may want",
        "monitor take down the rest",
    ]
    assert [row for row in rows if row in plot] == plot
    for other in ("command lay a wire into the namespace", "command wait for its end"):
        assert rows.index(plot[0]) < rows.index(other) < rows.index(plot[-1])
    assert "ms in all" in drawn


def test_time_of_a_container_that_goes_on_ends_with_its_start(minirt: Minirt, image: str) -> None:
    drawn = minirt("--time", "run", "-d", "--net", "none", image, "sleep", "1000").stderr
    assert "command open the gate, wait for execve" in bars(drawn)
    assert "take down" not in drawn


def test_time_of_an_exec_goes_to_its_end(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "web", "--net", "none", image, "sleep", "1000")
    drawn = minirt("--time", "exec", "web", "true").stderr
    assert "command wait for its end" in bars(drawn)
