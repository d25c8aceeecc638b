"""Interrupts: remembered, so that none is lost, and heeded where it is safe."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Remembers that an interrupt came.

    Python drops one that comes while it tidies up (in the callback of a weak reference, or in a library's own); so
    whoever works for long asks, and nothing is put in place without asking.
    """

    def __init__(self) -> None:
        self._came = self._held = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take note of the signal, and stop at once where that is safe."""
        self._came = True
        if not self._held:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Stop if an interrupt came."""
        if self._came:
            raise KeyboardInterrupt

    @contextmanager
    def kept_for_later(self) -> Iterator[None]:
        """Stop before the block, or when somebody next asks after it: not within."""
        self._held = True
        try:
            self.check()
            yield
        finally:
            self._held = False

    @contextmanager
    def foremost(self) -> Iterator[None]:
        """Take any error for an interrupt that came: an import or a library may have made it something else."""
        try:
            yield
        except Exception:
            self.check()
            raise
        self.check()


INTERRUPT = Interrupt()


def listen() -> None:
    """Have interrupts remembered, and say nothing of those that Python drops: they are asked for later."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody wants none
        signal.signal(signal.SIGINT, INTERRUPT)
    usual = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else usual(lost)
