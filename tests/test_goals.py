"""Switching values against plain sorts; goals that are sought, against simulating what was found."""

import gc
import weakref
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

import sector_risk as sr
from hand_made import hand_made
from sector_risk.assumptions import Assumptions
from sector_risk.faults import InputError
from sector_risk.goals import LEVERS, Lever, goal_seek, switching_value
from sector_risk.goals.levers import delivery, fund_size, with_delivery, with_fund_size, with_pay_funding
from sector_risk.goals.switching import sums_needed
from sector_risk.kernels.reduce import BALANCE
from sector_risk.regimes import REGIMES, PreparedRule, Regime, Rule
from sector_risk.scenarios import Scenario
from sector_risk.settings import ByYear, assumption
from sector_risk.summary import summarise
from sector_risk.units import position_of, units_of

SECTOR = "Provider sector"
LEAST = -float(BALANCE)
DRAWS = 400


@pytest.fixture(scope="module")
def few(case):
    return case.isel(trust=slice(None, None, 8))


@pytest.fixture(scope="module")
def base(few):
    return Scenario(few)


@pytest.fixture(scope="module")
def of_few(base):
    return base.forecast(n_draws=DRAWS, seed=3)


def with_position(forecast, position):
    """A forecast whose trusts have other positions, (trust, draw)."""
    position = np.asarray(position, np.float32)
    total = position.sum(axis=0, dtype=float)
    return forecast.assign(
        position=(("trust", "draw"), position), sector_position=("draw", total), nhs_position=("draw", total + 1.0)
    )


@pytest.fixture(scope="module")
def normal(of_few):
    """Independent Normal positions with mean -3 and sd 2 at every trust."""
    shape = of_few["position"].shape
    return with_position(of_few, np.random.default_rng(1).normal(-3.0, 2.0, shape))


# --- switching values


@pytest.mark.parametrize("p", [0.07, 0.25, 0.5, 0.9, 0.9975, 1.0 / DRAWS])
def test_a_switching_value_is_the_least_sum_that_is_enough(of_few, p):
    found = switching_value(of_few, p)["switching_value"].sel(probability=p)
    units = units_of(of_few)
    assert list(found["unit"].values) == list(units.unit)
    assert set(units.level) == {"trust", "region", "trust_type", "system", "sector", "nhs"}
    for unit, value in zip(units.unit, found.values, strict=True):
        if unit in of_few["trust"].values:
            position = of_few["position"].sel(trust=unit).values.astype(float)
        else:
            position = position_of(of_few, unit, "test")
        enough = int(np.ceil(p * DRAWS - 1e-9))
        assert (position + value >= LEAST).sum() >= enough, unit
        less = value - 1e-9 * (1.0 + abs(value))
        assert (position + less >= LEAST).sum() < enough, unit


def test_a_sum_is_enough_to_the_last_digit():
    """Where a position is small, subtracting and adding do not give the same number back."""
    position = 0.005 * np.random.default_rng(6).normal(size=(3000, 7))
    needed, _ = sums_needed(position, np.array([0.5]))
    fourth = np.sort(position)[:, 3:4]
    assert (fourth + (LEAST - fourth) < LEAST).any()
    assert (fourth + needed >= LEAST).all()
    assert (abs(needed - (LEAST - fourth)) <= np.spacing(0.01)).all()


def test_trusts_without_a_stated_system_are_in_no_unit_but_their_own(few):
    panel = few.drop_vars("system").assign_coords(system=("trust", ["A", "", "B", ""] * 7 + ["A"]))
    forecast = sr.simulate(panel, n_draws=50)
    found = switching_value(forecast)["switching_value"]
    assert sorted(found["unit"].values[found["level"].values == "system"]) == ["A", "B"]
    total = forecast["position"].values[panel["system"].values == "A"].sum(axis=0, dtype=float)
    assert float(found.sel(unit="A")[0]) == pytest.approx(LEAST - np.sort(total)[-25], abs=1e-9)


