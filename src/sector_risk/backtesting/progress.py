"""How far a back-test is."""

from collections.abc import Callable

from sector_risk.progress import Progress, forecasts_done, reporter

__all__ = ["Progress", "counter"]


def counter(progress: bool | Progress, total: int) -> Callable[[], None]:
    """Return what is called after each forecast: it counts, and tells `progress`."""
    tell = reporter(progress, forecasts_done)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if tell:
            tell(done, total)

    return tick
