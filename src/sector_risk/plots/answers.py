"""Pictures of what is asked of a forecast: how bad it can get, what moves it, where its spread comes from."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from sector_risk.chances import probability
from sector_risk.faults import Fault, raise_if_any
from sector_risk.kernels.reduce import BALANCE
from sector_risk.measures import is_summary, summary_faults
from sector_risk.plots.style import (
    ADVERSE,
    BLUE,
    FAN,
    FAVOURABLE,
    GRID,
    INK,
    LEGEND,
    MUTED,
    axes_or_new,
    bar_height,
    finish,
    is_narrow,
    label_bar,
    name_rows,
    short,
    signed_money,
)
from sector_risk.readings import effect_label
from sector_risk.units import NHS, SECTOR, check_forecast

TAIL = 0.05
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
WORST_SIDE: dict[str, Any] = {"color": ADVERSE}
BEST_SIDE: dict[str, Any] = {"facecolor": "#a8d8d2", "edgecolor": FAVOURABLE, "linewidth": 1.0}
COLOURS = (BLUE, INK, FAVOURABLE, MUTED)


def plot_exceedance(curve: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw how probable a deficit beyond each sum is.

    Parameters
    ----------
    curve : xarray.Dataset
        What `sector_risk.exceedance` gave, of one unit or a few.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        Per cent of draws over GBP million of deficit; a line for each unit.

    Raises
    ------
    InputError
        It is not what `exceedance` gave.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.measures import exceedance
    >>> ax = plot_exceedance(exceedance(sr.simulate(sr.load_case("england-2018-19"), n_draws=200)))
    >>> ax.get_xlabel()
    'Year-end deficit, £m'
    """
    _check(curve, "p_exceeding", "exceedance")
    ax = axes_or_new(ax)
    for i, unit in enumerate(curve.unit.values):
        p, colour, dashes = curve.p_exceeding.values[i], COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        ax.plot(curve.threshold.values, 100 * p, color=colour, linestyle=dashes, linewidth=2.4, label=short(unit, ""))
    if curve.threshold.values[0] < 0 < curve.threshold.values[-1]:
        ax.axvline(0, color=INK, linewidth=0.9)
    if curve.sizes["unit"] > 1:
        ax.legend(loc="lower left", **LEGEND)
    ax.set_ylim(0, 102)
    ax.set_xlabel("Year-end deficit, £m")
    ax.set_ylabel("Chance of a worse one")
    finish(ax, _tail(curve.isel(unit=0)), "A point on the line: chance of a deficit worse than that.", grid="x")
    return _in_per_cent(ax)


