"""A verb of many flags, of which click looks only at those that were typed.

For each flag that there is click looks for a value in four places, and asks its type for one
more: 20 µs. For the 80 flags of ``run`` that was 1.5 ms of the 35 that a run takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import click


class Lean(click.Command):
    """The same as click's own command, whose flags end at the first argument."""

    @cached_property
    def flags(self) -> dict[str, click.Option]:
        """All flags, by what is typed: "-m", "--memory"."""
        options = [one for one in self.params if isinstance(one, click.Option)]
        return {text: one for one in options for text in (*one.opts, *one.secondary_opts)}

    @cached_property
    def arguments(self) -> list[click.Argument]:
        """All that is no flag."""
        return [one for one in self.params if isinstance(one, click.Argument)]

    @cached_property
    def untyped(self) -> dict[str, Any]:
        """What flags are worth that nobody has typed."""
        if not self.flags:
            return {}
        context = click.Context(self)
        self._look_at(self.flags.values(), context, [])
        return context.params

    def get_ready(self) -> None:
        """Work out what is the same each time, before somebody waits for it."""
        _ = self.untyped, self.arguments

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Fill ``ctx.params``; return the words that are left. Raises UsageError."""
        typed = self._typed(args)
        if typed is None:
            return super().parse_args(ctx, args)
        rest = self._look_at([*typed, *self.arguments], ctx, args)
        ctx.params = {**self.untyped, **ctx.params}
        return rest

    def _typed(self, args: list[str]) -> list[click.Option] | None:
        """Return the flags that stand there; None: there is one that only click has an answer to.

        That is a mistake, or ``--help``.
        """
        found = []
        words = iter(args)
        for word in words:
            if word[:1] != "-" or word in ("-", "--"):
                break
            name, value, _ = word.partition("=")
            names = [name]
            if word[:2] != "--":
                names, value = [f"-{letter}" for letter in word[1:]], ""
            for number, name in enumerate(names):
                option = self.flags.get(name)
                if option is None:
                    return None
                found.append(option)
                if not option.is_flag:  # The rest of the word is its value, or else the next.
                    if not value and number == len(names) - 1:
                        next(words, None)
                    break
        return found

    def _look_at(
        self, params: Iterable[click.Parameter], ctx: click.Context, args: list[str]
    ) -> list[str]:
        """Parse as if there were no other parameters."""
        every, self.params = self.params, list(dict.fromkeys(params))
        try:
            return super().parse_args(ctx, args)
        finally:
            self.params = every