def test_switching_values_of_normal_positions_have_a_closed_form(normal):
    found = switching_value(normal, (0.2, 0.5, 0.95))
    for p in (0.2, 0.5, 0.95):
        want = 3.0 + 2.0 * stats.norm.ppf(p) + LEAST
        at = found.sel(probability=p)
        error = 2.0 * np.sqrt(p * (1 - p) / DRAWS) / stats.norm.pdf(stats.norm.ppf(p))
        trusts = at["switching_value"].values[at["level"].values == "trust"]
        np.testing.assert_allclose(trusts, want, atol=5.0 * error)
        np.testing.assert_allclose(
            at["switching_value_se"].values[at["level"].values == "trust"].mean(), error, rtol=0.2
        )


def test_errors_of_switching_values_are_those_of_other_draws(of_few):
    rng = np.random.default_rng(2)
    shape = (of_few.sizes["trust"], DRAWS)
    seen = [switching_value(with_position(of_few, rng.gamma(2.0, 3.0, shape) - 8.0), 0.8) for _ in range(100)]
    at = {name: np.array([s[name].sel(unit=SECTOR).item() for s in seen]) for name in seen[0]}
    ratio = at["switching_value"].std(ddof=1) / at["switching_value_se"].mean()
    assert 1.0 - 4 / np.sqrt(200) < ratio < 1.0 + 4 / np.sqrt(200)


def test_headroom_is_negative_and_more_certainty_needs_more(of_few):
    safe = with_position(of_few, of_few["position"].values + 1000.0)
    found = switching_value(safe, (0.5, 0.9, 0.99))["switching_value"]
    assert (found < 0.0).all()
    assert (found.diff("probability") >= 0.0).all()


def test_switching_values_describe_themselves(of_few):
    found = switching_value(of_few, 0.5)
    assert found["switching_value"].attrs["units"] == "GBP million"
    assert "headroom negative" in found["switching_value"].attrs["sign"]
    assert found.attrs == of_few.attrs
    assert all(found[name].attrs["long_name"] for name in found.variables)


@pytest.mark.parametrize(
    "p", [0.0, 1.0, -0.1, np.nan, (), (0.5, 1.0), [[0.5]], "0.5", "half", None, [0.5, "0.9"], True]
)
def test_what_is_no_probability_is_refused(of_few, p):
    with pytest.raises(InputError, match="above 0 and below 1"):
        switching_value(of_few, p)


def test_what_is_no_whole_forecast_is_refused(of_few, few):
    with pytest.raises(InputError) as error:
        switching_value(of_few.drop_vars("nhs_position"), 2.0)
    assert {fault.variable for fault in error.value.faults} == {"nhs_position", "probability"}
    masked = of_few["position"].where(of_few["draw"] > 0)
    with pytest.raises(InputError, match="not finite"):
        switching_value(of_few.assign(position=masked))
    with pytest.raises(InputError, match="selection"):
        switching_value(of_few.isel(trust=slice(5)))
    with pytest.raises(InputError, match="projection"):
        switching_value(sr.project(few, regime="none", years=2, n_draws=3))


# --- levers


def test_delivery_has_another_mean_and_the_same_concentration(base):
    assert delivery(base) == pytest.approx(0.7, abs=1e-12)
    moved = with_delivery(base, 0.8)
    given = dict(moved.assumptions.efficiency.recurrent_ratio.parameters)
    assert given["a"] + given["b"] == pytest.approx(22.0)
    assert delivery(moved) == pytest.approx(0.8)
    assert moved.assumptions.efficiency.recurrent_ratio.mean() == pytest.approx(0.8, abs=1e-4)
    assert moved.assumptions.efficiency.evidence_of("recurrent_ratio").confidence == "U"


