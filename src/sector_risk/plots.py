"""Pictures of a forecast and of a projection: the sector by month or by year, what moves it, who is at most risk.

Each `plot_*` function draws on the axes it is given, or makes its own, and gives them back. Titles say what
was found. Nothing here touches matplotlib's global state: pictures can be made on any thread or server.
"""

import os
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.files import check_target, written_beside
from sector_risk.projection_summary import projection_faults
from sector_risk.readings import (
    counted_draws,
    effect_label,
    money,
    most_at_risk,
    regime_name,
    sector_effects,
    sector_plan,
)
from sector_risk.rivals import RIVALS
from sector_risk.scores import pit_band
from sector_risk.summary import forecast_faults

__all__ = ["plot_backtest", "plot_fan", "plot_forecast", "plot_league", "plot_projection", "plot_waterfall"]

INK, MUTED, GRID = "#212b32", "#5b6770", "#d8dde0"
BLUE, ADVERSE, FAVOURABLE, PLAN = "#005eb8", "#c0392b", "#00837a", "#212b32"

MONTH_NAMES = ("Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb", "Mar")
FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
NEEDED_BY_FAN = ("sector_ytd", "sector_plan_ytd", "sector_position")
NEEDED_BY_WATERFALL = ("contribution", "support", "plan", "sector_plan_ytd")
NEEDED_BY_LEAGUE = ("position", "plan", "planned_support")
NEEDED_BY_PROJECTION = ("sector_position", "sector_underlying", "deficit_count")
BANDS = "Dark band: half of the draws. Light band: nine in ten."
_END_LABEL: dict[str, Any] = {
    "va": "center",
    "fontsize": 9.5,
    "bbox": {"facecolor": "white", "linewidth": 0, "pad": 1.5},
}
_LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 9,
    "handletextpad": 0.2,
    "columnspacing": 1.2,
    "borderaxespad": 0,
}
_MONEY = StrMethodFormatter("{x:,.0f}")


def plot_forecast(
    forecast: xr.Dataset, path: str | os.PathLike[str] | None = None, *, summary: xr.Dataset | None = None
) -> Figure:
    """Draw the forecast on one page: the year in months, why it moves, who is at most risk.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave.
    path : path, optional
        Where to save the page (`.png`, `.pdf` or `.svg`); it is not saved if not given.
    summary : xarray.Dataset, optional
        What `sector_risk.summarise` made of `forecast`; made here if not given.

    Returns
    -------
    matplotlib.figure.Figure
        The page.

    Raises
    ------
    InputError
        It is not a forecast, or what is given as its summary is not one.
    ValueError, OSError
        `path` has another ending or cannot be written.

    Examples
    --------
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=200)
    >>> len(plot_forecast(forecast).axes)
    3
    """
    _check_forecast(forecast, dict.fromkeys((*NEEDED_BY_FAN, *NEEDED_BY_WATERFALL, *NEEDED_BY_LEAGUE)))
    target = None if path is None else check_target(path, (".png", ".pdf", ".svg"))
    layout = ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.15, rect=(0, 0.03, 1, 0.97))
    figure = Figure(figsize=(14, 8.4), dpi=150, layout=layout, facecolor="white")
    axes = figure.subplot_mosaic([["fan", "waterfall"], ["fan", "league"]], width_ratios=[1.12, 1])
    plot_fan(forecast, axes["fan"])
    plot_waterfall(forecast, axes["waterfall"])
    plot_league(forecast, axes["league"], summary=summary)
    figure.text(0.012, 0.012, _footnote(forecast), fontsize=8.5, color=MUTED)
    if target is not None:
        with written_beside(target) as temporary:
            figure.savefig(temporary)
    return figure


