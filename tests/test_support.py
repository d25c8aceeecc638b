"""Control totals and sustainability funding: a case worked by hand, conservation, identities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sector_risk as sr
from sector_risk.regimes import Block

# Three trusts with an allocation of 10 each, one of them refused its control total.
PANEL = {
    "plan": np.array([-5.0, -5.0, -5.0]),
    "control_total": np.array([-5.0, -4.0, -5.0]),
    "support_allocation": np.array([10.0, 10.0, 10.0]),
    "control_total_agreed": np.array([1.0, 1.0, 0.0]),
    "ask": np.array([4.0, 4.0, 8.0]),
    "sector_ask": np.array([5.0, 5.0, 5.0]),
}
CODES = ["A", "B", "C"]


def pay(variance, rule, panel=PANEL, seed=0):
    """Support (trust, draw) for given quarterly variances (quarter, trust, draw)."""
    variance = np.asarray(variance, np.float32)
    _, n_trusts, n = variance.shape
    support = np.zeros((n_trusts, n), np.float32)
    prepared = rule.prepare(CODES[:n_trusts], panel, seed)
    prepared.apply(Block(0, variance, np.zeros((n_trusts, n), np.float32), support))
    return support


def missed_at_year_end(n, variance):
    """Variance of one trust that meets its total in three quarters and not in the last, so no year-end payment."""
    quarters = np.full((4, 1, n), variance)
    quarters[3] = -1.0
    return quarters


def test_worked_by_hand():
    """A is on plan but in quarter 2, when it is 1 behind; B needs 1 more than plan by the year end and has 3."""
    rule = sr.SustainabilityFunding(access_met=1.0)
    a, b, c = [0, -1, 0, 0], [0, 0.5, 0.75, 3.0], [9, 9, 9, 9]
    support = pay(np.array([a, b, c]).T[:, :, None], rule)[:, 0]
    # A: 1.5 + 0 + (3 + .7 of the missed 2.0) + 3.5 = 9.4.
    # B: gate .25 is missed in quarter 1; then 2 + .7 * 1.5 + 3 + 3.5 = 9.55.
    # Left in the pot: 30 - 9.4 - 9.55 = 11.05. A beats its total by 0, B by 2: bonus 2; the other 9.05 in halves.
    np.testing.assert_allclose(support, [9.4 + 4.525, 9.55 + 2 + 4.525, 0], rtol=1e-6)


def test_without_catch_up_missed_quarters_are_lost_to_the_year_end():
    rule = sr.SustainabilityFunding(access_met=1.0, catch_up=False, pot=10.0)
    panel = {name: values[:1] for name, values in PANEL.items()}
    support = pay(np.array([[-1, -1, -1, 0]]).T[:, :, None], rule, panel)
    # Earned 3.5 in quarter 4; the pot's other 6.5 come back as general distribution to the only trust.
    np.testing.assert_allclose(support, [[10.0]], rtol=1e-6)
    # A pot of 4 has only .5 left for it.
    support = pay(
        np.array([[-1, -1, -1, 0]]).T[:, :, None],
        sr.SustainabilityFunding(access_met=1.0, catch_up=False, pot=4.0),
        panel,
    )
    np.testing.assert_allclose(support, [[4.0]], rtol=1e-6)


def test_access_standard_takes_its_share():
    n = 20_000
    panel = {name: values[:1] for name, values in PANEL.items()}
    never = sr.SustainabilityFunding(access_met=0.0)
    np.testing.assert_allclose(pay(missed_at_year_end(5, 0.0), never, panel), 6.5 * 0.7, rtol=1e-6)
    often = pay(missed_at_year_end(n, 0.0), sr.SustainabilityFunding(access_met=0.78), panel)
    # Mean .65 * (7 + 3 * .78); variance 3^2 * .78 * .22 * sum of squared weights.
    sd = 3 * np.sqrt(0.78 * 0.22 * (0.15**2 + 0.2**2 + 0.3**2))
    assert often.mean() == pytest.approx(0.65 * 9.34, abs=4 * sd / np.sqrt(n))


def test_acceptance_follows_the_ask():
    rule = sr.SustainabilityFunding(acceptance="logit", access_met=1.0)
    probability = rule.agreed(PANEL)
    assert probability[0] == probability[1] > 0.85 > probability[2]
    n = 20_000
    support = pay(np.repeat(missed_at_year_end(n, 5.0), 3, axis=1), rule)
    share = (support > 0).mean(axis=1)
    assert np.abs(share - probability).max() < 4 * np.sqrt(0.25 / n)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pot=st.one_of(st.none(), st.floats(0, 60)),
    finance=st.floats(0, 1),
    catch_up=st.booleans(),
    spread=st.floats(0, 30),
)
def test_money_is_conserved(seed, pot, finance, catch_up, spread):
    """Payments are never negative nor above the pot, and use it up when anyone qualifies at the year end."""
    rule = sr.SustainabilityFunding(finance_share=finance, catch_up=catch_up, pot=pot)
    variance = np.random.default_rng(seed).normal(0, spread, (4, 3, 40)).astype(np.float32)
    support = pay(variance, rule, seed=seed).astype(float)
    assert (support >= 0).all()
    assert (support[2] == 0).all()
    total, limit = support.sum(axis=0), 30.0 if pot is None else pot
    assert (total <= limit * (1 + 1e-6)).all()
    gap = np.array([0.0, 1.0])[:, None]
    anyone = (variance[3, :2] >= gap).any(axis=0)
    np.testing.assert_allclose(total[anyone], limit, rtol=1e-5, atol=1e-6)


def test_fund_pays_its_pot_in_the_forecast(forecast, case):
    total = forecast["support"].astype(float).sum("trust")
    pot = float(case["support_allocation"].sum())
    assert float(total.max()) <= pot * (1 + 1e-6)
    np.testing.assert_allclose(total, pot, rtol=1e-6)
    difference = forecast["sector_position"] - forecast["sector_position_before_support"]
    np.testing.assert_allclose(difference, total, rtol=1e-5)


def test_refusers_get_nothing(forecast, case):
    refused = ~case["control_total_agreed"].astype(bool)
    assert float(forecast["support"].where(refused, drop=True).max()) == 0


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        sr.SustainabilityFunding(weights=(0.5, 0.5, 0.5, 0.5), finance_share=2.0, pot=-1.0, acceptance="maybe")
    assert len(report.value.faults) == 4


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.2, 0.2, 0.2, 0.2, 0.2), (1.5, -0.5, 0.0, 0.0)])
def test_weights_are_four_shares(weights):
    with pytest.raises(sr.InputError, match="weights are four"):
        sr.SustainabilityFunding(weights=weights)
