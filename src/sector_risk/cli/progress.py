"""A bar that shows how far long work has come, where someone can see it."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sector_risk.cli.interrupt import INTERRUPT

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress_bar(shown: bool, rounds: int = 1) -> Iterator[Callable[[int, int], None]]:
    """Ask after each block if an interrupt came; show a bar on standard error where someone can see it.

    Where the work comes in several rounds, each from its first block to its last, the bar spans them all.
    """
    complete = 0
    bar = LateBar(after=1.0 if shown and sys.stderr.isatty() else math.inf)

    def block_done(done: int, total: int) -> None:
        nonlocal complete
        INTERRUPT.check()
        bar.update(complete + done / total, rounds)
        complete += done == total

    try:
        yield block_done
    finally:
        bar.stop()


class LateBar:
    """A progress bar that stays away (and is not even imported) until a second has passed."""

    def __init__(self, after: float = 1.0) -> None:
        self._starts_at = time.monotonic() + after
        self._bar: Progress | None = None

    def update(self, done: float, total: float) -> None:
        """Say how far the work has come."""
        if self._bar is None and time.monotonic() >= self._starts_at:
            self._bar = self._start()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _start(self) -> "Progress":
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(stderr=True), transient=True)
        bar.add_task("Simulating")
        bar.start()
        return bar