def plot_projection(projection: xr.Dataset, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw a projection on one page: the sector's position by year, and below it the number of trusts in deficit.

    Parameters
    ----------
    projection : xarray.Dataset
        What `sector_risk.project` gave.
    path : path, optional
        Where to save the page (`.png`, `.pdf` or `.svg`); it is not saved if not given.

    Returns
    -------
    matplotlib.figure.Figure
        The page; both pictures have a median with bands of half of the draws and of nine in ten.

    Raises
    ------
    InputError
        It is not a projection.
    ValueError, OSError
        `path` has another ending or cannot be written.

    Examples
    --------
    >>> import sector_risk as sr
    >>> path = sr.project(sr.load_case("england-2018-19"), years=3, n_draws=200)
    >>> [ax.get_ylabel() for ax in plot_projection(path).axes]
    ['Year-end position, £m', 'Trusts in deficit']
    """
    raise_if_any(projection_faults(projection, NEEDED_BY_PROJECTION, "plot_forecast"))
    target = None if path is None else check_target(path, (".png", ".pdf", ".svg"))
    layout = ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.15, rect=(0, 0.03, 1, 0.97))
    figure = Figure(figsize=(10, 8.4), dpi=150, layout=layout, facecolor="white")
    position, count = figure.subplots(2, height_ratios=[1.7, 1])
    _draw_position(projection, position)
    _draw_count(projection, count)
    figure.text(0.012, 0.012, _footnote(projection), fontsize=8.5, color=MUTED)
    if target is not None:
        with written_beside(target) as temporary:
            figure.savefig(temporary)
    return figure


def plot_backtest(result: xr.Dataset, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw a back-test on one page, a row for each origin: PIT histogram, coverage, CRPS beside simple rivals.

    Parameters
    ----------
    result : xarray.Dataset
        What `sector_risk.backtest` or `backtest_years` gave.
    path : path, optional
        Where to save the page (`.png`, `.pdf` or `.svg`); it is not saved if not given.

    Returns
    -------
    matplotlib.figure.Figure
        The page.

    Raises
    ------
    InputError
        It is not a back-test.
    ValueError, OSError
        `path` has another ending or cannot be written.

    Examples
    --------
    >>> from sector_risk.backtesting import backtest_years
    >>> from sector_risk.history import load_history
    >>> result = backtest_years(load_history(), points=128, fit_draws=32, n_draws=640, parameter_sets=20)
    >>> len(plot_backtest(result).axes)
    6
    """
    if "pit_count" not in result:
        raise InputError([Fault("result", "not a back-test", "", "Give what backtest gave.", variable="pit_count")])
    target = None if path is None else check_target(path, (".png", ".pdf", ".svg"))
    rows = result.sizes["origin"]
    layout = ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.15, rect=(0, 0.03, 1, 0.97))
    figure = Figure(figsize=(14, 0.9 + 3.9 * rows), dpi=150, layout=layout, facecolor="white")
    for axes, month in zip(figure.subplots(rows, 3, squeeze=False), result.origin.values, strict=True):
        at = result.sel(origin=month)
        _draw_pit(at, axes[0])
        _draw_coverage(at, axes[1])
        _draw_crps(at.sel(score="crps"), axes[2])
    attrs, draws = result.attrs, counted_draws(result.attrs["n_draws"])
    note = f"{attrs['title']}, {attrs['scored_in']}. Assumptions {attrs['fit']}. {draws}, seed {attrs['seed']}."
    figure.text(0.012, 0.012, note, fontsize=8.5, color=MUTED)
    if target is not None:
        with written_beside(target) as temporary:
            figure.savefig(temporary)
    return figure


