"""``inspect``, ``version``, ``info`` and the lists have Docker's fields, values and columns."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.conftest import Minirt
from integration.firewalls import forget_rules
from integration.peers import dockerd, needs_peer
from integration.sandbox import shell, wait_until
from integration.traces import Ground

SLEEPER = ("sleep", "1000")
Client = Callable[..., str]

# Fields of containers that no flag of the test sets: their empty value is in the right column.
EMPTY = [
    ("{{.AppArmorProfile}}{{.MountLabel}}{{.ProcessLabel}}", ""),
    ("{{.ExecIDs}} {{.Config.OnBuild}} {{.Config.Shell}} {{.HostConfig.Links}}", "[] [] [] []"),
    ("{{.HostConfig.Binds}} {{.HostConfig.CapAdd}} {{.HostConfig.Mounts}}", "[] [] []"),
    ("{{.Config.Volumes}} {{.HostConfig.Tmpfs}} {{.HostConfig.Sysctls}}", "map[] map[] map[]"),
    ("{{.SizeRw}} {{.SizeRootFs}} {{.HostConfig.PidsLimit}}", "<nil> <nil> <nil>"),
    ("{{.HostConfig.MemorySwappiness}} {{.HostConfig.Init}}", "<nil> <nil>"),
    ("{{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}} {{.HostConfig.NanoCpus}}", "0 0 0"),
    ("{{.HostConfig.CPUQuota}} {{.HostConfig.CPUPeriod}} {{.HostConfig.NanoCPUs}}", "0 0 0"),
    ("{{.HostConfig.ConsoleSize}} {{.HostConfig.ContainerIDFile}}|", "[0 0] |"),
    ("{{.HostConfig.LogConfig}} {{.HostConfig.RestartPolicy}}", "{json-file map[]} {no 0}"),
    ("{{.Config.StopSignal}}|{{.Config.StopTimeout}}", "|<nil>"),
    ("{{.Config.AttachStdin}} {{.Config.AttachStdout}}", "false false"),
    ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
    ("{{json .State.Health}} {{json .HostConfig.DeviceRequests}}", "null null"),
    ("{{len .HostConfig.CapAdd}}{{range .HostConfig.CapAdd}}{{.}}{{end}}", "0"),
    ('{{join .HostConfig.CapAdd ","}}{{range .Mounts}}{{.Driver}}{{end}}', ""),
    ("{{.NetworkSettings.Networks.bridge.IPAMConfig}}", "<nil>"),
    ("{{.NetworkSettings.SecondaryIPAddresses}}", "[]"),
]
# Flags whose traces in "inspect" are compared with Docker's.
MOUNTS = [
    *("-v", "FOLDER:/x:ro", "-v", "vol:/v", "-v", "vol2:/w:nocopy", "-v", "/anonymous"),
    *("--mount", "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=700", "--tmpfs", "/u"),
    *("--mount", "type=volume,source=vol3,target=/z,volume-nocopy,readonly"),
    *("--mount", "type=bind,source=FOLDER,target=/y,bind-propagation=rshared"),
]
FLAGS = [*MOUNTS, "-it", "--stop-timeout", "3", "--entrypoint", "sh", "--expose", "90"]
COMPARED = [
    "{{json .HostConfig.Mounts}}",
    "{{.HostConfig.Tmpfs}} {{.Config.Volumes}} {{.Config.StopTimeout}}",
    "{{range .Mounts}}{{.Type}}:{{.Destination}}:{{.Mode}}:{{.RW}}:{{.Driver}}\n{{end}}",
    "{{range .HostConfig.Binds}}{{.}}\n{{end}}",
    "{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.StdinOnce}} {{.Config.OpenStdin}}",
    "{{.State}}",
]
# What minirt tells besides; and folders, which the storage driver of the test's dockerd has not.
OWN = re.compile(
    r".*\.GwPriority|\.EnableIPv4|\.(RunRootDir|CgroupControllers|FileSystems)|.*\.Data.*"
)


def keys(document: Any, path: str = "") -> set[str]:
    """Return the paths of all fields, those in a list under their number."""
    if isinstance(document, dict) and document:
        return {one for key, value in document.items() for one in keys(value, f"{path}.{key}")}
    if isinstance(document, list) and document and isinstance(document[0], dict):
        return {
            one for index, value in enumerate(document) for one in keys(value, f"{path}[{index}]")
        }
    return {path}


def fields_of(paths: set[str]) -> set[str]:
    """Leave out what the two need not have in common."""
    return {path for path in paths if not OWN.fullmatch(path)}


def client(run: Callable[..., Any], *first: str) -> Client:
    """Return what runs a command line of Docker's, and returns what it prints."""
    return lambda *words: str(run(*first, *words).stdout)


