"""A pot that closes the smallest gaps first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sector_risk.kernels.share_out import smallest_first_block


def pay(pot, gaps):
    paid = np.array(gaps, np.float32).reshape(len(gaps), -1)
    smallest_first_block(float(pot), paid)
    return paid


def test_by_hand():
    """12 closes 2, 3 and 5; the other 2 go to gaps of 10 and 30 in proportion."""
    np.testing.assert_allclose(pay(12, [10, 3, 0, 30, 2, 5])[:, 0], [0.5, 3, 0, 1.5, 2, 5], rtol=1e-6)
    np.testing.assert_allclose(pay(50, [10, 3, 0, 30, 2, 5])[:, 0], [10, 3, 0, 30, 2, 5])


def test_equal_gaps_are_treated_alike():
    np.testing.assert_allclose(pay(7, [4, 1, 4])[:, 0], [3, 1, 3], rtol=1e-6)
    np.testing.assert_allclose(pay(0, [4, 1, 4])[:, 0], [0, 0, 0])


def slow(pot, gaps):
    """The rule once more, by brute force: the greatest limit below which all gaps fit."""
    limits = [c for c in [*gaps, np.inf] if sum(g for g in gaps if g < c) <= pot]
    limit = max(limits)
    closed = sum(g for g in gaps if g < limit)
    others = sum(g for g in gaps if g >= limit)
    rate = (pot - closed) / others if others else 1.0
    return [g if g < limit else rate * g for g in gaps]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pot=st.one_of(st.just(0.0), st.floats(1e-6, 200)),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 70)),
    step=st.sampled_from([0.01, 5.0]),
)
def test_same_as_brute_force_and_money_is_conserved(seed, pot, shape, step):
    rng = np.random.default_rng(seed)
    gaps = (np.round(rng.gamma(0.5, 8.0, shape) / step) * step * (rng.random(shape) < 0.6)).astype(np.float32)
    paid = pay(pot, gaps)
    assert (paid >= 0).all()
    assert (paid <= gaps).all()
    assert (paid.astype(float).sum(axis=0) <= pot).all()
    for d in range(0, shape[1], 13):
        np.testing.assert_allclose(paid[:, d], slow(pot, gaps[:, d].astype(float).tolist()), rtol=1e-5, atol=1e-5)
