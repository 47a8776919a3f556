"""Sockets that systemd has opened beforehand, for the container's command (sd_listen_fds(3)).

They are open from descriptor 3 on, and variables tell how many: meant is who has LISTEN_PID.
The command is process 1, if it has a PID namespace of its own, and is told so, as by runc.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from minirt.errors import InvalidRequest, in_quotes
from minirt.oci.words import is_number
from minirt.runtime.spec import Spec


def count(variables: Mapping[str, str], pid: int) -> int:
    """Return how many descriptors are meant for the process ``pid``. Raises InvalidRequest."""
    if variables.get("LISTEN_PID") != str(pid):
        return 0
    text = variables.get("LISTEN_FDS", "")
    if not is_number(text):
        raise InvalidRequest(f"LISTEN_FDS is {in_quotes(text)}", "it is not a whole number")
    return int(text)


def told(spec: Spec, number: int) -> Spec:
    """Tell the command of the container about them."""
    variables = [f"LISTEN_FDS={number}", "LISTEN_PID=1"]
    if names := os.environ.get("LISTEN_FDNAMES"):
        variables.append(f"LISTEN_FDNAMES={names}")
    process = replace(spec.process, env=(*spec.process.env, *variables))
    return replace(spec, process=process)
