"""What ``minirt-oci`` understands: runc's words, and those of crun that its callers use."""

from __future__ import annotations

from minirt.oci.words import Option, Verb

DEFAULT_ROOT = "/run/minirt-oci"

GLOBAL = (
    Option("root", "PATH", f"where the state of containers is kept; {DEFAULT_ROOT}"),
    Option("log", "PATH", "where messages go, besides the error on standard error"),
    Option("log-format", "FORMAT", "text (the default) or json"),
    Option("debug", "", "log every step that is taken with the kernel"),
    Option("log-level", "LEVEL", "debug: as --debug; others are ignored (crun's word)"),
    Option("systemd-cgroup", "", "let systemd make the cgroups; cgroupsPath is slice:prefix:name"),
    Option("cgroup-manager", "NAME", "cgroupfs, systemd or disabled (crun's word)"),
    Option("rootless", "WORD", "ignored: minirt-oci needs root"),
    Option("criu", "PATH", "ignored: there is no checkpoint"),
    Option("help h ? usage", "", "show this"),
    Option("version v V", "", "show the version"),
)

_HELP = Option("help h ? usage", "", "show this")
_BUNDLE = Option("bundle b", "PATH", "the folder of the bundle; the working directory")
_CONSOLE = Option("console-socket", "PATH", "a Unix socket that gets the terminal's master")
_PID_FILE = Option("pid-file", "PATH", "a file that gets the PID")
_PRESERVE = Option("preserve-fds", "N", "hand further descriptors through: 3 to 2+N")
_DETACH = Option("detach d", "", "do not wait for its end")
_REGEX = Option("regex r", "", "ID is a regular expression (crun's word)")
_FORMAT = Option("format f", "FORMAT", "table (the default) or json")

_CREATION = (
    _BUNDLE,
    Option("config f", "PATH", "another file than config.json (crun's word)"),
    _CONSOLE,
    Option("pidfd-socket", "PATH", "a Unix socket that gets a descriptor of init"),
    _PID_FILE,
    Option("no-pivot", "", "accepted, and not obeyed: the root is pivoted where that is possible"),
    Option("no-new-keyring", "", "accepted, and not obeyed: a container has its own keyring"),
    Option("no-subreaper", "", "accepted: nobody is adopted"),
    _PRESERVE,
)
_LIMITS = (
    Option("resources r", "PATH", 'a file with linux.resources; "-": standard input'),
    Option("blkio-weight", "N", "weight for block devices, 10 to 1000"),
    Option("cpu-period", "N", "microseconds of a period of the scheduler"),
    Option("cpu-quota", "N", "microseconds of processor time in each period"),
    Option("cpu-burst", "N", "microseconds that may be saved up for later periods; 0: none"),
    Option("cpu-idle", "N", "1: run only when no other group wants the processor; 0: as usual"),
    Option("cpu-share cpu-shares", "N", "weight against other groups"),
    Option("cpu-rt-period", "N", "the same for realtime"),
    Option("cpu-rt-runtime", "N", "the same for realtime"),
    Option("cpuset-cpus", "LIST", "processors, like 0-3,6"),
    Option("cpuset-mems", "LIST", "nodes of memory"),
    Option("memory", "BYTES", "limit of memory"),
    Option("memory-reservation", "BYTES", "what it may keep when memory is short"),
    Option("memory-swap", "BYTES", "limit of memory and swap together; -1: none"),
    Option("pids-limit", "N", "limit of processes; -1: none"),
    Option("kernel-memory", "BYTES", "ignored: Linux has no such limit since 5.16"),
    Option("kernel-memory-tcp", "BYTES", "ignored: Linux has no such limit since 5.16"),
    Option("l3-cache-schema", "TEXT", "not supported: Intel RDT"),
    Option("mem-bw-schema", "TEXT", "not supported: Intel RDT"),
)
_EXEC = (
    _CONSOLE,
    Option("pidfd-socket", "PATH", "a Unix socket that gets a descriptor of the process"),
    Option("cwd", "PATH", "the working directory"),
    Option("env e", "NAME=VALUE", "set a variable", many=True),
    Option("tty t", "", "give it a terminal"),
    Option("user u", "UID[:GID]", "its user"),
    Option("additional-gids g", "GID", "a further group", many=True),
    Option("process p", "PATH", "a file with the process object of config.json"),
    _DETACH,
    _PID_FILE,
    Option("process-label", "LABEL", "the label of SELinux"),
    Option("apparmor", "PROFILE", "the profile of AppArmor"),
    Option("no-new-privs", "", "let it never gain privileges"),
    Option("cap c", "NAME", "a further capability", many=True),
    _PRESERVE,
    Option(
        "cgroup", "PATH", "a group below the container's; \"/\": the container's own", many=True
    ),
    Option("ignore-paused", "", "also in a paused container"),
)

