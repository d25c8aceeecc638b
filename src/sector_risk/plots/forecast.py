"""Pictures of a forecast: the year in months, what moves it, who is at most risk."""

import os
from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sector_risk.effects import waterfall
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.measures import is_summary, mean_effects, summary_faults
from sector_risk.plots.style import (
    ADVERSE,
    BANDS,
    BLUE,
    FAN,
    FAVOURABLE,
    INK,
    LEGEND,
    MUTED,
    PLAN,
    axes_or_new,
    bar_height,
    finish,
    footnote,
    is_narrow,
    label_bar,
    label_ends,
    name_rows,
    page,
    short,
    signed,
    signed_money,
    target_of,
)
from sector_risk.readings import effect_label, most_at_risk, sector_plan
from sector_risk.summary import summarise
from sector_risk.units import SECTOR, forecast_faults

MONTH_NAMES = ("Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb", "Mar")
NEEDED_BY_FAN = ("sector_ytd", "sector_plan_ytd", "sector_position")
NEEDED_BY_WATERFALL = ("contribution", "support", "plan", "sector_plan_ytd")
NEEDED_BY_LEAGUE = ("position", "plan", "planned_support")
FAN_OF_SUMMARY = ("sector_ytd_quantile", "sector_plan_ytd", "mean")
WATERFALL_OF_SUMMARY = ("contribution_mean", "sector_plan_ytd", "mean")
LEAGUE_OF_SUMMARY = ("position_quantile", "tail_value_at_risk", "plan", "mean")
LEAGUE = (0.05, 0.25, 0.75, 0.95)


def plot_forecast(
    forecast: xr.Dataset, path: str | os.PathLike[str] | None = None, *, summary: xr.Dataset | None = None
) -> Figure:
    """Draw the forecast on one page: the year in months, why it moves, who is at most risk.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave: draws, or a summary of them.
    path : path, optional
        Where to save the page (`.png`, `.pdf` or `.svg`); it is not saved if not given.
    summary : xarray.Dataset, optional
        What `sector_risk.summarise` made of `forecast`, if that is draws; made here if not given.

    Returns
    -------
    matplotlib.figure.Figure
        The page.

    Raises
    ------
    InputError
        It is not a forecast, or what is given as its summary is not one; a summary lacks the quantiles shown.
    ValueError, OSError
        `path` has another ending or cannot be written.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=200)
    >>> len(plot_forecast(forecast).axes)
    3
    >>> summary = sr.simulate(sr.load_case("england-2018-19"), n_draws=200, keep="summary")
    >>> len(plot_forecast(summary).axes)
    3
    """
    needed = dict.fromkeys((*NEEDED_BY_FAN, *NEEDED_BY_WATERFALL, *NEEDED_BY_LEAGUE))
    _check_forecast(forecast, needed, dict.fromkeys((*FAN_OF_SUMMARY, *WATERFALL_OF_SUMMARY, *LEAGUE_OF_SUMMARY)))
    target, figure = target_of(path), page(14, 8.4)
    axes = figure.subplot_mosaic([["fan", "waterfall"], ["fan", "league"]], width_ratios=[1.12, 1])
    plot_fan(forecast, axes["fan"])
    plot_waterfall(forecast, axes["waterfall"])
    plot_league(forecast, axes["league"], summary=summary)
    return signed(figure, footnote(forecast), target)


