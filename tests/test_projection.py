"""Several years: the same first year, the same bits however it is run, and identities that hold draw by draw."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import sector_risk as sr
from sector_risk.milestones import LONG_TERM_PLAN, SectorPath, all_in_balance, count_halved, sector_in_balance
from sector_risk.regimes import PreparedRule
from sector_risk.settings import assumption

N = 60


@pytest.fixture(scope="module")
def panel():
    return sr.load_case("england-2018-19").isel(trust=slice(0, 40))


@pytest.fixture(scope="module")
def path(panel):
    return sr.project(panel, regime="2019-20", years=5, n_draws=N, seed=3)


def same_bits(a, b):
    assert set(a.variables) == set(b.variables)
    for name in a.variables:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=str(name))


@pytest.mark.parametrize("regime", ["none", "2018-19"])
def test_the_first_year_is_the_forecast(panel, regime):
    forecast = sr.simulate(panel, regime=regime, n_draws=N, seed=3)
    first = sr.project(panel, regime=regime, years=3, n_draws=N, seed=3).isel(year=0)
    shared = set(first.data_vars) & set(forecast.data_vars) - {"turnover"}
    assert {"position", "underlying", "support", "deficit_count", "sector_position"} <= shared
    for name in shared:
        np.testing.assert_array_equal(first[name].values, forecast[name].values, err_msg=name)
    total = forecast["contribution"].astype(float).sum("trust")
    np.testing.assert_allclose(first["sector_contribution"].values, total.values, atol=1e-6)


@pytest.mark.parametrize("how", [{"threads": 1}, {"threads": 3}, {"block_size": 7}, {"block_size": 1000}])
def test_threads_and_blocks_change_no_bit(panel, path, how):
    same_bits(path, sr.project(panel, regime="2019-20", years=5, n_draws=N, seed=3, **how))


def test_more_draws_and_more_years_keep_what_was_there(panel, path):
    more = sr.project(panel, regime="2019-20", years=6, n_draws=N + 25, seed=3)
    kept = more.isel(draw=slice(N), year=slice(5))
    same_bits(path.drop_dims("milestone"), kept.drop_dims("milestone"))


def test_a_subset_of_trusts_has_the_same_path_without_rules_across_trusts(panel):
    whole = sr.project(panel, regime="none", years=4, n_draws=N, seed=3)
    few = panel.isel(trust=[7, 3, 20])
    part = sr.project(few, regime="none", years=4, n_draws=N, seed=3)
    for name in ("position", "underlying", "variance"):
        np.testing.assert_array_equal(part[name].values, whole[name].sel(trust=few["trust"]).values)


def test_positions_add_up(path):
    support = path["position"].astype(float) - path["position_before_support"]
    np.testing.assert_allclose(support, path["support"], atol=2e-4)
    np.testing.assert_allclose(path["support_by_fund"].sum("fund"), path["support"], atol=1e-4)
    total = path["position"].astype(float).sum("trust")
    np.testing.assert_allclose(total, path["sector_position"], rtol=1e-9)
    np.testing.assert_array_equal((path["position"] < -0.005).sum("trust"), path["deficit_count"])
    drivers = path["sector_contribution"].sum("driver")
    np.testing.assert_allclose(drivers, path["variance"].astype(float).sum("trust"), atol=0.01)


def quiet_assumptions():
    """Growth without noise and nothing that goes beyond plan, so that years follow by hand."""
    a = sr.Assumptions()
    exact = sr.Marginal.of("uniform", loc=1.0, scale=1e-9)
    none = sr.Marginal.of("uniform", loc=0.0, scale=1e-9)
    return a.replace(
        efficiency=a.efficiency.replace(recurrent_ratio=exact, one_off_ratio=exact, ask_effect=0.0, slippage_sd=0.0),
        pay=a.pay.replace(
            own_award_afc=none, own_award_medical=none, award_afc=0.01, award_medical=0.01, clawback_afc=0.0
        ),
        deterioration=a.deterioration.replace(
            drift_base=0.0, drift_per_planned_deficit=0.0, headroom=0.0, shock_sd=0.0
        ),
        outlook=a.outlook.replace(sector_sd=0.0, trust_sd=0.0),
    )


def test_years_by_hand(panel):
    """On plan every year: next opening = plan - planned one-offs - other + full-year effect + growth; then the plan."""
    a = quiet_assumptions()
    path = sr.project(panel, a, "none", years=3, n_draws=2, seed=0)
    o, T = a.outlook, panel["turnover"].values
    K, P, s = panel["efficiency_plan"].values, panel["plan"].values, panel["efficiency_recurrent_share"].values
    for year in range(3):
        got = path.isel(year=year, draw=1)
        np.testing.assert_allclose(got["position"], P, atol=2e-3)
        U = P - K * (1 - s) - o.other_one_off * T + o.full_year_effect * K * s
        np.testing.assert_allclose(got["underlying"], U, atol=2e-3)
        T = T * 1.05
        opening = U + T * (0.05 - 0.049 - 0.024)
        wanted = -(opening + o.other_one_off * T) / T
        K = T * np.clip(wanted, o.efficiency_floor, o.efficiency_cap)
        P = opening + o.other_one_off * T + K


def test_a_rule_that_is_off_changes_no_number(panel, path):
    regime = sr.REGIMES["2019-20"]
    off = {
        "accelerated_turnaround": {"trusts": 0},
        "administrative_savings": {"providers": 0.0, "commissioners": 0.0},
        "payment_reform": {"inequality_pot": 0.0, "activity_part": 0.0},
    }
    for name, settings in off.items():
        without = sr.project(panel, regime=regime.without(name), years=5, n_draws=N, seed=3)
        idle = sr.project(panel, regime=regime.replace(name, **settings), years=5, n_draws=N, seed=3)
        for variable in without.data_vars:
            np.testing.assert_array_equal(without[variable].values, idle[variable].values, err_msg=f"{name} {variable}")


@pytest.mark.parametrize(
    ("name", "late"),
    [
        ("financial_recovery_fund", {"pots": {"2021-22": 1500.0}}),
        ("administrative_savings", {"first_year": "2021-22"}),
        ("payment_reform", {"first_year": "2021-22"}),
        ("accelerated_turnaround", {"first_year": "2022-23"}),
    ],
)
def test_a_rule_outside_its_years_changes_no_number(panel, name, late):
    regime = sr.REGIMES["2019-20"]
    without = sr.project(panel, regime=regime.without(name), years=3, n_draws=N, seed=3)
    waiting = sr.project(panel, regime=regime.replace(name, **late), years=4, n_draws=N, seed=3).isel(year=slice(3))
    for variable in set(without.data_vars) - {"support_by_fund", "milestone_met"}:
        np.testing.assert_array_equal(without[variable].values, waiting[variable].values, err_msg=variable)


def test_funds_pay_at_most_their_pots(panel, path):
    paid = path["support_by_fund"].astype(float).sum("trust").max("draw")
    pot = float(panel["support_allocation"].sum())
    shares = np.array([1.0, 0.51, 0.0, 0.0, 0.0])
    assert (paid.sel(fund="sustainability_funding") <= pot * shares * (1 + 1e-6)).all()
    pots = np.array([0.0, 1050.0, 2000.0, 1500.0, 1000.0])
    assert (paid.sel(fund="financial_recovery_fund") <= pots * (1 + 1e-6)).all()
    assert float(path["support_by_fund"].min()) >= 0.0


def test_turnaround_chooses_the_worst_of_each_draw(case):
    path = sr.project(case, regime="2019-20", years=2, n_draws=40, seed=5)
    for year in range(2):
        position = path["position"].isel(year=year).values
        chosen = path["turnaround_chosen"].isel(year=year).values
        for d in range(position.shape[1]):
            worst = np.argsort(position[:, d], kind="stable")[:30]
            assert set(np.flatnonzero(chosen[:, d])) == set(worst)
        sums = np.where(chosen, position.astype(float), 0.0).sum(axis=0)
        np.testing.assert_allclose(path["turnaround_position"].isel(year=year), sums, rtol=1e-6)


def test_the_thirty_worst_account_for_the_net_deficit(case):
    """Story of January 2019: about the net deficit of the sector, or more."""
    path = sr.project(case, regime="2019-20", years=2, n_draws=400, seed=0).isel(year=0)
    share = float(path["turnaround_position"].mean() / path["sector_position"].mean())
    assert share > 0.9


def test_milestones_of_a_path_by_hand():
    years = ("2018-19", "2019-20", "2020-21")
    position = np.array([[-5.0, -5.0, -5.0], [-6.0, -4.0, -6.0], [0.0, -0.004, -1.0]])
    count = np.array([[10, 10, 10], [5, 5, 6], [0, 3, 0]])
    path = SectorPath(years, position, count)
    assert count_halved(path, "2019-20").tolist() == [True, True, False]
    assert sector_in_balance(path, "2020-21").tolist() == [True, True, False]
    assert all_in_balance(path, "2020-21").tolist() == [True, False, True]
    both = LONG_TERM_PLAN[1].met(path, "2019-20")
    assert both.tolist() == [True, False, False]


def test_milestones_beyond_the_years_are_named(panel, path):
    assert path["milestone"].values.tolist() == [m.name for m in LONG_TERM_PLAN[:3]]
    assert path.attrs["milestones_beyond"] == LONG_TERM_PLAN[3].name
    late = sr.project(panel.assign_attrs(year="2030-31"), regime="none", years=2, n_draws=5)
    assert "milestone_met" not in late


def test_bad_settings_are_one_report(panel):
    with pytest.raises(sr.InputError) as report:
        sr.project(panel, regime="none", years=0, n_draws=0, seed=-1)
    assert {fault.variable for fault in report.value.faults} == {"years", "n_draws", "seed"}


def test_a_rule_that_would_never_act_is_refused(panel):
    with pytest.raises(sr.InputError, match="financial_recovery_fund"):
        sr.project(panel, regime="2019-20", years=1, n_draws=5)


@dataclass(frozen=True)
class Levy(sr.Rule):
    """A rule of the user's that pays what it is told."""

    name: ClassVar[str] = "levy"
    pays: ClassVar[bool] = True
    amount: float = assumption(0.0, unit="GBP m", meaning="payment", source="test", confidence="G")
    pays_as: ClassVar[str] = "levy"

    def prepare(self, context):
        return PreparedLevy(self.amount, self.pays_as)


