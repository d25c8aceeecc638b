"""Words for chances, errors and evidence: what pages, pictures and reports say of figures alike."""

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

import xarray as xr

from sector_risk.parameter_draws import widths
from sector_risk.readings import NO_FIGURE, counted_draws, money, plan_after_support, pounds, sector_plan
from sector_risk.units import SECTOR

__all__ = [
    "FEW_DRAWS",
    "NORMAL_95",
    "chance_error",
    "error_note",
    "evidence_notes",
    "few_draws",
    "held_support",
    "mean_error_of_sector",
    "points_of_error",
    "probability",
]

FEW_DRAWS = 1_000
NORMAL_95 = 1.96
"""Standard errors to each side that hold 95% of a Normal."""
SEEN_ERROR = 0.06
"""Error of the sector's mean that more draws do not make smaller, in its standard deviations, where months were seen:
measured over 60 seeds at month 6 of the bundled case (.057)."""


def probability(share: float, n_draws: int) -> str:
    """Write a share of draws as a chance, without claiming certainty that the draws cannot give.

    What none of n draws showed may still have a chance of up to about 3/n (the 95% bound), so it is written
    as less than that, and never as less than 0.1%.

    Parameters
    ----------
    share : float
        Share of draws, from 0 to 1.
    n_draws : int
        How many draws there were.

    Returns
    -------
    str
        A percentage.

    Examples
    --------
    >>> probability(0.1432, 10_000), probability(0.004, 10_000)
    ('14%', '0.4%')
    >>> probability(0.0, 10_000), probability(1.0, 10_000), probability(0.0, 200)
    ('<0.1%', '>99.9%', '<2%')
    """
    if math.isnan(share):
        return NO_FIGURE
    bound = 0.1 if n_draws >= 3_000 else min(99, math.ceil(300 / n_draws))
    percent = 100 * share
    if percent < min(bound, 0.1):
        return f"<{bound:g}%"
    if percent > 100 - min(bound, 0.1):
        return f">{100 - bound:g}%"
    return f"{percent:.0f}%" if 1 <= percent <= 99 else f"{percent:.1f}%"


def chance_error(share: float, n_draws: int) -> str:
    """Write the Monte Carlo error (95%) of a chance in points.

    Of a chance that no draw or every draw showed, it is the rule of three: up to 3/n.

    Parameters
    ----------
    share : float
        Share of draws, from 0 to 1.
    n_draws : int
        How many draws there were; of one alone nothing can be said.

    Returns
    -------
    str
        Points, with one decimal, or with one figure if there are fewer than a tenth.

    Examples
    --------
    >>> chance_error(0.25, 10_000), chance_error(0.0, 10_000), chance_error(1.0, 700)
    ('0.8 points', 'under 0.03 points', 'under 0.5 points')
    """
    points = points_of_error(share, n_draws)
    if 0 < round(share * n_draws) < n_draws:
        return f"{_decimal(points, ROUND_HALF_EVEN)} points"
    return f"under {_decimal(points, ROUND_CEILING)} points"


def points_of_error(share: float, n_draws: int) -> float:
    """Monte Carlo error (95%) of a chance in points: 196 sqrt(p (1 - p) / n); of none or all of the draws, 300 / n.

    >>> round(points_of_error(0.5, 2_500), 2), points_of_error(0.0, 300)
    (1.96, 1.0)
    """
    if 0 < round(share * n_draws) < n_draws:
        return 100 * NORMAL_95 * math.sqrt(share * (1 - share) / n_draws)
    return min(99.0, 300 / n_draws)


def _decimal(value: float, rounding: str) -> str:
    """One decimal, or one figure if the value is below a tenth."""
    place = min(-1, math.floor(math.log10(value)))
    return f"{Decimal(repr(value)).quantize(Decimal(1).scaleb(place), rounding):f}"