@pytest.fixture
def engines(minirt: Minirt, image: str, ground: Ground, rootfs: Path) -> Iterator[list[Client]]:
    """Return Docker and minirt, each with an image "busybox"."""
    with dockerd(ground) as words:
        tar = rootfs.parent / "documents.tar"
        shell("tar", "-C", rootfs, "-c", ".", "-f", tar)
        shell(*words, "import", tar, image)
        yield [client(shell, *words), client(minirt)]
    forget_rules()
    shell("ip", "link", "del", "docker0", code=None)


@pytest.mark.parametrize(("template", "printed"), EMPTY)
def test_templates_print_dockers_empty_values(
    minirt: Minirt, image: str, template: str, printed: str
) -> None:
    minirt("run", "-d", "--name", "one", image, *SLEEPER)
    assert minirt("inspect", "-f", template, "one").stdout == f"{printed}\n"


@needs_peer("dockerd", "docker", "containerd", "runc")
@pytest.mark.slow
def test_inspect_has_the_fields_of_dockers(engines: list[Client], tmp_path: Path) -> None:
    flags = [word.replace("FOLDER", str(tmp_path)) for word in FLAGS]
    documents: list[dict[str, set[str]]] = []
    for engine in engines:
        engine("run", "-d", "--name", "plain", "busybox", *SLEEPER)
        engine("create", "--name", "flags", *flags, "busybox")
        engine("network", "create", "--attachable", "net1")
        engine("volume", "create", "--label", "a=b", "volume1")
        lines = {
            "container": ("inspect", "--size", "plain"),
            "image": ("image", "inspect", "busybox"),
            "network": ("network", "inspect", "net1"),
            "volume": ("volume", "inspect", "volume1"),
        }
        found = {kind: keys(json.loads(engine(*words))[0]) for kind, words in lines.items()}
        found["info"] = {f".{key}" for key in json.loads(engine("info", "-f", "{{json .}}"))}
        documents.append(found)
    of_docker, own = documents
    for kind in of_docker:
        assert fields_of(own[kind]) == fields_of(of_docker[kind]), kind
    for template, printed in EMPTY:
        assert engines[0]("inspect", "-f", template, "plain") == f"{printed}\n"
    for template in COMPARED:
        theirs, ours = (engine("inspect", "-f", template, "flags") for engine in engines)
        # Docker goes through the volumes in the order of a Go map: in any.
        assert sorted(ours.split("\n")) == sorted(theirs.split("\n")), template
    for kind, name, template in (
        ("network", "net1", "{{.Attachable}}{{.Peers}}{{.Services}}{{.ConfigFrom}}"),
        ("network", "net1", "{{.Options}}{{.Labels}}{{.IPAM.Options}}"),
        ("image", "busybox", "{{.Config.Env}}{{.Config.Healthcheck}}{{.Config.Shell}}"),
        ("image", "busybox", "{{.Container}}{{.ContainerConfig}}{{.Config.StopTimeout}}"),
        ("volume", "volume1", "{{.Status}}{{.UsageData}}{{.Labels}}{{.Options}}"),
    ):
        theirs, ours = (engine(kind, "inspect", "-f", template, name) for engine in engines)
        assert ours == theirs


def test_version_and_info_are_read_by_dockers_names(minirt: Minirt, image: str) -> None:
    release = shell("uname", "-r").stdout.strip()
    own = minirt("version").stdout.splitlines()[0].removeprefix("minirt ")
    template = "{{.Client.Version}} {{.Server.Version}} {{.Server.KernelVersion}} {{.Server.Os}}"
    assert minirt("version", "-f", template).stdout == f"{own} {own} {release} linux\n"
    assert set(json.loads(minirt("version", "-f", "json").stdout)) == {"Client", "Server"}
    template = "{{.CgroupDriver}} {{.DefaultRuntime}} {{len .Runtimes}} {{.MemoryLimit}}"
    assert minirt("info", "-f", template).stdout == "cgroupfs minirt 1 true\n"
    assert minirt("info", "-f", "{{.CgroupVersion}}").stdout.strip() in ("1", "2")
    assert minirt("info", "-f", "{{.Warnings}}").stdout.startswith("[")