def test_delivery_on_a_scale_of_its_own_is_moved_on_that_scale(base):
    ratio = sr.Marginal.of("beta", a=6.0, b=4.0, loc=0.2, scale=1.5)
    efficiency = base.assumptions.efficiency.replace(recurrent_ratio=ratio)
    scaled = base.replace(assumptions=base.assumptions.replace(efficiency=efficiency))
    assert delivery(scaled) == pytest.approx(1.1)
    moved = with_delivery(scaled, 0.95).assumptions.efficiency.recurrent_ratio
    assert moved.mean() == pytest.approx(0.95, abs=1e-4)
    assert dict(moved.parameters)["loc"] == 0.2


def test_delivery_of_another_family_is_refused(base):
    efficiency = base.assumptions.efficiency.replace(recurrent_ratio=sr.Marginal.of("norm", loc=0.7, scale=0.1))
    other = base.replace(assumptions=base.assumptions.replace(efficiency=efficiency))
    with pytest.raises(InputError, match=r"efficiency\.recurrent_ratio.*Beta.*'norm'"):
        goal_seek(other, "recurrent_delivery", n_draws=10)


@pytest.mark.parametrize("clawback", [0.0, 0.2])
@pytest.mark.parametrize("given", [False, True])
def test_extra_pay_funding_reaches_every_draw_by_pay_bill(few, clawback, given):
    if given:  # some trusts' funding is the panel's, others' is the formula's
        few = few.assign(pay_award_funding=("trust", np.where(np.arange(few.sizes["trust"]) % 2, 3.0, np.nan)))
    pay = Assumptions().pay.replace(clawback_afc=clawback)
    scenario = Scenario(few, Assumptions().replace(pay=pay))
    before, after = (s.forecast(n_draws=20) for s in (scenario, with_pay_funding(scenario, 50.0)))
    change = (after["contribution"] - before["contribution"]).sel(driver="pay_afc")
    share = few["pay_afc"] / few["pay_afc"].sum()
    np.testing.assert_allclose(
        change.values, np.outer(50.0 * (1 - clawback) * share.values, np.ones(20)), rtol=2e-4, atol=1e-5
    )


def test_the_fund_of_a_panel_with_allocations_is_their_sum(base, few):
    total = float(few["support_allocation"].sum())
    assert fund_size(base) == pytest.approx(total)
    larger = with_fund_size(base, 1.5 * total)
    assert fund_size(larger) == pytest.approx(1.5 * total)
    np.testing.assert_allclose(larger.panel["support_allocation"], 1.5 * few["support_allocation"])
    before, after = (s.forecast(n_draws=30)["support"].sum("trust") for s in (base, larger))
    np.testing.assert_allclose(before, total, rtol=1e-5)
    np.testing.assert_allclose(after, 1.5 * total, rtol=1e-5)


def test_a_pot_of_its_own_is_scaled_with_the_allocations(base, few):
    scenario = base.replace(regime=REGIMES["2018-19"].replace("sustainability_funding", pot=100.0))
    assert fund_size(scenario) == 100.0
    smaller = with_fund_size(scenario, 50.0)
    assert smaller.regime.rule("sustainability_funding").pot == 50.0
    np.testing.assert_allclose(smaller.panel["support_allocation"], 0.5 * few["support_allocation"])
    assert float(with_fund_size(scenario, 0.0).forecast(n_draws=5)["support"].sum()) == 0.0


def test_several_funds_are_scaled_alike(few):
    scenario = Scenario(few.assign_attrs(year="2019-20"))
    allocations = float(few["support_allocation"].sum())
    assert fund_size(scenario) == pytest.approx(allocations + 1050.0)
    doubled = with_fund_size(scenario, 2.0 * (allocations + 1050.0))
    assert doubled.regime.name == "2019-20"
    assert doubled.regime.rule("financial_recovery_fund").pots.at("2019-20") == pytest.approx(2100.0)
    assert fund_size(doubled) == pytest.approx(2.0 * (allocations + 1050.0))


def test_the_schedule_says_how_much_a_fund_has(few):
    fund = sr.SustainabilityFunding(schedule=ByYear({"2017-18": 1.0, "2018-19": 0.0}))
    with pytest.raises(InputError, match="have no money"):
        fund_size(Scenario(few, regime=Regime("spent", (fund,))))


