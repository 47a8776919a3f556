from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minirt.container import options
from minirt.container.flags.typed import Flags
from minirt.container.options import Request
from minirt.container.record import Config
from minirt.errors import InvalidRequest

IMAGE: dict[str, Any] = {
    "Entrypoint": ["/entry"],
    "Cmd": ["one", "two"],
    "Env": ["PATH=/bin", "A=image"],
    "User": "www",
    "WorkingDir": "/srv",
    "Labels": {"from": "image", "both": "image"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGQUIT",
}


def read(*command: str, **flags: Any) -> Request:
    return options.read(Flags(image="busybox", command=command, **flags), {"HOME": "/home/me"})


def merged(*command: str, **flags: Any) -> Config:
    return options.merge(IMAGE, read(*command, **flags))


def test_without_flags_a_container_is_what_its_image_says() -> None:
    config = merged()
    assert config.entrypoint == ["/entry"]
    assert config.command == ["one", "two"]
    assert config.env == ["PATH=/bin", "A=image"]
    assert (config.user, config.working_dir, config.stop_signal) == ("www", "/srv", "SIGQUIT")
    assert config.exposed_ports == ["80/tcp"]
    assert config.volumes == ["/data"]
    assert config.stop_timeout is None


def test_a_command_replaces_the_images_command_and_keeps_its_entrypoint() -> None:
    config = merged("ls", "-l")
    assert [*config.entrypoint, *config.command] == ["/entry", "ls", "-l"]


def test_a_new_entrypoint_makes_nothing_of_the_images_command() -> None:
    config = merged(entrypoint="/bin/sh")
    assert [*config.entrypoint, *config.command] == ["/bin/sh"]


def test_an_empty_entrypoint_clears_the_images() -> None:
    assert merged("ls", entrypoint="").entrypoint == []
    with pytest.raises(InvalidRequest, match="No command specified"):
        merged(entrypoint="")


def test_flags_have_the_last_word_over_the_image() -> None:
    config = merged(
        env=("A=flag", "B=new"),
        label=("both=flag", "bare"),
        user="7:8",
        workdir="/tmp",
        expose=("90-91/udp",),
        stop_signal="KILL",
        stop_timeout=3,
    )
    assert config.env == ["PATH=/bin", "A=flag", "B=new"]
    assert config.labels == {"from": "image", "both": "flag", "bare": ""}
    assert (config.user, config.working_dir) == ("7:8", "/tmp")
    assert config.exposed_ports == ["80/tcp", "90/udp", "91/udp"]
    assert (config.stop_signal, config.stop_timeout) == ("KILL", 3)


def test_a_name_alone_takes_its_value_from_outside_or_removes_the_images() -> None:
    assert "HOME=/home/me" in merged(env=("HOME",)).env
    assert merged(env=("A",)).env == ["PATH=/bin"]


def test_an_image_that_says_nothing_needs_a_command() -> None:
    with pytest.raises(InvalidRequest, match="No command specified"):
        options.merge({}, read())
    assert options.merge({"Cmd": None, "Env": None}, read("ls")).command == ["ls"]


def test_the_limits_reach_the_host_config() -> None:
    host = read(
        memory="64m", memory_swap="128m", cpus="1.5", pids_limit=9, shm_size="1g",
        ulimit=("nofile=10:20",), cap_add=("net_admin", "ALL"), cap_drop=("CAP_CHOWN",),
        tmpfs=("/run:size=1m",), dns=("9.9.9.9",), dns_search=("example.org",),
        add_host=("a:10.0.0.1", "b=[::1]"), group_add=("50",), sysctl=("net.ipv4.ip_forward=1",),
    ).host  # fmt: skip
    assert (host.memory, host.memory_swap) == (64 << 20, 128 << 20)
    assert (host.nano_cpus, host.pids_limit, host.shm_size) == (1_500_000_000, 9, 1 << 30)
    assert host.ulimits == [{"name": "nofile", "soft": 10, "hard": 20}]
    assert (host.cap_add, host.cap_drop) == (["CAP_NET_ADMIN", "ALL"], ["CAP_CHOWN"])
    assert host.tmpfs == {"/run": "size=1m"}
    assert host.extra_hosts == ["a:10.0.0.1", "b:::1"]
    assert host.sysctls == {"net.ipv4.ip_forward": "1"}


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"log_driver": "syslog"}, "no log driver named 'syslog'"),
        ({"stop_signal": "SIGNOTHING"}, "Invalid signal"),
        ({"stop_timeout": -2}, "negative"),
        ({"workdir": "tmp"}, "absolute path"),
        ({"hostname": "h" * 65}, "64 characters"),
        ({"hostname": "two words"}, "white space"),
        ({"cap_add": ("FLY",)}, 'unknown capability: "FLY"'),
        ({"security_opt": ("fly=high",)}, "doesn't have it"),
        ({"security_opt": ("label=type:x",)}, "no labels of SELinux"),
        ({"restart": "always"}, "no daemon"),
        ({"health_cmd": "true"}, "no daemon"),
        ({"link": ("db",)}, "find each other by name"),
        ({"pull": "always"}, "pulls no images"),
        ({"platform": "plan9/vax"}, "this machine is linux/"),
        ({"pid": "private"}, "invalid PID mode"),
        ({"ipc": "container:"}, "invalid IPC mode"),
        ({"uts": "mine"}, "invalid UTS mode"),
        ({"uts": "host", "hostname": "a"}, "hostname and the UTS mode"),
        ({"cgroupns": "x"}, "invalid CGROUP mode"),
        ({"oom_score_adj": 1001}, r"\[-1000, 1000\]"),
        ({"cpu_shares": 1}, "from 2 to 262144"),
        ({"cpuset_cpus": "1-"}, "not a list"),
        ({"blkio_weight": 9}, "from 10 to 1000"),
        ({"memory": "8m", "memory_reservation": "9m"}, "less than memory reservation"),
        ({"cgroup_parent": "a/../../b"}, "names no group"),
        ({"volumes_from": ("one:shared",)}, "invalid mode: shared"),
        ({"security_opt": ("seccomp=/nonexistent",)}, "opening seccomp profile"),
        ({"expose": ("foo",)}, "invalid range format"),
        ({"expose": ("90-80",)}, "ports go from"),
        ({"expose": ("80/icmp",)}, "invalid proto"),
        ({"pids_limit": -2}, "positive"),
        ({"network": ("host",), "sysctl": ("net.ipv4.ip_forward=1",)}, "host's network"),
        ({"volume": ("/tmp:/a",), "tmpfs": ("/a",)}, "Duplicate mount point: /a"),
        ({"env": ("=x",)}, "invalid environment variable"),
        ({"label": ("=x",)}, "needs a name"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(flags: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        read(**flags)


def test_a_cidfile_must_be_new(tmp_path: Path) -> None:
    new = tmp_path / "cid"
    assert read(cidfile=str(new)).cidfile == new
    new.touch()
    with pytest.raises(InvalidRequest, match="there already"):
        read(cidfile=str(new))


def test_security_options_are_kept_in_one_spelling(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    words = ("no-new-privileges:true", "seccomp:unconfined", f"seccomp={profile}", "label=disable")
    assert read(security_opt=words).host.security_opt == [
        "no-new-privileges",
        "seccomp=unconfined",
        f"seccomp={profile}",
        "label=disable",
    ]
    profile.write_text("no json")
    with pytest.raises(InvalidRequest, match="is not JSON"):
        read(security_opt=(f"seccomp={profile}",))


def test_what_will_not_do_what_was_meant_is_warned_of() -> None:
    assert options.warnings(read(network=("net1",), publish=("80",), dns=("9.9.9.9",))) == []
    (ports,) = options.warnings(read(network=("host",), publish=("80",)))
    assert ports == "Published ports are discarded when using host network mode"
    (dns,) = options.warnings(read(dns=("127.0.0.53",)))
    assert "--dns=127.0.0.53" in dns