def error_note(mean_se: float, share: float, n_draws: int, when: str = "", chance: str = "breakeven") -> str:
    """Say how far chance in the draws may move the sector's expected position (its standard error) and its chance.

    >>> error_note(2.0, 0.25, 10_000).split(". ")[0]
    "Monte Carlo error (95%): 3.9 on the sector's expected position, 0.8 points on its chance of breakeven"
    """
    return (
        f"Monte Carlo error (95%){when}: {money(NORMAL_95 * mean_se, 1)} on the sector's expected position, "
        f"{chance_error(share, n_draws)} on its chance of {chance}. Doubt about the assumptions comes on top."
    )


def mean_error_of_sector(forecast: xr.Dataset) -> float:
    """Monte Carlo standard error of the sector's expected position, GBP million.

    Where draws come in parameter sets, those of a set share its parameters, and it is the sets that are independent:
    the sd of the sets' means over the root of their number; else sd / sqrt(n). NaN for a single draw or set. Where
    months of the year were seen, what all draws rest on adds `SEEN_ERROR` of a standard deviation.

    >>> forecast = xr.Dataset({"sector_position": ("draw", [1.0, 1.0, 5.0, 5.0])})
    >>> round(mean_error_of_sector(forecast), 3)
    1.155
    >>> round(mean_error_of_sector(forecast.assign_coords(parameter_set=("draw", [0, 0, 1, 1]))), 3)
    2.0
    """
    position = forecast.sector_position
    alike = position.groupby("parameter_set").mean() if "parameter_set" in forecast.coords else position
    n = alike.size
    if n == 1:
        return math.nan
    of_particles = SEEN_ERROR * float(position.std(ddof=1)) if "months_seen" in forecast else 0.0
    return math.hypot(float(alike.std(ddof=1)) / math.sqrt(n), of_particles)


def held_support(forecast: xr.Dataset) -> Iterable[str]:
    """Say what the sector's plan holds and the plans of its trusts and regions leave out, if anything.

    >>> import sector_risk as sr
    >>> list(held_support(sr.simulate(sr.load_case("england-2018-19"), n_draws=2)))
    ["Trusts' and regions' plans leave out £391m of support that was offered and not agreed."]
    """
    held = sector_plan(forecast) - plan_after_support(forecast).sum().item()
    if held > 0.5:
        yield f"Trusts' and regions' plans leave out {pounds(held)} of support that was offered and not agreed."


def few_draws(result: xr.Dataset) -> Iterable[str]:
    """Say so where there are too few draws for ranges and chances."""
    n_draws = result.sizes["draw"]
    if n_draws < FEW_DRAWS:
        yield f"Only {counted_draws(n_draws)}: too few for ranges and chances; ask for {FEW_DRAWS:,} or more."


def evidence_notes(forecast: xr.Dataset) -> Iterable[str]:
    """Say what the forecast takes as seen, and how wide it is for chance and for what is not known of parameters.

    >>> import sector_risk as sr
    >>> list(evidence_notes(sr.simulate(sr.load_case("england-2018-19"), n_draws=10)))
    []
    """
    if "months_seen" in forecast:
        said, trusts = forecast.attrs, forecast.sizes["trust"]
        last, asked = said["last_month_reported"], said["through_month"]
        asked_for = f" (asked for month {asked})" if last < asked else ""
        declared = f", and {said['forecasts_declared']} have declared a forecast" if said["forecasts_declared"] else ""
        yield (
            f"Given the year so far: {said['trusts_reporting']} of {trusts} trusts have reported, the last month "
            f"{last}{asked_for}, {pounds(said['variance_reported'])} against plan to date{declared}."
        )
    if "parameter_set" in forecast.coords:
        unit = widths(forecast).sel(unit=SECTOR)
        every, chance, parameters = (pounds(sd) for sd in unit.sd.values)
        yield (
            f"Parameters are drawn {forecast.attrs['parameter_sets']} times from a fit: the provider sector's position "
            f"has a standard deviation of {every}, {chance} by chance and {parameters} by parameters (squares add up)."
        )
