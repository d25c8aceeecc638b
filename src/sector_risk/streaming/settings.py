"""What is asked of a forecast whose draws are not kept."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sector_risk.faults import Fault
from sector_risk.summary import confidence_faults, quantile_faults

__all__ = ["Summary", "keep_faults"]

PLACE = "simulate"
CHOICES = ("draws", "summary")


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
        not read off bins to within their bounds.

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


def keep_faults(keep: Any, known: Sequence[str]) -> Iterator[Fault]:
    """Yield a fault for each thing that cannot be kept of a forecast with the variables `known`."""
    if isinstance(keep, Summary):
        yield from quantile_faults(PLACE, keep.quantiles)
        yield from confidence_faults(PLACE, keep.confidence)
    elif isinstance(keep, str):
        if keep not in CHOICES:
            remedy = "Use 'draws', 'summary', Summary(...) or a list of variables."
            yield Fault(PLACE, "cannot be kept", keep, remedy, variable="keep")
    elif not isinstance(keep, Collection) or isinstance(keep, bytes) or not len(keep):
        remedy = "Use 'draws', 'summary', Summary(...) or a list of variables."
        yield Fault(PLACE, "names nothing to keep", str(keep), remedy, variable="keep")
    else:
        for name in keep:
            if name not in known:
                remedy = f"Known: {', '.join(sorted(known))}."
                yield Fault(PLACE, "no variable with draws has this name", str(name), remedy, variable="keep")
