from __future__ import annotations

import json
from dataclasses import replace

import pytest

from minirt.commands import inspected
from minirt.container import amounts, inspect, listing, names, record, renaming, selection
from minirt.container.log_writer import timestamp
from minirt.container.record import (
    Config,
    Endpoint,
    EndpointRequest,
    HostConfig,
    LastRun,
    Mount,
    Record,
)
from minirt.container.templates import render
from minirt.container.templates.structs import NIL_LIST
from minirt.errors import Conflict, InvalidRequest


def make(name: str = "web", digit: str = "a", config: Config | None = None) -> Record:
    one = Record(
        id=digit * 64,
        name=name,
        created=timestamp(),
        image="busybox",
        image_id="sha256:" + "12" * 32,
        config=config or Config(entrypoint=["sh"], command=["-c", "echo"], labels={"tier": "one"}),
        host=HostConfig(network_mode="net1"),
        mounts=[Mount("volume", "/v/data/_data", "/data", name="data")],
        endpoints=[EndpointRequest("f" * 64, "net1", "10.0.0.9", aliases=["www"])],
    )
    record.save(one)
    names.claim(name, one.id)
    return one


def ended(one: Record, code: int = 3) -> None:
    record.save_last(one.id, LastRun(timestamp(), timestamp(), code))


def test_a_row_tells_what_docker_tells() -> None:
    one = make()
    row = listing.row(one)
    assert row["ID"] == "a" * 12
    assert row["Command"] == '"sh -c echo"'
    assert (row["State"], row["Status"]) == ("created", "Created")
    assert (row["Networks"], row["Labels"], row["Mounts"]) == ("net1", "tier=one", "data")
    ended(one)
    assert listing.row(one)["Status"] == "Exited (3) Less than a second ago"


def test_long_commands_are_cut_unless_asked_for() -> None:
    one = make(config=Config(command=["x" * 40]))
    assert listing.row(one)["Command"] == '"' + "x" * 19 + '…"'
    assert listing.row(one, cut=False)["Command"] == '"' + "x" * 40 + '"'
    assert listing.row(one, cut=False)["ID"] == one.id


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], ["web", "db"]),
        (["name=we"], ["web"]),
        (["name=^/web$"], ["web"]),
        (["name=web", "name=db"], ["web", "db"]),
        (["name=web", "id=b"], []),
        (["id=bb"], ["db"]),
        (["label=tier"], ["web", "db"]),
        (["label=tier=one"], ["web", "db"]),
        (["label=tier=two"], []),
        (["status=exited"], ["web"]),
        (["exited=3"], ["web"]),
        (["exited=0"], []),
        (["ancestor=busybox"], ["web", "db"]),
        (["ancestor=busybox:latest"], ["web", "db"]),
        (["ancestor=121212121212"], ["web", "db"]),
        (["ancestor=debian"], []),
        (["network=net1"], ["web", "db"]),
        (["network=ffff"], ["web", "db"]),
        (["network=net"], []),
        (["volume=data"], ["web", "db"]),
        (["volume=/data"], ["web", "db"]),
        (["volume=other"], []),
    ],
)
def test_filters_select_containers(filters: list[str], found: list[str]) -> None:
    web, db = make(), make("db", "b")
    ended(web)
    match = selection.matcher(filters)
    assert [one.name for one in (web, db) if match(one)] == found


@pytest.mark.parametrize("text", ["foo=1", "name", "status=dancing", "exited=x", "name=["])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid filter"):
        selection.matcher([text])


@pytest.mark.parametrize(
    ("amount", "told"), [(0, "0B"), (999, "999B"), (1234567, "1.235MB"), (5e13, "50TB")]
)
def test_bytes_are_told_in_decimal_units(amount: float, told: str) -> None:
    assert amounts.decimal(amount) == told


def test_inspect_has_the_fields_that_scripts_ask_for() -> None:
    one = make()
    document = inspect.document(one)
    assert document["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert (
        render("{{.State.Status}} {{.State.Running}} {{.State.Pid}}", document) == "created false 0"
    )
    assert render("{{.Name}} {{.Path}} {{.Args}}", document) == "/web sh [-c echo]"
    assert render("{{.HostConfig.NetworkMode}}", document) == "net1"
    assert render("{{(index .Mounts 0).Destination}}", document) == "/data"
    assert render("{{range $k,$v := .NetworkSettings.Networks}}{{$k}}{{end}}", document) == "net1"
    plug = document["NetworkSettings"]["Networks"]["net1"]
    assert (plug["NetworkID"], plug["DNSNames"], plug["Aliases"]) == ("", NIL_LIST, ["www"])
    assert plug["IPAMConfig"] == {"IPv4Address": "10.0.0.9"}


def test_a_stopped_container_remembers_its_networks_but_has_no_address() -> None:
    one = make()
    ended(one)
    made = Endpoint(
        "f" * 64, "e" * 64, "eth0", "10.0.0.9/24", "10.0.0.1", "02:42:0a:00:00:09", ["web"]
    )
    record.save_endpoints(one.id, {"net1": made})
    document = inspect.document(one)
    plug = document["NetworkSettings"]["Networks"]["net1"]
    assert (plug["NetworkID"], plug["DNSNames"]) == ("f" * 64, ["web"])
    assert (plug["IPAddress"], plug["IPPrefixLen"], plug["EndpointID"]) == ("", 0, "")
    assert document["State"]["ExitCode"] == 3


def test_a_name_left_by_a_killed_rename_goes_with_the_next_one() -> None:
    web = make()
    names.claim("half", web.id)
    renaming.rename(web, "front")
    assert names.owned().keys() == {"front"}


def test_a_new_name_is_taken_before_the_old_one_is_given_up() -> None:
    web, db = make(), make("db", "b")
    renamed = renaming.rename(web, "front")
    assert record.load(web.id) == renamed == replace(web, name="front")
    assert names.owner("front") == web.id
    assert names.owner("web") == ""
    with pytest.raises(Conflict, match='"front" is already in use'):
        renaming.rename(db, "front")
    assert record.load(db.id).name == "db"
    with pytest.raises(InvalidRequest, match="same name"):
        renaming.rename(db, "db")
    with pytest.raises(InvalidRequest, match="Invalid container name"):
        renaming.rename(db, "../x")


@pytest.mark.parametrize(
    ("mode", "shown"), [("host", "host"), ("none", "none"), ("container:x", "")]
)
def test_modes_without_a_network_of_their_own(mode: str, shown: str) -> None:
    one = make()
    one = replace(one, endpoints=[], host=HostConfig(network_mode=mode))
    assert listing.row(one)["Networks"] == shown
    assert ",".join(inspect.document(one)["NetworkSettings"]["Networks"]) == shown


def test_inspected_names_can_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    code = inspected.show(["one"], lambda name: {"Name": "\x1b[2J\x9b2J\u202ex\udcff"})
    assert code == 0
    text = capsys.readouterr().out
    assert "\\u001b[2J\\u009b2J\\u202ex" in text
    assert json.loads(text) == [{"Name": "\x1b[2J\x9b2J\u202ex\udcff"}]
