"""How far a unit's position swings with each effect: a tornado, from draws that are there already."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.effects import NEEDED, waterfall
from sector_risk.engine import default_threads
from sector_risk.faults import Fault, raise_if_any
from sector_risk.kernels.edge import edge_means
from sector_risk.kernels.reduce import BALANCE
from sector_risk.schema import BALANCE_SIGN, ERROR, MONEY, VariableSpec, described
from sector_risk.summary import mean_error, tail_size
from sector_risk.units import SECTOR, forecast_faults, numbers

__all__ = ["swings_of", "tornado"]

F64 = NDArray[np.float64]
BAR = ("low", "low_se", "high", "high_se", "swing", "swing_se")
_EFFECT = ("effect",)
_BEST = "positive where draws with the best of the effect end better"

SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            VariableSpec("low", _EFFECT, MONEY, "mean position where the effect is worst", sign=BALANCE_SIGN),
            VariableSpec("low_se", _EFFECT, MONEY, ERROR + "low"),
            VariableSpec("high", _EFFECT, MONEY, "mean position where the effect is best", sign=BALANCE_SIGN),
            VariableSpec("high_se", _EFFECT, MONEY, ERROR + "high"),
            VariableSpec("swing", _EFFECT, MONEY, "high less low", sign=_BEST),
            VariableSpec("swing_se", _EFFECT, MONEY, ERROR + "the swing"),
            VariableSpec("base", (), MONEY, "expected year-end position", sign=BALANCE_SIGN),
            VariableSpec("base_se", (), MONEY, ERROR + "the expected position"),
            VariableSpec("effect", _EFFECT, "", "what moves the position from the plan", kind="text"),
            VariableSpec("share", (), "1", "share of draws in which an effect is worst, and best"),
            VariableSpec("unit", (), "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
            VariableSpec("level", (), "", "what the unit is", kind="text"),
        )
    }
)


@dataclass(frozen=True)
class End:
    """Means over the draws in which an effect is worst, or best; and of the position what its error is made of."""

    position: float
    effect: float
    influence: F64  # (draw,), but for a constant


def tornado(forecast: xr.Dataset, unit: str = SECTOR, share: float = 0.1) -> xr.Dataset:
    """Compare a unit's position where an effect is at its worst with that where it is at its best.

    This shows what goes together, not what causes what: where an effect is at its worst, what is correlated with it is
    bad too, and one-off cover is greatest where all else is worst, so that its swing may be negative. How much of the
    spread an effect explains by itself is what `sensitivity_indices` says.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`, n draws.
    unit : str
        A trust's code, a region, a type, a system, "Provider sector" or "Whole NHS".
    share : float
        Above 0, up to 0.5: an effect is at its worst in the k = ceil(share n) draws in which it is lowest, at its best
        in the k in which it is highest. Draws that tie at the edge count in part, all alike.

    Returns
    -------
    Dataset
        GBP million, on `effect`, those of `waterfall`, the greatest swing first, whatever its sign:

        * `low` and `high`, mean position where the effect is worst and best, and `swing` = high - low;
        * `base`, the expected position;
        * their errors, `base_se` = sd / sqrt(n), and the others sqrt(k / (k - 1)) times sd / sqrt(n) of
          w (S - m) n / k, for the swing of the difference of the two: S is the position, m its mean at the edge of the
          tail, off a straight line through the draws near it, w the part to which a draw counts. NaN where k = 1.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

        An effect that hardly varies, by less than GBP 5,000 from the mean of its worst to that of its best draws, has
        no bar: low and high are the base.

    Raises
    ------
    InputError
        As `waterfall`; and for a share that is not above 0 and up to 0.5.

    Examples
    --------
    >>> import sector_risk as sr
    >>> bars = tornado(sr.simulate(sr.load_case("england-2018-19"), n_draws=1000), share=0.2)
    >>> bars["effect"].values[0]
    'deterioration'
    >>> bool((bars["low"] < bars["base"])[0] and (bars["base"] < bars["high"])[0])
    True
    """
    raise_if_any([*forecast_faults(forecast, NEEDED, "summarise_projection"), *_share_faults(share)])
    return swings_of(waterfall(forecast, unit), share)


def swings_of(flow: xr.Dataset, share: float) -> xr.Dataset:
    """Return what `tornado` does, from the `waterfall` of a unit by driver.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=50)
    >>> swings_of(waterfall(forecast, "London"), 0.2).identical(tornado(forecast, "London", 0.2))
    True
    """
    position, effects = flow["position"].values, flow["effect_by_draw"].values
    with ThreadPoolExecutor(default_threads()) as pool:
        bars = np.array(list(pool.map(lambda effect: _bar(effect, position, share), effects)))
    first = np.argsort(-np.abs(bars[:, BAR.index("swing")]), kind="stable")
    figures = {name: (_EFFECT, values) for name, values in zip(BAR, bars[first].T, strict=True)}
    ends = {"base": ((), flow["mean"].values), "base_se": ((), flow["mean_se"].values)}
    labels = {"effect": flow["effect"].values[first], "share": share}
    labels |= {name: flow[name].values for name in ("unit", "level")}
    made = xr.Dataset(figures | ends, labels, attrs=flow.attrs)
    return described(made, SPECS)


def _share_faults(share: Any) -> list[Fault]:
    given = numbers(share)
    if given.ndim == 0 and 0.0 < given <= 0.5:
        return []
    return [Fault("tornado", "must be above 0 and up to 0.5", str(share), "Use 0.1.", variable="share")]


def _bar(effect: F64, position: F64, share: float) -> tuple[float, ...]:
    """Figures of one effect, in the order of BAR."""
    k = int(tail_size(len(effect), 1.0 - share))
    order = np.argsort(effect)
    low, high = _end(effect, order, position, k), _end(-effect, order[::-1].copy(), position, k)
    inflate = np.sqrt(k / (k - 1)) if k > 1 else np.nan
    if -high.effect - low.effect < BALANCE:
        mean, error = position.mean(), float(mean_error(position))
        return mean, error, mean, error, 0.0, 0.0
    errors = mean_error(np.vstack([low.influence, high.influence, high.influence - low.influence])) * inflate
    return low.position, errors[0], high.position, errors[1], high.position - low.position, errors[2]


def _end(effect: F64, order: NDArray[np.int64], position: F64, k: int) -> End:
    """Look at the k draws in which an effect is lowest; `order` has the lowest first."""
    edge = np.empty(1)
    edge_means(position[None], effect, order, k, edge)
    weight = _weights(effect, effect[order[k - 1]], k)
    influence = weight * (position - edge[0]) * (len(effect) / k)
    return End(float(weight @ position) / k, float(weight @ effect) / k, influence)


def _weights(effect: F64, edge: float, k: int) -> F64:
    """Weights that add up to k: one below the edge, and even ones for all draws at it."""
    below, tied = effect < edge, effect == edge
    return below + tied * ((k - below.sum()) / tied.sum())