VERBS = {
    "create": Verb("ID", "make a container whose command waits for start", *_CREATION),
    "start": Verb("ID", "let the command of a created container run"),
    "state": Verb("ID", "print the state"),
    "kill": Verb(
        "ID [SIGNAL]",
        "send a signal to the container's init; TERM",
        Option("all a", "", "to all of its processes"),
        _REGEX,
        most=2,
    ),
    "delete": Verb(
        "ID",
        "undo what create did",
        Option("force f", "", "kill it if it runs; no error if it isn't there"),
        _REGEX,
    ),
    "run": Verb(
        "ID",
        "create, start, wait, delete",
        *_CREATION,
        _DETACH,
        Option("keep", "", "do not delete it at its end"),
    ),
    "exec": Verb(
        "ID [COMMAND…]",
        "run a further process in a container",
        *_EXEC,
        most=None,
        options_first=True,
    ),
    "list": Verb(
        "",
        "list the containers",
        _FORMAT,
        Option("quiet q", "", "only their IDs"),
        least=0,
        most=0,
    ),
    "ps": Verb(
        "ID [OPTION…]",
        "list the processes, by ps(1)",
        _FORMAT,
        most=None,
        options_first=True,
    ),
    "pause": Verb("ID", "stop all processes where they stand"),
    "resume": Verb("ID", "let them go on", module="pause"),
    "update": Verb("ID", "change limits", *_LIMITS),
    "events": Verb(
        "ID",
        "print what it uses, again and again, and that memory has run out",
        Option("interval", "SECONDS", "how often; 5s"),
        Option("stats", "", "once"),
    ),
    "stats": Verb("ID", "print once what it uses", module="events"),
    "spec": Verb(
        "",
        "write a config.json to begin with",
        _BUNDLE,
        Option("file f", "PATH", "another file than config.json (crun's word)"),
        Option("rootless", "", "for a user namespace"),
        least=0,
        most=0,
    ),
    "features": Verb("", "print what is supported", least=0, most=0),
    "checkpoint": Verb("ID", "not supported", most=None),
    "restore": Verb("ID", "not supported", module="checkpoint", most=None),
}


def options_of(verb: str) -> tuple[Option, ...]:
    """Return all options of a verb."""
    return (*VERBS[verb].options, _HELP)


def help_text() -> str:
    """Return what --help says."""
    verbs = [(f"{name} {one.usage}".strip(), one.help) for name, one in VERBS.items()]
    return (
        "usage: minirt-oci [OPTION…] VERB [OPTION…] ID …\n\n"
        "An OCI runtime. --root is where the state of containers is kept, as with runc.\n\n"
        f"verbs:\n{_table(verbs)}\noptions:\n{_table(map(_described, GLOBAL))}"
    )


def help_of(verb: str) -> str:
    """Return what VERB --help says."""
    one = VERBS[verb]
    options = _table(map(_described, options_of(verb)))
    return f"usage: minirt-oci {verb} [OPTION…] {one.usage}\n\n{one.help}\n\noptions:\n{options}"


def _described(option: Option) -> tuple[str, str]:
    names = ", ".join(f"{'-' if len(name) == 1 else '--'}{name}" for name in option.names)
    return f"{names} {option.value}".strip(), option.help


def _table(rows: object) -> str:
    pairs = list(rows)  # type: ignore[call-overload]
    width = max(len(left) for left, _ in pairs)
    return "".join(f"  {left:<{width}}  {right}\n" for left, right in pairs)
