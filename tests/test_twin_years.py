"""Several years and their rules against their slow twin, draw by draw.

Both sides make every number from the same words, the fast one in single precision and from tables. A year of one
trust is then known to at most 5 millionths of its turnover (see test_twin), GBP 0.003m for the largest trust here, and
typically to a tenth of that; the next year opens from it, so that errors add up over years as steps of a random walk
do. `NEAR_MONEY` = GBP 0.002m, a fifth of what reports round to, holds them for five years; with a Student t dependence,
whose table is ten times coarser and whose extremes are wider, `TAIL` times that does.

Gates, ranks and scores are steps: where a number passes its threshold by less than rounding can move it, either
outcome is right, and the draw's later years follow from it. The twin keeps the closest call of each draw up to each
year. A draw is compared up to the first year in which it came nearer to a threshold than the tolerance of money, or
1e-4 of a score: until then both must agree everywhere, statuses to the digit, and most draws must last to the end.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

import sector_risk as sr
from sector_risk import Assumptions, Marginal, Regime, Shares, regimes
from sector_risk.drivers import registered
from sector_risk.regimes import REGIMES
from twin import NOT_STATED, group, normal, read_world, twin_forecast, word
from twin_rules import NEAR_MONEY, NEAR_SCORE, PENNIES
from twin_years import growth_to, in_year, project_twin

YEARS, N_DRAWS, SEED = 5, 16, 11
TAIL = 15.0  # times what rounding can move without a Student t dependence
TO_SCALE = 0.04  # of the sector's turnover, about what the trusts here have
CHOSEN = [0, 4, 5, 7, 9, 10, 12, 15]

MONEY = (
    "position",
    "position_before_support",
    "variance",
    "underlying",
    "debt",
    "interest",
    "reset_plan",
    "turnaround_position",
    "administrative_savings_central",
    "central_effect",
    "sector_contribution",
    "sector_efficiency_delivered",
)
STATUS = (
    "left_control_totals",
    "turnaround_chosen",
    "finance_score",
    "segment",
    "programme_status",
    "reviewed",
)
SCORE = "average_score"


# --- panels -----------------------------------------------------------------------------------------------


def eight_trusts(year="2018-19"):
    """Systems of three, two and one trust; two trusts whose system is not stated; three regions."""
    panel = sr.load_case("england-2018-19").isel(trust=slice(None, None, 15)).isel(trust=CHOSEN).copy(deep=True)
    panel = panel.assign_coords(
        trust=[f"ZZ{i + 1}" for i in range(8)],
        system=("trust", ["A", "B", NOT_STATED, "A", "C", "B", NOT_STATED, "A"]),
        region=("trust", ["London", "Midlands", "London", "South West", "Midlands", "London", "Midlands", "London"]),
    )
    panel.attrs["year"] = year
    return panel


def on_trusts(*values):
    return ("trust", np.array(values))


GAP = np.nan


def known_panel(year="2018-19"):
    """Everything optional that rules read, with gaps where the document says what stands in for them."""
    panel = eight_trusts(year)
    panel["control_total"] = panel["plan"] + np.array([0.0, 1.5, 0.0, -2.0, 0.0, 0.0, 0.5, 0.0])
    panel["control_total_agreed"] = on_trusts(True, True, True, True, False, True, True, True)
    panel["debt"] = on_trusts(54.0, 83.0, 12.0, GAP, 20.0, 0.0, 5.0, 30.0)
    panel["loan_rate"] = on_trusts(0.06, 0.035, GAP, GAP, 0.015, 0.035, GAP, 0.02)
    panel["activity_income_share"] = on_trusts(0.7, 0.6, GAP, 0.5, 0.65, 0.1, GAP, 0.05)
    panel["mff_change"] = on_trusts(0.01, -0.004, 0.002, 0.0, -0.01, 0.005, 0.0, -0.002)
    panel["inequality_index"] = on_trusts(30.0, 12.0, GAP, 18.0, 40.0, 22.0, 8.0, 28.0)
    panel["segment"] = on_trusts(4.0, 3.0, 5.0, 2.0, 4.0, 1.0, GAP, GAP)
    panel["capability"] = on_trusts(4.0, 3.0, GAP, 2.0, 3.6, GAP, 4.0, GAP)
    panel["governance_failure"] = on_trusts(False, False, False, True, False, False, False, False)
    return panel


def without_allocations(panel):
    """Deficit support then follows the planned deficits."""
    panel["support_allocation"] = 0.0 * panel["support_allocation"]
    panel["control_total_agreed"] = panel["support_allocation"] > 0.0
    return panel


# --- assumptions and regimes ------------------------------------------------------------------------------


def changed_assumptions():
    """Shared factors in every driver, tails, and outlooks that change from year to year."""
    a = Assumptions()
    return Assumptions(
        efficiency=a.efficiency.replace(ask_effect=0.1, slippage_sd=0.3, plan_gamma=1.8),
        pay=a.pay.replace(own_award_medical=Marginal.of("uniform", loc=-0.004, scale=0.01), month_afc=3),
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
        outlook=a.outlook.replace(
            full_year_effect=0.25,
            other_one_off=0.006,
            allocation_growth=(0.06, 0.02, 0.03, 0.05, 0.01),
            cost_inflation=(0.03, 0.04, 0.02, 0.03, 0.03),
            demand_growth=(0.02, 0.0, 0.03, 0.01, 0.02),
            sector_sd=0.006,
            trust_sd=0.012,
            efficiency_floor=0.014,
            efficiency_cap=0.045,
        ),
    )


def with_tail(assumptions, nu):
    return assumptions.replace(dependence=assumptions.dependence.replace(tail_dof=nu))


def winter(z, panel):
    """Pressure from October on, a new Normal a month."""
    monthly = 0.001 * panel["turnover"][:, None, None] * z
    return np.concatenate([np.zeros_like(monthly), np.cumsum(monthly, axis=1)], axis=1).astype(np.float32)


WINTER_SHARES = Shares(sector=0.3, trust_type=0.1, system=0.2, region=0.1)


def scaled(table, share=TO_SCALE):
    return {label: share * amount for label, amount in table.items()}


def to_scale(regime, **changes):
    """The regime with money for eight trusts; `changes` are settings by rule."""

    def changed(rule):
        amounts = {
            "sustainability_funding": lambda: {"into_prices": scaled(rule.into_prices)},
            "financial_recovery_fund": lambda: {"pots": scaled(rule.pots)},
            "administrative_savings": lambda: {
                "providers": TO_SCALE * rule.providers,
                "commissioners": TO_SCALE * rule.commissioners,
            },
            "payment_reform": lambda: {"inequality_pot": TO_SCALE * rule.inequality_pot},
            "accelerated_turnaround": lambda: {"trusts": 2},
            "deficit_support": lambda: {"pot": TO_SCALE * rule.pot},
            "improvement_programme": lambda: {"places": 2},
        }
        return rule.replace(**amounts.get(rule.name, dict)() | changes.get(rule.name, {}))

    return Regime("to scale", tuple(changed(rule) for rule in regime.rules))


def review_and_predecessor():
    """Rules of different years together; what others pay counts in loans and turnaround."""
    return Regime(
        "mixed",
        (
            regimes.QuarterOneReview(per_region=1, threshold=0.0005),
            regimes.DeficitSupport(pot=60.0, tolerance=0.001, first_review=2, taper={"2019-20": 0.8, "2021-22": 0.4}),
            regimes.OversightFramework(),
            regimes.ImprovementProgramme.predecessor().replace(**PREDECESSOR),
            regimes.AcceleratedTurnaround(trusts=3, first_year="2020-21", months_to_work=9),
            regimes.DistressLoans(distressed_below=0.02, repayment=0.4),
        ),
    )


def drawn_control_totals():
    """Control totals accepted by chance, a fund with a schedule and a pot, and a recovery fund that ends them early."""
    fund = regimes.SustainabilityFunding(
        acceptance="logit",
        acceptance_at_average=0.7,
        acceptance_slope=0.6,
        finance_share=0.4,
        access_met=0.5,
        pot=60.0,
        schedule={"2018-19": 1.0, "2019-20": 0.6, "2021-22": 0.2},
        into_prices={"2019-20": 12.0, "2021-22": 5.0},
    )
    recovery = regimes.FinancialRecoveryFund(
        pots={"2018-19": 20.0, "2019-20": 45.0, "2021-22": 15.0},
        system_share={"2019-20": 0.4, "2021-22": 1.0},
        agreement=0.7,
        tariff_efficiency=0.025,
        ends_control_totals="2018-19",
    )
    return Regime("drawn", (fund, recovery))


def oversight_alone():
    """No support: plans for balance are missed, deficits alone make the override, and the centre pays."""
    programme = regimes.ImprovementProgramme(paid_by="centre", **PROGRAMME)
    return Regime("alone", (regimes.OversightFramework(), programme))


def predecessor_alone():
    """Governance fails, but entry is by segment 4 alone."""
    predecessor = regimes.ImprovementProgramme.predecessor().replace(**PREDECESSOR | {"governance_failure": 0.3})
    return Regime("alone", (regimes.OversightFramework(), predecessor))


def with_good_governance(panel):
    panel["governance_failure"] = panel["governance_failure"] & False
    return panel


PROGRAMME = {"places": 3, "patience": 2, "cost": 2.5, "low_capability": 0.6, "governance_failure": 0.1}
PREDECESSOR = {"places": 3, "patience": 2, "cost": 2.5, "governance_failure": 0.0}
SOON = {
    "administrative_savings": {
        "years": 3,
        "delivery": 0.2,
        "delivery_sd": 0.4,
        "providers": 40.0,
        "commissioners": 30.0,
    },
    "payment_reform": {"years": 2, "inequality_pot": 30.0},
}

CASES = {
    "none": lambda: (eight_trusts(), Assumptions(), REGIMES["none"]),
    "2018-19": lambda: (eight_trusts(), Assumptions(), REGIMES["2018-19"]),
    "2019-20": lambda: (eight_trusts(), Assumptions(), REGIMES["2019-20"]),
    "2019-20, to scale": lambda: (known_panel(), Assumptions(), to_scale(REGIMES["2019-20"])),
    "2019-20, from its own year": lambda: (known_panel("2019-20"), Assumptions(), to_scale(REGIMES["2019-20"], **SOON)),
    "2025-26": lambda: (known_panel("2025-26"), Assumptions(), REGIMES["2025-26"]),
    "2025-26, little known": lambda: (eight_trusts("2025-26"), Assumptions(), REGIMES["2025-26"]),
    "2025-26, to scale": lambda: (
        without_allocations(known_panel("2025-26")),
        Assumptions(),
        to_scale(REGIMES["2025-26"], improvement_programme=PROGRAMME, deficit_support={"pot": 40.0}),
    ),
    "oversight alone": lambda: (known_panel("2025-26"), Assumptions(), oversight_alone()),
    "predecessor alone": lambda: (known_panel("2025-26"), Assumptions(), predecessor_alone()),
    "mixed": lambda: (with_good_governance(known_panel()), Assumptions(), review_and_predecessor()),
    "drawn control totals": lambda: (known_panel(), Assumptions(), drawn_control_totals()),
    "changed": lambda: (known_panel(), changed_assumptions(), to_scale(REGIMES["2019-20"])),
    "tail": lambda: (known_panel(), with_tail(changed_assumptions(), 4.0), to_scale(REGIMES["2019-20"])),
    "user driver": lambda: (eight_trusts(), Assumptions(drivers=("twin_winter",)), REGIMES["2018-19"]),
}


@cache
def made(name):
    sr.driver("twin_winter", items=6, shares=WINTER_SHARES, source="test")(winter)
    panel, assumptions, regime = CASES[name]()
    return SimpleNamespace(panel=panel, assumptions=assumptions, regime=regime, care=TAIL if name == "tail" else 1.0)


@cache
def slow(name):
    case = made(name)
    users = tuple(registered(case.assumptions.drivers))
    return project_twin(case.panel, case.assumptions, case.regime, YEARS, range(N_DRAWS), SEED, users)


@cache
def fast(name):
    case = made(name)
    return sr.project(case.panel, case.assumptions, case.regime, years=YEARS, n_draws=N_DRAWS, seed=SEED)


def sure(name):
    """Draws that have had no call too close in any year so far: (year, draw)."""
    return slow(name)["closest_call"] > made(name).care


all_cases = pytest.mark.parametrize("name", CASES)


def values(dataset, variable):
    return dataset[variable].transpose("year", ..., "draw").values


def assert_agree(name, variable, actual, expected, tolerance):
    """Where the draw is sure; noughts of tolerance ask for the same number."""
    assert actual.shape == expected.shape
    where = np.broadcast_to(sure(name) if expected.ndim == 2 else sure(name)[:, None, :], expected.shape)
    gap = np.where(where, np.abs(actual.astype(float) - expected), 0.0)
    at = np.unravel_index(np.argmax(gap), gap.shape)
    said = f"{variable}: {(gap > tolerance).sum()} of {where.sum()} beyond tolerance; worst at {at}"
    assert gap[at] <= tolerance, f"{said}: {actual[at]} is not {expected[at]}"


# --- fast against slow ------------------------------------------------------------------------------------


@all_cases
def test_most_draws_are_sure_to_the_last_year(name):
    assert sure(name)[-1].mean() > (0.3 if name == "tail" else 0.6)


@all_cases
def test_years_funds_drivers_and_turnover_are_the_same(name):
    project, twin = fast(name), slow(name)
    assert [*project["year"].values] == twin["years"]
    assert [*project["driver"].values] == twin["drivers"]
    np.testing.assert_allclose(project["turnover"].values, twin["turnover"], rtol=1e-6)
    if twin["support"]:
        assert [*project["fund"].values] == [*twin["support"]]


@all_cases
def test_money_agrees_draw_by_draw(name):
    twin = slow(name)
    for variable in (v for v in MONEY if v in twin):
        assert_agree(name, variable, values(fast(name), variable), twin[variable], made(name).care * NEAR_MONEY)


@all_cases
def test_support_agrees_by_fund(name):
    for fund, expected in slow(name)["support"].items():
        actual = fast(name)["support_by_fund"].sel(fund=fund).transpose("year", "trust", "draw")
        assert_agree(name, fund, actual.values, expected, made(name).care * NEAR_MONEY)


@all_cases
def test_statuses_are_the_same(name):
    twin = slow(name)
    for variable in (v for v in STATUS if v in twin):
        assert_agree(name, variable, values(fast(name), variable), twin[variable], 0.0)
    if SCORE in twin:
        assert_agree(name, SCORE, values(fast(name), SCORE), twin[SCORE], NEAR_SCORE)


@pytest.mark.filterwarnings("ignore:.*acts in none of the years")
@all_cases
def test_first_year_of_a_projection_is_the_forecast_to_the_bit(name):
    case = made(name)
    forecast = sr.simulate(case.panel, case.assumptions, case.regime, n_draws=N_DRAWS, seed=SEED)
    first = fast(name).isel(year=0)
    for variable in ("position", "position_before_support", "variance"):
        np.testing.assert_array_equal(first[variable].transpose("trust", "draw"), forecast[variable])


# --- the twin itself --------------------------------------------------------------------------------------


def of_one_year(name):
    case = made(name)
    users = tuple(registered(case.assumptions.drivers))
    return twin_forecast(case.panel, case.assumptions, case.regime, n_draws=N_DRAWS, seed=SEED, user_drivers=users)


@pytest.mark.parametrize("name", ["none", "2018-19", "user driver"])
def test_first_year_of_the_twin_is_its_one_year_to_the_bit(name):
    one, many = of_one_year(name), slow(name)
    for variable in ("position", "position_before_support", "underlying"):
        np.testing.assert_array_equal(many[variable][0], one[variable])
    np.testing.assert_array_equal(many["variance"][0], one["variance"][:, 11])


def pots(name):
    """Most that each fund of a case may pay in each year."""
    case, labels = made(name), slow(name)["years"]
    allocated = case.panel["support_allocation"].values.sum()
    for rule in case.regime.rules:
        if rule.name == "sustainability_funding":
            share = [rule.schedule.at(label) if rule.schedule else 1.0 for label in labels]
            share = [each / (share[0] or 1.0) for each in share]
            yield rule.name, np.array(share) * (allocated if rule.pot is None else rule.pot)
        elif rule.name == "financial_recovery_fund":
            yield rule.name, np.array([rule.pots.at(label) for label in labels])
        elif rule.name == "deficit_support":
            taper = [rule.taper.at(label) if rule.taper and y else 1.0 for y, label in enumerate(labels)]
            yield rule.name, np.array(taper) * rule.pot


@all_cases
def test_funds_of_the_twin_never_pay_more_than_their_pots(name):
    twin, most = slow(name), dict(pots(name))
    assert [*most] == [*twin["support"]]
    for fund, paid in twin["support"].items():
        assert (paid >= 0.0).all()
        assert (paid.sum(axis=1) <= most[fund][:, None] + 1e-9).all()


@all_cases
def test_every_pound_of_the_twins_funds_is_in_a_position(name):
    twin = slow(name)
    paid = sum(twin["support"].values(), np.zeros_like(twin["position"]))
    np.testing.assert_allclose(twin["position"] - twin["position_before_support"], paid, rtol=0, atol=1e-9)
    np.testing.assert_allclose(twin["position_before_support"] - twin["plan"], twin["variance"], rtol=0, atol=1e-9)


@all_cases
def test_underlying_position_of_the_twin_follows_from_its_contributions(name):
    """Savings delivered are those planned plus their contributions to the variance."""
    case, outlook = made(name), made(name).assumptions.outlook
    s = case.panel["efficiency_recurrent_share"].values
    for i, past in enumerate(slow(name)["draws"]):
        for y, now in enumerate(past):
            K, T = np.array(now.K), np.array(now.T)
            part = {key: np.array([year.contribution[key] for year in now.years]) for key in now.years[0].contribution}
            recurrent = K * s + part["efficiency_recurrent"]
            not_back = part["one_off"] + K * (1.0 - s) + part["efficiency_one_off"] + outlook.other_one_off * T
            U = np.array(now.position_before_support) - not_back + outlook.full_year_effect * recurrent
            np.testing.assert_allclose(slow(name)["underlying"][y, :, i], U, rtol=0, atol=1e-9)


def test_without_rules_the_twin_opens_from_the_underlying_position_and_plans_for_balance():
    name = "none"
    case, twin, o = made(name), slow(name), made(name).assumptions.outlook
    world = read_world(case.panel, case.assumptions, SEED)
    for y, t, d in np.ndindex(twin["position"].shape):
        if y == 0:
            continue
        T = world.turnover[t] * growth_to(o, y)
        F = normal(SEED, "outlook", d, group("sector"), 0, y)
        z = normal(SEED, "outlook", d, world.trust[t], 0, y)
        growth = in_year(o.allocation_growth, y) - in_year(o.cost_inflation, y) - in_year(o.demand_growth, y)
        O = twin["underlying"][y - 1, t, d] + T * (growth + o.sector_sd * F + o.trust_sd * z)  # noqa: E741
        K = np.clip(-O - o.other_one_off * T, o.efficiency_floor * T, o.efficiency_cap * T)
        assert twin["efficiency_plan"][y, t, d] == pytest.approx(K, abs=1e-9)
        assert twin["plan"][y, t, d] == pytest.approx(O + o.other_one_off * T + K, abs=1e-9)


def test_years_have_words_of_their_own():
    words = {word(SEED, "run_rate", 3, "ZZ1", k, y) for k in range(12) for y in range(5)}
    assert len(words) == 60


def test_last_value_of_an_outlook_holds_on():
    assert [in_year((0.1, 0.2), y) for y in (1, 2, 3, 4)] == [0.1, 0.2, 0.2, 0.2]


def test_chosen_for_turnaround_are_the_worst_in_deficit():
    twin = slow("2019-20, to scale")
    for y, d in np.ndindex(twin["turnaround_position"].shape):
        position, chosen = twin["position"][y, :, d], twin["turnaround_chosen"][y, :, d] == 1.0
        worst = [t for t in np.argsort(position, kind="stable") if position[t] < -PENNIES][:2]
        assert sorted(worst) == [*np.flatnonzero(chosen)]
        assert twin["turnaround_position"][y, d] == pytest.approx(position[chosen].sum())


def test_debts_of_the_twin_grow_by_deficits_and_fall_by_part_of_surpluses():
    name = "2019-20, to scale"
    twin = slow(name)
    loans = next(rule for rule in made(name).regime.rules if rule.name == "distress_loans")
    before = np.nan_to_num(made(name).panel["debt"].values)[:, None]
    for y in range(YEARS):
        p = twin["position"][y]
        after = before - np.minimum(before, loans.repayment * np.maximum(p, 0.0)) + np.maximum(-p, 0.0)
        np.testing.assert_allclose(twin["debt"][y], after, rtol=0, atol=1e-9)
        before = after


def openings(regime, y):
    made = project_twin(known_panel(), Assumptions(), regime, y + 1, range(3), SEED)
    return np.array([past[y].O for past in made["draws"]])


def test_payment_reform_moves_money_but_makes_none():
    reform = next(rule for rule in to_scale(REGIMES["2019-20"]).rules if rule.name == "payment_reform")
    as_volatile = Regime("reform", (reform.replace(activity_part=0.0),))
    moved = openings(as_volatile, 1) - openings(REGIMES["none"], 1)
    assert np.abs(moved).max() > 0.1
    np.testing.assert_allclose(moved.sum(axis=1), 0.0, atol=1e-9)


def test_cases_reach_what_they_are_there_for():
    programme = slow("2025-26, to scale")["programme_status"]
    assert {0.0, 1.0, 2.0, 3.0, 4.0} == set(np.unique(programme))
    scaled_2019 = slow("2019-20, to scale")
    recovery = scaled_2019["support"]["financial_recovery_fund"]
    assert (recovery[1:] > 0.0).any(axis=(1, 2)).all()
    assert (recovery[0] == 0.0).all()
    assert 0.0 < scaled_2019["left_control_totals"][-1].mean() < 1.0
    assert 0.05 < slow("mixed")["reviewed"].mean() < 0.95
    withheld = slow("mixed")["support"]["deficit_support"] < slow("mixed")["planned_support"] - 1e-9
    assert 0.05 < withheld.mean() < 0.95
    assert slow("mixed")["central_effect"].min() < 0.0 < slow("changed")["central_effect"].max()
    assert {1.0, 2.0, 3.0, 4.0} == set(np.unique(slow("mixed")["finance_score"]))
    entered = slow("oversight alone")["programme_status"]
    assert (entered > 0.0).any(axis=(1, 2)).all()
    assert 0.0 < (slow("predecessor alone")["programme_status"] > 0.0).mean() < 0.9
    drawn = slow("drawn control totals")
    assert (drawn["left_control_totals"][0] == 1.0).any()
    assert (drawn["support"]["sustainability_funding"] > 0.0).any(axis=(1, 2)).all()
