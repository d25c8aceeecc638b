"""The fast path against its slow twin, draw by draw.

Tolerances follow from what the fast path is allowed to round. A latent Normal is made in single precision:
rounding u moves the Box–Muller radius r by 2^-24/r, below 6e-6 for r > .01 (all but 1 pair in 20,000), and
rounding the angle moves the Normal by 3e-6 at most, so `LATENT` = 1e-5 covers both. A marginal with quantile
Q(z) is read from a table of step h = 12/1024 by linear interpolation, which errs by h^2/8 |Q''|. So a quantity
is known to LATENT max|Q'| + h^2/8 max|Q''| over |z| < 4.5, times what one unit of it costs, and single precision
rounds the sums. For a trust that adds up to two or three millionths of its turnover. A Student t dependence is
read from a second table, of 1,024 cells in x = t/sqrt(nu + t^2), whose error is below 1e-4 of a Normal for
|t| < 6: `TAIL` takes the place of LATENT.

Gates are steps. Where a gate's outcome changes when pressure and cover are moved against each other by the
tolerance, either outcome is right, and since the pot is shared, so is everybody's support in that draw: such
draws are left out of comparisons that hold support, and there must be few of them.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import sector_risk as sr
from sector_risk import Assumptions, Marginal, Regime, Shares, SustainabilityFunding
from sector_risk.assumptions import CentralAction, Centre
from sector_risk.drivers import registered
from sector_risk.regimes import REGIMES
from twin import NOT_STATED, frozen, philox4x32, twin_forecast

N_DRAWS, SEED = 24, 7
ROUNDING = 2.0**-24
LATENT, TAIL = 1e-5, 1e-4
STEP = 12.0 / 1024
SHORT_POT = 82.0

SECTOR = REGIMES["2018-19"]


# --- cases ------------------------------------------------------------------------------------------------


def few_trusts():
    return sr.load_case("england-2018-19").isel(trust=slice(None, None, 15)).copy(deep=True)


def cyclic(panel, values):
    return ("trust", np.resize(values, panel.sizes["trust"]))


def mixed_panel():
    """Control totals on, below and above plan, some refused; funding and monthly plans with gaps."""
    panel = few_trusts().assign_coords(month=np.arange(1, 13))
    panel["control_total"] = panel["plan"] + cyclic(panel, [0.0, -6.0, 2.0, -3.0, 0.0])[1]
    panel["control_total_agreed"] = cyclic(panel, [True, True, True, True, False])
    panel["pay_award_funding"] = 0.025 * panel["pay_afc"].where(np.arange(panel.sizes["trust"]) % 3 > 0)
    plan_ytd = panel["plan"].values[:, None] * np.arange(1, 13) / 12 + 0.3
    plan_ytd[:, 11] = panel["plan"]
    plan_ytd[::2] = np.nan
    plan_ytd[1::4, 4:8] = np.nan
    panel["plan_ytd"] = (("trust", "month"), plan_ytd)
    return panel


def changed_assumptions():
    """A change in every group."""
    a = Assumptions()
    return Assumptions(
        efficiency=a.efficiency.replace(
            recurrent_ratio=Marginal.of("beta", a=9.0, b=2.0, scale=1.1),
            ask_effect=0.1,
            plan_gamma=1.8,
            recurrent_gamma=1.2,
            one_off_gamma=2.5,
            slippage_sd=0.3,
        ),
        pay=a.pay.replace(
            award_afc=0.031,
            budgeted_afc=0.012,
            funded_share_afc=0.8,
            own_award_afc=Marginal.of("norm", loc=0.001, scale=0.004),
            clawback_afc=0.15,
            month_afc=3,
            award_medical=0.015,
            budgeted_medical=0.005,
            own_award_medical=Marginal.of("uniform", loc=-0.004, scale=0.01),
            month_medical=10,
        ),
        deterioration=a.deterioration.replace(
            drift=Marginal.of("weibull_min", c=0.9),
            drift_base=0.004,
            drift_per_planned_deficit=0.12,
            headroom=0.005,
            season=(1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0),
            persistence=0.3,
            shock_sd=0.001,
        ),
        flexibility=a.flexibility.replace(
            amount=Marginal.of("lognorm", s=0.5, scale=0.012),
            deficit_effect=0.1,
            path=(0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
            keep_favourable=0.8,
            plan_season=(0.002, -0.001, 0.003, 0.0),
        ),
        dependence=a.dependence.replace(
            efficiency=Shares(sector=0.3, trust_type=0.2, system=0.1, region=0.1),
            pay_award=Shares(sector=0.2, trust_type=0.1, system=0.3, region=0.1),
            flexibility=Shares(sector=0.0, trust_type=0.0, system=0.4, region=0.6),
            run_rate_sector=0.4,
            sector_correlation=(
                (1.0, 0.2, -0.3, 0.4),
                (0.2, 1.0, 0.1, -0.2),
                (-0.3, 0.1, 1.0, 0.3),
                (0.4, -0.2, 0.3, 1.0),
            ),
        ),
        centre=Centre((CentralAction("risk reserve", 640.0, Marginal.of("norm", loc=1.0, scale=0.1)),)),
    )


def some_not_stated():
    panel = few_trusts()
    stated = np.arange(panel.sizes["trust"]) % 2 == 1
    return panel.assign_coords(system=panel["system"].where(stated, NOT_STATED))


def fund(**settings):
    return Regime("changed", (SustainabilityFunding(**settings),))


def with_tail(assumptions, nu):
    return assumptions.replace(dependence=assumptions.dependence.replace(tail_dof=nu))


def winter(z, panel):
    """Pressure from October on, a new Normal a month."""
    monthly = 0.001 * panel["turnover"][:, None, None] * z
    return np.concatenate([np.zeros_like(monthly), np.cumsum(monthly, axis=1)], axis=1).astype(np.float32)


WINTER_SHARES = Shares(sector=0.3, trust_type=0.1, system=0.2, region=0.1)
USER = Assumptions(drivers=("twin_winter",))

CASES = {
    "2018-19": lambda: (few_trusts(), Assumptions(), SECTOR),
    "none": lambda: (few_trusts(), Assumptions(), REGIMES["none"]),
    "tail": lambda: (few_trusts(), with_tail(Assumptions(), 4.0), SECTOR),
    "changed": lambda: (mixed_panel(), changed_assumptions(), SECTOR),
    "drawn acceptance, no catch-up": lambda: (
        mixed_panel(),
        changed_assumptions(),
        fund(
            acceptance="logit",
            acceptance_at_average=0.7,
            acceptance_slope=0.6,
            catch_up=False,
            weights=(0.4, 0.1, 0.2, 0.3),
        ),
    ),
    "short pot": lambda: (
        mixed_panel(),
        changed_assumptions(),
        fund(pot=SHORT_POT, finance_share=0.4, access_met=0.5),
    ),
    "pot below earnings": lambda: (mixed_panel(), changed_assumptions(), fund(pot=40.0)),
    "not stated": lambda: (some_not_stated(), changed_assumptions(), SECTOR),
    "user driver": lambda: (few_trusts(), USER, SECTOR),
}


def run(panel, assumptions, regime):
    """Fast and slow forecast with the tolerance of each trust and the draws in which no gate is in doubt."""
    sr.driver("twin_winter", items=6, shares=WINTER_SHARES, source="test")(winter)
    users = tuple(registered(assumptions.drivers))
    slow = twin_forecast(panel, assumptions, regime, n_draws=N_DRAWS, seed=SEED, user_drivers=users)
    fast = sr.simulate(panel, assumptions, regime, n_draws=N_DRAWS, seed=SEED)
    tolerance = money_tolerance(panel, assumptions)
    sure = ~gates_in_doubt(slow, assumptions.flexibility.keep_favourable, tolerance).any(axis=0)
    return SimpleNamespace(
        fast=fast,
        slow=slow,
        panel=panel,
        assumptions=assumptions,
        tolerance=tolerance,
        sure=sure,
        pays=bool(regime.rules),
    )


@cache
def compared(name):
    return run(*CASES[name]())


all_cases = pytest.mark.parametrize("name", CASES)


# --- tolerances -------------------------------------------------------------------------------------------


def value_error(marginal, latent):
    """Error of a value that is read from the table at a latent Normal known to `latent`."""
    z = np.linspace(-4.5, 4.5, 1801)
    slope = np.gradient(frozen(marginal).ppf(stats.norm.cdf(z)), z)
    return latent * np.abs(slope).max() + STEP**2 / 8 * np.abs(np.gradient(slope, z)).max()


def money_tolerance(panel, a):
    """Largest error of a trust's money that rounding and tables can make, GBP m."""
    latent = TAIL if a.dependence.tail_dof else LATENT
    T, K = panel["turnover"].values, panel["efficiency_plan"].values
    pay_afc, pay_medical = panel["pay_afc"].values, panel["pay_medical"].values
    deficit = np.maximum(-panel["plan"].values, 0.0)
    drift_scale = a.deterioration.drift_base * T + a.deterioration.drift_per_planned_deficit * deficit
    shocks = 12.0 / (1.0 - a.deterioration.persistence) * a.deterioration.shock_sd * T
    values = (
        (K, a.efficiency.recurrent_ratio),
        (K, a.efficiency.one_off_ratio),
        (pay_afc, a.pay.own_award_afc),
        (pay_medical, a.pay.own_award_medical),
        (drift_scale, a.deterioration.drift),
        (T, a.flexibility.amount),
    )
    from_values = sum(scale * value_error(marginal, latent) for scale, marginal in values)
    user = 0.006 * T * len(a.drivers)
    from_normals = latent * (K * a.efficiency.slippage_sd + user) + LATENT * shocks
    terms = 2.0 * K + 0.05 * (pay_afc + pay_medical) + 5.0 * drift_scale + 0.05 * T + deficit
    return from_values + from_normals + 4.0 * ROUNDING * terms