def plot_deficit_counts(counts: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw how probable it is that so many trusts or more end the year in deficit.

    Parameters
    ----------
    counts : xarray.Dataset
        What `sector_risk.deficit_counts` gave, or a summary of draws, with the 5%, 50% and 95% quantiles.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        Per cent of draws over the number of trusts.

    Raises
    ------
    InputError
        It is neither what `deficit_counts` gave nor a summary, or lacks the quantiles.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.measures import deficit_counts
    >>> ax = plot_deficit_counts(deficit_counts(sr.simulate(sr.load_case("england-2018-19"), n_draws=200)))
    >>> ax.get_xlabel()
    'Trusts in deficit'
    """
    _check(counts, "p_at_least", "deficit_counts")
    raise_if_any(summary_faults(counts, ("count_quantile",), quantiles=(0.05, 0.5, 0.95)))
    ax = axes_or_new(ax)
    deficit = counts.sel(event="deficit")
    p = deficit.p_at_least.values
    shown = np.flatnonzero((p > 0.0) & (np.append(p[1:], 0.0) < 1.0))
    shown = np.append(shown, shown[-1] + 1) if shown[-1] + 1 < len(p) else shown
    ax.plot(deficit["count"].values[shown], 100 * p[shown], color=BLUE, linewidth=2.4)
    low, middle, high = (float(deficit.count_quantile.sel(quantile=q, method="nearest")) for q in (0.05, 0.5, 0.95))
    ax.axvspan(low, high, color=BLUE, alpha=0.12, linewidth=0)
    ax.set_ylim(0, 102)
    ax.set_xlabel("Trusts in deficit")
    ax.set_ylabel("Chance of so many or more")
    title = f"{middle:.0f} trusts in deficit in the middle of the draws, {low:.0f} to {high:.0f} in nine draws of ten"
    finish(ax, title, "Band: nine draws of ten. A deficit is one of £5,000 or more, after support.", grid="x")
    return _in_per_cent(ax)


def plot_balance(forecast: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw what adds up to the position of the whole NHS: the provider sector, each central action, and their sum.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        GBP million; thin bar 5-95%, thick bar 25-75%, dot the mean.

    Raises
    ------
    InputError
        It is not a forecast.

    Examples
    --------
    >>> import sector_risk as sr
    >>> ax = plot_balance(sr.simulate(sr.load_case("england-2018-19"), n_draws=200))
    >>> [label.get_text() for label in ax.get_yticklabels()][-1]
    'Whole NHS'
    """
    check_forecast(forecast, ("sector_position", "nhs_position", "central_action", "central_effect"))
    ax = axes_or_new(ax)
    names, parts = zip(*_parts_of_nhs(forecast), strict=True)
    draws = np.array(parts)
    p5, p25, _, p75, p95 = np.quantile(draws, FAN, axis=1)
    rows, mean = np.arange(len(draws)), draws.mean(axis=1)
    ax.hlines(rows, p5, p95, color=BLUE, linewidth=2.2, alpha=0.55)
    ax.hlines(rows, p25, p75, color=BLUE, linewidth=9, alpha=0.55)
    ax.plot(mean, rows, "o", color=BLUE, markersize=5.5)
    ax.axvline(0, color=INK, linewidth=0.9)
    away: dict[str, Any] = {
        "textcoords": "offset points",
        "ha": "center",
        "va": "center",
        "fontsize": 9.5,
        "color": INK,
    }
    for row, value in enumerate(mean):
        ax.annotate(signed_money(value), (value, row), (0, -13 if is_narrow(ax) else 13), **away)
    name_rows(ax, rows, names)
    ax.set_xlabel("Year-end position, £m")
    chance = probability((draws[-1] >= -BALANCE).mean(), draws.shape[1])
    title = f"{NHS}: expected {signed_money(mean[-1])}, chance of breakeven {chance}"
    return finish(ax, title, "Bars: half of the draws, and nine in ten. Dot: the mean.", grid="x")


def _parts_of_nhs(forecast: xr.Dataset) -> Iterator[tuple[str, NDArray[Any]]]:
    """Names and draws of what adds up to the whole NHS, and of the sum last."""
    yield SECTOR, forecast.sector_position.values
    actions = forecast.central_action.transpose("action", "draw")
    for name, draws in zip(actions.action.values, actions.values, strict=True):
        yield short("", str(name).capitalize(), 30), draws
    if forecast.central_effect.values.any():
        yield "Saved by rules", forecast.central_effect.values
    yield NHS, forecast.nhs_position.values


def plot_tornado(bars: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw how far a unit's position swings between the worst and the best draws of each effect.

    Parameters
    ----------
    bars : xarray.Dataset
        What `sector_risk.tornado` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        GBP million; a bar for each effect that varies, the greatest swing on top. Dark: the side where the effect is
        worst; light: where it is best.

    Raises
    ------
    InputError
        It is not what `tornado` gave.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.swings import tornado
    >>> ax = plot_tornado(tornado(sr.simulate(sr.load_case("england-2018-19"), n_draws=200)))
    >>> ax.get_xlabel()
    'Year-end position, £m'
    """
    _check(bars, "swing", "tornado")
    ax = axes_or_new(ax)
    base, bars = float(bars.base), bars.isel(effect=np.flatnonzero(bars.swing.values))
    rows, names = np.arange(bars.sizes["effect"]), [effect_label(str(name)) for name in bars.effect.values]
    ends = np.sort([bars.low.values, bars.high.values], axis=0)
    for side, look in ((bars.low.values, WORST_SIDE), (bars.high.values, BEST_SIDE)):
        ax.barh(rows, side - base, left=base, height=bar_height(ax), **look)
    for row, (low, high) in enumerate(ends.T):
        label_bar(ax, row, min(low, base), -0.0, low)
        label_bar(ax, row, max(high, base), 0.0, high)
    ax.axvline(base, color=INK, linewidth=0.9)
    name_rows(ax, rows, names)
    ax.set_xlabel("Year-end position, £m")
    title = "No effect differs between draws"
    if names:
        low, high = (signed_money(side.values[0]) for side in (bars.low, bars.high))
        title = f"{names[0]}: {low} where it is worst, {high} where it is best"
    part = f"{float(bars.share):.0%}"
    note = f"{bars.unit.item()}: mean in the worst (dark) and best (light) {part} of draws of each effect."
    return finish(ax, title, note, grid="x")


def plot_shares(shares: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw what each effect adds to the spread of a unit's position: its covariance with it, in per cent of variance.

    Parameters
    ----------
    shares : xarray.Dataset
        What `sector_risk.allocate` gave, or a summary of draws: that says it of the provider sector.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        Per cent of the variance; a bar for each effect that varies, the largest on top. The bars add up to 100.

    Raises
    ------
    InputError
        It is neither what `allocate` gave nor a summary.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.allocation import allocate
    >>> ax = plot_shares(allocate(sr.simulate(sr.load_case("england-2018-19"), n_draws=200)))
    >>> bool(abs(sum(bar.get_width() for bar in ax.patches) - 100) < 1e-6)
    True
    """
    _check(shares, "sd_by_effect", "allocate")
    ax = axes_or_new(ax)
    shares = _of_sector(shares) if is_summary(shares) else shares
    varying = shares.isel(effect=np.flatnonzero(shares.sd_by_effect.values))
    varying = varying.isel(effect=np.argsort(-varying.sd_by_effect.values, kind="stable"))
    part = 100 * varying.sd_by_effect.values / float(shares.sd)
    rows = np.arange(len(part))
    ax.barh(rows, part, color=np.where(part < 0, FAVOURABLE, BLUE), height=bar_height(ax))
    ax.axvline(0, color=INK, linewidth=0.9)
    names = [effect_label(str(name)) for name in varying.effect.values]
    name_rows(ax, rows, names)
    for row, value in enumerate(part):
        label_bar(ax, row, 0.0, value)
    ax.set_xlabel("Per cent of variance")
    title = f"{names[0]} adds most to the spread" if names else "The position is the same in all draws"
    title += f", {names[-1].lower()} takes most away" if names and part[-1] < 0 else ""
    return finish(ax, title, f"{shares.unit.item()}. Covariance with the position; the bars add up to 100.", grid="x")


def _of_sector(summary: xr.Dataset) -> xr.Dataset:
    """Effects on the provider sector, and its standard deviation."""
    raise_if_any(summary_faults(summary, ("sd",), [SECTOR]))
    return summary[["sd", "sd_by_effect"]].sel(unit=SECTOR)


def _check(data: xr.Dataset, needed: str, maker: str) -> None:
    """Refuse what another function made."""
    missing = [] if needed in data else [needed]
    remedy = f"Give what {maker} gave."
    raise_if_any(Fault(maker, "variable is missing", name, remedy, variable=name) for name in missing)


def _in_per_cent(ax: Axes) -> Axes:
    ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    return ax


def _tail(curve: xr.Dataset) -> str:
    """The worst deficit of the curve that still has a chance of one in twenty."""
    likely = np.flatnonzero(curve.p_exceeding.values >= TAIL)
    at = likely[-1] if len(likely) else 0
    p, threshold = curve.p_exceeding.values[at], curve.threshold.values[at]
    what = (
        f"deficit beyond £{signed_money(threshold)}m"
        if threshold >= 0
        else f"surplus under £{signed_money(-threshold)}m"
    )
    return f"{curve.unit.item()}: a {what} has a chance of {100 * p:.0f}%"