def test_deficit_support_has_a_pot_and_keeps_its_allocations(few):
    scenario = Scenario(few.assign_attrs(year="2025-26"), regime=Regime("support", (sr.DeficitSupport(),)))
    assert fund_size(scenario) == 2200.0
    smaller = with_fund_size(scenario, 22.0)
    np.testing.assert_array_equal(smaller.panel["support_allocation"], few["support_allocation"])
    paid = smaller.forecast(n_draws=40)["support"].sum("trust")
    assert 0.0 < float(paid.max()) <= 22.0


@pytest.mark.parametrize("regime", ["none", Regime("turnaround", (sr.AcceleratedTurnaround(),))])
def test_a_regime_without_a_fund_is_refused(base, regime):
    with pytest.raises(InputError, match="no fund whose size can be moved"):
        goal_seek(base.replace(regime=regime), "fund_size", n_draws=10)


# --- goals


@dataclass(frozen=True)
class Grant(Rule):
    """Pays a sum to every trust whatever happens."""

    name = "grant"
    pays = True
    each: float = assumption(1.0, unit="GBP m", meaning="paid to each trust", source="test", confidence="G")

    def prepare(self, context):
        """Bind."""
        return PreparedGrant(self.each)


@dataclass(frozen=True)
class PreparedGrant(PreparedRule):
    """Ready."""

    each: float

    def after_year(self, block):
        """Pay."""
        block.paid["grant"][:] = self.each


def test_money_at_the_year_end_is_the_switching_value_and_what_a_rule_would_pay(base, of_few):
    found = goal_seek(base, "support", 0.8, n_draws=DRAWS, seed=3)
    want = switching_value(of_few, 0.8).sel(unit=SECTOR, probability=0.8)
    assert float(found["value"]) == float(want["switching_value"])
    assert float(found["value_se"]) == float(want["switching_value_se"])
    assert int(found["simulations"]) == 1
    assert bool(found["reached"])
    assert float(found["p_breakeven"]) == 0.8
    rules = (*REGIMES["2018-19"].rules, Grant(float(found["value"]) / of_few.sizes["trust"]))
    paid = base.replace(regime=Regime("with a grant", rules)).forecast(n_draws=DRAWS, seed=3)
    assert float((paid["sector_position"] >= LEAST).mean()) == pytest.approx(0.8, abs=1.01 / DRAWS)
    np.testing.assert_allclose(paid["sector_position"], of_few["sector_position"] + found["value"].item(), atol=1e-2)


def simulated_p(scenario, unit=SECTOR, n_draws=DRAWS, seed=3):
    position = position_of(scenario.forecast(n_draws=n_draws, seed=seed), unit, "test")
    return (position >= LEAST).mean()


@pytest.mark.parametrize(
    ("lever", "p", "unit"),
    [("fund_size", 0.8, SECTOR), ("pay_funding", 0.5, SECTOR), ("pay_funding", 0.4, "London")],
)
def test_simulating_what_was_found_gives_the_probability(base, lever, p, unit):
    found = goal_seek(base, lever, p, unit=unit, n_draws=DRAWS, seed=3, high=2000.0)
    assert bool(found["reached"])
    value = float(found["value"])
    again = simulated_p(LEVERS[lever].apply(base, value), unit)
    assert again == float(found["p_breakeven"])
    # met to a twentieth of an error in the quantile: not a draw more than a tenth of that of the probability
    assert abs(again - p) <= 0.1 * np.sqrt(p * (1 - p) / DRAWS) + 1.0 / DRAWS
    other = simulated_p(LEVERS[lever].apply(base, value), unit, n_draws=4000, seed=99)
    assert abs(other - p) < 4.0 * np.sqrt(p * (1 - p) * (1 / DRAWS + 1 / 4000))


