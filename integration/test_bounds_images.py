"""Directories that an image brings with more names than fit into a process of minirt."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.peaks import all_stay_small
from minirt.images import merged

MANY = 40_000  # files in a folder
LONG = 240  # characters of each name


@pytest.mark.slow
def test_a_volume_is_filled_with_tens_of_thousands_of_files(minirt: Minirt, tmp_path: Path) -> None:
    """Each file has two names, so that it has to be remembered as well."""
    archive = tmp_path / "full.tar"
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(MANY):
            member = tarfile.TarInfo(f"data/{number:0{LONG}}")
            if number % 2:
                member.type = tarfile.LNKTYPE
                member.linkname = f"data/{number - 1:0{LONG}}"
            tar.addfile(member)
    with all_stay_small():
        minirt("image", "import", "-c", 'CMD ["/none"]', archive, "full", seconds=120)
        minirt("create", "--net", "none", "--name", "one", "-v", "vol:/data", "full", seconds=120)
        volume = Path(minirt("volume", "inspect", "-f", "{{.Mountpoint}}", "vol").stdout.strip())
        files = [one.name for one in volume.iterdir()]
        assert len(files) == MANY
        assert (volume / files[0]).stat().st_nlink == 2
        minirt("rm", "one", seconds=120)
        minirt("volume", "rm", "vol", seconds=120)


def test_names_of_several_layers_are_read_in_batches(tmp_path: Path) -> None:
    layers = tuple(str(tmp_path / name) for name in ("top", "middle", "bottom"))
    for number, layer in enumerate(layers):
        Path(layer).mkdir()
        for name in range(number * 100, number * 100 + 200):
            (Path(layer) / f"{name:04}").touch()
    for batch in (1 << 10, 1 << 18):
        found = list(merged.names_in(layers, batch))
        assert sorted(found) == [f"{name:04}" for name in range(400)]
