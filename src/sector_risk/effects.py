"""What moves a unit from its plan to its year end, draw by draw: drivers, support against plan, and the centre."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.engine import default_threads
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.kernels.effects import effect_sums
from sector_risk.schema import BALANCE_SIGN, ERROR, FORECAST, MONEY, VARIANCE_SIGN, VariableSpec, described
from sector_risk.summary import mean_error
from sector_risk.units import NOT_FINITE, SECTOR, check_forecast, draws_last, find_unit, forecast_faults, position_of

__all__ = ["CENTRE", "LINES", "NEEDED", "SUPPORT", "waterfall"]

F64 = NDArray[np.float64]
Array = NDArray[Any]
Rows = NDArray[np.int64]

SUPPORT, CENTRE = "support", "centre"
LINES: Mapping[str, str] = MappingProxyType(
    {
        "efficiency_recurrent": "efficiency",
        "efficiency_one_off": "efficiency",
        "pay_afc": "pay",
        "pay_medical": "pay",
        "one_off": "one_offs",
        "favourable_spent": "one_offs",
    }
)
"""The line of a short account that a driver belongs to; any other effect is a line of its own.

What trusts do about pressure is one line: one-off cover where it is adverse, spending where it is favourable.
"""
DETAILS = ("driver", "line")
DRAWS = 16_384
"""Draws that a thread adds up at a time."""
ROUNDING = 16 * 2.0**-24
"""Sixteen roundings of float32, as a share of the numbers that are added up; no trust was seen to need three."""
BY_DRAW = ("position", "support", "sector_position", "nhs_position")
PLANS = ("plan", "planned_support", "efficiency_plan", "sector_plan_ytd")
NEEDED = ("contribution", *BY_DRAW, *PLANS, "region", "trust_type", "system")
_EFFECT = ("effect",)

SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            VariableSpec("plan", (), MONEY, "where the effects start: plan including support", sign=BALANCE_SIGN),
            VariableSpec(
                "effect_by_draw", ("effect", "draw"), MONEY, "what the effect adds to the position", sign=VARIANCE_SIGN
            ),
            VariableSpec("position", ("draw",), MONEY, "year-end position including support", sign=BALANCE_SIGN),
            VariableSpec("mean_effect", _EFFECT, MONEY, "mean of the effect", sign=VARIANCE_SIGN),
            VariableSpec("mean_effect_se", _EFFECT, MONEY, ERROR + "the mean effect"),
            VariableSpec("mean", (), MONEY, "expected year-end position", sign=BALANCE_SIGN),
            VariableSpec("mean_se", (), MONEY, ERROR + "the expected position"),
            VariableSpec("effect", _EFFECT, "", "what moves the position from the plan", kind="text"),
            VariableSpec("unit", (), "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
            VariableSpec("level", (), "", "what the unit is", kind="text"),
        )
    }
)


def waterfall(forecast: xr.Dataset, unit: str = SECTOR, *, by: str = "driver") -> xr.Dataset:
    """Lead a unit from its plan to its year end, draw by draw.

    In every draw `position = plan + effect_by_draw.sum("effect")`. The effects are, in this order: what each driver
    contributes, summed over the unit's trusts; "support", what is paid above or below the support that the plan counts
    on; and for the whole NHS "centre", what central actions and rules add to the provider sector's position.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`.
    unit : str
        A trust's code, a region, a type, a system, "Provider sector" or "Whole NHS".
    by : {"driver", "line"}
        Every driver, or the lines of `LINES`: efficiency, pay, deterioration, drivers of your own, one_offs (one-off
        cover less favourable pressure that is spent), support, centre.

    Returns
    -------
    Dataset
        GBP million:

        * `plan`, scalar, after support. The sector's holds the support on offer that no trust agreed to. The whole NHS
          has no plan of its own in a forecast: it starts from the sector's, and "centre" is all that the centre adds,
          not what it adds to a plan.
        * `effect_by_draw` (effect, draw), adverse negative, and `position` (draw).
        * `mean_effect` (effect), and `mean`, that of the position: plan + mean_effect.sum() = mean; with their errors
          `mean_effect_se` and `mean_se`, sd / sqrt(n), NaN for a single draw.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

        Draws of trusts are kept in float32. What its rounding leaves over, some GBP 100 for the sector, is put to the
        effect of trusts that varies most, so that one that does not vary is the same in all draws.

    Raises
    ------
    InputError
        For what is no whole forecast of one year; if a variable is missing or not finite; if no unit has the name; if
        contributions do not add up, which is looked at for this unit to 16 roundings of float32.

    Examples
    --------
    >>> import sector_risk as sr
    >>> flow = waterfall(sr.simulate(sr.load_case("england-2018-19"), n_draws=400), by="line")
    >>> flow["effect"].values.tolist()
    ['efficiency', 'pay', 'deterioration', 'one_offs', 'support']
    >>> bool(abs(flow["plan"] + flow["mean_effect"].sum() - flow["mean"]) < 1e-9)
    True
    """
    _check(forecast, by)
    level, rows = find_unit(forecast, unit, "waterfall")
    position, plan = position_of(forecast, unit, "waterfall"), _plan(forecast, level, rows)
    sums, size = _sums(forecast, rows)
    sums[-1] -= plan - forecast["plan"].values[rows].sum()
    of_trusts = forecast["sector_position"].values if level == "nhs" else position
    _close(sums, of_trusts - plan, ROUNDING * size)
    names, effects = [*_drivers(forecast), SUPPORT], sums
    if level == "nhs":
        names, effects = [*names, CENTRE], np.vstack([sums, position - of_trusts])
    if by == "line":
        names, effects = _in_lines(names, effects)
    return _labelled(forecast, (names, effects), (plan, position), (unit, level))


def _check(forecast: xr.Dataset, by: str) -> None:
    """Raise one `InputError` for what keeps effects from being read off a forecast."""
    faults = forecast_faults(forecast, NEEDED, "summarise_projection")
    if by not in DETAILS:
        faults.append(Fault("waterfall", "unknown detail", str(by), "Use 'driver' or 'line'.", variable="by"))
    raise_if_any(faults)
    raise_if_any(_shape_faults(forecast))
    raise_if_any([*_plan_faults(forecast), *_name_faults(forecast)])
    check_forecast(forecast, BY_DRAW)


def _shape_faults(forecast: xr.Dataset) -> Iterator[Fault]:
    for name in NEEDED:
        wanted, dims = FORECAST[name].dims, ", ".join(map(str, forecast[name].dims))
        if set(forecast[name].dims) != set(wanted):
            remedy = "Give the whole forecast, and select from the result."
            yield Fault("forecast", f"must be on ({', '.join(wanted)})", f"({dims})", remedy, variable=name)


def _plan_faults(forecast: xr.Dataset) -> Iterator[Fault]:
    for name in PLANS:
        if not np.isfinite(forecast[name].values).all():
            yield Fault("forecast", "not finite", "NaN or infinity", "Give a forecast as it was made.", variable=name)


def _name_faults(forecast: xr.Dataset) -> Iterator[Fault]:
    for name in sorted({SUPPORT, CENTRE} & set(_drivers(forecast))):
        yield Fault("forecast", "a driver has the name of another effect", name, "Rename it.", variable="driver")


def _drivers(forecast: xr.Dataset) -> list[str]:
    return [str(name) for name in forecast["driver"].values]


def _in_lines(names: list[str], effects: F64) -> tuple[list[str], F64]:
    """Add up the effects that belong to one line; lines in the order of the first of them."""
    line_of = [LINES.get(name, name) for name in names]
    lines = list(dict.fromkeys(line_of))
    return lines, np.array([effects[[own == line for own in line_of]].sum(axis=0) for line in lines])


def _plan(forecast: xr.Dataset, level: str, rows: Rows) -> float:
    """Plan after support, GBP m: of trusts with what they count on, of the sector with all that is on offer."""
    if level in ("sector", "nhs"):
        return float(forecast["sector_plan_ytd"].values[-1])
    return float((forecast["plan"].values + forecast["planned_support"].values)[rows].sum())


def _sums(forecast: xr.Dataset, rows: Rows) -> tuple[F64, F64]:
    """Sums over trusts of contributions and, last, support (effect, draw); the size of what is added up (draw,)."""
    contribution, support = draws_last(forecast, "contribution"), draws_last(forecast, "support")[None]
    n_drivers, _, n = contribution.shape
    planned = sum(np.abs(forecast[name].values[rows]).sum() for name in ("plan", "efficiency_plan"))
    total, size = np.zeros((n_drivers + 1, n)), np.full(n, float(planned))

    def add(draws: slice) -> None:
        effect_sums(contribution, rows, draws.start, draws.stop, total[:-1], size)
        effect_sums(support, rows, draws.start, draws.stop, total[-1:], size)

    with ThreadPoolExecutor(default_threads()) as pool:
        list(pool.map(add, [slice(a, min(a + DRAWS, n)) for a in range(0, n, DRAWS)]))
    if not np.isfinite(size).all():
        raise InputError([Fault("forecast", *NOT_FINITE, variable="contribution")])
    return total, size


def _close(effects: F64, change: F64, allowed: F64) -> None:
    """Put what rounding left over to the effect that varies most; refuse what rounding cannot explain."""
    left_over = change - effects.sum(axis=0)
    gap = np.abs(left_over)
    if (gap > allowed).any():
        remedy = "Give a forecast as simulate made it, nothing edited or masked."
        came = f"GBP {gap.max():.2g}m apart in the worst draw"
        raise InputError([Fault("forecast", "contributions do not add up", came, remedy, variable="contribution")])
    effects[effects.std(axis=1).argmax()] += left_over


def _labelled(
    forecast: xr.Dataset, effects: tuple[list[str], F64], ends: tuple[float, F64], unit: tuple[str, str]
) -> xr.Dataset:
    names, values = effects
    plan, position = ends
    variables = {
        "plan": ((), plan),
        "effect_by_draw": (("effect", "draw"), values),
        "position": (("draw",), position),
        "mean_effect": (("effect",), values.mean(axis=1)),
        "mean_effect_se": (("effect",), mean_error(values)),
        "mean": ((), position.mean()),
        "mean_se": ((), mean_error(position)),
    }
    labels = {"effect": np.array(names, object), "unit": unit[0], "level": unit[1]}
    flow = described(xr.Dataset(variables, labels, attrs=forecast.attrs), SPECS)
    return flow.assign_coords({name: c for name, c in forecast.coords.items() if c.dims == ("draw",)})
