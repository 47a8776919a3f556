"""The JSON files that a caller names: config.json, exec --process, update --resources."""

from __future__ import annotations

import os
from pathlib import Path

from minirt.errors import InvalidRequest
from minirt.kernel import bounded_read

_LARGEST = 64 << 20  # bytes: config.json may be a link to /dev/zero


def read(path: Path) -> bytes:
    """Return the content of a file, of a device, or of what is written to a FIFO.

    A FIFO that no process has open for writing is empty: open(2) does not wait for a writer. Raises
    OSError, and InvalidRequest for more than 64 MiB.
    """
    with open(os.open(path, bounded_read.OPEN), "rb") as file:
        os.set_blocking(file.fileno(), True)  # A writer of a FIFO may still be at work.
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InvalidRequest(f"{path} is too large", f"{_LARGEST >> 20} MiB are enough")
    return content
