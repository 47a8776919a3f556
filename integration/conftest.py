"""A sandbox for the whole run, fresh ground for each test, and a look around afterwards.

Before the first test pytest starts itself again under unshare(1), and under xdist each worker
starts in one more sandbox of its own. From then on no test, however wrong, can touch the
network, the mounts or the processes of the host; and when pytest dies, --kill-child and the
PID namespace take everything with it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from integration import traces
from integration.clearing import alarm, dismiss_resolvers, remove_containers, stop_servers
from integration.sandbox import (
    REPOSITORY,
    Outside,
    compiled,
    minirt_words,
    outside_host,
    over_ipv6,
    shell,
)
from integration.traces import Ground
from integration.warm import Hearth
from minirt.kernel import libc, loopback, namespaces, nftables
from minirt.kernel.namespaces import Namespace

HERE = Path(__file__).parent
INSIDE = "MINIRT_TEST_SANDBOX"
KINDS = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
SANDBOX = ["unshare", *KINDS, sys.executable, str(HERE / "init.py"), sys.executable]
APPLETS = "cat echo env false grep head hostname httpd id ip kill ls mkdir mount nc nslookup ping"
APPLETS += " ps pwd readlink rm seq sh sleep stat stty test touch trap true tty wget whoami yes"

MARKERS = (
    "slow: may take five times as long as others",
    "core: runs twice, with the fork server and without",
    "in_process: runs without the fork server only",
)
SERVER, IN_PROCESS = "server", "in-process"

Program = Callable[..., subprocess.CompletedProcess[str]]

failed = pytest.StashKey[bool]()


class Minirt(Protocol):
    """How tests call minirt."""

    def __call__(
        self, *words: object, code: int | None = 0, input: str | None = None, seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run ``minirt WORD…``; fail the test on another exit code (None: any will do)."""


# ---- the sandbox -------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Start pytest again, inside, unless this is the inside."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if os.environ.get(INSIDE):
        find_room()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's "&" has it ignored,
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup(1) this one.
        return
    if os.geteuid() != 0:
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture:
        capture.stop_global_capturing()  # Or the inner pytest would write into our temporary file.
    os.environ[INSIDE] = "1"
    os.execvp("unshare", [*SANDBOX, "-m", "pytest", *config.invocation_params.args])


@pytest.hookimpl(optionalhook=True)  # where xdist is not installed there is no such hook
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Start each worker of xdist in a sandbox: then all processes that it sees are its own."""
    if os.environ.get(INSIDE):
        for spec in specs:
            spec.python = shlex.join(SANDBOX)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow tests first; skip the tests of this directory where there is no sandbox.

    A worker that takes a slow test last works on alone while the others have nothing to do.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # keeps the order else
    if not os.environ.get(INSIDE):
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip("namespaces need root"))


def find_room() -> None:
    """Put a tmpfs over /tmp where that is not what /var/lib is on a user's machine.

    An overlay does not carry upper layers; Debian 13 mounts /tmp without devices and setuid.
    """
    words = ("--noheadings", "--output", "FSTYPE,OPTIONS", "--target", "/tmp")
    *_covered, fstype, options = shell("findmnt", *words).stdout.split()
    if fstype == "overlay" or {"nodev", "nosuid"} & set(options.split(",")):
        libc.mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777")


# ---- the ground of each test -------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember whether the test itself has failed."""
    outcome: Any = yield
    if outcome.get_result().failed:
        item.stash[failed] = True


@pytest.fixture(scope="session")
def hearth() -> Iterator[Hearth]:
    """Return where fork servers come from."""
    with contextlib.closing(Hearth()) as warm:
        yield warm