def variance(pressure, available, kappa):
    return np.where(pressure > 0, -(pressure - np.minimum(pressure, available)), -kappa * pressure)


def gates_in_doubt(slow, kappa, tolerance):
    """Agreed trusts and draws where pressure and cover, moved apart by the tolerance, flip a gate."""
    quarter_ends, by, gate = slice(2, None, 3), tolerance[:, None, None], slow["gate"][:, :, None]
    pressure, available = slow["pressure"][:, quarter_ends], slow["available"][:, quarter_ends]
    worst = variance(pressure + by, np.maximum(available - by, 0.0), kappa)
    best = variance(pressure - by, available + by, kappa)
    by_gate = 4.0 * ROUNDING * np.abs(gate)
    return slow["agreed"] & ((worst >= gate + by_gate) != (best >= gate - by_gate)).any(axis=1)


def support_tolerance(case):
    """A trust's support moves with its own variance and, through the shared pot, with everybody's."""
    rounding = 8.0 * ROUNDING * case.panel["support_allocation"].values.sum()
    return (case.tolerance + case.tolerance.sum() + rounding) * case.pays


def assert_within(actual, expected, tolerance):
    assert np.shape(actual) == np.shape(expected)
    excess = np.abs(np.asarray(actual, float) - expected) - tolerance
    beyond = (excess > 0.0).sum()
    assert not beyond, f"{beyond} of {excess.size} beyond tolerance, by up to {excess.max():.3g}"


