"""Changes to an image's configuration, written like the instructions of a Dockerfile.

``CMD ["httpd", "-f"]`` is an exec form: words. ``CMD httpd -f`` is a shell form: a line that
``/bin/sh -c`` reads. (Dockerfile reference; OCI image-spec, config.md)
"""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Callable
from posixpath import join, normpath
from typing import Any

from minirt.errors import InvalidRequest, in_quotes
from minirt.state import parse_json

Execution = dict[str, Any]

_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")


def apply(execution: Execution, instruction: str) -> Execution:
    """Return the configuration as one instruction changes it. Raises InvalidRequest."""
    words = instruction.strip().split(None, 1)
    keyword = words[0].upper() if words else ""
    if keyword not in _INSTRUCTIONS:
        why = f"minirt knows {', '.join(_INSTRUCTIONS)}"
        raise InvalidRequest(f"Unknown instruction {in_quotes(keyword[:40])}", why)
    rest = words[1].strip() if len(words) > 1 else ""
    if not rest:
        raise InvalidRequest(f"{keyword} needs a value")
    if "\0" in rest:
        raise InvalidRequest(f"{keyword} holds a zero byte", "no program could be given that")
    changed = _INSTRUCTIONS[keyword](execution, rest)
    try:
        json.dumps(changed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        why = "it is not UTF-8, and an image's configuration is JSON"
        raise InvalidRequest(f"Invalid text in {keyword}", why) from None
    return {**execution, **changed}


def _cmd(_: Execution, rest: str) -> Execution:
    return {"Cmd": _command(rest)}


def _entrypoint(_: Execution, rest: str) -> Execution:
    return {"Entrypoint": _command(rest)}


def _env(execution: Execution, rest: str) -> Execution:
    environment = dict(one.partition("=")[::2] for one in execution.get("Env") or [])
    environment |= _pairs("ENV", rest)
    return {"Env": [f"{key}={value}" for key, value in environment.items()]}


def _label(execution: Execution, rest: str) -> Execution:
    return {"Labels": {**(execution.get("Labels") or {}), **_pairs("LABEL", rest)}}


def _expose(execution: Execution, rest: str) -> Execution:
    ports = dict(execution.get("ExposedPorts") or {})
    for word in rest.split():
        match = _PORT.fullmatch(word.lower())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not match or not 1 <= first <= last <= 65535:
            why = "a port is NUMBER[-NUMBER][/tcp|udp|sctp], from 1 to 65535"
            raise InvalidRequest(f"Invalid port {in_quotes(word[:40])} in EXPOSE", why)
        ports |= {f"{port}/{match[3] or 'tcp'}": {} for port in range(first, last + 1)}
    return {"ExposedPorts": ports}


def _user(_: Execution, rest: str) -> Execution:
    if len(rest.split()) != 1:
        raise InvalidRequest("USER takes one word", "it is USER[:GROUP]")
    return {"User": rest}


def _workdir(execution: Execution, rest: str) -> Execution:
    where = join(execution.get("WorkingDir") or "/", _unquoted("WORKDIR", rest))
    return {"WorkingDir": "/" + normpath(where).lstrip("/")}


def _volume(execution: Execution, rest: str) -> Execution:
    paths = _json_words(rest)
    volumes = dict(execution.get("Volumes") or {})
    for path in rest.split() if paths is None else paths:
        if not path.startswith("/") or ".." in path.split("/"):
            why = "it is an absolute path, without '..'"
            raise InvalidRequest(f"Invalid path {in_quotes(path[:80])} in VOLUME", why)
        volumes["/" + normpath(path).lstrip("/")] = {}
    return {"Volumes": volumes}


def _stopsignal(_: Execution, rest: str) -> Execution:
    name = rest.upper()
    known = set(signal.Signals.__members__)
    number = int(rest) if re.fullmatch(r"[0-9]{1,2}", rest) else 0
    if 1 <= number <= 64 or {name, f"SIG{name}"} & known:
        return {"StopSignal": rest if number else name}
    raise InvalidRequest(f"Unknown signal {in_quotes(rest[:40])} in STOPSIGNAL", "see kill -l")


def _healthcheck(_execution: Execution, rest: str) -> Execution:
    """Read ``NONE``, or ``[--interval=30s …] CMD ["…"]`` (Dockerfile reference, HEALTHCHECK)."""
    if rest.upper() == "NONE":
        return {"Healthcheck": {"Test": ["NONE"]}}
    check: Execution = {}
    while rest.startswith("--"):
        flag, rest = (*rest.split(None, 1), "")[:2]
        name, _, value = flag.removeprefix("--").partition("=")
        if name not in _HEALTH_OPTIONS:
            raise InvalidRequest(f"Unknown flag --{name[:40]} in HEALTHCHECK")
        check[_HEALTH_OPTIONS[name]] = _whole(value) if name == "retries" else _nanoseconds(value)
    keyword, command = (*rest.split(None, 1), "", "")[:2]
    if keyword.upper() != "CMD" or not command:
        raise InvalidRequest("HEALTHCHECK takes NONE, or CMD and a command")
    words = _json_words(command)
    test = ["CMD-SHELL", command] if words is None else ["CMD", *words]
    return {"Healthcheck": {"Test": test, **check}}


_HEALTH_OPTIONS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
    "retries": "Retries",
}
# A duration of Go's package time: "1m30s", "1.5s".
_DURATION = re.compile(r"(?:([0-9.]+)(ns|us|ms|s|m|h))")
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def _nanoseconds(text: str) -> int:
    parts, position = [], 0
    while part := _DURATION.match(text, position):
        parts.append(part.groups())
        position = part.end()
    if not parts or position != len(text):
        raise InvalidRequest(
            f"Invalid duration {in_quotes(text[:40])} in HEALTHCHECK", "write it like 1m30s"
        )
    try:
        total = int(sum(float(number) * _UNITS[unit] for number, unit in parts))
    except (ValueError, OverflowError):
        raise InvalidRequest(f"Invalid duration {in_quotes(text[:40])} in HEALTHCHECK") from None
    if total < 10**6:
        raise InvalidRequest(
            f"Invalid duration {in_quotes(text[:40])} in HEALTHCHECK", "1ms is the least"
        )
    return total