def plot_fan(forecast: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the sector's year to date by month: 5-95% and 25-75% bands, median, plan and breakeven.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave: draws, or a summary of them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        GBP million, cumulative, after support.

    Examples
    --------
    >>> import sector_risk as sr
    >>> ax = plot_fan(sr.simulate(sr.load_case("england-2018-19"), n_draws=200))
    >>> ax.get_ylabel()
    'Year to date, £m'
    """
    _check_forecast(forecast, NEEDED_BY_FAN, FAN_OF_SUMMARY)
    ax = axes_or_new(ax)
    months = forecast.month.values
    p5, p25, p50, p75, p95 = _to_date(forecast)
    ax.fill_between(months, p5, p95, color=BLUE, alpha=0.16, linewidth=0)
    ax.fill_between(months, p25, p75, color=BLUE, alpha=0.30, linewidth=0)
    ax.plot(months, p50, color=BLUE, linewidth=2.4)
    ax.plot(months, forecast.sector_plan_ytd.values, color=PLAN, linewidth=1.6, linestyle=(0, (4, 2)))
    ax.hlines(0, months[0], months[-1], color=INK, linewidth=0.9)
    ends = {"95%": p95[-1], "median": p50[-1], "5%": p5[-1]}
    label_ends(ax, months[-1], ends | {"plan": forecast.sector_plan_ytd.values[-1], "breakeven": 0.0})
    named = months[2::3] if is_narrow(ax) else months
    ax.set_xticks(named, [MONTH_NAMES[month - 1] for month in named])
    ax.set_xlim(months[0], months[-1] + 0.25 * (months[-1] - months[0]))
    ax.set_ylabel("Year to date, £m")
    return finish(ax, _fan_title(forecast), f"Expected: the mean; line: the median. {BANDS}", grid="y")


def plot_waterfall(forecast: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw how the mean effects of the drivers lead from the sector's plan to its expected year end.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave: draws, or a summary of them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        GBP million; one bar for the plan, one per effect, one for the outturn, from top to bottom.

    Examples
    --------
    >>> import sector_risk as sr
    >>> ax = plot_waterfall(sr.simulate(sr.load_case("england-2018-19"), n_draws=200))
    >>> [label.get_text() for label in ax.get_yticklabels()][0]
    'Plan'
    """
    _check_forecast(forecast, NEEDED_BY_WATERFALL, WATERFALL_OF_SUMMARY)
    ax = axes_or_new(ax)
    effects = mean_effects(forecast) if is_summary(forecast) else waterfall(forecast)["mean_effect"]
    plan = sector_plan(forecast)
    steps = effects.values
    starts = plan + np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    expected = plan + steps.sum()
    lengths = np.array([plan, *steps, expected])
    lefts = np.array([0.0, *starts, 0.0])
    colours = [MUTED, *np.where(steps < 0, ADVERSE, FAVOURABLE), BLUE]
    rows = np.arange(len(lengths))
    ax.barh(rows, lengths, left=lefts, color=colours, height=bar_height(ax))
    ax.axvline(0, color=INK, linewidth=0.9)
    names = [effect_label(str(name)) for name in effects.effect.values]
    name_rows(ax, rows, ["Plan", *names, "Expected"])
    ax.vlines(
        [plan, *(plan + np.cumsum(steps))],
        rows[:-1] + bar_height(ax) / 2,
        rows[1:] - bar_height(ax) / 2,
        color=MUTED,
        linewidth=0.8,
    )
    for row, (left, length) in enumerate(zip(lefts, lengths, strict=True)):
        label_bar(ax, row, left, length)
    ax.set_xlabel("Provider sector, £m")
    return finish(ax, *_waterfall_words(effects), grid="x")


def plot_league(
    forecast: xr.Dataset, ax: Axes | None = None, *, summary: xr.Dataset | None = None, count: int = 10
) -> Axes:
    """Draw the trusts that are expected to fall furthest short of plan, with their ranges.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave: draws, or a summary of them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.
    summary : xarray.Dataset, optional
        What `sector_risk.summarise` made of `forecast`, if that is draws; made here if not given.
    count : int
        How many trusts.

    Returns
    -------
    matplotlib.axes.Axes
        GBP million; thin bar 5-95%, thick bar 25-75%, dot the mean, tick the plan.

    Examples
    --------
    >>> import sector_risk as sr
    >>> ax = plot_league(sr.simulate(sr.load_case("england-2018-19"), n_draws=200), count=5)
    >>> len(ax.get_yticks())
    5
    """
    _check_forecast(forecast, NEEDED_BY_LEAGUE, LEAGUE_OF_SUMMARY)
    _check_summary(summary)
    ax = axes_or_new(ax)
    worst = most_at_risk(_by_unit(forecast, summary), count)
    p5, p25, p75, p95 = _at(worst.position_quantile, LEAGUE)
    rows = np.arange(worst.sizes["unit"])
    ax.hlines(rows, p5, p95, color=BLUE, linewidth=2.2, alpha=0.55)
    ax.hlines(rows, p25, p75, color=BLUE, linewidth=7, alpha=0.55)
    ax.plot(worst["mean"].values, rows, "o", color=BLUE, markersize=5.5, label="expected")
    ax.plot(worst.plan.values, rows, "|", color=PLAN, markersize=13, markeredgewidth=2.2, label="plan")
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.set_yticks(rows, [short(str(unit), str(name)) for unit, name in _names(worst)])
    ax.invert_yaxis()
    ax.set_xlabel("Year-end position, £m")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1.005), ncols=2, **LEGEND)
    tail = 100 * (1 - float(worst.confidence.sel(confidence=0.95, method="nearest")))
    note = f"By the worst {tail:g}% of draws. Bars: 50% and 90%."
    return finish(ax, _league_title(worst), note, grid="x")