def test_delivery_of_a_trust_is_found(base):
    """A trust alone, without a fund that it shares: more delivery is more certainty."""
    alone = base.replace(regime="none", panel=base.panel.assign(plan=base.panel["plan"] * 0.0 - 1.0))
    unit = str(base.panel["trust"].values[0])
    now = simulated_p(alone, unit)
    found = goal_seek(alone, "recurrent_delivery", now + 0.1, unit=unit, n_draws=DRAWS, seed=3)
    assert bool(found["reached"])
    assert float(found["value"]) > float(found["present"]) == pytest.approx(0.7)
    assert abs(float(found["p_breakeven"]) - now - 0.1) < 2.0 / DRAWS


def test_every_trial_is_what_simulating_gives(base):
    found = goal_seek(base, "fund_size", 0.8, n_draws=DRAWS, seed=3)
    assert int(found["simulations"]) == found.sizes["trial"]
    assert float(found["trial_value"][0]) == float(found["present"]) == pytest.approx(fund_size(base))
    k = int(np.ceil(0.8 * DRAWS))
    for trial in found["trial"].values:
        at = found.sel(trial=trial)
        forecast = with_fund_size(base, at["trial_value"].item()).forecast(n_draws=DRAWS, seed=3)
        position = np.sort(forecast["sector_position"].values)[::-1]
        assert at["trial_quantile"].item() == pytest.approx(position[k - 1], abs=1e-3)  # the present one is not scaled
        assert at["trial_p_breakeven"].item() == (position >= LEAST).mean()
    by_value = found.sortby("trial_value")
    assert (by_value["trial_p_breakeven"].diff("trial") >= 0.0).all()


@dataclass(frozen=True, eq=False)
class Made(Scenario):
    """A scenario whose one trust has position Normal(-4 + v^2, (1 + v)^2) at the lever's value v."""

    moved: float = 0.5

    def forecast(self, *, n_draws, seed, **_how):
        """Make it."""
        z = np.random.default_rng(seed).normal(size=(1, 1, n_draws))
        return hand_made(-4.0 + self.moved**2 + (1.0 + self.moved) * z).assign_attrs(n_draws=n_draws)


MOVED = Lever("moved", "1", "v", present=lambda s: s.moved, apply=lambda s, v: s.replace(moved=v), low=0.0, high=9.0)


@pytest.mark.parametrize("p", [0.3, 0.8])
def test_values_have_a_closed_form_and_errors_of_other_draws(few, p):
    """The p-th part of draws is balanced where v^2 - 4 - q (1 + v) = 0, with q the Normal's quantile of p."""
    q = stats.norm.ppf(p)
    want = (q + np.sqrt(q**2 + 4.0 * (4.0 + q + LEAST))) / 2.0
    found = [goal_seek(Made(few), MOVED, p, n_draws=300, seed=seed) for seed in range(60)]
    assert all(bool(f["reached"]) for f in found)
    values, errors = (np.array([f[name].item() for f in found]) for name in ("value", "value_se"))
    slope = 2.0 * want - q
    error = (1.0 + want) * np.sqrt(p * (1 - p) / 300) / stats.norm.pdf(q) / slope
    assert abs(values.mean() - want) < 4.0 * error / np.sqrt(60) + 0.2 * error**2
    np.testing.assert_allclose(np.sqrt((errors**2).mean()), error, rtol=0.15)
    assert abs(values.std(ddof=1) / error - 1.0) < 4.0 / np.sqrt(120)