class PreparedLevy(PreparedRule):
    def __init__(self, amount, pays_as):
        self.amount, self.pays_as = amount, pays_as

    def after_year(self, block):
        block.paid[self.pays_as][:] = self.amount if self.amount < 99 else np.nan


@pytest.mark.parametrize("amount", [-1.0, 99.0])
def test_a_rule_of_ones_own_cannot_pay_less_than_nought(panel, amount):
    with pytest.raises(ValueError, match="'levy' must pay nought or more"):
        sr.project(panel, regime=sr.Regime("mine", (Levy(amount=amount),)), years=2, n_draws=5)


def test_a_payment_under_another_name_is_explained(panel):
    class Mistaken(Levy):
        pays_as: ClassVar[str] = "levi"

    with pytest.raises(KeyError, match="pays under its own name"):
        sr.simulate(panel, regime=sr.Regime("mine", (Mistaken(),)), n_draws=5)


def test_a_milestone_of_no_year_is_refused():
    with pytest.raises(sr.InputError, match="mine: must be a financial year \\('2019/20'\\)"):
        sr.Milestone("mine", "2019/20", sector_in_balance)


@pytest.mark.parametrize(
    "met", [lambda path, year: 1.0, lambda path, year: path.position[0], lambda path, year: path.position >= 0.0]
)
def test_a_milestone_gives_a_flag_a_draw(panel, met):
    mine = sr.Milestone("mine", "2019-20", met)
    with pytest.raises(ValueError, match=r"milestone 'mine' must give flags \(bool\) of shape \(5,\)"):
        sr.project(panel, regime="none", years=2, n_draws=5, milestones=(mine,))


