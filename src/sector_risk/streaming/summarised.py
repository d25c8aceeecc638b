"""A summary of any number of draws: one pass that counts, and a second where figures are to be exact."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.engine import PIECE, default_threads
from sector_risk.planned import Planned
from sector_risk.progress import Progress, half_of
from sector_risk.streaming.counts import count
from sector_risk.streaming.exact import Sorted, bins_of, pick_bins
from sector_risk.streaming.figures import histograms_of
from sector_risk.streaming.labels import label_summary
from sector_risk.streaming.layout import lay_out
from sector_risk.streaming.settings import Summary
from sector_risk.summary import wanted_ranks
from sector_risk.units import numbers

Pass = Callable[[Callable[..., Any], Progress | None], Any]
"""Runs what makes a state of planned draws, tells of its progress, and returns the state of all draws."""


def summarise_stream(
    planned: Planned, asked: Summary, threads: int | None = None, progress: Progress | None = None
) -> xr.Dataset:
    """Simulate, count and label on threads; where asked, simulate again for exact order statistics."""
    threads = min(int(threads or default_threads()), -(-planned.run.n_draws // PIECE))

    def on_threads(state_of: Callable[..., Any], tell: Progress | None) -> Any:
        return state_of(planned, threads=threads, progress=tell)

    return summarise_passes(planned, asked, threads, on_threads, progress)


def summarise_passes(
    planned: Planned, asked: Summary, threads: int, one_pass: Pass, progress: Progress | None = None
) -> xr.Dataset:
    """Lay out bins here, have all draws counted in one pass or two, and label what comes of them."""
    layout = lay_out(planned, float(np.min(asked.confidence)), threads)
    counting = partial(count, layout=layout)
    if not asked.exact:
        return label_summary(planned, layout, one_pass(counting, progress), asked)
    counts = one_pass(counting, half_of(progress, 0))
    levels = np.append(numbers(asked.quantiles), 1.0 - numbers(asked.confidence))
    ranks = wanted_ranks(planned.run.n_draws, levels)[1][: len(levels)]
    histograms = histograms_of(counts, layout)[: len(layout.units.unit)]
    bins = bins_of(histograms, ranks)
    found = one_pass(partial(pick_bins, layout=layout, bins=bins), half_of(progress, 1))
    return label_summary(planned, layout, counts, asked, Sorted(histograms, bins, layout.units_scale, found))