def _check_forecast(forecast: xr.Dataset, needed: Iterable[str], of_summary: Iterable[str]) -> None:
    """Refuse what is neither draws nor a summary of them, or lacks a variable that is shown."""
    if is_summary(forecast):
        raise_if_any(summary_faults(forecast, of_summary, [SECTOR], FAN))
    else:
        raise_if_any(forecast_faults(forecast, needed, "plot_projection"))


def _check_summary(summary: xr.Dataset | None) -> None:
    """Refuse what is not the summary of a forecast, or lacks what is shown; none at all will do."""
    if summary is None:
        return
    if "tail_value_at_risk" not in summary:
        remedy = "Give what summarise made of the forecast, or leave it out."
        raise InputError([Fault("summary", "not the summary of a forecast", "", remedy, variable="summary")])
    raise_if_any(summary_faults(summary, LEAGUE_OF_SUMMARY, quantiles=LEAGUE))


def _at(quantile: xr.DataArray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles at some levels, (level, ...)."""
    return np.asarray(quantile.sel(quantile=list(levels), method="nearest").transpose("quantile", ...).values)


def _to_date(forecast: xr.Dataset) -> np.ndarray:
    """Quantiles of the sector's year to date, (quantile, month)."""
    if is_summary(forecast):
        return _at(forecast.sector_ytd_quantile, FAN)
    return np.quantile(forecast.sector_ytd.values, FAN, axis=1)


def _by_unit(forecast: xr.Dataset, summary: xr.Dataset | None) -> xr.Dataset:
    """What is said of every unit: the summary given, or that which the forecast is, or else one made of its draws."""
    if summary is not None:
        return summary
    return forecast if is_summary(forecast) else summarise(forecast)


def _expected(forecast: xr.Dataset) -> float:
    """Expected year-end position of the sector."""
    position = forecast["mean"].sel(unit=SECTOR) if is_summary(forecast) else forecast.sector_position.mean()
    return float(position)


def _fan_title(forecast: xr.Dataset) -> str:
    expected, plan = _expected(forecast), sector_plan(forecast)
    year = forecast.attrs["year"]
    return f"Provider sector {year}: expected {signed_money(expected)} against a plan of {signed_money(plan)}"


def _waterfall_words(effects: xr.DataArray) -> tuple[str, str]:
    pressure, relief = (effects.isel(effect=int(pick(effects.values))) for pick in (np.argmin, np.argmax))
    return f"Largest pressure: {_named(pressure)}", f"Largest relief: {_named(relief)}. Mean over all draws."


def _named(effect: xr.DataArray) -> str:
    return f"{effect_label(str(effect.effect.item()))} {signed_money(effect.item())}"


def _league_title(worst: xr.Dataset) -> str:
    shortfall = (worst.plan - worst["mean"]).sum().item()
    return f"{worst.sizes['unit']} trusts at most risk: expected {signed_money(shortfall)} short of plan"


def _names(summary: xr.Dataset) -> list[tuple[str, str]]:
    return list(zip(summary.unit.values.tolist(), summary.name.values.tolist(), strict=True))
