"""A warm interpreter that becomes fork servers: most of a server's start is imports.

For each line of JSON on its standard input it forks, and the child becomes ``minirt.server`` in the
network of the test that asked.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys

from minirt import light_dataclasses


def main() -> None:
    """Be that interpreter; it begins as minirt/server/__main__.py does."""
    light_dataclasses.stand_in()
    from minirt.server import preload

    preload.everything()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody here waits for servers.
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                _become_server(*json.loads(line))
            finally:
                os._exit(1)
        print(pid, flush=True)


def _become_server(folder: str, name: str, network: str, environment: dict[str, str]) -> None:
    from minirt.kernel import libc
    from minirt.kernel.namespaces import Namespace
    from minirt.server import serve

    os.environ.clear()
    os.environ.update(environment)
    with open(network) as there:
        libc.setns(there.fileno(), Namespace.NET)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    os.setsid()
    serve.main(folder, name)
    os._exit(0)


if __name__ == "__main__":
    main()
