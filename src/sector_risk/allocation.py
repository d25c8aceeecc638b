"""Whose risk it is: what each trust, and each effect, adds to the tail and to the spread of a unit's position."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.effects import CENTRE, NEEDED, waterfall
from sector_risk.engine import default_threads
from sector_risk.faults import raise_if_any
from sector_risk.kernels.co_moments import CUBE, FIRST, SQUARE, co_moments
from sector_risk.kernels.edge import edge_means
from sector_risk.measures import tail_of, worst_first
from sector_risk.schema import DEFICIT_SIGN, FORECAST, MONEY, VariableSpec, described, with_error
from sector_risk.summary import confidence_faults
from sector_risk.units import SECTOR, draws_last, find_unit, forecast_faults

__all__ = ["allocate", "shares_of"]

F64 = NDArray[np.float64]
Array = NDArray[Any]
Variables = dict[str, tuple[tuple[str, ...], Any]]
Estimated = tuple[F64, F64]
"""Figures and their Monte Carlo standard errors."""
ROWS = 16  # measured at a time by a thread
PLAN = "plan"
LABELS = ("name", "region", "trust_type", "system")
WHOLE = ("tail_value_at_risk", "tail_value_at_risk_se", "sd", "sd_se")
OF_MEMBER = ("tail_value_at_risk_share", "tail_value_at_risk_share_se", "sd_share", "sd_share_se")
OF_EFFECT = ("tail_value_at_risk_by_effect", "tail_value_at_risk_by_effect_se", "sd_by_effect", "sd_by_effect_se")
_MEMBER, _EFFECT = ("member",), ("effect",)
_ADDS = "negative where it hedges the rest"


SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            *with_error(
                "tail_value_at_risk", (), MONEY, "mean year-end deficit in the unit's worst draws", DEFICIT_SIGN
            ),
            *with_error("sd", (), MONEY, "standard deviation of the unit's year-end position"),
            *with_error(
                "tail_value_at_risk_share",
                _MEMBER,
                MONEY,
                "mean deficit of the member in the unit's worst draws",
                DEFICIT_SIGN,
            ),
            *with_error(
                "sd_share", _MEMBER, MONEY, "part of the unit's standard deviation that the member adds", _ADDS
            ),
            *with_error(
                "tail_value_at_risk_by_effect",
                _EFFECT,
                MONEY,
                "mean of the effect in the unit's worst draws, its sign turned",
                "adverse positive",
            ),
            *with_error(
                "sd_by_effect", _EFFECT, MONEY, "part of the unit's standard deviation that the effect adds", _ADDS
            ),
            VariableSpec("member", _MEMBER, "", "trust of the unit; for the whole NHS the centre too", kind="text"),
            VariableSpec("effect", _EFFECT, "", "the plan, and what moves the position from it", kind="text"),
            VariableSpec("confidence", (), "1", "share of draws that are not among the worst"),
            VariableSpec("unit", (), "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
            VariableSpec("level", (), "", "what the unit is", kind="text"),
        )
    }
    | {name: FORECAST[name] for name in LABELS}
)


@dataclass(frozen=True)
class Total:
    """A unit's position by draw, which of its draws are the tail, and its spread."""

    position: F64
    order: NDArray[np.int64]  # all draws, the worst first
    tail: NDArray[np.int64]
    less_mean: F64
    variance: float  # n, not n - 1

    @classmethod
    def of(cls, position: F64, confidence: float) -> "Total":
        """Order the draws of a position."""
        less_mean = position - position.mean()
        variance, order = float(less_mean @ less_mean) / len(position), worst_first(position)
        return cls(position, order, tail_of(order, confidence), less_mean, variance)


def allocate(forecast: xr.Dataset, unit: str = SECTOR, confidence: float = 0.95) -> xr.Dataset:
    """Divide the tail value at risk, and the standard deviation, of a unit among its trusts, and among effects.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`, n draws.
    unit : str
        A trust's code, a region, a type, a system, "Provider sector" or "Whole NHS".
    confidence : float
        Between 0 and 1: the tail is the k = ceil((1 - confidence) n) draws in which the unit's position is worst, of
        equal draws those with the lowest numbers.

    Returns
    -------
    Dataset
        GBP million. With S the unit's position, X that of a member, n draws:

        * `tail_value_at_risk`, mean deficit -S of the unit in the tail, as `summarise` has it, and `sd` of S;
        * on `member`, the unit's trusts, and for the whole NHS "centre" (central actions, and what rules save it):
          `tail_value_at_risk_share`, mean of -X over the same draws, and `sd_share` = cov(X, S) / sd(S);
        * on `effect`, "plan" and the effects of `waterfall`: the same of each, `tail_value_at_risk_by_effect` and
          `sd_by_effect`. A plan is the same in all draws and adds nothing to the spread.

        Members add up to the unit, and so do effects: this is the allocation that Euler's theorem gives to measures
        that grow in proportion. A share says what the member adds at the margin, not what would go with it.

        Every figure has its standard error. Of a mean over the tail, with a that mean, m the mean of X where S is at
        the edge of the tail, and p = k / n: sqrt((mean((X - m)^2) - p (a - m)^2) / (k - 1)), the first mean over the
        tail; m is read off the nearest draws, k / 4 to each side of the edge, by a straight line in S. Of cov(X, S) /
        sd(S), with x, s what X, S are above their means and b = cov / var(S): the sd over draws of
        x s - b s^2 / 2, divided by sd(S) and sqrt(n). What a single draw cannot tell is NaN.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        As `waterfall`; and for a confidence that is not between 0 and 1.

    References
    ----------
    Tasche, D. (1999). Risk contributions and performance measurement. TU Munich.

    Examples
    --------
    >>> import sector_risk as sr
    >>> shares = allocate(sr.simulate(sr.load_case("england-2018-19"), n_draws=400))
    >>> bool(abs(shares["tail_value_at_risk_share"].sum() - shares["tail_value_at_risk"]) < 1e-6)
    True
    >>> shares["effect"].values[[0, -1]].tolist()
    ['plan', 'support']
    """
    asked = confidence_faults("allocate", [confidence])
    raise_if_any([*forecast_faults(forecast, (*NEEDED, "name"), "summarise_projection"), *asked])
    return shares_of(forecast, waterfall(forecast, unit), confidence)