def _whole(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise InvalidRequest(f"Invalid number {in_quotes(text[:40])} in HEALTHCHECK --retries")
    return int(text)


def _onbuild(execution: Execution, rest: str) -> Execution:
    keyword = rest.split(None, 1)[0].upper()
    if keyword in ("ONBUILD", "FROM", "MAINTAINER"):
        raise InvalidRequest(f"{keyword} isn't allowed as an ONBUILD trigger")
    return {"OnBuild": [*(execution.get("OnBuild") or []), rest]}


_INSTRUCTIONS: dict[str, Callable[[Execution, str], Execution]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(rest: str) -> list[str]:
    words = _json_words(rest)
    return ["/bin/sh", "-c", rest] if words is None else words


def _json_words(rest: str) -> list[str] | None:
    """Return the words of an exec form; None: it is no JSON list of texts, so a shell form."""
    if not rest.startswith("["):
        return None
    try:
        words = parse_json(rest)
    except ValueError:
        return None
    if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
        return None
    if any("\0" in one for one in words):
        raise InvalidRequest("A word holds a zero byte", "no program could be given that")
    return words


def _pairs(keyword: str, rest: str) -> dict[str, str]:
    """Read ``KEY=VALUE …``, or the old form ``KEY VALUE``, which reaches to the line's end."""
    first = rest.split(None, 1)
    if "=" not in first[0]:
        if len(first) == 1:
            raise InvalidRequest(
                f"{keyword} needs KEY=VALUE", f"{in_quotes(rest[:80])} has no value"
            )
        return {first[0]: first[1]}
    pairs = {}
    for word in _split(keyword, rest):
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InvalidRequest(f"{keyword} needs KEY=VALUE", f"{in_quotes(word[:80])} is none")
        pairs[key] = value
    return pairs


def _unquoted(keyword: str, rest: str) -> str:
    return " ".join(_split(keyword, rest))


def _split(keyword: str, rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise InvalidRequest(f"{keyword} cannot be read", str(error)) from error
