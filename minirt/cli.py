"""The command line: finds the verb, and turns an error into a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from minirt import __version__
from minirt.commands import boolean_flags
from minirt.commands.lean import Lean
from minirt.commands.verbs import GROUPS, VERBS, load
from minirt.errors import MinirtError, kernel_refused, say

OWN_FAILURE = 125  # Docker's code for "the failure is the runtime's, not the command's".


class Verbs(Lean, click.Group):
    """A group that imports a verb only when it is called: ``ps`` pays nothing for ``run``."""

    def __init__(self, verbs: dict[str, str], of: str = "", **attributes: Any) -> None:
        super().__init__(no_args_is_help=False, **attributes)
        self.verbs, self.of = verbs, of

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help to who types nothing else: that is no mistake."""
        return super().parse_args(ctx, boolean_flags.rewritten(self, args) or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the help."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb ``cmd_name``; None lets click say that there is none."""
        if cmd_name not in self.verbs:
            return None
        if not self.of and cmd_name in GROUPS:
            inner = GROUPS[cmd_name]
            return Verbs(inner, of=cmd_name, name=cmd_name, help=self.verbs[cmd_name] + ".")
        return load(cmd_name, self.of)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb of a command line. Raises UsageError, with what to type instead."""
        if args[0] not in self.verbs and not args[0].startswith("-"):
            from minirt.commands import strangers

            hint = strangers.instead(args[0], self.verbs, self.of)
            ctx.fail(f"No such command '{args[0]}'." + (f" Instead: {hint}." if hint else ""))
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, Verbs):
            rest = boolean_flags.rewritten(command, rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.verbs.items()))


@click.group(cls=Verbs, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--root", type=click.Path(path_type=Path), help="What survives a reboot.")
@click.option("--runroot", type=click.Path(path_type=Path), help="What does not.")
@click.option("--explain", is_flag=True, help="Tell every step taken with the kernel.")
@click.option("--time", is_flag=True, help="Tell where the time goes, as a waterfall.")
@click.version_option(__version__, prog_name="minirt")
@click.pass_context
def root(
    ctx: click.Context, root: Path | None, runroot: Path | None, explain: bool, time: bool
) -> None:
    """Run containers, wired into networks on which they find each other by name."""
    for variable, path in (("MINIRT_ROOT", root), ("MINIRT_RUNROOT", runroot)):
        if path is not None:
            os.environ[variable] = str(path.absolute())
    if explain or time:
        from minirt.explain import story

        ctx.call_on_close(story.begin() if explain else story.measure())


def main() -> None:
    """Run the verb, and leave with its exit code; say what went wrong, if it did."""
    sys.exit(flushed(run(sys.argv[1:])))


def flushed(code: int) -> int:
    """Write what is left of the output; return the exit code, which is not 0 if that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        sys.stdout = None  # or the interpreter tries again
        return code or say(str(kernel_refused("Cannot write to standard output", error)), 1)
    return code


def run(words: list[str]) -> int:
    """Run one command line; return its exit code."""
    failure = OWN_FAILURE if words_name(words, {"run"}) else 1
    try:
        result = root.main(words, prog_name="minirt", standalone_mode=False)
    except click.UsageError as error:
        where = f" See '{error.ctx.command_path} --help'." if error.ctx else ""
        return say(error.format_message() + where, usage_code(error))
    except (click.Abort, KeyboardInterrupt):
        return 130  # 128 + SIGINT
    except MinirtError as error:
        return say(str(error), error.exit_code or failure)
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter flushes into the pipe
        return 141  # 128 + SIGPIPE: who reads has gone
    except OSError as error:
        return say(str(kernel_refused("Cannot do that", error)), failure)
    except Exception as error:
        if os.environ.get("MINIRT_DEBUG"):
            raise
        what = f"This is a bug in minirt: {type(error).__name__}: {error}."
        return say(f"{what} MINIRT_DEBUG=1 shows where.", OWN_FAILURE)
    return result if isinstance(result, int) else 0


def usage_code(error: click.UsageError) -> int:
    """Return Docker's exit code for words that make no command: 125 if a flag is wrong, else 1.

    Too few or too many arguments and unknown commands are 1, also of ``run``. So is a flag whose
    value is not on its list of words, which Docker's client checks after it has read the flags.
    """
    if isinstance(error, click.BadParameter):
        flag = error.param if isinstance(error.param, click.Option) else None
        return OWN_FAILURE if flag and not isinstance(flag.type, click.Choice) else 1
    return OWN_FAILURE if isinstance(error, click.NoSuchOption | click.BadOptionUsage) else 1


def words_name(words: list[str], verbs: set[str]) -> bool:
    """Say whether the first word that is no option is one of ``verbs``."""
    values = {"--root", "--runroot"}
    previous = ""
    for word in words:
        if not word.startswith("-") and previous not in values:
            return word in verbs
        previous = word
    return False
