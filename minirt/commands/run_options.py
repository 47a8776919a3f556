"""The flags that ``run`` and ``create`` share, in the order of their help."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import click

from minirt.container import options
from minirt.container.flags.typed import Flags

# Options end at IMAGE, so that "minirt run busybox ls -l" gives -l to ls; -h is --hostname.
SETTINGS: dict[str, Any] = {
    "allow_interspersed_args": False,
    "help_option_names": ["--help"],
}


def _flag(*names: str, help: str) -> Any:
    return click.option(*names, is_flag=True, help=help)


def _one(*names: str, help: str, metavar: str) -> Any:
    return click.option(*names, default="", metavar=metavar, help=help)


def _number(*names: str, help: str, metavar: str) -> Any:
    return click.option(*names, type=int, default=0, metavar=metavar, help=help)


def _many(*names: str, help: str, metavar: str) -> Any:
    return click.option(*names, multiple=True, metavar=metavar, help=help)


def _hidden(name: str) -> Any:
    """Take what Docker has and minirt hasn't, so that it can be said why."""
    return click.option(f"--{name}", default="", hidden=True)


# What "update" can change, too.
LIMITS = (
    _one("-m", "--memory", metavar="BYTES", help="The most memory it may use: 512m."),
    _one("--memory-swap", metavar="BYTES", help="Memory and swap together; -1: no limit."),
    _one("--memory-reservation", metavar="BYTES", help="Memory to keep when it is short."),
    _one("--cpus", metavar="NUMBER", help="The most processors it may use: 1.5."),
    _number("--cpu-shares", metavar="N", help="Its weight beside others; else 1024."),
    _one("--cpuset-cpus", metavar="LIST", help="The processors that it may use: 0-2,7."),
    _one("--cpuset-mems", metavar="LIST", help="The memory nodes that it may use."),
    _number("--pids-limit", metavar="N", help="The most processes."),
    _number("--blkio-weight", metavar="N", help="Its weight at disks: 10 to 1000."),
)
_OPTIONS = (
    _one("--name", metavar="NAME", help="Its name; one is made up if none is given."),
    _flag("-i", "--interactive", help="Keep its standard input open."),
    _flag("-t", "--tty", help="Give it a terminal."),
    _flag("--rm", help="Remove it when it has ended."),
    _many("--network", "--net", metavar="NET", help="NETWORK, host, none or container:NAME."),
    _one("--ip", metavar="ADDRESS", help="Its IPv4 address in the first network."),
    _one("--ip6", metavar="ADDRESS", help="Its IPv6 address in the first network."),
    _one("--mac-address", metavar="MAC", help="Its MAC address in the first network."),
    _many("--network-alias", metavar="NAME", help="One more name in the first network."),
    _many("-p", "--publish", metavar="PORTS", help="[[ADDRESS:]HOST_PORT:]PORT[/PROTOCOL]"),
    _flag("-P", "--publish-all", help="Publish every exposed port to a free one."),
    _many("--expose", metavar="PORT", help="A port that it serves: 80, 80-82/udp."),
    _many("-e", "--env", metavar="NAME=VALUE", help="An environment variable."),
    _many("--env-file", metavar="FILE", help="A file of environment variables."),
    _many("-v", "--volume", metavar="SOURCE:PATH", help="A folder or VOLUME, seen at PATH[:ro]."),
    _many("--mount", metavar="MOUNT", help="type=bind|volume|tmpfs,source=…,target=…[,readonly]"),
    _many("--volumes-from", metavar="NAME", help="What container NAME has mounted, too: NAME[:ro]"),
    _many("--tmpfs", metavar="PATH", help="An empty folder in memory: PATH[:size=64m,…]"),
    _one("-w", "--workdir", metavar="PATH", help="Where its command starts."),
    _one("-u", "--user", metavar="USER", help="Who runs its command: USER[:GROUP]."),
    _many("--group-add", metavar="GROUP", help="One more group of that user."),
    _one("-h", "--hostname", metavar="NAME", help="Its host name; else its short id."),
    _one("--domainname", metavar="NAME", help="Its domain name."),
    click.option("--entrypoint", metavar="COMMAND", help="Instead of the image's entrypoint."),
    _flag("--read-only", help="Let nothing be written to its root."),
    _flag("--init", help="Run a small init as its process 1."),
    _flag("--privileged", help="Take nothing from it that the host has."),
    _many("--cap-add", metavar="CAPABILITY", help="Add a capability, or ALL."),
    _many("--cap-drop", metavar="CAPABILITY", help="Take a capability, or ALL."),
    _many("--security-opt", metavar="OPTION", help="no-new-privileges, seccomp=…, apparmor=…"),
    *LIMITS,
    _many("--ulimit", metavar="NAME=SOFT:HARD", help="A resource limit: nofile=1024:2048."),
    _many("--sysctl", metavar="NAME=VALUE", help="A kernel parameter of its namespaces."),
    _flag("--oom-kill-disable", help="Let it wait when memory runs out (cgroup version 1)."),
    _number("--oom-score-adj", metavar="N", help="How early it is killed: -1000 to 1000."),
    _one("--cgroup-parent", metavar="GROUP", help="The cgroup that its own lies in."),
    _many("--device", metavar="DEVICE", help="A device of the host: PATH[:PATH][:rwm]."),
    _many("--device-cgroup-rule", metavar="RULE", help="Devices that it may use: 'c 42:* rwm'."),
    _one("--pid", metavar="MODE", help="Whose processes it sees: host, container:NAME."),
    _one("--ipc", metavar="MODE", help="private, shareable, host, none or container:NAME."),
    _one("--uts", metavar="MODE", help="Whose name it has: host or container:NAME."),
    _one("--cgroupns", metavar="MODE", help="private, or host: it sees the host's cgroups."),
    _one("--userns", metavar="MODE", help="private: ids of its own; FIRST:COUNT; else host."),
    _one("--shm-size", metavar="BYTES", help="The size of /dev/shm; else 64m."),
    _many("--dns", metavar="ADDRESS", help="A DNS server instead of the host's."),
    _many("--dns-search", metavar="DOMAIN", help="A domain to look for short names in."),
    _many("--dns-option", "--dns-opt", metavar="OPTION", help="An option of resolv.conf."),
    _many("--add-host", metavar="NAME:ADDRESS", help="A line more in /etc/hosts."),
    _many("-l", "--label", metavar="NAME=VALUE", help="A label."),
    _many("--label-file", metavar="FILE", help="A file of labels."),
    click.option(
        "--log-driver", default="json-file", metavar="DRIVER", help="json-file (kept) or none."
    ),
    _one("--stop-signal", metavar="SIGNAL", help="What stop sends; else SIGTERM."),
    click.option("--stop-timeout", type=int, metavar="SECONDS", help="How long stop waits."),
    _one("--cidfile", metavar="FILE", help="Write its id into this new file."),
    _many("--annotation", metavar="NAME=VALUE", help="An annotation of its config.json."),
    _one("--pull", metavar="WHEN", help="missing or never: minirt pulls no images."),
    _one("--platform", metavar="PLATFORM", help="This machine's: linux/amd64."),
    *(_hidden(name) for name in ("restart", "health-cmd", "health-interval")),
    *(_hidden(name) for name in ("health-timeout", "health-retries")),
    click.option("--link", multiple=True, hidden=True),
    _flag("--no-healthcheck", help="Ignore the image's HEALTHCHECK, without a warning."),
    click.argument("image"),
    click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [ARGUMENT]…]"),
)


def add_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb all these flags; it takes them as keywords, for :func:`request`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def warn(sentences: Iterable[str]) -> None:
    """Print warnings as Docker does."""
    for sentence in sentences:
        click.echo(f"WARNING: {sentence}", err=True)


def request(values: dict[str, Any]) -> options.Request:
    """Understand the flags as click found them; warn about odd ones. Raises InvalidRequest."""
    asked = options.read(Flags(**values), os.environ)
    warn(options.warnings(asked))
    return asked