@pytest.mark.parametrize("present", [0.0, 0.5, 3.0, 9.0, 20.0, -1.0])
def test_a_goal_is_found_from_either_side(few, present):
    found = goal_seek(Made(few, moved=present), MOVED, 0.5, n_draws=2000)
    assert bool(found["reached"])
    assert float(found["present"]) == present
    assert float(found["value"]) == pytest.approx(2.0, abs=0.1)
    assert float(found["trial_value"][1:].min()) >= 0.0
    assert float(found["trial_value"][1:].max()) <= 9.0


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.8])
def test_the_goal_is_met_at_the_value_and_hardly_more_than_met(few, p):
    """Never on the side where it is not met, if only by a twentieth of an error."""
    for seed in range(20):
        found = goal_seek(Made(few), MOVED, p, n_draws=300, seed=seed)
        assert bool(found["reached"])
        assert float(found["p_breakeven"]) >= p
        at = found["trial_value"].values == found["value"].item()
        beyond = found["trial_quantile"].values[at][0] - LEAST
        assert 0.0 <= beyond <= 0.05 * found["trial_quantile_se"].values[at][0]


@dataclass(frozen=True, eq=False)
class Stepped(Made):
    """A scenario whose one trust has position Normal(-5, 1), and Normal(5, 1) where the lever is beyond its step."""

    rising: bool = True

    def forecast(self, *, n_draws, seed, **_how):
        """Make it."""
        z = np.random.default_rng(seed).normal(size=(1, 1, n_draws))
        high = self.moved > np.pi if self.rising else self.moved < np.pi
        return hand_made((5.0 if high else -5.0) + z).assign_attrs(n_draws=n_draws)


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("present", [0.5, 3.5, 8.0])
def test_a_goal_that_is_jumped_over_is_met_just_beyond_the_jump(few, rising, present):
    found = goal_seek(Stepped(few, moved=present, rising=rising), MOVED, 0.5, n_draws=200)
    assert bool(found["reached"])
    assert float(found["p_breakeven"]) == 1.0
    beyond = (found["value"].item() - np.pi) * (1 if rising else -1)
    assert 0.0 < beyond < 1e-7
    assert np.isnan(found["value_se"])
    assert "probability of 50% or more from moved = 3.14159" in found.attrs["finding"]
    assert "100.0% there" in found.attrs["finding"]


def test_money_on_top_of_a_sum_is_enough_to_the_last_digit(base):
    for present in np.random.default_rng(4).normal(size=20):
        paid = Lever("paid", "GBP million", "money", present=lambda _, given=present: 1e9 * given)
        found = goal_seek(Made(base.panel), paid, 0.5, n_draws=50)
        assert bool(found["reached"])
        assert float(found["p_breakeven"]) == 0.5


def test_no_forecast_is_kept_while_others_are_made(few, monkeypatch):
    made = []

    def forecast(self, **how):
        gc.collect()
        assert not [one for one in made if one() is not None]
        found = make(self, **how)
        made.append(weakref.ref(found))
        return found

    make = Made.forecast
    monkeypatch.setattr(Made, "forecast", forecast)
    found = goal_seek(Made(few), MOVED, 0.5, n_draws=300)
    assert int(found["simulations"]) == len(made) > 3


def test_a_goal_out_of_reach_says_so(base):
    found = goal_seek(base, "recurrent_delivery", 0.999, n_draws=DRAWS, seed=3)
    assert not bool(found["reached"])
    assert float(found["value"]) == 0.99
    assert np.isnan(found["value_se"])
    assert float(found["p_breakeven"]) == simulated_p(with_delivery(base, 0.99))
    assert "not reached at any of 3 values tried between 0.01 and 0.99" in found.attrs["finding"]


def test_a_goal_that_is_more_than_met_says_so(base):
    now = fund_size(base)
    found = goal_seek(base, "fund_size", 0.01, n_draws=DRAWS, seed=3, low=3 * now, high=4 * now)
    assert not bool(found["reached"])
    assert float(found["value"]) == 3 * now
    assert float(found["trial_value"][0]) == pytest.approx(now)
    assert "more than met" in found.attrs["finding"]


@pytest.mark.parametrize(("low", "high", "value"), [(0.0, 1.0, 1.0), (1e6, 2e6, 1e6)])
def test_money_at_the_year_end_keeps_its_bounds(base, low, high, value):
    found = goal_seek(base, "support", 0.5, n_draws=100, low=low, high=high)
    assert not bool(found["reached"])
    assert float(found["value"]) == value
    assert np.isnan(found["value_se"])


