"""A summary of any number of draws: one pass that counts, and a second where figures are to be exact."""

import numpy as np
import xarray as xr

from sector_risk.engine import PIECE, default_threads
from sector_risk.planned import Planned
from sector_risk.progress import Progress, half_of
from sector_risk.streaming.counts import count
from sector_risk.streaming.exact import sort_bins
from sector_risk.streaming.figures import histograms_of
from sector_risk.streaming.labels import label_summary
from sector_risk.streaming.layout import lay_out
from sector_risk.streaming.settings import Summary
from sector_risk.summary import wanted_ranks
from sector_risk.units import numbers


def summarise_stream(
    planned: Planned, asked: Summary, threads: int | None = None, progress: Progress | None = None
) -> xr.Dataset:
    """Simulate, count and label; where asked, simulate again for exact order statistics."""
    threads = min(int(threads or default_threads()), -(-planned.run.n_draws // PIECE))
    layout = lay_out(planned, float(np.min(asked.confidence)), threads)
    if not asked.exact:
        return label_summary(planned, layout, count(planned, layout, threads, progress), asked)
    counts = count(planned, layout, threads, half_of(progress, 0))
    levels = np.append(numbers(asked.quantiles), 1.0 - numbers(asked.confidence))
    _, ranks = wanted_ranks(planned.run.n_draws, levels)
    units = histograms_of(counts, layout)[: len(layout.units.unit)]
    second = sort_bins(planned, layout, units, ranks[: len(levels)], threads, half_of(progress, 1))
    return label_summary(planned, layout, counts, asked, second)
