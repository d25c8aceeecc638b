"""Switching values: the sum of money that turns a forecast's answer."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.engine import default_threads
from sector_risk.faults import Fault
from sector_risk.schema import FRACTION, MONEY, SUMMARY, VariableSpec, described
from sector_risk.summary import quantiles_of
from sector_risk.units import BALANCED, GROUPED, Units, check_forecast, numbers, unit_positions, units_of

F64 = NDArray[np.float64]
Array = NDArray[Any]
NEEDED = ("position", "sector_position", "nhs_position", *GROUPED)
ROWS = 16  # measured at a time by a thread
_BOTH = ("unit", "probability")

SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            VariableSpec(
                "switching_value",
                _BOTH,
                MONEY,
                "sum with which the unit breaks even as surely as is asked",
                sign="money needed positive, headroom negative",
            ),
            VariableSpec("switching_value_se", _BOTH, MONEY, "Monte Carlo standard error of the sum"),
            VariableSpec("probability", ("probability",), FRACTION, "probability of breakeven that is asked for"),
            SUMMARY["unit"],
            SUMMARY["level"],
        )
    }
)
"""What `switching_value` returns."""


def switching_value(forecast: xr.Dataset, probability: float | Sequence[float] = 0.5) -> xr.Dataset:
    """Return the sum of money that would make every unit break even with a given probability.

    The sum is added to every draw alike: support that is paid at the year end whatever happens, or a loss that
    happens whatever else does. Nothing is simulated.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`.
    probability : float or sequence of float
        Probabilities of breakeven asked for, each above 0 and below 1.

    Returns
    -------
    Dataset
        On `unit` (trusts, regions, types, systems, "Provider sector", "Whole NHS") with coordinate `level`, and on
        `probability`:

        * `switching_value(unit, probability)`, GBP million: the least sum a for which at least that share of draws has
          ``position + a >= -0.005``; with p for the probability it is the order statistic of rank ceil(p n) of
          ``-0.005 - position``. Positive: money needed. Negative: headroom that could be lost;
        * `switching_value_se`: half the distance of the order statistics one binomial sd of rank to each side.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        If a variable is missing, draws are not finite, or a probability is not between 0 and 1.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=400)
    >>> needed = switching_value(forecast, (0.5, 0.9)).sel(unit="Provider sector")["switching_value"]
    >>> after = forecast["sector_position"] + needed
    >>> (after >= -0.005).mean("draw").values.tolist()
    [0.5, 0.9]
    """
    check_forecast(forecast, NEEDED, also=probability_faults("switching_value", probability))
    wanted, units = np.atleast_1d(numbers(probability)), units_of(forecast)
    values, errors = _measure_all(forecast, units, wanted)
    labels = {"unit": units.unit, "level": ("unit", units.level), "probability": wanted}
    found = xr.Dataset(
        {"switching_value": (_BOTH, values), "switching_value_se": (_BOTH, errors)}, labels, attrs=forecast.attrs
    )
    return described(found, SPECS)


def probability_faults(place: str, probability: Any) -> list[Fault]:
    """Return a fault unless it is one or several probabilities of what is neither sure nor impossible."""
    wanted = np.atleast_1d(numbers(probability))
    if wanted.ndim == 1 and len(wanted) and ((wanted > 0.0) & (wanted < 1.0)).all():
        return []
    remedy = "Give one or several, such as (0.5, 0.9)."
    return [Fault(place, "must be above 0 and below 1", str(probability), remedy, variable="probability")]


def sums_needed(position: Array, wanted: F64) -> tuple[F64, F64]:
    """Sum that each row of draws needs to be balanced with the probabilities wanted, and its error, (row, p)."""
    n = position.shape[1]
    enough = np.ceil(wanted * n - 1e-9)  # .07 * 100 is a little above 7 in floating point
    last, errors = quantiles_of(position, (n - enough + 1.0) / n)
    needed = BALANCED - last
    return np.where(last + needed < BALANCED, np.nextafter(needed, np.inf), needed), errors


def _measure_all(forecast: xr.Dataset, units: Units, wanted: F64) -> tuple[F64, F64]:
    """Sums that every unit needs, and their errors, in pieces on threads."""
    levels = unit_positions(forecast, units)
    pieces = (rows[k : k + ROWS] for rows in levels for k in range(0, len(rows), ROWS))
    with ThreadPoolExecutor(default_threads()) as pool:
        measured = list(pool.map(lambda position: sums_needed(position, wanted), pieces))
    values, errors = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    return values, errors
