"""From the words of a call to a verb, and from an error to what callers parse.

Imports next to nothing: ``minirt-oci --version`` is the start of the interpreter.
"""

from __future__ import annotations

import _signal  # builtin, and the module signal is not
import gc
import os
import sys

from minirt.errors import InvalidRequest, MinirtError, in_quotes
from minirt.oci import OCI_VERSION
from minirt.oci.command_line import DEFAULT_ROOT, GLOBAL, VERBS, help_of, help_text, options_of
from minirt.oci.words import Asked, take_options

FAILED = 1
EXEC_FAILED = 255  # as runc: every other code could be the process's own


def main() -> None:
    """Run one call, and leave with its exit code."""
    gc.disable()  # This process is over before there is anything to collect: 2 ms less.
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from minirt.kernel import descriptors

        descriptors.open_standard_streams()
    # A caller that ignores it would have the kernel reap our children, waitpid(2).
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    code = _flushed(run(sys.argv[1:]))
    os._exit(code)  # Nothing is left to be done, and to tear an interpreter down takes 3 ms.


def _flushed(code: int) -> int:
    """Write what is left of the output; return the exit code, which is not 0 if that fails."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return code or FAILED
    except OSError as error:
        from minirt.errors import kernel_refused
        from minirt.oci import log

        log.error(kernel_refused("Cannot write to standard output", error))
        return code or FAILED
    return code


def run(words: list[str]) -> int:
    """Run one call; return its exit code."""
    verb = ""
    try:
        chosen, left = take_options(words, GLOBAL)
        common = Asked("", chosen, left)
        if common.flag("version"):
            return _say_version()
        if common.flag("help") or not left or left[0] in ("help", "h"):
            sys.stdout.write(help_text())
            return 0
        verb = left[0]
        _configure(common)
        return _call(verb, left[1:])
    except MinirtError as error:
        from minirt.oci import log

        log.error(error)
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        from minirt.errors import kernel_refused
        from minirt.oci import log

        log.error(kernel_refused(f"Cannot {verb}", error))
    return EXEC_FAILED if verb == "exec" else FAILED


def _say_version() -> int:
    from minirt import __version__

    sys.stdout.write(f"minirt-oci version {__version__}\nspec: {OCI_VERSION}\n")
    return 0


def _configure(common: Asked) -> None:
    """Obey the global options. Raises InvalidRequest."""
    from minirt.oci import lean

    lean.begin()
    from minirt.oci import groups, log, records
    from minirt.state import check_own, root_dir

    log.open_log(common.text("log"), common.text("log-format", "text"), _is_debugging(common))
    records.use_root(common.text("root", DEFAULT_ROOT))
    if os.geteuid() == 0:
        check_own(records.root(), "--root")
        check_own(root_dir(), "MINIRT_ROOT")  # where compiled filters of system calls are kept
    manager = common.text("cgroup-manager", "systemd" if common.flag("systemd-cgroup") else "")
    groups.use_manager(manager or "cgroupfs")


def _is_debugging(common: Asked) -> bool:
    return common.flag("debug") or common.text("log-level") == "debug"


def _call(verb: str, words: list[str]) -> int:
    """Import the verb, and run it."""
    if verb not in VERBS:
        raise InvalidRequest(f"No help topic for {in_quotes(verb)}", "there is no such verb")
    known = VERBS[verb]
    values, left = take_options(words, options_of(verb), anywhere=not known.options_first)
    asked = Asked(verb, values, left)
    if asked.flag("help"):
        sys.stdout.write(help_of(verb))
        return 0
    if len(left) < known.least or (known.most is not None and len(left) > known.most):
        usage = f"usage: minirt-oci {verb} [OPTION…] {known.usage}".rstrip()
        raise InvalidRequest(f"{in_quotes(verb)} was given {len(left)} arguments", usage)
    from importlib import import_module

    module = import_module(f"minirt.oci.verbs.{known.module or verb}")
    code: int = module.run(asked)
    return code
