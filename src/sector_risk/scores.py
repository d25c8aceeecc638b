"""Scores of forecasts that are draws: how near and how wide (CRPS, WIS), and whether chances hold (PIT, coverage).

Draws are (..., n) and outcomes (...), in any unit; a point forecast is one draw. The formulas are scoringrules'.
"""

from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sector_risk.kernels.random import label_hashes, stream_key, words_block

F64 = NDArray[np.float64]
INTERVALS = (0.5, 0.8, 0.9, 0.95)
"""Central intervals whose coverage is counted."""
WIS_INTERVALS = INTERVALS[:3]
BINS = 10
TIES = 200
"""How many times ties are broken at random."""


def scoringrules() -> ModuleType:
    """Import scoringrules, or say which extra brings it."""
    try:
        import scoringrules as library
    except ImportError as error:
        raise ImportError("scores need scoringrules: pip install 'sector-risk[scores]'") from error
    return library


def crps(draws: ArrayLike, outcome: ArrayLike) -> F64:
    """Continuous ranked probability score of draws, nought at best.

    CRPS = E|X - y| - E|X - X'| / 2 of the distribution that puts 1/n on each draw (Gneiting and Raftery 2007). That of
    a point forecast is its absolute error.

    Parameters
    ----------
    draws : array (..., n)
    outcome : array (...)

    Returns
    -------
    array (...)
        In the unit of the outcome.

    Raises
    ------
    ImportError
        If scoringrules is not installed.

    Examples
    --------
    >>> crps([[0.0, 1.0], [5.0, 5.0]], [3.0, 3.0])
    array([2.25, 2.  ])
    """
    given, came = np.atleast_2d(np.asarray(draws, float)), np.atleast_1d(np.asarray(outcome, float))
    return np.asarray(scoringrules().crps_ensemble(came, given, backend="numba"))


def weighted_interval_score(draws: ArrayLike, outcome: ArrayLike) -> F64:
    """Weighted interval score of the median and the central 50, 80 and 90% intervals, nought at best.

    WIS = (|y - m| / 2 + sum over alpha of alpha/2 IS_alpha) / (K + 1/2), with IS_alpha the width of the interval plus
    2/alpha times how far the outcome is outside (Bracher et al. 2021). That of a point forecast is its absolute error.

    Parameters
    ----------
    draws : array (..., n)
    outcome : array (...)

    Returns
    -------
    array (...)
        In the unit of the outcome.

    Raises
    ------
    ImportError
        If scoringrules is not installed.

    Examples
    --------
    >>> weighted_interval_score([[1.0], [3.0]], [3.0, 3.0])
    array([2., 0.])
    """
    given, came = np.atleast_2d(np.asarray(draws, float)), np.atleast_1d(np.asarray(outcome, float))
    alpha = 1.0 - np.array(WIS_INTERVALS)
    lower, upper = quantiles(given, alpha / 2), quantiles(given, 1.0 - alpha / 2)
    median = quantiles(given, [0.5])[..., 0]
    # The numpy backend of scoringrules 0.10 leaves the outcome out of the median's term.
    return np.asarray(scoringrules().weighted_interval_score(came, median, lower, upper, alpha, backend="numba"))


def quantiles(draws: ArrayLike, levels: ArrayLike) -> F64:
    """Order statistics of draws at levels, (..., level): what many draws share, such as nought, stays what it is.

    Examples
    --------
    >>> quantiles([[0.0, 0.0, 3.0, 4.0]], [0.5, 0.75])
    array([[0., 3.]])
    """
    found = np.quantile(np.asarray(draws, float), np.asarray(levels) - 1e-12, axis=-1, method="inverted_cdf")
    return np.moveaxis(found, 0, -1)


def covered(draws: ArrayLike, outcome: ArrayLike, intervals: ArrayLike = INTERVALS) -> NDArray[np.bool_]:
    """Whether the outcome is in each central interval of the draws, ends included, (..., interval).

    Examples
    --------
    >>> covered([[0.0, 0.0, 0.0, 4.0]], [0.0], [0.5])
    array([[ True]])
    """
    half, came = np.asarray(intervals) / 2, np.asarray(outcome, float)[..., None]
    inside = (quantiles(draws, 0.5 - half) <= came) & (came <= quantiles(draws, 0.5 + half))
    return np.asarray(inside)


def pit_bounds(draws: ArrayLike, outcome: ArrayLike) -> tuple[F64, F64]:
    """Lowest and highest value of the probability integral transform of each outcome, (...) each.

    With b of n draws below the outcome and e equal to it: b / (n + 1) and (b + e + 1) / (n + 1). A value drawn evenly
    between them is uniform where the outcome is one more draw, whatever share of draws are equal (Czado et al. 2009).

    Examples
    --------
    >>> lowest, highest = pit_bounds([[-1.0, 0.0, 0.0]], [0.0])
    >>> float(lowest[0]), float(highest[0])
    (0.25, 1.0)
    """
    given, came = np.asarray(draws, float), np.asarray(outcome, float)[..., None]
    n = given.shape[-1]
    below, equal = (given < came).sum(axis=-1), (given == came).sum(axis=-1)
    return below / (n + 1), (below + equal + 1) / (n + 1)