def plot_fan(forecast: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the sector's year to date by month: 5-95% and 25-75% bands, median, plan and breakeven.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave.
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
    _check_forecast(forecast, NEEDED_BY_FAN)
    ax = _axes(ax)
    months = forecast.month.values
    p5, p25, p50, p75, p95 = np.quantile(forecast.sector_ytd.values, FAN, axis=1)
    ax.fill_between(months, p5, p95, color=BLUE, alpha=0.16, linewidth=0)
    ax.fill_between(months, p25, p75, color=BLUE, alpha=0.30, linewidth=0)
    ax.plot(months, p50, color=BLUE, linewidth=2.4)
    ax.plot(months, forecast.sector_plan_ytd.values, color=PLAN, linewidth=1.6, linestyle=(0, (4, 2)))
    ax.axhline(0, color=INK, linewidth=0.9)
    ends = {"95%": p95[-1], "median": p50[-1], "5%": p5[-1]}
    _label_ends(ax, months[-1], ends | {"plan": forecast.sector_plan_ytd.values[-1], "breakeven": 0.0})
    ax.set_xticks(months, [MONTH_NAMES[month - 1] for month in months])
    ax.set_xlim(months[0], months[-1] + 0.25 * (months[-1] - months[0]))
    ax.set_ylabel("Year to date, £m")
    return _finish(ax, _fan_title(forecast), f"Expected: the mean; line: the median. {BANDS}", grid="y")


def plot_waterfall(forecast: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw how the mean effects of the drivers lead from the sector's plan to its expected year end.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave.
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
    _check_forecast(forecast, NEEDED_BY_WATERFALL)
    ax = _axes(ax)
    effects = sector_effects(forecast).mean("draw")
    plan = sector_plan(forecast)
    steps = effects.values
    starts = plan + np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    expected = plan + steps.sum()
    lengths = np.array([plan, *steps, expected])
    lefts = np.array([0.0, *starts, 0.0])
    colours = [MUTED, *np.where(steps < 0, ADVERSE, FAVOURABLE), BLUE]
    rows = np.arange(len(lengths))
    ax.barh(rows, lengths, left=lefts, color=colours, height=0.66)
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.set_yticks(rows, ["Plan", *(effect_label(str(name)) for name in effects.effect.values), "Expected"])
    ax.vlines([plan, *(plan + np.cumsum(steps))], rows[:-1] + 0.33, rows[1:] - 0.33, color=MUTED, linewidth=0.8)
    ax.invert_yaxis()
    ax.use_sticky_edges = False
    ax.margins(x=0.12)
    for row, (left, length) in enumerate(zip(lefts, lengths, strict=True)):
        _label_bar(ax, row, left, length)
    ax.set_xlabel("Provider sector, £m")
    return _finish(ax, *_waterfall_words(effects), grid="x")


def plot_league(
    forecast: xr.Dataset, ax: Axes | None = None, *, summary: xr.Dataset | None = None, count: int = 10
) -> Axes:
    """Draw the trusts that are expected to fall furthest short of plan, with their ranges.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.
    summary : xarray.Dataset, optional
        What `sector_risk.summarise` made of `forecast`; made here if not given.
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
    _check_forecast(forecast, NEEDED_BY_LEAGUE)
    _check_summary(summary)
    ax = _axes(ax)
    worst = most_at_risk(_summary(forecast) if summary is None else summary, count)
    p5, p25, p75, p95 = (
        worst.position_quantile.sel(quantile=level, method="nearest").values for level in (0.05, 0.25, 0.75, 0.95)
    )
    rows = np.arange(worst.sizes["unit"])
    ax.hlines(rows, p5, p95, color=BLUE, linewidth=2.2, alpha=0.55)
    ax.hlines(rows, p25, p75, color=BLUE, linewidth=7, alpha=0.55)
    ax.plot(worst["mean"].values, rows, "o", color=BLUE, markersize=5.5, label="expected")
    ax.plot(worst.plan.values, rows, "|", color=PLAN, markersize=13, markeredgewidth=2.2, label="plan")
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.set_yticks(rows, [_short(str(unit), str(name)) for unit, name in _names(worst)])
    ax.invert_yaxis()
    ax.set_xlabel("Year-end position, £m")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1.005), ncols=2, **_LEGEND)
    note = "By the worst 5% of draws. Bars: 50% and 90%."
    return _finish(ax, _league_title(worst), note, grid="x")


def _draw_position(projection: xr.Dataset, ax: Axes) -> None:
    """The sector's position by year, with what lies underneath it."""
    x, ends = _bands_by_year(projection, "sector_position", ax)
    underlying = np.broadcast_to(projection.sector_underlying.mean("draw").values, x.shape)
    ax.plot(x, underlying, color=MUTED, linewidth=1.3)
    ax.axhline(0, color=INK, linewidth=0.9)
    _label_ends(ax, x[-1], ends | {"underlying": underlying[-1], "breakeven": 0.0}, line=0.05)
    ax.set_ylabel("Year-end position, £m")
    title = f"Provider sector: expected {_first_and_last(projection, 'sector_position')}"
    note = f"Expected: the mean; line: the median. {BANDS} Grey line: expected underlying position."
    _finish(ax, title, note, grid="y")


def _draw_count(projection: xr.Dataset, ax: Axes) -> None:
    """The number of trusts in deficit by year, from nought."""
    x, ends = _bands_by_year(projection, "deficit_count", ax)
    ax.set_ylim(0, 1.15 * ax.get_ylim()[1])
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _label_ends(ax, x[-1], ends, line=0.085)
    ax.set_ylabel("Trusts in deficit")
    trusts = f" of {projection.sizes['trust']}"
    title = f"Trusts in deficit: expected {_first_and_last(projection, 'deficit_count', trusts)}"
    note = "Expected: the mean; line: the median. A deficit is one of £5,000 or more, after support."
    _finish(ax, title, note, grid="y")


def _draw_pit(at: xr.Dataset, ax: Axes) -> None:
    """How many outcomes fell in each tenth of the draws, with the band for even chances."""
    count = at.pit_count.values
    low, high = pit_band(round(count.sum()))
    ax.axhspan(low, high, color=BLUE, alpha=0.12, linewidth=0)
    ax.bar(at.bin.values + 0.05, count, width=0.09, color=np.where((count < low) | (count > high), ADVERSE, BLUE))
    ax.axhline(count.sum() / len(count), color=INK, linewidth=0.9)
    ax.set_ylim(0, 1.15 * max(high, count.max()))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel("Share of draws below what came")
    title = f"From month {int(at.origin)}: PIT even? p = {float(at.pit_p_value):.2g}"
    _finish(ax, title, f"Of {count.sum():.0f} outcomes. Band: 95% of counts if draws are right.", grid="y")


def _draw_coverage(at: xr.Dataset, ax: Axes) -> None:
    """Share of outcomes in each central interval, beside what it should be."""
    rows, nominal, share = np.arange(at.sizes["interval"]), 100 * at.interval.values, 100 * at.coverage.values
    ax.barh(rows, share, color=BLUE, height=0.6)
    ax.plot(nominal, rows, "|", color=PLAN, markersize=24, markeredgewidth=2.2)
    for row, value in enumerate(share):
        ax.annotate(f"{value:.0f}%", (2, row), va="center", fontsize=9.5, color="white")
    ax.set_yticks(rows, [f"{value:.0f}%" for value in nominal])
    ax.set_xlim(0, 102)
    ax.invert_yaxis()
    ax.set_xlabel("Outcomes inside, per cent")
    inside = share[list(at.interval.values).index(0.8)]
    _finish(ax, f"80% intervals hold {inside:.0f}% of outcomes", "Tick: what it should be.", grid="x")


def _draw_crps(at: xr.Dataset, ax: Axes) -> None:
    """Mean CRPS of the forecasts and of each rival that says something."""
    known = [str(name) for name in at.rival.values if np.isfinite(at.mean_rival_score.sel(rival=name))]
    values = [float(at.mean_score), *(float(at.mean_rival_score.sel(rival=name)) for name in known)]
    ax.barh(np.arange(len(values)), values, color=[BLUE, *[MUTED] * len(known)], height=0.6)
    for row, value in enumerate(values):
        ax.annotate(f"{value:.3g}", (value, row), (4, 0), textcoords="offset points", va="center", fontsize=9.5)
    ax.set_yticks(np.arange(len(values)), ["forecast", *(RIVALS[name] for name in known)])
    ax.invert_yaxis()
    ax.use_sticky_edges = False
    ax.margins(x=0.12)
    ax.set_xlabel("Mean CRPS")
    best = RIVALS[str(at.best_rival.item())]
    _finish(ax, f"Skill {float(at.skill):.2f} over the best rival", f"CRPS: 0 is best. Best rival: {best}.", grid="x")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _bands_by_year(projection: xr.Dataset, name: str, ax: Axes) -> tuple[np.ndarray[Any, Any], dict[str, float]]:
    """Draw the median of each year with both bands, a single year as a bar; give back where and how they end."""
    draws = projection[name].transpose("year", "draw").values
    years = np.arange(len(draws))
    x = years if len(years) > 1 else np.array([-0.1, 0.1])
    bands = np.quantile(draws, FAN, axis=1, method="inverted_cdf")
    p5, p25, p50, p75, p95 = np.broadcast_to(bands, (len(FAN), len(x)))
    for low, high, alpha in ((p5, p95, 0.16), (p25, p75, 0.30)):
        ax.fill_between(x, low, high, color=BLUE, alpha=alpha, linewidth=0)
    ax.plot(x, p50, "o-" if len(years) > 1 else "-", color=BLUE, linewidth=2.4, markersize=5)
    shown = slice(None, None, 1 + len(years) // 12)
    ax.set_xticks(years[shown], projection.year.values[shown])
    ax.set_xlim(x[0] - 0.04 * np.ptp(x), x[-1] + 0.23 * np.ptp(x))
    return x, {"95%": float(p95[-1]), "median": float(p50[-1]), "5%": float(p5[-1])}


def _first_and_last(projection: xr.Dataset, name: str, unit: str = "") -> str:
    expected, years = projection[name].mean("draw").values, projection.year.values
    first = f"{_money(expected[0])}{unit} in {years[0]}"
    return first if len(years) == 1 else f"{first} and {_money(expected[-1])} in {years[-1]}"


def _check_forecast(forecast: xr.Dataset, needed: Iterable[str]) -> None:
    raise_if_any(forecast_faults(forecast, needed, "plot_projection"))


def _check_summary(summary: xr.Dataset | None) -> None:
    """Refuse what is not the summary of a forecast; none at all will do."""
    if summary is not None and "expected_shortfall" not in summary:
        remedy = "Give what summarise made of the forecast, or leave it out."
        raise InputError([Fault("summary", "not the summary of a forecast", "", remedy, variable="summary")])


def _axes(ax: Axes | None) -> Axes:
    return Figure(figsize=(7, 5), layout="constrained").subplots() if ax is None else ax


def _summary(forecast: xr.Dataset) -> xr.Dataset:
    from sector_risk import summarise

    summary: xr.Dataset = summarise(forecast)
    return summary


def _finish(ax: Axes, title: str, note: str, grid: Literal["x", "y"]) -> Axes:
    """Give all pictures one look: the finding as title, how to read it below, few lines."""
    ax.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=INK, pad=24)
    ax.annotate(note, (0, 1), (0, 7), "axes fraction", textcoords="offset points", fontsize=9, color=MUTED)
    ax.grid(axis=grid, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelcolor=INK, labelsize=9.5)
    (ax.yaxis if grid == "y" else ax.xaxis).set_major_formatter(_MONEY)
    return ax


def _label_ends(ax: Axes, month: float, values: dict[str, float], line: float = 0.032) -> None:
    """Name the lines where they end, pushed apart by the height of a line of text so that no two labels overlap."""
    gap, reach = line * np.ptp(ax.get_ylim()), 0.011 * np.ptp(ax.get_xlim())
    height = -np.inf
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        height = max(height + gap, value)
        colour = {"plan": PLAN, "breakeven": PLAN, "underlying": MUTED}.get(name, BLUE)
        ax.text(month + reach, height, f"{name} {_money(value)}", color=colour, **_END_LABEL)


def _label_bar(ax: Axes, row: int, left: float, length: float) -> None:
    """Write a bar's value just beyond its end, on the side that it points to."""
    outward = -1 if length < 0 else 1
    ax.annotate(
        _money(length),
        (left + length, row),
        xytext=(4 * outward, 0),
        textcoords="offset points",
        ha="right" if outward < 0 else "left",
        va="center",
        fontsize=9.5,
        color=INK,
    )


def _fan_title(forecast: xr.Dataset) -> str:
    expected, plan = forecast.sector_position.mean().item(), sector_plan(forecast)
    year = forecast.attrs["year"]
    return f"Provider sector {year}: expected {_money(expected)} against a plan of {_money(plan)}"


def _waterfall_words(effects: xr.DataArray) -> tuple[str, str]:
    pressure, relief = (effects.isel(effect=int(pick(effects.values))) for pick in (np.argmin, np.argmax))
    return f"Largest pressure: {_named(pressure)}", f"Largest relief: {_named(relief)}. Mean over all draws."


def _named(effect: xr.DataArray) -> str:
    return f"{effect_label(str(effect.effect.item()))} {_money(effect.item())}"


def _league_title(worst: xr.Dataset) -> str:
    shortfall = (worst.plan - worst["mean"]).sum().item()
    return f"{worst.sizes['unit']} trusts at most risk: expected {_money(shortfall)} short of plan"


def _money(value: float) -> str:
    return money(value).replace("-", "\N{MINUS SIGN}")


def _names(summary: xr.Dataset) -> list[tuple[str, str]]:
    return list(zip(summary.unit.values.tolist(), summary.name.values.tolist(), strict=True))


def _short(code: str, name: str, most: int = 26) -> str:
    """Give the name if it is short, else the beginning of it."""
    label = name or code
    return label if len(label) <= most else f"{label[: most - 1].rstrip()}…"


def _footnote(forecast: xr.Dataset) -> str:
    who = f"{forecast.sizes['trust']} trusts, {counted_draws(forecast.sizes['draw'])}, seed {forecast.attrs['seed']}"
    synthetic = " Trusts are synthetic." if forecast.attrs.get("synthetic") else ""
    signs = "GBP million after support; surplus positive, deficit negative."
    return f"{signs} Rules: {regime_name(forecast.attrs)}. {who}.{synthetic}"
