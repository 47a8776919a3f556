"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a container: files that networks decide.

They lie in the container's own folder and are bound over those of the image. They are written
in place, never replaced: a bind mount shows the inode that it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from minirt.container.record import Config, Record
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
HOST_GATEWAY = "host-gateway"  # what --add-host says for "the host, as seen from here"


def write(folder: Path, name: str, text: str) -> None:
    """Write one of the files in place, so that a container that has it mounted sees it."""
    fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(fd, 0o644)  # whatever the umask: the container's users read it
        os.write(fd, text.encode())
        os.ftruncate(fd, len(text.encode()))
    finally:
        os.close(fd)


def write_all(one: Record, folder: Path, addresses: Iterable[str], resolv_conf: str) -> None:
    """Write all three, anew at every start."""
    gateway = ""
    if any(line.endswith(f":{HOST_GATEWAY}") for line in one.host.extra_hosts):
        gateway = str(finding.find(DEFAULT).gateway4)
    write(folder, "hosts", hosts(one.config, addresses, one.host.extra_hosts, gateway))
    write(folder, "hostname", one.config.hostname + "\n")
    write(folder, "resolv.conf", resolv_conf)


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
    folder: Path, config: Config, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> None:
    """Add and remove lines for the container's own addresses in its hosts file."""
    path, gone = folder / "hosts", set(remove)
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    kept = [one for one in lines if one.partition("\t")[0] not in gone]
    kept += [f"{one}\t{own_names(config)}" for one in add]
    write(folder, "hosts", "\n".join(kept) + "\n")
