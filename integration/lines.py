"""A signal at the N-th line of code that follows a moment: no line between two steps is missed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]


class Signaller:
    """Sends ``by`` to this process at the ``number``-th line of ``files`` after ``moment``.

    ``moment`` is a function that has to return first; a line that runs again is not counted
    again. ``about_to`` is called just before, with the name of the function and the line.
    """

    def __init__(
        self,
        number: int,
        by: signal.Signals,
        files: set[Path],
        moment: CodeType,
        about_to: Callable[[str, int], None],
    ) -> None:
        self._number, self._by, self._moment, self._about_to = number, by, moment, about_to
        self._files = {str(file) for file in files}
        self._counts = False
        self._met: set[tuple[str, int]] = set()
        self._pid = os.getpid()

    def during(self, call: Callable[[], int]) -> int:
        """Call it, watched."""
        sys.settrace(self._enter)
        try:
            return call()
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Trace | None:
        if os.getpid() != self._pid:
            # A child goes its own way. No settrace(None): it waits for a lock of the interpreter's
            # that a fork holds until its child has come some lines further.
            return None
        is_ours = frame.f_code is self._moment or frame.f_code.co_filename in self._files
        return self._line if is_ours else None

    def _line(self, frame: FrameType, event: str, _argument: object) -> Trace:
        if frame.f_code is self._moment:
            self._counts = self._counts or event == "return"
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and self._counts and place not in self._met:
            self._met.add(place)
            if len(self._met) == self._number:
                self._about_to(frame.f_code.co_name, frame.f_lineno)
                os.kill(self._pid, self._by)
        return self._line