class Looking(Levy):
    """Pays by what it finds before the plan is made."""

    name: ClassVar[str] = "looking"

    def prepare(self, context):
        return PreparedLooking()


class PreparedLooking(PreparedRule):
    def before_plan(self, block):
        block.paid["looking"][:] = np.maximum(-block.plan - block.position - block.quarter_variance[3], 0)


def test_what_a_rule_finds_does_not_depend_on_the_block(panel):
    regime = sr.Regime("mine", (Looking(),))
    whole = sr.project(panel, regime=regime, years=2, n_draws=12)
    same_bits(whole, sr.project(panel, regime=regime, years=2, n_draws=12, threads=1, block_size=3))


class Meddling(PreparedRule):
    def before_plan(self, block):
        block.turnover *= 2


class Lost(PreparedRule):
    def before_year(self, block):
        block.delivery[:] = np.nan


@pytest.mark.parametrize(
    ("prepared", "message"), [(Meddling, "read-only"), (Lost, "not finite; rules that acted: own")]
)
def test_rules_that_break_a_run_are_found_out(panel, prepared, message):
    @dataclass(frozen=True)
    class Own(sr.Rule):
        name: ClassVar[str] = "own"

        def prepare(self, context):
            return prepared()

    with pytest.raises(ValueError, match=message):
        sr.simulate(panel, regime=sr.Regime("mine", (Own(),)), n_draws=5)


def test_a_2019_20_panel_has_its_own_allocations(panel):
    """The schedule says how the fund goes on from there, and the year's regime is the default."""
    later = panel.assign_attrs(year="2019-20")
    path = sr.project(later, years=2, n_draws=5)
    assert path.attrs["regime"].startswith('{"name": "2019-20"')
    paid = path["support_by_fund"].sel(fund="sustainability_funding").astype(float).sum("trust")
    np.testing.assert_allclose(paid.isel(year=0), float(panel["support_allocation"].sum()), rtol=1e-6)
    assert float(paid.isel(year=1).max()) == 0


def test_an_unknown_regime_is_in_the_one_report(panel):
    with pytest.raises(sr.InputError) as report:
        sr.project(panel, regime="2019-2020", years=99, n_draws=0)
    assert len(report.value.faults) == 3


def test_interest_without_opening_debt_is_said(path):
    assert "The panel gives no debt" in path.attrs["notes"]
