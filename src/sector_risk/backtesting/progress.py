"""How far a back-test is."""

import sys
from collections.abc import Callable

Progress = Callable[[int, int], None]


def counter(progress: bool | Progress, total: int) -> Callable[[], None]:
    """Return what is called after each forecast: it counts, and tells `progress`."""
    tell = progress if callable(progress) else print_progress if progress else None
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if tell:
            tell(done, total)

    return tick


def print_progress(done: int, total: int) -> None:
    """Show a count on standard error."""
    print(f"\rforecast {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
