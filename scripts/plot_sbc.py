"""Draw docs/sbc.png: ranks of 300 true years among the draws that know their first 3, 6 or 9 months.

Run it with ``python scripts/plot_sbc.py`` from anywhere, in a few minutes; ``tests/sbc.py`` has the method.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

import sector_risk as sr

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from sbc import histogram, p_of_independent, p_of_years, parts, ranks_of  # noqa: E402

MONTHS, N_YEARS, N_DRAWS, N_BINS = (3, 6, 9), 300, 199, 10
EVERY = 4  # every fourth trust of the bundled case
BLUE, BAND, INK = "#005eb8", "#d8dde0", "#212b32"


def band_of_independent() -> tuple[float, float]:
    """Counts of a bin that 95% of uniform histograms have, as multiples of what is expected."""
    low, high = stats.binom.ppf([0.025, 0.975], N_YEARS, 1.0 / N_BINS) * N_BINS / N_YEARS
    return float(low), float(high)


def band_of_years(counts: np.ndarray) -> tuple[float, float]:
    """Return the same where the ranks of a year depend on each other: from how years' counts (year, bin) vary."""
    mean_error = counts.std(axis=0, ddof=1).mean() / np.sqrt(len(counts)) / counts.mean()
    return 1.0 - 1.96 * mean_error, 1.0 + 1.96 * mean_error


def draw(ax: Axes, share: np.ndarray, band: tuple[float, float], title: str) -> None:
    """Draw one histogram about its mean, and its band."""
    ax.axhspan(*band, color=BAND, zorder=0)
    ax.stairs(share, np.arange(N_BINS + 1) / N_BINS, baseline=1.0, fill=True, color=BLUE)
    ax.axhline(1.0, color=INK, linewidth=0.8)
    ax.set(xlim=(0.0, 1.0), xticks=(0.0, 0.5, 1.0))
    ax.set_title(title, loc="left", fontsize=9, color=INK)
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Rank, draw and save."""
    warnings.simplefilter("ignore", sr.InputWarning)  # a year in a hundred has a trust that surprises
    panel = sr.load_case("england-2018-19").isel(trust=slice(0, None, EVERY))
    figure = Figure(figsize=(9.0, 5.0), layout="constrained", dpi=110)
    axes = figure.subplots(2, len(MONTHS), sharex=True, sharey="row")
    for column, month in enumerate(MONTHS):
        ranks = ranks_of(panel, sr.Assumptions(), month, n_years=N_YEARS, n_draws=N_DRAWS)
        sector, trusts, _ = parts(ranks)
        p = p_of_independent(sector, N_DRAWS), p_of_years(trusts, N_DRAWS)
        print(f"month {month}: p = {p[0]:.3f} for the sector, {p[1]:.3f} for trusts")
        of_sector = histogram(sector, N_DRAWS, N_BINS) * N_BINS / N_YEARS
        counts = histogram(trusts, N_DRAWS, N_BINS)
        of_trusts = counts.mean(axis=0) * N_BINS / panel.sizes["trust"]
        draw(axes[0, column], of_sector, band_of_independent(), f"Sector, month {month}: p = {p[0]:.2f}")
        draw(axes[1, column], of_trusts, band_of_years(counts), f"Trusts, month {month}: p = {p[1]:.2f}")
    for row, reach in zip(axes, (0.6, 0.15), strict=True):
        row[0].set(ylabel="frequency, 1 expected", ylim=(1.0 - reach, 1.0 + reach))
    figure.supxlabel("rank of the true year end among the draws, 0 lowest, 1 highest", fontsize=9)
    figure.savefig(ROOT / "docs" / "sbc.png")


if __name__ == "__main__":
    main()