def shares_of(forecast: xr.Dataset, flow: xr.Dataset, confidence: float) -> xr.Dataset:
    """Return what `allocate` does, from a checked forecast, the `waterfall` of one of its units by driver, and a level.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=50)
    >>> shares_of(forecast, waterfall(forecast, "London"), 0.9).identical(allocate(forecast, "London", 0.9))
    True
    """
    _, rows = find_unit(forecast, flow["unit"].item(), "allocate")
    position = flow["position"].values
    total = Total.of(position, confidence)
    whole = _measure(position[None], total)[0]
    members = _closed(_members(forecast, rows, total, flow), whole)
    effects = np.vstack([(-flow["plan"].item(), 0.0, 0.0, 0.0), _measure(flow["effect_by_draw"].values, total)])
    figures = _named(WHOLE, (), whole) | _named(OF_MEMBER, _MEMBER, members) | _named(OF_EFFECT, _EFFECT, effects)
    return _labelled(figures, _labels(forecast, rows, flow) | {"confidence": ((), confidence)}, forecast)


def _members(forecast: xr.Dataset, rows: Array, total: Total, flow: xr.Dataset) -> F64:
    """Measures of the unit's trusts, and of the centre if it is one of the effects, (member, 4)."""
    position = draws_last(forecast, "position")
    own = position if len(rows) == len(position) else position[rows]
    pieces = [own[i : i + ROWS] for i in range(0, len(own), ROWS)]
    if CENTRE in flow["effect"]:
        pieces.append(flow["effect_by_draw"].sel(effect=[CENTRE]).values)
    with ThreadPoolExecutor(default_threads()) as pool:
        return np.concatenate(list(pool.map(lambda piece: _measure(piece, total), pieces)))


def _measure(rows: Array, total: Total) -> F64:
    """Return what each row of draws adds to tail and spread, and the errors, (row, 4)."""
    return np.column_stack([*_of_tail(rows, total), *_of_spread(rows, total)])


def _of_tail(rows: Array, total: Total) -> Estimated:
    """Mean over the tail, its sign turned, and its error."""
    k, edge = len(total.tail), np.empty(len(rows))
    edge_means(rows, total.position, total.order, k, edge)
    worst = rows[:, total.tail]
    mean = worst.mean(axis=1, dtype=np.float64)
    squares = ((worst - edge[:, None]) ** 2).mean(axis=1) - k / len(total.position) * (mean - edge) ** 2
    return -mean, np.sqrt(squares.clip(0.0) / (k - 1)) if k > 1 else np.full(len(rows), np.nan)


def _of_spread(rows: Array, total: Total) -> Estimated:
    """Covariance with the total over the total's standard deviation, and its error."""
    n, products = len(total.position), np.empty((len(rows), 3))
    if n == 1 or total.variance == 0.0:
        return np.zeros(len(rows)), np.full(len(rows), 0.0 if n > 1 else np.nan)
    co_moments(rows, rows.mean(axis=1, dtype=np.float64), total.less_mean, products)
    covariance, slope = products[:, FIRST], products[:, FIRST] / total.variance
    fourth = (total.less_mean**4).mean()
    squares = products[:, SQUARE] - slope * products[:, CUBE] + (0.5 * slope) ** 2 * fourth - (0.5 * covariance) ** 2
    sd = np.sqrt(total.variance)
    return covariance / sd * np.sqrt(n / (n - 1)), np.sqrt(squares.clip(0.0) / n) / sd


def _closed(parts: F64, whole: F64) -> F64:
    """Spread evenly what parts lack of the whole: rounding, and that of a file which keeps totals in less detail."""
    closed = parts.copy()
    closed[:, ::2] += (whole[::2] - parts[:, ::2].sum(axis=0)) / len(parts)
    return closed


def _named(names: tuple[str, ...], dims: tuple[str, ...], figures: F64) -> Variables:
    return {name: (dims, values) for name, values in zip(names, figures.T, strict=True)}


def _labels(forecast: xr.Dataset, rows: Array, flow: xr.Dataset) -> Variables:
    """Names of members and effects, and of members what is known of trusts; the centre has no more than its name."""
    centre = [CENTRE] * (CENTRE in flow["effect"])
    labels: Variables = {"member": (_MEMBER, np.array([*forecast["trust"].values[rows], *centre], object))}
    labels["effect"] = _EFFECT, np.array([PLAN, *flow["effect"].values], object)
    for name in LABELS:
        labels[name] = _MEMBER, np.array([*forecast[name].values[rows], *("" for _ in centre)], object)
    return labels | {name: ((), flow[name].values) for name in ("unit", "level")}


def _labelled(figures: Variables, labels: Variables, forecast: xr.Dataset) -> xr.Dataset:
    shares = xr.Dataset(figures, labels, attrs=forecast.attrs)
    return described(shares, SPECS)
