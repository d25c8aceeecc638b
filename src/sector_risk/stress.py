"""Reverse stress: what the draws that go wrong have in common."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.effects import waterfall
from sector_risk.engine import default_threads
from sector_risk.faults import Fault, raise_if_any
from sector_risk.kernels.edge import edge_means
from sector_risk.kernels.moments import BELOW, MEAN, SD, moments
from sector_risk.kernels.reduce import BALANCE
from sector_risk.measures import tail_of, worst_first
from sector_risk.schema import BALANCE_SIGN, FRACTION, MONEY, VARIANCE_SIGN, VariableSpec, described, with_error
from sector_risk.summary import binomial_se, by_row, quantiles_of
from sector_risk.units import SECTOR, draws_last, find_unit

__all__ = ["WORST_SHARE", "reverse_stress"]

F64 = NDArray[np.float64]
Array = NDArray[Any]
Bools = NDArray[np.bool_]
WORST_SHARE = 0.05
"""Share of draws that are looked at where no threshold is given."""
Variables = dict[str, tuple[tuple[str, ...], Any]]
ROWS = 16  # measured at a time by a thread
_EFFECT, _TRUST = ("effect",), ("trust",)


SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            *with_error("threshold", (), MONEY, "position that draws fall short of", BALANCE_SIGN),
            *with_error("p_breach", (), FRACTION, "share of draws that fall short of it"),
            VariableSpec("n_breach", (), FRACTION, "number of draws that fall short of it"),
            *with_error("position_breach", (), MONEY, "unit's mean position in breaching draws", BALANCE_SIGN),
            *with_error("position_other", (), MONEY, "unit's mean position in all other draws", BALANCE_SIGN),
            *with_error("effect_breach", _EFFECT, MONEY, "mean effect in breaching draws", VARIANCE_SIGN),
            *with_error("effect_other", _EFFECT, MONEY, "mean effect in all other draws", VARIANCE_SIGN),
            *with_error("effect_difference", _EFFECT, MONEY, "difference of the two means", VARIANCE_SIGN),
            *with_error(
                "standardised_difference",
                _EFFECT,
                FRACTION,
                "difference over the effect's sd in all draws",
                VARIANCE_SIGN,
            ),
            *with_error("trust_position_breach", _TRUST, MONEY, "mean position in breaching draws", BALANCE_SIGN),
            *with_error("trust_position_other", _TRUST, MONEY, "mean position in all other draws", BALANCE_SIGN),
            *with_error("p_deficit_breach", _TRUST, FRACTION, "probability of a deficit in breaching draws"),
            *with_error("p_deficit_other", _TRUST, FRACTION, "probability of a deficit in all other draws"),
            *with_error("p_deficit_difference", _TRUST, FRACTION, "rise of the probability of a deficit"),
            VariableSpec("effect", _EFFECT, "", "what moves the position from the plan", kind="text"),
            VariableSpec("trust", _TRUST, "", "organisation code of the trust", kind="text"),
            VariableSpec("name", _TRUST, "", "name of the trust", kind="text"),
            VariableSpec("unit", (), "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
        )
    }
)
"""What `reverse_stress` returns."""


class Breach(NamedTuple):
    """Which draws fall short of a threshold; the threshold, its error, and that of the share that falls short."""

    draws: Bools
    threshold: float
    threshold_se: float
    share_se: float
    position: F64  # of the unit, (draw,)
    order: NDArray[np.int64] | None  # draws, the worst first, where chance moves the threshold; None for one given


class Sides(NamedTuple):
    """A figure of rows of draws in breaching draws and in all others, with errors, each (row,)."""

    breach: F64
    other: F64
    breach_se: F64
    other_se: F64
    difference_se: F64

    def variables(self, stem: str, dims: tuple[str, ...], *, difference: str = "") -> Variables:
        """Return both sides by name, and how much more the breaching one is."""
        of_sides = {"breach": self.breach, "breach_se": self.breach_se, "other": self.other, "other_se": self.other_se}
        found: Variables = {f"{stem}_{side}": (dims, values) for side, values in of_sides.items()}
        if difference:
            found[difference] = (dims, self.breach - self.other)
            found[f"{difference}_se"] = (dims, self.difference_se)
        return found


def reverse_stress(
    forecast: xr.Dataset, unit: str = SECTOR, threshold: float | None = None, *, by: str = "driver"
) -> xr.Dataset:
    """Compare the draws in which a unit falls short of a threshold with all others.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`.
    unit : str
        A trust's code, a region, type or system, "Provider sector" or "Whole NHS".
    threshold : float, optional
        Year-end position, GBP million; a draw breaches it if it is below by GBP 5,000 or more. Default: the worst
        twentieth of draws breach, ceil(0.05 n) of them, and `threshold` is the best of these.
    by : {"driver", "line"}
        Effects as in `waterfall`.

    Returns
    -------
    Dataset
        GBP million, and shares. With n1 draws in breach, n0 others, and s1, s0 the sd of each:

        * scalars `threshold`, `p_breach`, `n_breach`, and the unit's mean position on either side, `position_breach`
          and `position_other`;
        * on `effect`, what stands out most first: mean in breaching draws `effect_breach`, in others `effect_other`,
          `effect_difference`, and `standardised_difference`, the difference over the effect's sd in all draws (nought
          where the effect never varies). Differences add up to that of the positions;
        * on `trust`, the unit's: `trust_position_breach`, `trust_position_other`, and the probability of a deficit on
          either side and its rise, `p_deficit_breach`, `p_deficit_other`, `p_deficit_difference`.

        Beside each its error. For a threshold that is given: s1 / sqrt(n1) and s0 / sqrt(n0) of means,
        sqrt(s1^2 / n1 + s0^2 / n0) of differences, and binomial ones of probabilities. The worst twentieth is a given
        share (with no error), and chance moves its threshold, which has the error of an order statistic. With m for the
        mean at the threshold (`kernels.edge`), d1 and d0 for what the means differ from m, and p = n1 / n, this
        adds d1^2 (1 - p) / n1, d0^2 p / n0, and the sum of these and 2 d1 d0 / n to the squares of the three errors.
        The error of a standardised difference is that of the difference over the sd, which is taken as known.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        If fewer than two draws are on one of the sides (it says where the position lies), if no unit has the name, and
        as `waterfall`.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=400)
    >>> stress = reverse_stress(forecast)
    >>> int(stress["n_breach"]), str(stress["effect"].values[0])
    (20, 'deterioration')
    >>> gap = stress["position_breach"] - stress["position_other"]
    >>> bool(abs(stress["effect_difference"].sum() - gap) < 1e-6)
    True
    """
    raise_if_any(_threshold_faults(threshold))
    flow = waterfall(forecast, unit, by=by)
    position, effects = flow["position"].values[None], flow["effect_by_draw"].values
    _, rows = find_unit(forecast, unit, "reverse_stress")
    breach = _breach(position, threshold)
    raise_if_any(_side_faults(position, breach))
    variables = _shares(position, breach) | _effects(effects, breach) | _trusts(forecast, rows, breach)
    labels = {name: (_TRUST, forecast[name].values[rows]) for name in ("trust", "name")}
    found = xr.Dataset(
        variables, labels | {"effect": (_EFFECT, flow["effect"].values), "unit": unit}, attrs=forecast.attrs
    )
    return described(found, SPECS).isel(
        effect=np.argsort(-np.abs(found["standardised_difference"].values), kind="stable")
    )


def _threshold_faults(threshold: Any) -> Iterator[Fault]:
    is_number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool)
    if threshold is not None and not (is_number and np.isfinite(threshold)):
        remedy = "Give GBP million, such as -900.0, or nothing for the worst twentieth."
        yield Fault("reverse_stress", "must be a number", str(threshold), remedy, variable="threshold")


def _breach(position: F64, threshold: float | None) -> Breach:
    """Return the draws of a position, (1, draw), that fall short of a threshold, or the worst of them."""
    n = position.shape[1]
    if threshold is None:
        draws, order = np.zeros(n, bool), worst_first(position[0])
        draws[tail_of(order, 1.0 - WORST_SHARE)] = True
        limit, error = (float(figure[0, 0]) for figure in quantiles_of(position, np.array([WORST_SHARE])))
        return Breach(draws, limit, error, 0.0, position[0], order)
    draws = position[0] < threshold - float(BALANCE)
    return Breach(draws, float(threshold), 0.0, float(binomial_se(draws.mean(), n)), position[0], None)


def _side_faults(position: F64, breach: Breach) -> Iterator[Fault]:
    """Yield a fault unless there are two draws on either side."""
    n, total = int(breach.draws.sum()), len(breach.draws)
    if min(n, total - n) >= 2:
        return
    low, middle, high = quantiles_of(position, np.array([0.05, 0.5, 0.95]))[0][0]
    many = "all" if n == total else "none" if not n else f"{n:,} of {total:,}"
    rule = f"{many} of the draws breach" if n in (0, total) else f"{many} draws breach"
    remedy = (
        f"Choose a threshold that leaves two draws or more on either side: its 5%, 50% and 95% points are "
        f"{low:,.2f}, {middle:,.2f} and {high:,.2f}."
    )
    yield Fault("reverse_stress", rule, f"{breach.threshold:,.2f}", remedy, variable="threshold")


def _shares(position: F64, breach: Breach) -> Variables:
    """Threshold, share of draws, and the unit's mean position on either side."""
    figures: dict[str, float] = {
        "threshold": breach.threshold,
        "threshold_se": breach.threshold_se,
        "p_breach": breach.draws.mean(),
        "p_breach_se": breach.share_se,
        "n_breach": breach.draws.sum(),
    }
    whole = _sides(position, breach)[0].variables("position", ())
    return {name: ((), value) for name, value in figures.items()} | {
        name: ((), values[0]) for name, (_, values) in whole.items()
    }


def _effects(effects: F64, breach: Breach) -> Variables:
    """Means of effects on either side, and their differences in standard deviations of all draws."""
    found = _sides(effects, breach)[0].variables("effect", _EFFECT, difference="effect_difference")
    sd, varies = effects.std(axis=1, ddof=1), effects.min(axis=1) < effects.max(axis=1)
    for suffix in ("", "_se"):
        difference = found[f"effect_difference{suffix}"][1]
        standardised = np.divide(difference, sd, out=np.zeros_like(sd), where=varies)
        found[f"standardised_difference{suffix}"] = (_EFFECT, standardised)
    return found


def _trusts(forecast: xr.Dataset, rows: NDArray[np.int64], breach: Breach) -> Variables:
    """Positions and deficits of trusts on either side, in pieces on threads."""
    position = draws_last(forecast, "position")
    pieces = [rows[k : k + ROWS] for k in range(0, len(rows), ROWS)]
    with ThreadPoolExecutor(default_threads()) as pool:
        sides = list(pool.map(lambda piece: _sides(position[piece], breach), pieces))
    means, deficits = (Sides(*map(np.concatenate, zip(*parts, strict=True))) for parts in zip(*sides, strict=True))
    of_deficits = deficits.variables("p_deficit", _TRUST, difference="p_deficit_difference")
    return means.variables("trust_position", _TRUST) | of_deficits


def _sides(rows: Array, breach: Breach) -> tuple[Sides, Sides]:
    """Means, and shares in deficit, of rows of draws on either side."""
    inside, outside = _moments(rows[:, breach.draws]), _moments(rows[:, ~breach.draws])
    spread = inside[:, SD] ** 2, outside[:, SD] ** 2
    means = _compared((inside[:, MEAN], outside[:, MEAN]), spread, rows, breach)
    p, q = inside[:, BELOW], outside[:, BELOW]
    return means, _compared((p, q), (p * (1.0 - p), q * (1.0 - q)), rows < -BALANCE, breach)


def _moments(rows: Array) -> F64:
    """Mean, sd and share in deficit of each row."""
    return by_row(moments, np.ascontiguousarray(rows), np.full(len(rows), -BALANCE, rows.dtype))


def _compared(figures: tuple[F64, F64], variances: tuple[F64, F64], rows: Array, breach: Breach) -> Sides:
    """Both sides of a figure, which is a mean of rows of draws, with the errors that its variances give."""
    if breach.order is None:
        gaps = np.zeros(1), np.zeros(1)
    else:
        edge = np.empty(len(rows))
        edge_means(rows, breach.position, breach.order, int(breach.draws.sum()), edge)
        gaps = figures[0] - edge, figures[1] - edge
    return Sides(*figures, *_errors(variances, gaps, float(breach.draws.mean()), len(breach.draws)))


def _errors(variances: tuple[F64, F64], gaps: tuple[F64, F64], share: float, n: int) -> tuple[F64, F64, F64]:
    """Errors of a figure on either side, and of the difference.

    From the variances on either side, and the gaps between the figure there and at the edge between them, which chance
    moves as a whole: what moves over it raises or lowers both sides.
    """
    odds = (1.0 - share) / share
    far, near = gaps[0] * np.sqrt(odds), gaps[1] / np.sqrt(odds)
    one, other = variances[0] / share, variances[1] / (1.0 - share)
    both = one + other + (far + near) ** 2
    return np.sqrt((one + far**2) / n), np.sqrt((other + near**2) / n), np.sqrt(both / n)
