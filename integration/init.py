"""Process 1 of a sandbox: starts pytest, buries the orphans, leaves with pytest's exit code.

    python init.py WORD…

A PID namespace needs an init that reaps, as a machine does: otherwise what a test has killed
would stay a zombie, and look alive to whoever asks /proc. The death of this process is the
death of all that is left in the sandbox (pid_namespaces(7)).
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main(words: list[str]) -> int:
    """Run the words; return their exit code as a shell would tell it."""
    os.spawnvp(os.P_WAIT, "ip", ["ip", "link", "set", "lo", "up"])  # as on every machine
    child = os.posix_spawnp(words[0], words, os.environ)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    signal.signal(signal.SIGINT, lambda *_: None)  # The terminal sends it to pytest as well.
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
