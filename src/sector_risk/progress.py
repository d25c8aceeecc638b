"""Progress: how far long work has come, told to a function or shown on standard error."""

import sys
from collections.abc import Callable
from functools import partial

Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is in all."""
WIDTH = 30


def reporter(progress: bool | Progress, line: Callable[[int, int], str]) -> Progress | None:
    """Return what is told of progress: a function given as it is, the line on standard error for True, else nothing.

    Parameters
    ----------
    progress : bool or function (done, total)
    line : function (done, total) -> str
        What to show: `blocks_done`, `points_done`, `forecasts_done`, `runs_done` or `draws_done`.

    Examples
    --------
    >>> reporter(False, blocks_done) is None, reporter(print, blocks_done) is print
    (True, True)
    """
    if callable(progress):
        return progress
    return partial(show, line) if progress else None


def half_of(progress: Progress | None, half: int) -> Progress | None:
    """Return what tells of the first (0) or the second (1) half of work as of the whole.

    >>> half_of(print, 1)(2, 4)
    6 8
    """
    return None if progress is None else lambda done, total: progress(half * total + done, 2 * total)


def show(line: Callable[[int, int], str], done: int, total: int) -> None:
    """Show a line in the place of the one before; end it when all is done."""
    print(f"\r{line(done, total)}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def blocks_done(done: int, total: int) -> str:
    """Draw a bar of blocks of draws.

    >>> blocks_done(2, 4)
    '[###############               ] 2/4 blocks'
    """
    bar = "#" * (WIDTH * done // total)
    return f"[{bar:<{WIDTH}}] {done}/{total} blocks"


def points_done(done: int, total: int) -> str:
    """Count points at which a fit simulates.

    >>> points_done(2, 4)
    'simulated at 2 of 4 points'
    """
    return f"simulated at {done} of {total} points"


def forecasts_done(done: int, total: int) -> str:
    """Count forecasts of a back-test.

    >>> forecasts_done(2, 4)
    'forecast 2 of 4'
    """
    return f"forecast {done} of {total}"


def runs_done(done: int, total: int) -> str:
    """Count runs of the simulator.

    >>> runs_done(2, 64)
    'run 2 of 64'
    """
    return f"run {done} of {total}"


def draws_done(done: int, total: int) -> str:
    """Count draws on disk.

    >>> draws_done(4500, 10_000)
    '4,500 of 10,000 draws written'
    """
    return f"{done:,} of {total:,} draws written"
