"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a container: files that networks decide.

They lie in the container's own folder and are bound over those of the image. They are written
in place, never replaced: a bind mount shows the inode that it was given. The container may write
to them as well, and may make them as large as it likes: each is read up to a limit.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from minirt.container import record
from minirt.container.record import Config, Record
from minirt.errors import Conflict, kernel_refused
from minirt.kernel import bounded_read, inode_flags
from minirt.network import finding
from minirt.network.spec import DEFAULT

# What every machine's hosts file begins with (hosts(5)); names as Debian writes them.
_LOOPBACK = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)
LARGEST_HOSTS = 1 << 20  # bytes
LARGEST_RESOLV_CONF = 64 << 10  # bytes
HOST_GATEWAY = "host-gateway"  # what --add-host says for "the host, as seen from here"


def write(folder: Path, name: str, text: str) -> None:
    """Write one of the files in place, so that a container that has it mounted sees it.

    Raises BlockingIOError if a process of a container has a lease on it (fcntl(2), F_SETLEASE):
    open(2) would wait for that, up to 45 seconds each time.
    """
    fd = _open(folder / name)
    try:
        os.fchmod(fd, 0o644)  # whatever the umask: the container's users read it
        content = text.encode("utf-8", "surrogateescape")  # as the container may have written it
        os.write(fd, content)
        os.ftruncate(fd, len(content))
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except PermissionError:  # With CAP_LINUX_IMMUTABLE the container can protect it (chattr(1)).
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            inode_flags.unprotect(folder, path.name)
        finally:
            os.close(folder)
        return os.open(path, flags, 0o644)


def _write_anew(folder: Path, name: str, text: str) -> None:
    """Write one of the files. Containers that have it mounted keep an old one with a lease."""
    try:
        write(folder, name, text)
    except BlockingIOError:
        (folder / name).unlink()
        write(folder, name, text)


def read_resolv_conf(one: Record) -> str:
    """Read /etc/resolv.conf of a container, "" if it has none. Raises Conflict, KernelRefused."""
    path = record.directory(one.id) / "resolv.conf"
    try:
        content = bounded_read.whole_file(path, LARGEST_RESOLV_CONF)
    except FileNotFoundError:
        return ""
    except OSError as error:
        what = f"Cannot read /etc/resolv.conf of {one.name}"
        if error.errno != errno.EFBIG:
            raise kernel_refused(what, error) from error
        remedy = f"A restart writes it anew: minirt restart {one.name}."
        raise Conflict(what, error.strerror or "", remedy) from None
    return content.decode("utf-8", "replace")


def write_all(one: Record, folder: Path, addresses: Iterable[str], resolv_conf: str) -> None:
    """Write all three, anew at every start."""
    _write_anew(folder, "hosts", _new_hosts(one, addresses))
    _write_anew(folder, "hostname", one.config.hostname + "\n")
    _write_anew(folder, "resolv.conf", resolv_conf)


def _new_hosts(one: Record, addresses: Iterable[str]) -> str:
    gateway = ""
    if any(line.endswith(f":{HOST_GATEWAY}") for line in one.host.extra_hosts):
        gateway = str(finding.find(DEFAULT).gateway4)
    return hosts(one.config, addresses, one.host.extra_hosts, gateway)


def hosts(config: Config, addresses: Iterable[str], extra: Iterable[str], gateway: str) -> str:
    """Return /etc/hosts: loopback, ``--add-host``, and the container's own name.

    ``gateway`` is what "host-gateway" stands for.
    """
    lines = list(_LOOPBACK)
    for one in extra:
        name, _, address = one.partition(":")
        lines.append(f"{gateway if address == HOST_GATEWAY else address.strip('[]')}\t{name}")
    lines += [f"{address}\t{own_names(config)}" for address in addresses]
    return "\n".join(lines) + "\n"


def own_names(config: Config) -> str:
    """Return the names of the container itself: the full one first (hosts(5))."""
    if config.domainname:
        return f"{config.hostname}.{config.domainname} {config.hostname}"
    short = config.hostname.partition(".")[0]
    return config.hostname if short == config.hostname else f"{config.hostname} {short}"


def change_addresses(
    one: Record, addresses: Iterable[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> None:
    """Add and remove lines for the container's own addresses in its hosts file.

    Other lines, which the container may have written, stay. A file that is too large is written
    anew instead, with all of ``addresses``. One on which the container has a lease stays as it is:
    nobody waits for a container, and only the container reads the file.
    """
    with suppress(BlockingIOError):
        _change_addresses(one, addresses, add=add, remove=remove)


def _change_addresses(
    one: Record, addresses: Iterable[str], *, add: Iterable[str], remove: Iterable[str]
) -> None:
    folder = record.directory(one.id)
    try:
        content = bounded_read.whole_file(folder / "hosts", LARGEST_HOSTS)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        write(folder, "hosts", _new_hosts(one, addresses))
        return
    text = content.decode("utf-8", "surrogateescape")
    gone = "|".join(map(re.escape, remove))
    if gone:  # Not line by line: a MiB of short lines takes 30 MiB as a list.
        text = re.sub(rf"^(?:{gone})\t.*\n?", "", text, flags=re.MULTILINE)
    if text and not text.endswith("\n"):
        text += "\n"
    write(folder, "hosts", text + "".join(f"{new}\t{own_names(one.config)}\n" for new in add))
