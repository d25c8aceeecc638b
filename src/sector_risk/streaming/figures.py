"""From counts to figures and their Monte Carlo standard errors, by the formulas of what reads draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.measures import count_figures
from sector_risk.streaming.counts import Counts
from sector_risk.streaming.exact import Sorted
from sector_risk.streaming.layout import Layout, Scale
from sector_risk.streaming.quantiles import Histogram
from sector_risk.summary import binomial_se, mean_se, tail_size, wanted_ranks, widening
from sector_risk.units import numbers

F64 = NDArray[np.float64]
Array = NDArray[Any]
Figures = dict[str, Array]


@dataclass(frozen=True)
class Moments:
    """Mean and sd of rows, (R,) each."""

    mean: F64
    sd: F64

    @classmethod
    def of(cls, sums: Array, n: int, scale: Scale) -> "Moments":
        """Moments from sums (R, 2) of the distance y from the centre, and of y^2."""
        first, second = (sums / n).T
        variance = np.maximum(second - first**2, 0.0) * (n / max(n - 1, 1))
        return cls(scale.centre + first / scale.per_scale, np.sqrt(variance) / scale.per_scale)


def histograms_of(counts: Counts, layout: Layout) -> list[Histogram]:
    """Histograms of units, then of the sector by month."""
    rows = enumerate(zip(counts.histogram, counts.extremes, strict=True))
    return [Histogram.of(count, layout.bins, row, extremes) for row, (count, extremes) in rows]


def chances(counts: Counts, layout: Layout) -> Figures:
    """Chances of deficit, breakeven, missing plan and missing control total, and their errors; (U,) each."""
    n = int(counts.n_draws)
    deficit, missed = counts.below[:, 0] / n, np.where(np.isnan(layout.limits), np.nan, counts.missed / n)
    found = {
        "p_deficit": deficit,
        "p_breakeven": 1.0 - deficit,
        "p_missing_plan": missed[:, 0],
        "p_missing_control_total": missed[:, 1],
    }
    return found | {f"{name}_se": binomial_se(p, n) for name, p in found.items()}


def quantile_figures(histograms: list[Histogram], levels: F64, second: Sorted | None) -> tuple[F64, F64, F64]:
    """Quantiles of each row, their errors and their bounds, (R, level)."""
    n = int(histograms[0].up_to[-1])
    wanted, ranks = wanted_ranks(n, levels)
    read, width = np.moveaxis(np.array([h.order_statistic(ranks) for h in histograms]), 1, 0)
    value, low, high = np.split(read, 3, axis=1)
    bound = width[:, : len(levels)]
    if second is not None:
        value = np.array([[second.order_statistic(row, k) for k in ranks[: len(levels)]] for row in range(len(read))])
        bound = np.zeros_like(value)
    return value, 0.5 * (high - low) * widening(wanted, ranks), bound


def tail_figures(histograms: list[Histogram], sizes: Array, second: Sorted | None) -> tuple[F64, F64, F64]:
    """Means of the lowest draws of each row, their errors and their bounds, (R, size)."""
    found = np.array([[h.tail(int(k)) for k in sizes] for h in histograms])
    mean, error, bound = np.moveaxis(found, -1, 0)
    if second is not None:
        mean = np.array([[second.tail_mean(row, int(k)) for k in sizes] for row in range(len(histograms))])
        bound = np.zeros_like(mean)
    return mean, error, bound


def unit_figures(
    counts: Counts, layout: Layout, histograms: list[Histogram], asked: tuple[F64, F64], second: Sorted | None
) -> Figures:
    """All that `summarise` says of units, and bounds; `asked` are quantiles and levels of confidence."""
    levels, confidence = asked
    n, main = int(counts.n_draws), Moments.of(counts.sums, int(counts.n_draws), layout.units_scale)
    value, error, bound = quantile_figures(histograms, np.append(levels, 1.0 - confidence), second)
    tail, tail_error, tail_bound = tail_figures(histograms, tail_size(n, confidence), second)
    q = len(levels)
    return chances(counts, layout) | {
        "mean": main.mean,
        "mean_se": mean_se(main.sd, n),
        "sd": main.sd,
        "position_quantile": value[:, :q],
        "position_quantile_se": error[:, :q],
        "position_quantile_bound": bound[:, :q],
        "value_at_risk": -value[:, q:],
        "value_at_risk_se": error[:, q:],
        "value_at_risk_bound": bound[:, q:],
        "tail_value_at_risk": -tail,
        "tail_value_at_risk_se": tail_error,
        "tail_value_at_risk_bound": tail_bound,
    }


def month_figures(histograms: list[Histogram], levels: F64) -> Figures:
    """Quantiles of the sector to date, (month, quantile)."""
    value, _, bound = quantile_figures(histograms, levels, None)
    return {"sector_ytd_quantile": value, "sector_ytd_quantile_bound": bound}


def contribution_figures(counts: Counts, layout: Layout) -> Figures:
    """Mean contributions and their errors, (driver, trust)."""
    n, shape = int(counts.n_draws), (-1, layout.n_trusts)
    found = Moments.of(counts.contribution, n, layout.contributions)
    return {
        "contribution_mean": found.mean.reshape(shape),
        "contribution_mean_se": mean_se(found.sd, n).reshape(shape),
    }


def event_figures(counts: Counts, quantiles: Any) -> Figures:
    """What `deficit_counts` says."""
    return count_figures(counts.events, numbers(quantiles))
