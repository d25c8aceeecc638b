"""From figures to the labelled summary."""

from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.measures import EVENTS
from sector_risk.measures import SPECS as OF_COUNTS
from sector_risk.planned import Planned
from sector_risk.schema import FORECAST, OF_SECTOR, STREAMED, SUMMARY, described
from sector_risk.streaming.counts import Counts
from sector_risk.streaming.exact import Sorted
from sector_risk.streaming.figures import (
    contribution_figures,
    event_figures,
    histograms_of,
    month_figures,
    unit_figures,
)
from sector_risk.streaming.layout import BINS, Layout
from sector_risk.streaming.settings import Summary
from sector_risk.streaming.shares import spread_shares, tail_shares
from sector_risk.summary import plans_after_support, unit_labels
from sector_risk.units import numbers

KEPT_BINS = 1024
"""Bins of the histograms that are given back: sixteen of those that were counted make one."""
SPECS = MappingProxyType({**FORECAST, **OF_COUNTS, **SUMMARY, **STREAMED, **OF_SECTOR})
Variables = dict[str, tuple[tuple[str, ...], Any]]


def label_summary(
    planned: Planned, layout: Layout, counts: Counts, asked: Summary, second: Sorted | None = None
) -> xr.Dataset:
    """Return the summary of the draws that were counted (see `simulate` for its variables).

    Examples
    --------
    >>> import sector_risk as sr
    >>> summary = sr.simulate(sr.load_case("england-2018-19"), n_draws=2_000, keep="summary")
    >>> sector = summary["histogram"].sel(unit="Provider sector").swap_dims(bin="bin_middle")
    >>> 0 < int(sector.sel(bin_middle=slice(-1000, -900)).sum()) < 2_000
    True

    `sector.plot()` draws it over GBP million.
    """
    levels, confidence = numbers(asked.quantiles), numbers(asked.confidence)
    histograms, n_units = histograms_of(counts, layout), len(layout.units.unit)
    figures = unit_figures(counts, layout, histograms[:n_units], (levels, confidence), second)
    figures |= {"plan": plans_after_support(layout.named, layout.units), **histogram(counts, layout)}
    figures |= month_figures(histograms[n_units:], levels) | contribution_figures(counts, layout)
    figures |= event_figures(counts, levels)
    variables: Variables = {name: (SPECS[name].dims, values) for name, values in figures.items()}
    variables |= shares(counts, layout, confidence)
    variables["sector_plan_ytd"] = ("month",), layout.named["sector_plan_ytd"].values
    labels = unit_labels(layout.named, layout.units) | {
        "quantile": ("quantile", levels),
        "confidence": ("confidence", confidence),
        "event": ("event", np.array(EVENTS, object)),
        "count": ("count", np.arange(layout.n_trusts + 1)),
        "month": ("month", np.arange(1, 13)),
        "driver": ("driver", layout.named["driver"].values),
        "trust": ("trust", layout.named["trust"].values),
        "effect": ("effect", effects(layout)),
        "bin_middle": (("unit", "bin"), middles(figures["bin_start"], figures["bin_width"])),
    }
    return described(xr.Dataset(variables, labels, attrs=planned.provenance()), SPECS)


def histogram(counts: Counts, layout: Layout) -> dict[str, Any]:
    """Draws of each unit by bin, in fewer bins, and where these lie."""
    units, joined = len(layout.units.unit), BINS // KEPT_BINS
    return {
        "histogram": counts.histogram[:units].reshape(units, KEPT_BINS, joined).sum(axis=2, dtype=np.int64),
        "bin_start": layout.bins.low[:units],
        "bin_width": joined / layout.bins.per_bin[:units],
    }


def middles(start: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Positions in the middle of the bins of each unit, (unit, bin).

    >>> middles(np.array([-512.0]), np.array([1.0]))[:, [0, -1]].tolist()
    [[-511.5, 511.5]]
    """
    return np.asarray(start[:, None] + width[:, None] * (np.arange(KEPT_BINS) + 0.5))


def effects(layout: Layout) -> np.ndarray:
    """Names of the effects on the sector: drivers, then support."""
    return np.array([*layout.named["driver"].values, "support"], object)


def shares(counts: Counts, layout: Layout, confidence: np.ndarray) -> Variables:
    """What trusts and effects add to the sector's spread and tail."""
    t, named = layout.n_trusts, dict[str, Any]()
    spread, tail = spread_shares(counts, layout), tail_shares(counts, layout, confidence)
    for end, of_spread, of_tail in zip(("", "_se"), spread, tail, strict=True):
        named[f"sd_share{end}"] = ("trust",), of_spread[:t]
        named[f"tail_value_at_risk_share{end}"] = ("trust", "confidence"), of_tail[:t]
        named[f"sd_by_effect{end}"] = ("effect",), of_spread[t:]
        named[f"tail_value_at_risk_by_effect{end}"] = ("effect", "confidence"), of_tail[t:]
    return named
