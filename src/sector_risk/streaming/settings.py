"""What is asked of a forecast whose draws are not kept."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from sector_risk.faults import Fault
from sector_risk.summary import confidence_faults, quantile_faults

__all__ = ["Keep", "Summary", "keep_faults", "names_by_draw", "settled"]

PLACE = "simulate"
CHOICES = ("draws", "summary")
REMEDY = "Use 'draws', 'summary', Summary(...) or a list of variables."


@dataclass(frozen=True)
class Summary:
    """Ask `simulate` for a summary of the draws in memory that does not grow with their number.

    Parameters
    ----------
    quantiles : sequence of float
        Probabilities, each from 0 to 1.
    confidence : sequence of float
        Levels of the measures of deficit, each between 0 and 1.
    exact : bool
        Simulate a second time to make quantiles, value at risk and tail value at risk those of the sorted draws, and
        not read off bins to within their bounds; their errors are read off bins. It takes twice as long.

    Examples
    --------
    >>> import sector_risk as sr
    >>> asked = Summary(quantiles=(0.5,), exact=True)
    >>> summary = sr.simulate(sr.load_case("england-2018-19"), n_draws=2_000, keep=asked)
    >>> float(summary["position_quantile_bound"].max())
    0.0
    """

    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)
    confidence: Sequence[float] = (0.9, 0.95, 0.99)
    exact: bool = False


Keep = str | Summary | Sequence[str]
"""What `simulate` may be asked to keep."""


def names_by_draw(pattern: xr.Dataset) -> list[str]:
    """Names of a forecast's variables that have draws."""
    return [str(name) for name in pattern.data_vars if "draw" in pattern[name].dims]


def settled(keep: Keep) -> Keep:
    """Return what is to be kept, with the summary that "summary" stands for."""
    return Summary() if isinstance(keep, str) and keep == "summary" else keep


def keep_faults(keep: Any, pattern: xr.Dataset) -> Iterator[Fault]:
    """Yield a fault for each thing that cannot be kept of a forecast that is like the pattern."""
    known = names_by_draw(pattern)
    if isinstance(keep, Summary):
        yield from quantile_faults(PLACE, keep.quantiles)
        yield from confidence_faults(PLACE, keep.confidence)
    elif isinstance(keep, str):
        if keep not in CHOICES:
            yield Fault(PLACE, "cannot be kept", keep, REMEDY, variable="keep")
    elif not isinstance(keep, Collection) or isinstance(keep, bytes) or not len(keep):
        yield Fault(PLACE, "names nothing to keep", str(keep), REMEDY, variable="keep")
    else:
        for name in keep:
            if name not in known:
                remedy = f"Known: {', '.join(sorted(known))}."
                yield Fault(PLACE, "no variable with draws has this name", str(name), remedy, variable="keep")