def test_info_counts_a_paused_container_apart(minirt: Minirt, image: str) -> None:
    for name in ("one", "two"):
        minirt("run", "-d", "--name", name, "--net", "none", image, *SLEEPER)
    minirt("pause", "two")
    template = "{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}"
    assert minirt("info", "-f", template).stdout == "2 1 1 0\n"
    minirt("unpause", "two")


def test_sizes_have_three_digits_and_count_the_image(minirt: Minirt, image: str) -> None:
    fill = (
        "dd if=/dev/zero of=/file bs=1024 count=5120 2>/dev/null; ln /file /link; exec sleep 1000"
    )
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sh", "-c", fill)
    wait_until(lambda: "5.24MB" in minirt("ps", "-s").stdout, "the file")
    of_image = minirt("image", "ls", "--format", "{{.Size}}").stdout.strip()
    whole = int(minirt("image", "inspect", "-f", "{{.Size}}", image).stdout)
    size = minirt("ps", "--format", "{{.Size}}").stdout.strip()
    assert size == f"5.24MB (virtual {(whole + 5242880) / 1e6:.3g}MB)"
    assert of_image == f"{whole / 1e6:.3g}MB"
    sizes = minirt("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "one").stdout.split()
    assert [int(one) for one in sizes] == [5242880, 5242880 + whole]
    row = json.loads(minirt("image", "ls", "--format", "json").stdout)
    assert {"Containers", "SharedSize", "UniqueSize", "VirtualSize"} <= set(row)
    assert row["VirtualSize"] == f"{whole / 1e6:.4g}MB"


def test_volume_ls_has_dockers_fields(minirt: Minirt, image: str) -> None:
    minirt("volume", "create", "vol")
    row = json.loads(minirt("volume", "ls", "--format", "json").stdout)
    assert (row["Availability"], row["Group"], row["Status"]) == ("N/A", "N/A", "N/A")


@pytest.mark.parametrize(
    ("options", "heads"),
    [
        ((), "UID PID PPID C STIME TTY TIME CMD"),
        (("aux",), "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        (("-eo", "pid,ppid,rss,comm"), "PID PPID RSS COMMAND"),
        (("axo", "pid,comm"), "PID COMMAND"),
    ],
)
def test_top_has_the_columns_of_ps(
    minirt: Minirt, image: str, options: tuple[str, ...], heads: str
) -> None:
    minirt("run", "-d", "--name", "one", "--net", "none", image, *SLEEPER)
    first, *rows = minirt("top", "one", *options).stdout.splitlines()
    assert first.split() == heads.split()
    pid = minirt("inspect", "-f", "{{.State.Pid}}", "one").stdout.strip()
    (row,) = [dict(zip(first.split(), line.split(), strict=False)) for line in rows]
    assert row["PID"] == pid
    if "PPID" in row:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        assert row["PPID"] == next(line.split()[1] for line in status if line.startswith("PPid"))
        assert row["PPID"] != "0"


def test_top_says_what_ps_says_of_wrong_options(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "one", "--net", "none", image, *SLEEPER)
    assert "unknown user-defined format" in minirt("top", "one", "-o", "nope", code=1).stderr
    assert "find PID" in minirt("top", "one", "-o", "comm", code=1).stderr
    path = os.environ["PATH"]
    with contextlib.suppress(KeyError):
        os.environ["PATH"] = "/nowhere"
        said = minirt("top", "one", code=1).stderr
    os.environ["PATH"] = path
    assert "apt install procps" in said


def test_what_dash_v_and_mount_said_is_told_apart(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    words = ["-v", f"{tmp_path}:/a", "-v", f"{tmp_path}:/b:ro,rslave", "-v", "vol:/c"]
    words += ("-v", "/d", "--mount", f"type=bind,source={tmp_path},target=/e,readonly")
    minirt("create", "--name", "one", *words, image, "true")
    (document,) = json.loads(minirt("inspect", "one").stdout)
    host = document["HostConfig"]
    assert host["Binds"] == [f"{tmp_path}:/a", f"{tmp_path}:/b:ro,rslave", "vol:/c"]
    assert host["Mounts"] == [
        {"Type": "bind", "Source": str(tmp_path), "Target": "/e", "ReadOnly": True}
    ]
    modes = {one["Destination"]: one["Mode"] for one in document["Mounts"]}
    assert modes == {"/a": "", "/b": "ro,rslave", "/c": "z", "/d": "", "/e": ""}


def test_the_graph_driver_names_the_folders_of_the_overlay(minirt: Minirt, image: str) -> None:
    minirt("run", "-d", "--name", "one", "--net", "none", image, *SLEEPER)
    minirt("exec", "one", "touch", "/new")
    (document,) = json.loads(minirt("inspect", "one").stdout)
    folders = document["GraphDriver"]["Data"]
    assert (Path(folders["UpperDir"]) / "new").exists()
    assert (Path(folders["LowerDir"].split(":")[0]) / "bin").exists()
    assert (Path(folders["MergedDir"]) / "new").exists()
    assert (Path(folders["MergedDir"]) / "bin").exists()


def test_the_default_bridge_tells_its_mtu(minirt: Minirt, image: str) -> None:
    template = '{{index .Options "com.docker.network.driver.mtu"}}'
    assert minirt("network", "inspect", "-f", template, "bridge").stdout == "1500\n"


def test_a_volume_name_of_one_letter_is_refused_everywhere(minirt: Minirt, image: str) -> None:
    """Docker's daemon refuses it too; of ``-v q:/q`` its client makes a volume at "q:/q"."""
    for words in (("-v", "q:/q"), ("--mount", "type=volume,source=q,target=/q")):
        assert "two characters" in minirt("run", *words, image, "true", code=125).stderr
    minirt("volume", "create", "q", code=1)
    assert not minirt("volume", "ls", "-q").stdout


def test_prune_and_lists_take_labels_that_are_not_there(minirt: Minirt) -> None:
    for name, label in (("vol1", "keep=1"), ("vol2", "keep=2"), ("vol3", "other")):
        minirt("volume", "create", "--label", label, name)
    both = ("--filter", "label=keep", "--filter", "label=keep=1")
    assert minirt("volume", "ls", "-q", *both).stdout == "vol1\n"
    minirt("volume", "prune", "-f", "--filter", "label!=keep")
    assert minirt("volume", "ls", "-q").stdout == "vol1\nvol2\nvol3\n"  # they have names
    pruned = minirt("volume", "prune", "-f", "--filter", "label!=keep", "--filter", "all=1")
    assert "vol3" in pruned.stdout
    assert minirt("volume", "ls", "-q").stdout == "vol1\nvol2\n"
    minirt("volume", "prune", "-af", "--filter", "label!=keep=2")
    assert minirt("volume", "ls", "-q").stdout == "vol2\n"


def test_import_takes_a_health_check_and_a_platform(
    minirt: Minirt, image: str, rootfs: Path
) -> None:
    tar = rootfs.parent / "import.tar"
    shell("tar", "-C", rootfs, "-c", ".", "-f", tar)
    changes = ["HEALTHCHECK --interval=1m30s --retries=3 CMD wget -q localhost", "ONBUILD RUN x"]
    words = [word for change in changes for word in ("-c", change)]
    minirt("image", "import", "--platform", "linux/arm64/v8", *words, tar, "other")
    template = "{{json .Config.Healthcheck}} {{.Architecture}} {{.Variant}} {{.Config.OnBuild}}"
    check, rest = minirt("image", "inspect", "-f", template, "other").stdout.split(" arm64 ")
    test = ["CMD-SHELL", "wget -q localhost"]
    assert json.loads(check) == {"Test": test, "Interval": 90_000_000_000, "Retries": 3}
    assert rest == "v8 [RUN x]\n"
    assert minirt("image", "import", "--platform", "windows", tar, code=1).stderr


def test_exposed_ports_are_listed_in_dockers_order(minirt: Minirt, image: str) -> None:
    """Closed ports by protocol and number come before those that lead to another number."""
    exposed = [word for port in ("90", "70", "80/udp", "8") for word in ("--expose", port)]
    published = ("-p", "127.0.0.1:1234:81", "-p", "127.0.0.1:1233:50/udp")
    minirt("run", "-d", *exposed, *published, image, *SLEEPER)
    closed = "8/tcp, 70/tcp, 90/tcp, 80/udp"
    leading = "127.0.0.1:1233->50/udp, 127.0.0.1:1234->81/tcp"
    assert minirt("ps", "--format", "{{.Ports}}").stdout == f"{closed}, {leading}\n"
