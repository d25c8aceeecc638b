"""Control totals and sustainability funding for a block of draws.

Per quarter q an agreed trust earns, when its year-to-date position meets the control total (gate),

    E_q = A finance_share (w_q + what was missed before) + A (1 - finance_share) w_q [standard met]

At the year end what the pot has left goes to agreed trusts that met their total: pound for pound for
the amount by which they beat it, then in proportion to their allocations. A pot that is smaller than
what trusts earned pays all earnings at the same rate.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step
from sector_risk.kernels.funds import draw_flag
from sector_risk.kernels.random import YEAR, fill_words
from sector_risk.kernels.rows import add_to

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


class Funding(NamedTuple):
    """Settings of the fund in one year and what it knows of each trust (T trusts)."""

    hashes: NDArray[np.uint32]  # (T, 2)
    access_key: NDArray[np.uint32]  # (2,) stream of the access standard, items are quarters
    agreed_key: NDArray[np.uint32]  # (2,) stream of acceptance
    allocation: NDArray[np.float32]  # (T,) A
    gap: NDArray[np.float32]  # (4, T) control total less plan, year to date: the gate on the variance
    agreed: NDArray[np.float32]  # (T,) probability that the trust agreed its control total
    access_met: np.float32  # probability that the access standard is met in a quarter
    weights: NDArray[np.float32]  # (4,) share of the allocation earned in each quarter
    finance_share: np.float32
    catch_up: np.float32  # 1: missed quarters are earned when the gate is met later, 0: lost
    pot: np.float64


@step
def _flag_below(word: Any, probability: Any, flag: Any) -> None:
    limit = np.float64(probability) * 4294967296.0
    for j in range(flag.size):
        flag[j] = _ONE if np.float64(word[j]) < limit else _ZERO


@step
def _times(factor: Any, row: Any) -> None:
    for j in range(row.size):
        row[j] *= factor[j]


@step
def _gate(variance: Any, gap: Any, agreed: Any, gate: Any) -> None:
    for j in range(gate.size):
        gate[j] = agreed[j] if variance[j] >= gap else _ZERO


@step
def _earn(allocation: Any, weight: Any, fund: Any, gate: Any, access: Any, missed: Any, earned: Any) -> None:
    """One quarter: `missed` is the unpaid share of the quarters before."""
    finance, keep = fund.finance_share, fund.catch_up
    for j in range(earned.size):
        share = finance * (weight + missed[j]) + (_ONE - finance) * weight * access[j]
        earned[j] += allocation * gate[j] * share
        missed[j] = keep * (_ONE - gate[j]) * (missed[j] + weight)


@step
def _quarters(i: Any, fund: Any, quarter_variance: Any, words: Any, rows: Any, agreed: Any, earned: Any) -> None:
    """Earnings of trust i over the year; `agreed` becomes whether it also met its total at the year end."""
    access, gate, missed = rows[0], rows[1], rows[2]
    missed[:] = _ZERO
    earned[:] = _ZERO
    for q in range(4):
        _flag_below(words[q], fund.access_met, access)
        _gate(quarter_variance[q, i], fund.gap[q, i], agreed, gate)
        _earn(fund.allocation[i], fund.weights[q], fund, gate, access, missed, earned)
    agreed[:] = gate


@step
def _claims(allocation: Any, gap: Any, variance: Any, met: Any, beat: Any, general: Any) -> None:
    """Add what a trust may claim at the year end: pounds beaten, and its allocation."""
    for j in range(variance.size):
        beat[j] += met[j] * (variance[j] - gap)
        general[j] += met[j] * allocation


@step
def _distribute(pot: Any, paid: Any, beat: Any, general: Any) -> None:
    """Turn totals into rates: share of earnings paid, pounds a pound beaten, pounds a pound of allocation."""
    for j in range(beat.size):
        left = max(pot - paid[j], 0.0)
        bonus = min(left, beat[j])
        paid[j] = min(pot / paid[j], 1.0) if paid[j] > 0.0 else 1.0
        beat[j] = bonus / beat[j] if beat[j] > 0.0 else 0.0
        general[j] = (left - bonus) / general[j] if general[j] > 0.0 else 0.0


@step
def _ration(share: Any, support: Any) -> None:
    for j in range(support.size):
        support[j] = np.float32(share[j] * support[j])


@step
def _collect(allocation: Any, gap: Any, variance: Any, met: Any, beat: Any, general: Any, support: Any) -> None:
    for j in range(variance.size):
        support[j] += np.float32(met[j] * (beat[j] * (variance[j] - gap) + general[j] * allocation))


@kernel
def sustainability_block(
    fund: Any, year: Any, first_draw: Any, control_total: Any, quarter_variance: Any, support: Any
) -> None:
    """Pay the fund of one year in one block.

    Parameters
    ----------
    fund
        See `Funding`.
    year, first_draw : int
    control_total : float32 array, shape (T, B)
        1 for trusts under control totals, 0 for others, which earn nothing.
    quarter_variance : float32 array, shape (4, T, B)
        Year-to-date variance to plan before support at months 3, 6, 9, 12.
    support : float32 array, shape (T, B)
        Written: what each trust is paid in the year.
    """
    _, n_trusts, n = quarter_variance.shape
    words, rows = np.empty((4, n), np.uint32), np.empty((3, n), np.float32)
    met = np.empty((n_trusts, n), np.float32)
    paid, beat, general = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(n_trusts):
        draw_flag(fund.agreed_key, fund.hashes[i], year * YEAR, first_draw, fund.agreed[i], met[i])
        _times(control_total[i], met[i])
        fill_words(fund.access_key, fund.hashes[i], year * YEAR, first_draw, words)
        _quarters(i, fund, quarter_variance, words, rows, met[i], support[i])
        add_to(paid, support[i])
        _claims(fund.allocation[i], fund.gap[3, i], quarter_variance[3, i], met[i], beat, general)
    _distribute(fund.pot, paid, beat, general)
    for i in range(n_trusts):
        row = support[i]
        _ration(paid, row)
        _collect(fund.allocation[i], fund.gap[3, i], quarter_variance[3, i], met[i], beat, general, row)


@step
def _add_times(amount: Any, share: Any, row: Any) -> None:
    for j in range(row.size):
        row[j] += amount * share[j]


@kernel
def plan_block(amount: Any, control_total: Any, planned_support: Any) -> None:
    """Add each trust's expected support (T,) to what plans count on, where it is under control totals (T, B)."""
    for i in range(amount.size):
        _add_times(amount[i], control_total[i], planned_support[i])
