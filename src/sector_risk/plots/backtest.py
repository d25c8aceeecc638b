"""A picture of a back-test: PIT histogram, coverage, CRPS beside simple rivals."""

import os

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from sector_risk.faults import Fault, InputError
from sector_risk.plots.style import ADVERSE, BLUE, INK, MUTED, PLAN, finish, page, signed, target_of
from sector_risk.readings import counted_draws
from sector_risk.rivals import RIVALS
from sector_risk.scores import pit_band


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
    rows = result.sizes["origin"]
    target, figure = target_of(path), page(14, 0.9 + 3.9 * rows)
    for axes, month in zip(figure.subplots(rows, 3, squeeze=False), result.origin.values, strict=True):
        at = result.sel(origin=month)
        _draw_pit(at, axes[0])
        _draw_coverage(at, axes[1])
        _draw_crps(at.sel(score="crps"), axes[2])
    attrs, draws = result.attrs, counted_draws(result.attrs["n_draws"])
    note = f"{attrs['title']}, {attrs['scored_in']}. Assumptions {attrs['fit']}. {draws}, seed {attrs['seed']}."
    return signed(figure, note, target)


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
    finish(ax, title, f"Of {count.sum():.0f} outcomes. Band: 95% of counts if draws are right.", grid="y")


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
    finish(ax, f"80% intervals hold {inside:.0f}% of outcomes", "Tick: what it should be.", grid="x")


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
    finish(ax, f"Skill {float(at.skill):.2f} over the best rival", f"CRPS: 0 is best. Best rival: {best}.", grid="x")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