def pit(draws: ArrayLike, outcome: ArrayLike, labels: list[str], *, seed: int = 0, stream: str = "pit") -> F64:
    """Probability integral transform, at random between its bounds: uniform if the draws are right.

    Parameters
    ----------
    draws : array (unit, n)
    outcome : array (unit)
    labels : list of str
        A name for each unit: its random numbers depend on seed, stream and name alone.
    seed : int
        Not negative.
    stream : str
        Name of the stream: another one for each forecast of the same units.

    Returns
    -------
    array (unit, 200)
        From 0 to 1, 200 times over; low where the outcome is worse than most draws.

    Examples
    --------
    >>> values = pit([[-1.0, 0.0, 0.0]] * 2, [0.0, -2.0], ["ZZ1", "ZZ2"])
    >>> bool((values[0] >= 0.25).all()), bool((values[1] <= 0.25).all())
    (True, True)
    """
    low, high = pit_bounds(draws, outcome)
    words = np.empty((len(labels), 4, TIES), np.uint32)
    words_block(stream_key(seed, stream), label_hashes(labels), 0, 0, words)
    return np.asarray(low[:, None] + (high - low)[:, None] * (words[:, 0] + 0.5) / 2.0**32)


def pit_p_value(values: ArrayLike) -> float:
    """P-value of the Kolmogorov-Smirnov test that PIT values are uniform: the median over the ways to break ties.

    Where many outcomes share an atom, such as "on plan", one way to break ties says little: the p-value of another may
    be many times as high. The test takes units to be independent.

    Parameters
    ----------
    values : array (unit, ties)
        From `pit`.

    Examples
    --------
    >>> even = (np.arange(50) + 0.5)[:, None] / 50
    >>> pit_p_value(even), pit_p_value(np.full((50, 1), 0.5)) < 1e-6
    (1.0, True)
    """
    return float(np.median(stats.kstest(np.asarray(values, float), "uniform", axis=0).pvalue))


def pit_p_value_shared(draws: ArrayLike, values: ArrayLike, seed: int = 0) -> float:
    """P-value of the same distance from uniform where units share causes, and so miss together.

    Each draw in turn is taken for what came: the p-value is the share of draws whose PIT values are as far from uniform
    as those of the outcomes. Ties are broken at random.

    Parameters
    ----------
    draws : array (unit, n)
        Joint draws: a column is one way in which all units may turn out.
    values : array (unit, ties)
        PIT of what came; the p-value is the median over the ways to break ties.
    seed : int
        Of the ties among draws.

    Examples
    --------
    >>> together = np.tile(np.arange(100.0), (50, 1))
    >>> values = np.full((50, 1), 0.2)
    >>> pit_p_value(values) < 1e-6, pit_p_value_shared(together, values) > 0.3
    (True, True)
    """
    given = np.asarray(draws, float)
    ties = np.random.default_rng(seed).random(given.shape)
    order = np.lexsort((ties, given), axis=1)
    ranks = np.argsort(order, axis=1)
    far = ks_distance((ranks + 0.5) / given.shape[1])
    came = ks_distance(np.asarray(values, float))
    return float(np.median((1 + (far[:, None] >= came).sum(axis=0)) / (1 + len(far))))


def ks_distance(values: F64) -> F64:
    """Kolmogorov-Smirnov distance from uniform of each column of values (unit, column), (column).

    Examples
    --------
    >>> ks_distance(np.array([[0.25], [0.75]]))
    array([0.25])
    """
    ascending, n = np.sort(values, axis=0), len(values)
    steps = np.arange(n)[:, None] / n
    return np.asarray(np.maximum(ascending - steps, steps + 1 / n - ascending).max(axis=0))


def pit_histogram(values: ArrayLike) -> F64:
    """Count PIT values (unit, ties) in ten equal bins: the mean over the ways to break ties, (bin).

    Examples
    --------
    >>> pit_histogram([[0.05, 0.05], [0.07, 0.17], [1.0, 1.0]])
    array([1.5, 0.5, 0. , 0. , 0. , 0. , 0. , 0. , 0. , 1. ])
    """
    given = np.asarray(values, float)
    return np.histogram(given, BINS, (0.0, 1.0))[0] / given.shape[1]


def pit_band(n: int) -> tuple[int, int]:
    """95% band of the count in one of the ten bins, if n values are uniform and independent.

    Examples
    --------
    >>> pit_band(58)
    (2, 11)
    """
    low, high = stats.binom.ppf([0.025, 0.975], n, 1 / BINS)
    return int(low), int(high)


def on_plan_as_nought(values: ArrayLike, on_plan: float) -> F64:
    """Variances with those that count as on plan at nought; `values` and `on_plan` in the same unit.

    Reports are rounded, and a trust that is on plan may publish a hundredth of a per cent. Draws have an atom at
    exactly nought. Both must say "on plan" in one way, or the atom would be scored as a miss by a rounding error.

    Examples
    --------
    >>> on_plan_as_nought([0.01, -0.02, 0.03], 0.02)
    array([0.  , 0.  , 0.03])
    """
    given = np.asarray(values, float)
    return np.where(np.abs(given) <= on_plan * (1.0 + 1e-6), 0.0, given)