# --- tests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_twin_philox_gives_the_known_answers_of_random123(counter, key, words):
    def numbers(text):
        return tuple(int(part, 16) for part in text.split())

    assert philox4x32(numbers(counter), numbers(key)) == numbers(words)


@all_cases
def test_trusts_agree_draw_by_draw(name):
    case = compared(name)
    by = case.tolerance[:, None]
    assert (case.tolerance < (3e-5 if name == "tail" else 5e-6) * case.panel["turnover"].values).all()
    assert list(case.fast["driver"].values) == list(case.slow["driver"])
    for variable in ("position_before_support", "one_off", "contribution"):
        assert_within(case.fast[variable].values, case.slow[variable], by)


@all_cases
def test_contributions_of_the_twin_explain_its_variance(name):
    case = compared(name)
    explained = case.slow["contribution"].sum(axis=0)
    np.testing.assert_allclose(explained, case.slow["variance"][:, 11], rtol=0, atol=1e-10)


@all_cases
def test_trusts_on_plan_are_exactly_on_plan_in_both(name):
    case = compared(name)
    by = case.tolerance[:, None]
    pressure, available = case.slow["pressure"][:, 11], case.slow["available"][:, 11]
    covered = (pressure > by) & (pressure < available - 2.0 * by)
    assert covered.mean() > 0.1
    assert (case.slow["variance"][:, 11][covered] == 0.0).all()
    plan = case.panel["plan"].values.astype(np.float32)[:, None]
    assert (case.fast["position_before_support"].values == plan)[covered].all()