def test_a_lever_of_ones_own_may_fall(base):
    def with_award(scenario, value):
        pay = scenario.assumptions.pay.replace(award_medical=value)
        return scenario.replace(assumptions=scenario.assumptions.replace(pay=pay))

    award = Lever(
        "award",
        "1",
        "medical award",
        present=lambda scenario: scenario.assumptions.pay.award_medical,
        apply=with_award,
        low=-0.1,
        high=0.3,
    )
    none = base.replace(regime="none", panel=base.panel.assign(plan=base.panel["plan"] + 14.0))
    found = goal_seek(none, award, 0.5, n_draws=DRAWS, seed=3)
    assert bool(found["reached"])
    assert abs(float(found["p_breakeven"]) - 0.5) < 2.0 / DRAWS
    assert (found.sortby("trial_value")["trial_p_breakeven"].diff("trial") <= 0.0).all()
    assert found["value"].attrs["units"] == "1"


def test_a_scenario_of_a_year_so_far_is_conditioned(few):
    seen = few.assign(variance_ytd=(("trust", "month"), np.full((few.sizes["trust"], 1), -1.0)))
    scenario = Scenario(seen.assign_coords(month=[6]), through_month=6)
    found = goal_seek(scenario, "support", 0.5, n_draws=100)
    position = scenario.forecast(n_draws=100)["sector_position"].values
    assert float(found["value"]) == pytest.approx(LEAST - np.sort(position)[50], abs=1e-9)
    assert found.attrs["through_month"] == 6


def test_what_is_found_describes_itself(base, of_few):
    found = goal_seek(base, "support", 0.5, n_draws=DRAWS, seed=3, unit="Whole NHS")
    assert found["value"].attrs["units"] == found["trial_quantile"].attrs["units"] == "GBP million"
    assert found["unit"].item() == "Whole NHS"
    assert "Whole NHS breaks even with a probability of 50% at support" in found.attrs["finding"]
    kept = {key: value for key, value in of_few.attrs.items() if key != "created"}
    assert kept.items() <= found.attrs.items()
    p = summarise(of_few).sel(unit="Whole NHS")["p_breakeven"].item()
    assert found["trial_p_breakeven"].values[0] == pytest.approx(p)
    assert found["trial_p_breakeven_se"].values[0] == pytest.approx(np.sqrt(p * (1 - p) / DRAWS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lever": "fund_sise"}, "Did you mean 'fund_size'"),
        ({"lever": "zzz"}, "one of recurrent_delivery"),
        ({"probability": 1.0}, "above 0 and below 1"),
        ({"probability": (0.5, 0.9)}, "one at a time"),
        ({"probability": "half"}, "goal_seek:\n  probability: must be above 0.*'half'"),
        ({"probability": None}, "goal_seek:\n  probability: must be above 0"),
        ({"low": "little"}, "goal_seek:\n  low: bounds are not in order"),
        ({"high": [1.0, 2.0]}, "bounds are not in order"),
        ({"low": 3.0, "high": 2.0}, "bounds are not in order"),
        ({"high": np.nan}, "bounds are not in order"),
        ({"high": np.inf}, "bounds are not in order"),
        ({"unit": "Provider sectr"}, "Did you mean 'Provider sector'"),
        ({"n_draws": 0}, "n_draws"),
        ({"lever": "pay_funding", "low": -2e6, "high": -1e6}, "pay_award_funding"),
    ],
)
def test_bad_requests_are_refused(base, changes, message):
    asked = {"lever": "fund_size", "probability": 0.5, "n_draws": 10} | changes
    with pytest.raises(InputError, match=message):
        goal_seek(base, **asked)


def test_a_panel_is_no_scenario(few):
    with pytest.raises(InputError, match="not a scenario") as error:
        goal_seek(few, "support", 2.0)
    assert len(error.value.faults) == 2
