"""Objects on their way to another process (kernel/parcels.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from minirt.kernel import parcels
from minirt.kernel.mounts import Attribute
from minirt.kernel.namespaces import Namespace
from minirt.runtime.spec import Mount, Process, Root, Spec, User

SPEC = Spec(
    Root(Path("/var/lib/x"), readonly=True),
    Process(("sh", "-c", "é"), user=User(1, 2, (3,)), console_size=(24, 80)),
    mounts=(Mount("/proc", "proc"), Mount("/x", "bind", "/y", ("ro",))),
    namespaces={Namespace.NET: "", Namespace.PID: "/proc/1/ns/pid"},
)
# As in a command without a server, where data classes are of another make.
BY_THE_LIGHT_ONES = """
from minirt import light_dataclasses
light_dataclasses.stand_in()
from minirt.kernel import parcels
from minirt.runtime.spec import Process, User
sent = Process(("true",), user=User(7))
assert vars(sent), "this is no light one"
assert parcels.unpack(parcels.pack(sent), [], []) == sent
"""


@dataclass
class Holder:
    """One that can be changed, and was."""

    name: str
    held: list[int] = field(default_factory=list)


def test_data_classes_arrive_as_they_were() -> None:
    holder = Holder("a")
    holder.held.append(5)
    sent = (SPEC, holder, Attribute.RDONLY | Attribute.NOEXEC, None)
    assert parcels.unpack(parcels.pack(sent), [], []) == sent


def test_those_of_a_command_without_server_as_well() -> None:
    subprocess.run([sys.executable, "-c", BY_THE_LIGHT_ONES], check=True)


def test_what_they_name_by_number_has_that_number_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    held = os.open(tmp_path / "file", os.O_RDONLY)
    number = held + 20
    assert parcels.unpack(parcels.pack(number), [number], [held]) == number
    assert os.pread(number, 10, 0) == b"here"
    os.close(number)
