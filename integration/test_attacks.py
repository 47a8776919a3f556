"""Known ways out of containers, each with a control: where the defence is off, it works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from integration.archives import folder, member, oci_files, tar, written
from integration.conftest import Minirt
from integration.sandbox import compiled, minirt_words, shell
from integration.traces import Ground
from integration.typist import at_terminal, typing
from minirt.images import store
from minirt.server import client


def test_a_second_chroot_does_not_lead_out(
    minirt: Minirt, image: str, rootfs: Path, tmp_path: Path
) -> None:
    """It works against chroot(2), with a capability that containers have; not after a pivot."""
    program = compiled(Path(__file__).with_name("chroot.c"), tmp_path)
    marker = tmp_path / "marker"
    marker.touch()
    root = tmp_path / "root"
    shutil.copytree(rootfs, root, symlinks=True)
    shutil.copy(program, root)
    assert shell("chroot", root, "/chroot", marker).stdout == "out\n"
    words = ("run", "--rm", "-v", f"{program}:/chroot")
    assert minirt(*words, image, "/chroot", marker).stdout == "in\n"
    assert minirt(*words, "--privileged", image, "/chroot", marker).stdout == "in\n"


def test_mounts_do_not_travel_to_a_host_that_shares_them(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """As systemd has it: all mounts of the host are shared."""
    folder = tmp_path / "folder"
    folder.mkdir()
    run = minirt_words("run", "-d", "--name", "one", "--tmpfs", "/x", "-v", f"{folder}:/y")
    script = f"""
        mount --make-rshared / && cut -d ' ' -f 5 /proc/self/mountinfo | sort > {tmp_path}/before
        {" ".join(run)} {image} sleep 100 > {tmp_path}/id
        cut -d ' ' -f 5 /proc/self/mountinfo | sort > {tmp_path}/during
        unshare --mount --propagation unchanged mount -t tmpfs control {folder}
        cut -d ' ' -f 5 /proc/self/mountinfo | sort > {tmp_path}/control
    """
    shell("unshare", "--mount", "sh", "-ec", script, seconds=60)
    before, during, control = (
        (tmp_path / name).read_text().split() for name in ("before", "during", "control")
    )
    minirt("rm", "--force", "one")
    assert during == before
    assert str(folder) in control


@pytest.mark.parametrize("path", ["/../../../etc", "/x/../../etc"])
def test_a_volume_of_an_image_is_never_a_folder_of_the_host(
    minirt: Minirt, tmp_path: Path, path: str
) -> None:
    """CVE-2022-23648: it was filled from the host's /etc."""
    tar = tmp_path / "image.tar"
    shell("tar", "-cf", tar, "--directory", tmp_path, "--files-from", "/dev/null")
    imported = minirt("image", "import", "--change", f"VOLUME {path}", tar, "evil", code=None)
    if imported.returncode:
        assert "VOLUME" in imported.stderr
        return
    shown = json.loads(minirt("image", "inspect", "evil").stdout)[0]
    assert list(shown["Config"]["Volumes"]) == ["/etc"]


def test_a_volume_that_an_archive_names_with_dots_is_filled_from_inside(
    minirt: Minirt, ground: Ground, tmp_path: Path
) -> None:
    """CVE-2022-23648, by an archive whose configuration nobody has cleaned."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("of the host")
    path = "/x/" + "../" * 40 + str(secret)[1:]
    inside = member(f".{secret}/own", b"of the image")
    files = oci_files([tar(folder("./"), folder("x"), inside)], config={"Volumes": {path: {}}})
    minirt("image", "load", "-i", written(tmp_path / "image.tar", files))
    (layer,) = store.find("made:1").layers
    naive = shutil.copytree(f"{layer}{path}", tmp_path / "naive")  # The control: a path is joined.
    assert [one.name for one in naive.iterdir()] == ["key"]
    minirt("create", "--name", "one", "made:1", "true")
    (volume,) = (ground.root / "volumes").glob("*/_data")
    assert [one.name for one in volume.iterdir()] == ["own"]
    shown = minirt("inspect", "-f", "{{(index .Mounts 0).Destination}}", "one").stdout
    assert shown.strip() == str(secret)


def test_no_socket_of_ours_is_in_a_container_that_was_not_given_it(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    """Whoever reaches the monitor's or the fork server's socket may be served as the host's root.

    The folder of these is no part of any mount that minirt makes by itself; also not where a
    volume has its name.
    """
    find = ("find", "/", "-path", "/proc", "-prune", "-o", "-type", "s", "-print")
    minirt("run", "-d", "--name", "other", "--net", "none", image, "sleep", "1000")
    volumes = ("-v", "data:/data", "-v", ground.run)
    for flags in (), volumes, ("--privileged",), ("--net", "host"), ("--net", "container:other"):
        assert minirt("run", "--rm", *flags, image, *find).stdout == ""
    given = ("-v", f"{ground.run}:/given:ro")  # The control.
    shown = minirt("run", "--rm", *given, image, *find).stdout.split()
    names = {Path(one).name for one in shown}
    assert {"monitor.sock", client.name()} <= names


def test_names_of_files_do_not_command_a_terminal(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """A file is called "x", erase the screen, next line, "y"."""
    name = "$(printf 'x\\033[2J\\ny')"
    script = f'mkdir /d; mkfifo "/d/{name}"; touch "/{name}"'
    minirt("run", "--name", "one", "--net", "none", image, "sh", "-c", script)
    for words in (("diff", "one"), ("cp", "one:/d", tmp_path), ("cp", "one:/x\x1b[2J", tmp_path)):
        with at_terminal(*words) as person:
            person.wait()
            said = person.rest()
        assert r"x\x1b[2J" in said
        assert "\x1b" not in said
        assert "\ny" not in said
    with typing("find", tmp_path.parent, "-prune", "-printf", r"x\033[2J\ny") as control:
        assert "x\x1b[2J\r\ny" in control.read_until("y") + "y"


def test_a_record_that_is_cut_off_is_an_error_and_no_crash(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("run", "-d", "--name", "one", image, "true")
    minirt("wait", "one")
    record = next((ground.root / "containers").glob("*/record.json"))
    whole = record.read_text()
    for damaged in (whole[: len(whole) // 2], "[]", "null", "\0"):
        record.write_text(damaged)
        with pytest.raises((ValueError, TypeError)):  # The control: who believes it, crashes.
            json.loads(damaged)["id"]
        for verb in ("inspect", "start", "logs"):
            failed = minirt(verb, "one", code=None)
            assert failed.returncode
            assert "Traceback" not in failed.stderr and "bug" not in failed.stderr
            assert "damaged" in failed.stderr
        assert minirt("ps", "-a", code=None).stderr == ""
        (ground.run / "swept").unlink()  # As after a boot, when all that is half made is removed.
        minirt("run", "--rm", "--net", "none", image, "true")
        assert record.read_text() == damaged
    record.write_text(whole)
    minirt("rm", "one")
