"""``ps``, ``inspect``, ``port``, ``top``, ``rename`` and ``prune`` with containers that live."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.sandbox import in_netns, minirt_words, shell, started, wait_until

pytestmark = pytest.mark.core

SLEEPER = ("sleep", "1000")


def inspected(minirt: Minirt, *names: str) -> dict[str, Any]:
    (document,) = json.loads(minirt("inspect", *names).stdout)
    assert isinstance(document, dict)
    return document


def test_ps_shows_who_runs_and_with_a_who_has_ended(minirt: Minirt, image: str) -> None:
    made = minirt("run", "-d", "--name", "up", "--net", "none", image, *SLEEPER).stdout.strip()
    minirt("run", "--name", "over", "--net", "none", image, "sh", "-c", "exit 3", code=3)
    minirt("create", "--name", "new", "--net", "none", image, "true")
    heads, line = minirt("ps").stdout.splitlines()
    assert " ".join(heads.split()) == "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES"
    assert line.split()[:2] == [made[:12], image]
    assert '"sleep 1000"' in line
    assert "Up " in line
    states = minirt("ps", "-a", "--format", "{{.Names}} {{.State}} {{.Status}}").stdout.splitlines()
    assert [one.split()[:2] for one in states] == [
        ["new", "created"],
        ["over", "exited"],
        ["up", "running"],
    ]
    assert "Exited (3)" in states[1]
    assert minirt("ps", "-q", "--no-trunc").stdout.strip() == made
    assert minirt("ps", "-l", "--format", "{{.Names}}").stdout == "new\n"
    assert minirt("ps", "-n", "2", "--format", "{{.Names}}").stdout == "new\nover\n"
    assert minirt("ps", "-q", "-f", "name=ov", "-f", "exited=3").stdout.count("\n") == 1


def test_ps_takes_neither_networks_nor_images_to_list(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "up", "--net", "none", image, *SLEEPER)
    program = (
        "import sys; from minirt import cli; cli.run(['ps']);"
        "print(sorted(sys.modules.keys() & {'pyroute2', 'dnslib', 'psutil', 'asyncio'}))"
    )
    assert shell(sys.executable, "-c", program).stdout.splitlines()[-1] == "[]"


def test_published_ports_are_shown_everywhere_alike(minirt: Minirt, image: str) -> None:
    words = ("-p", "8080:80", "-p", "127.0.0.1::53/udp", "--expose", "77")
    minirt("run", "-d", "--name", "web", *words, image, *SLEEPER)
    lines = minirt("port", "web").stdout.splitlines()
    assert "80/tcp -> 0.0.0.0:8080" in lines
    assert "80/tcp -> [::]:8080" in lines
    assert minirt("port", "web", "80").stdout.splitlines() == ["0.0.0.0:8080", "[::]:8080"]
    (chosen,) = minirt("port", "web", "53/udp").stdout.splitlines()
    number = chosen.rpartition(":")[2]
    shown = minirt("ps", "--format", "{{.Ports}}").stdout.strip().split(", ")
    assert "0.0.0.0:8080->80/tcp" in shown
    assert f"127.0.0.1:{number}->53/udp" in shown
    assert "77/tcp" in shown
    ports = inspected(minirt, "web")["NetworkSettings"]["Ports"]
    assert {"HostIp": "0.0.0.0", "HostPort": "8080"} in ports["80/tcp"]
    assert ports["77/tcp"] is None
    template = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
    assert minirt("inspect", "-f", template, "web").stdout == "8080\n"
    assert "No public port '81'" in minirt("port", "web", "81", code=1).stderr
    minirt("stop", "-t", "0", "web")
    assert minirt("port", "web").stdout == ""
    assert minirt("ps", "-a", "--format", "{{.Ports}}").stdout == "\n"


def test_inspect_tells_what_the_kernel_has(minirt: Minirt, image: str) -> None:
    minirt("network", "create", "--subnet", "10.30.0.0/24", "net1")
    made = minirt(
        "run", "-d", "--name", "web", "--net", "net1", "--ip", "10.30.0.9", "--network-alias",
        "www", "-e", "A=b", "-l", "tier=one", "-w", "/tmp", image, *SLEEPER,
    ).stdout.strip()  # fmt: skip
    document = inspected(minirt, "web")
    state, settings = document["State"], document["NetworkSettings"]
    assert (document["Id"], document["Name"], document["Path"]) == (made, "/web", "sleep")
    assert (state["Status"], state["Running"]) == ("running", True)
    assert Path("/proc", str(state["Pid"]), "comm").read_text() == "sleep\n"
    assert document["Config"]["Labels"] == {"tier": "one"}
    assert "A=b" in document["Config"]["Env"]
    plug = settings["Networks"]["net1"]
    assert (plug["IPAddress"], plug["IPPrefixLen"], plug["Gateway"]) == (
        "10.30.0.9",
        24,
        "10.30.0.1",
    )
    assert plug["Aliases"] == ["www"]
    assert {"web", "www", made[:12]} <= set(plug["DNSNames"])
    assert settings["IPAddress"] == ""
    links = json.loads(in_netns(state["Pid"], "ip", "-json", "address", "show", "eth0").stdout)
    assert links[0]["address"] == plug["MacAddress"]
    (network,) = json.loads(minirt("network", "inspect", "net1").stdout)
    assert network["Containers"][made]["EndpointID"] == plug["EndpointID"]
    minirt("stop", "-t", "0", "web")
    document = inspected(minirt, made[:6])
    assert document["State"]["ExitCode"] == 137
    assert document["State"]["FinishedAt"] > document["State"]["StartedAt"]
    assert document["NetworkSettings"]["Networks"]["net1"]["IPAddress"] == ""


def test_inspect_finds_containers_images_networks_and_volumes(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "web", "--net", "none", image, "true")
    minirt("network", "create", "net1")
    minirt("volume", "create", "data")
    template = "{{if .Id}}{{end}}{{.Name}}"
    assert minirt("inspect", "-f", template, "web", "net1").stdout == "/web\nnet1\n"
    assert minirt("inspect", "-f", "{{.Mountpoint}}", "data").stdout.endswith("/data/_data\n")
    assert minirt("inspect", "-f", "{{.Os}}", image).stdout == "linux\n"
    assert minirt("inspect", "--type", "network", "web", code=1).stdout == "[]\n"
    done = minirt("inspect", "web", "nosuch", code=1)
    assert [one["Name"] for one in json.loads(done.stdout)] == ["/web"]
    assert "No such object: nosuch" in done.stderr
    done = minirt("inspect", "-f", "{{.Foo}}", "web", code=1)
    assert 'executing "" at <.Foo>: map has no entry for key "Foo"' in done.stderr


def test_top_lists_the_processes_of_the_container_and_no_others(minirt: Minirt, image: str) -> None:
    script = "sleep 1001 & sleep 1002 & wait"
    minirt("run", "-d", "--name", "web", "--net", "none", "-u", "33", image, "sh", "-c", script)
    wait_until(lambda: "1002" in minirt("top", "web").stdout)
    heads, *lines = minirt("top", "web").stdout.splitlines()
    assert heads.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(line.split()[-1] for line in lines) == ["1001", "1002", "wait"]
    pid = str(inspected(minirt, "web")["State"]["Pid"])
    chosen = minirt("top", "web", "-o", "pid,uid,comm").stdout.splitlines()
    assert len(chosen) == 4
    assert any(line.split()[0] == pid for line in chosen)
    assert {line.split()[1] for line in chosen[1:]} <= {"www-data", "www", "33"}
    minirt("stop", "-t", "0", "web")
    assert "not running" in minirt("top", "web", code=1).stderr


def test_a_renamed_container_is_found_by_its_new_name_also_by_its_neighbours(
    minirt: Minirt, image: str
) -> None:
    minirt("network", "create", "net1")
    minirt("run", "-d", "--name", "old", "--net", "net1", image, *SLEEPER)
    minirt("run", "-d", "--name", "asker", "--net", "net1", image, *SLEEPER)
    minirt("exec", "asker", "nslookup", "old")
    minirt("rename", "old", "new")
    minirt("exec", "asker", "ping", "-c1", "-W2", "new")
    assert minirt("exec", "asker", "nslookup", "old", code=None).returncode != 0
    assert minirt("ps", "--format", "{{.Names}}", "-f", "name=new").stdout == "new\n"
    assert (
        "No such container: old" in minirt("inspect", "--type", "container", "old", code=1).stderr
    )
    minirt("run", "-d", "--name", "old", "--net", "none", image, *SLEEPER)
    assert "already in use" in minirt("rename", "old", "new", code=1).stderr
    minirt("stop", "-t", "0", "new")
    minirt("start", "new")
    minirt("exec", "asker", "ping", "-c1", "-W2", "new")


def test_changes_at_the_same_time_are_all_made(minirt: Minirt, image: str) -> None:
    networks = [f"net{number}" for number in range(4)]
    for network in networks:
        minirt("network", "create", network)
    made = minirt("run", "-d", "--name", "web", "--net", "net0", image, *SLEEPER).stdout.strip()
    words = [("network", "connect", network, made) for network in networks[1:]]
    with ExitStack() as stack:
        one = [*words, ("rename", made, "front")]
        children = [stack.enter_context(started(*minirt_words(*w))) for w in one]
        ends = [(child.wait(30), child.stderr.read()) for child in children if child.stderr]
        assert ends == [(0, "")] * len(children)
    document = inspected(minirt, "front")
    plugs = document["NetworkSettings"]["Networks"]
    assert sorted(plugs) == networks
    assert len({plug["IPAddress"] for plug in plugs.values()}) == 4
    assert all("front" in plug["DNSNames"] for plug in plugs.values())


def test_a_container_is_there_at_each_moment_of_being_renamed(minirt: Minirt, image: str) -> None:
    made = minirt("create", "--name", "name0", image, *SLEEPER).stdout.strip()
    rename = " ".join(minirt_words("rename", made))
    with started("sh", "-c", f"for n in $(seq 30); do {rename} name$n || exit; done") as renaming:
        while renaming.poll() is None:
            assert minirt("inspect", "-f", "{{.Id}}", made[:12]).stdout == f"{made}\n"
            assert minirt("ps", "-aq", "--no-trunc").stdout == f"{made}\n"
        assert renaming.returncode == 0
    assert minirt("inspect", "-f", "{{.Name}}", made).stdout == "/name30\n"


def test_prune_asks_and_then_removes_what_does_not_run(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "up", "--net", "none", image, *SLEEPER)
    minirt("run", "--name", "over", "--net", "none", image, "sh", "-c", "echo data > /file")
    gone = minirt("ps", "-aq", "--no-trunc", "-f", "name=over").stdout.strip()
    done = minirt("prune", input="n\n")
    assert "WARNING! This will remove all stopped containers." in done.stdout
    assert minirt("ps", "-aq").stdout.count("\n") == 2
    done = minirt("prune", input="y\n")
    assert f"Deleted Containers:\n{gone}\n\nTotal reclaimed space: " in done.stdout
    assert minirt("ps", "-a", "--format", "{{.Names}}").stdout == "up\n"
    assert minirt("prune", "--force").stdout == "Total reclaimed space: 0B\n"


@pytest.mark.parametrize("verb", ["logs", "port", "top", "inspect --type container"])
def test_a_container_that_is_not_there_is_named(minirt: Minirt, verb: str) -> None:
    said = minirt(*verb.split(), "nosuch", code=1).stderr
    assert said.startswith("minirt: No such container: nosuch")
    assert said.count("\n") == 1


def test_version_and_info_tell_what_is_here(minirt: Minirt, image: str) -> None:
    facts = json.loads(minirt("version", "--format", "json").stdout)
    assert facts["Server"]["KernelVersion"] == shell("uname", "-r").stdout.strip()
    minirt("run", "-d", "--net", "none", image, *SLEEPER)
    told = json.loads(minirt("info", "--format", "json").stdout)
    assert (told["Containers"], told["ContainersRunning"], told["Images"]) == (1, 1, 1)
    assert "Running: 1" in minirt("info").stdout


def test_label_prints_the_value_of_a_label_in_every_list(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "web", "--label", "role=front", "--net", "none", image, "true")
    minirt("volume", "create", "--label", "role=data", "data")
    minirt("network", "create", "--label", "role=inner", "inner")
    form = ("--format", '{{.Label "role"}}')
    assert minirt("ps", "-a", *form).stdout == "front\n"
    assert minirt("volume", "ls", *form).stdout == "data\n"
    assert "inner" in minirt("network", "ls", *form).stdout.split()


def test_ps_shows_the_command_as_docker_quotes_it(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "one", "--net", "none", image, "sh", "-c", 'echo "a\tb"')
    form = ("--no-trunc", "--format", "{{.Command}}")
    assert minirt("ps", "-a", *form).stdout == '"sh -c \'echo \\"a\\tb\\"\'"\n'
    assert minirt("ps", "-a", "--format", "{{.Command}}").stdout == '"sh -c \'echo \\"a\\tb\\"\'"\n'
    minirt("rm", "one")
    minirt("create", "--net", "none", image, "sh", "-c", "exit 3")
    assert minirt("ps", "-a", "--format", "{{.Command}}").stdout == "\"sh -c 'exit 3'\"\n"


def test_ps_shows_neighbouring_ports_as_a_range(minirt: Minirt, image: str) -> None:
    published = ["8000-8020:8000-8020", "81:80", "9000:9000/udp", "8022:8022"]
    flags = [word for one in published for word in ("-p", f"127.0.0.1:{one}")]
    minirt("run", "-d", *flags, "--expose", "77-78", image, "sleep", "1000")
    assert minirt("ps", "--format", "{{.Ports}}").stdout.strip().split(", ") == [
        "127.0.0.1:8000-8020->8000-8020/tcp",
        "77-78/tcp",
        "127.0.0.1:8022->8022/tcp",
        "127.0.0.1:9000->9000/udp",
        "127.0.0.1:81->80/tcp",
    ]


def test_a_name_with_a_slash_as_inspect_shows_it_is_a_name(minirt: Minirt, image: str) -> None:
    minirt("create", "--name", "/one", "-v", "/data", "--net", "none", image, "sleep", "1000")
    assert minirt("inspect", "-f", "{{.Name}}", "/one").stdout == "/one\n"
    minirt("start", "/one")
    assert minirt("exec", "/one", "echo", "hi").stdout == "hi\n"
    words = ("run", "--rm", "--volumes-from", "/one", "--net", "container:/one", image)
    assert minirt(*words, "ls", "-d", "/data").stdout == "/data\n"
    minirt("rename", "/one", "/two")
    minirt("stop", "-t", "0", "/two")
    assert "No such container" in minirt("rm", "/two/", code=1).stderr
    assert "No such container" in minirt("rm", "//two", code=1).stderr
    minirt("rm", "/two")