@all_cases
def test_support_agrees_where_no_gate_is_in_doubt(name):
    case = compared(name)
    assert case.sure.mean() > (0.5 if name == "tail" else 0.75)
    by = support_tolerance(case)[:, None]
    assert_within(case.fast["support"].values[:, case.sure], case.slow["support"][:, case.sure], by)
    by = by + case.tolerance[:, None]
    assert_within(case.fast["position"].values[:, case.sure], case.slow["position"][:, case.sure], by)


@all_cases
def test_sector_agrees(name):
    case = compared(name)
    fast, slow, sure = case.fast, case.slow, case.sure
    by = 2.0 * case.tolerance.sum() + 1e-4 * case.pays  # the pot's total is the same whoever gets it
    for variable in ("sector_position", "gross_deficit"):
        assert_within(fast[variable].values[sure], slow[variable][sure], by)
    assert_within(fast["sector_ytd"].values[:, sure], slow["sector_ytd"][:, sure], by)
    assert_within(fast["sector_efficiency_delivered"].values, slow["sector_efficiency_delivered"], by)
    assert_within(fast["sector_plan_ytd"].values, slow["sector_plan_ytd"], 1e-9)


@all_cases
def test_number_in_deficit_agrees_but_for_trusts_on_the_edge(name):
    case = compared(name)
    by = (case.tolerance + support_tolerance(case))[:, None]
    on_the_edge = (np.abs(case.slow["position"] + 0.005) <= by).sum(axis=0)[case.sure]
    assert on_the_edge.sum() <= 3
    fast, slow = case.fast["deficit_count"].values, case.slow["deficit_count"]
    assert_within(fast[case.sure], slow[case.sure], on_the_edge)


@all_cases
def test_central_actions_and_whole_nhs_agree(name):
    case = compared(name)
    by = np.array([a.planned * value_error(a.delivery, LATENT) for a in case.assumptions.centre.actions])
    assert_within(case.fast["central_action"].values, case.slow["central_action"], by[:, None] + 1e-4)
    by = by.sum() + 2.0 * case.tolerance.sum() + 1e-3
    assert_within(case.fast["nhs_position"].values[case.sure], case.slow["nhs_position"][case.sure], by)


def beaten(slow):
    """What agreed trusts beat their year-end totals by."""
    by = np.maximum(slow["variance"][:, 11] - slow["gate"][:, 3:], 0.0)
    return np.where(slow["agreed"], by, 0.0).sum(axis=0)


def test_cases_reach_what_they_are_there_for():
    names = ("changed", "short pot", "drawn acceptance, no catch-up")
    full, short, drawn = (compared(name).slow for name in names)
    assert {-1.0, 0.0, 1.0} == set(np.sign(full["gate"][:, 3]))
    assert 0.05 < (full["pressure"][:, 11] < 0.0).mean() < 0.95
    assert 0.2 < drawn["agreed"].mean() < 0.95
    left = SHORT_POT - short["earned"].sum(axis=(0, 1))
    assert ((left > 0.0) & (beaten(short) > left)).any()
    assert (beaten(short) < left).any()
    assert (beaten(full) < full["support"].sum(axis=0) - full["earned"].sum(axis=(0, 1))).any()
    most_without_catch_up = np.outer(compared("changed").panel["support_allocation"], SECTOR.rules[0].weights)
    assert (full["earned"] > 1.01 * most_without_catch_up[:, :, None]).any()


def test_draws_of_a_later_block_agree():
    panel, first_draw = few_trusts(), 1020
    slow = twin_forecast(panel, Assumptions(), SECTOR, n_draws=10, seed=SEED, first_draw=first_draw)
    fast = sr.simulate(panel, Assumptions(), SECTOR, n_draws=first_draw + 10, seed=SEED)
    fast = fast.isel(draw=slice(first_draw, None))
    by = money_tolerance(panel, Assumptions())[:, None]
    assert_within(fast["position_before_support"].values, slow["position_before_support"], by)
