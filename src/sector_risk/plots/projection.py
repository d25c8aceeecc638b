"""Pictures of a projection: the sector by year, and the number of trusts in deficit."""

import os
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sector_risk.faults import raise_if_any
from sector_risk.plots.style import (
    BANDS,
    BLUE,
    FAN,
    INK,
    MUTED,
    axes_or_new,
    finish,
    footnote,
    is_narrow,
    label_ends,
    page,
    signed,
    signed_money,
    target_of,
)
from sector_risk.projection_summary import projection_faults

NEEDED = ("sector_position", "sector_underlying", "deficit_count")


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
    _check(projection)
    target, figure = target_of(path), page(10, 8.4)
    position, count = figure.subplots(2, height_ratios=[1.7, 1])
    plot_position_by_year(projection, position)
    plot_count_by_year(projection, count)
    return signed(figure, footnote(projection), target)


def plot_position_by_year(projection: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the sector's position by year: 5-95% and 25-75% bands, median, and what lies underneath it.

    Parameters
    ----------
    projection : xarray.Dataset
        What `sector_risk.project` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        GBP million, after support.

    Examples
    --------
    >>> import sector_risk as sr
    >>> ax = plot_position_by_year(sr.project(sr.load_case("england-2018-19"), years=2, n_draws=100))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['2018-19', '2019-20']
    """
    _check(projection)
    ax = axes_or_new(ax)
    x, ends = _bands_by_year(projection, "sector_position", ax)
    underlying = np.broadcast_to(projection.sector_underlying.mean("draw").values, x.shape)
    ax.plot(x, underlying, color=MUTED, linewidth=1.3)
    ax.hlines(0, x[0], x[-1], color=INK, linewidth=0.9)
    label_ends(ax, x[-1], ends | {"underlying": underlying[-1], "breakeven": 0.0})
    ax.set_ylabel("Year-end position, £m")
    title = f"Provider sector: expected {_first_and_last(projection, 'sector_position')}"
    note = f"Expected: the mean; line: the median. {BANDS} Grey line: expected underlying position."
    return finish(ax, title, note, grid="y")


def plot_count_by_year(projection: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the number of trusts in deficit by year, from nought: 5-95% and 25-75% bands, and median.

    Parameters
    ----------
    projection : xarray.Dataset
        What `sector_risk.project` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; made if not given.

    Returns
    -------
    matplotlib.axes.Axes
        Trusts.

    Examples
    --------
    >>> import sector_risk as sr
    >>> ax = plot_count_by_year(sr.project(sr.load_case("england-2018-19"), years=2, n_draws=100))
    >>> bool(ax.get_ylim()[0] == 0)
    True
    """
    _check(projection)
    ax = axes_or_new(ax)
    x, ends = _bands_by_year(projection, "deficit_count", ax)
    ax.set_ylim(0, 1.15 * ax.get_ylim()[1])
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_ends(ax, x[-1], ends)
    ax.set_ylabel("Trusts in deficit")
    trusts = f" of {projection.sizes['trust']}"
    title = f"Trusts in deficit: expected {_first_and_last(projection, 'deficit_count', trusts)}"
    note = "Expected: the mean; line: the median. A deficit is one of £5,000 or more, after support."
    return finish(ax, title, note, grid="y")


def _check(projection: xr.Dataset) -> None:
    raise_if_any(projection_faults(projection, NEEDED, "plot_forecast"))


def _bands_by_year(projection: xr.Dataset, name: str, ax: Axes) -> tuple[NDArray[Any], dict[str, float]]:
    """Draw the median of each year with both bands, a single year as a bar; give back where and how they end."""
    draws = projection[name].transpose("year", "draw").values
    years = np.arange(len(draws))
    x = years if len(years) > 1 else np.array([-0.1, 0.1])
    bands = np.quantile(draws, FAN, axis=1, method="inverted_cdf")
    p5, p25, p50, p75, p95 = np.broadcast_to(bands, (len(FAN), len(x)))
    for low, high, alpha in ((p5, p95, 0.16), (p25, p75, 0.30)):
        ax.fill_between(x, low, high, color=BLUE, alpha=alpha, linewidth=0)
    ax.plot(x, p50, "o-" if len(years) > 1 else "-", color=BLUE, linewidth=2.4, markersize=5)
    shown = slice(None, None, 1 + len(years) // (4 if is_narrow(ax) else 12))
    ax.set_xticks(years[shown], projection.year.values[shown])
    ax.set_xlim(x[0] - 0.04 * np.ptp(x), x[-1] + 0.23 * np.ptp(x))
    return x, {"95%": float(p95[-1]), "median": float(p50[-1]), "5%": float(p5[-1])}


def _first_and_last(projection: xr.Dataset, name: str, unit: str = "") -> str:
    expected, years = projection[name].mean("draw").values, projection.year.values
    first = f"{signed_money(expected[0])}{unit} in {years[0]}"
    return first if len(years) == 1 else f"{first} and {signed_money(expected[-1])} in {years[-1]}"