@pytest.fixture
def road(request: pytest.FixtureRequest) -> str:
    """Return how commands are run."""
    without = request.node.get_closest_marker("in_process")
    return getattr(request, "param", IN_PROCESS if without else SERVER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the core on both roads."""
    if metafunc.definition.get_closest_marker("core"):
        without = metafunc.definition.get_closest_marker("in_process")
        roads = [IN_PROCESS] if without else [SERVER, IN_PROCESS]
        metafunc.parametrize("road", roads, indirect=True)


@pytest.fixture(autouse=True)
def ground(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    hearth: Hearth,
    road: str,
) -> Iterator[Ground]:
    """Give the test a network, directories and a cgroup of its own; look for traces after it."""
    top = tmp_path_factory.mktemp("t")  # short: the path of a Unix socket ends at 107 bytes
    here = Ground(top / "root", top / "run", f"minirt-test-{secrets.token_hex(4)}")
    monkeypatch.setenv("MINIRT_ROOT", str(here.root))
    monkeypatch.setenv("MINIRT_RUNROOT", str(here.run))
    monkeypatch.setenv("MINIRT_CGROUP", here.cgroup)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")  # or the host's firewalld
    namespaces.unshare(Namespace.NET)
    loopback.set_up_here()
    # A new network has this from the host's, where minirt or Docker may have switched it on.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    server = start_server(request, road, hearth, here, monkeypatch)
    before = traces.now(here)
    with alarm(request.node):
        yield here
    nftables.close()  # It keeps the network namespace of the test, and the links in it.
    remove_containers(here)
    dismiss_resolvers(here)
    stop_servers(here, but=server)
    has_failed = request.node.stash.get(failed, False)
    left = {} if has_failed else traces.left_by(here, before)
    stop_servers(here)
    traces.sweep(here, before["processes"])
    traces.remove_cgroups(here)
    if has_failed:
        return  # What it left tells nothing new, and its folders are for the reader.
    assert not left, f"the test left behind {left}"
    try:
        shutil.rmtree(top)
    except (OSError, RecursionError):  # A hostile tree: immutable, or deeper than any path.
        shell("rm", "--recursive", "--force", "--one-file-system", top)


def start_server(
    request: pytest.FixtureRequest,
    road: str,
    hearth: Hearth,
    here: Ground,
    monkeypatch: pytest.MonkeyPatch,
) -> int:
    """Start the fork server of a test that uses minirt's commands; 0 for none."""
    if road == IN_PROCESS or not {"minirt", "image"} & {*request.fixturenames}:
        monkeypatch.setenv("MINIRT_NO_SERVER", "1")
        return 0
    monkeypatch.delenv("MINIRT_NO_SERVER", raising=False)
    return hearth.server(here.run)


# ---- what tests ask for ------------------------------------------------------------------------


@pytest.fixture
def minirt() -> Minirt:
    """Return a function that runs minirt as a user does: as a process, from its words."""

    def run(
        *words: object, code: int | None = 0, input: str | None = None, seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        return shell(*minirt_words(*words), code=code, input=input, seconds=seconds)

    return run


@pytest.fixture
def outside() -> Iterator[Outside]:
    """Return another machine, one wire away from the test's host."""
    with outside_host() as machine:
        yield machine


@pytest.fixture
def outside6(outside: Outside) -> Outside:
    """Return the same machine, over IPv6."""
    return over_ipv6(outside)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root file system with little but busybox in it, for tests below the images."""
    root = tmp_path_factory.mktemp("rootfs")
    busybox = shutil.which("busybox")
    assert busybox, "apt install busybox-static"
    for folder in ("bin", "etc", "root", "tmp", "proc", "sys", "dev"):
        (root / folder).mkdir()
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in APPLETS.split():
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/www:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nwww:x:33:\ntools:x:50:www\n")
    return root


@pytest.fixture(scope="session")
def image_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the busybox image, made once for all tests (of a worker)."""
    top = tmp_path_factory.mktemp("store")
    tar = top / "busybox.tar"
    shell(REPOSITORY / "rootfs-tools" / "busybox", tar, seconds=120)
    words = minirt_words("--root", top / "root", "--runroot", top / "run", "image", "import")
    shell("env", "MINIRT_NO_SERVER=1", *words, tar, "busybox", seconds=120)
    return top / "root" / "images"


@pytest.fixture
def image(ground: Ground, image_store: Path) -> str:
    """Put the busybox image into the test's store, and return its name."""
    ground.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Hard links: files of a store are never written again, only made and removed.
    copy: Callable[[str, str], None] = os.link
    shutil.copytree(image_store, ground.root / "images", symlinks=True, copy_function=copy)
    return "busybox"


@pytest.fixture(scope="session")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that makes things as large as the kernel allows."""
    return compiled(HERE / "greedy.c", tmp_path_factory.mktemp("greedy"))


@pytest.fixture
def as_nobody() -> Iterator[Program]:
    """Return a function that runs minirt as an ordinary user.

    That user need not be able to reach the checkout, which may lie in root's home directory
    (mode 0700), so the sandbox shows it in a directory that everybody can enter.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        public = Path(name) / "checkout"
        public.mkdir()
        shell("mount", "--bind", REPOSITORY, public)

        def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
            command = [word.replace(str(REPOSITORY), str(public)) for word in minirt_words(*words)]
            return shell("setpriv", "--reuid=65534", "--clear-groups", *command, code=code)

        try:
            yield run
        finally:
            shell("umount", public)
