"""A start without what nobody uses: each call of ``minirt-oci`` is an interpreter of its own.

The module ``dataclasses`` imports ``inspect``, and with it the parser, the disassembler and the
tokenizer of Python: 7 ms, for the signature in the docstring of a class that has none. All of ours
have one.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is imported when somebody first uses it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        sys.modules.pop(self.__name__, None)
        return getattr(__import__(self.__name__), name)

    def get_annotations(self, cls: type) -> dict[str, Any]:
        """Return what Python 3.13's dataclasses ask for: the annotations of a class, as text."""
        return vars(cls).get("__annotations__", {})  # type: ignore[no-any-return]


def begin() -> None:
    """Let ``inspect`` be imported only when it is used."""
    if sys.version_info < (3, 14):  # Later ones keep annotations in another way.
        sys.modules.setdefault("inspect", _Later("inspect"))
