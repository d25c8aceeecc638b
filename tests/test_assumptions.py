"""Assumptions: round trips, evidence, and faults in one report."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import sector_risk as sr
from sector_risk.assumptions import Efficiency, Evidence
from sector_risk.assumptions.pay import elapsed
from sector_risk.settings import CONFIDENCE


def changed():
    a = sr.Assumptions(drivers=("winter_flu",))
    reserve = sr.CentralAction("risk reserve", 640.0, sr.Marginal.of("norm", loc=1.0, scale=0.01))
    return a.replace(
        efficiency=a.efficiency.replace(
            ask_effect=0.04, evidence=(("ask_effect", Evidence("our own panel of 2024", "D")),)
        ),
        deterioration=a.deterioration.replace(drift=sr.Marginal.from_scipy(stats.lognorm(0.5, scale=0.8))),
        dependence=a.dependence.replace(efficiency=sr.Shares(sector=0.2), tail_dof=5.0),
        centre=sr.Centre((*a.centre.actions, reserve)),
    )


@pytest.mark.parametrize("assumptions", [sr.Assumptions(), changed()])
def test_toml_and_json_round_trip(assumptions, tmp_path):
    file = tmp_path / "assumptions.toml"
    file.write_text(assumptions.to_toml(), encoding="utf-8")
    assert sr.Assumptions.from_toml(file) == assumptions
    assert sr.Assumptions.from_toml(assumptions.to_toml()) == assumptions
    assert sr.Assumptions.from_json(assumptions.to_json()) == assumptions


def test_a_file_may_say_only_what_differs():
    a = sr.Assumptions.from_toml("[pay]\naward_afc = 0.036\n[efficiency]\nask_effect = { value = 0.03 }")
    assert a.pay.award_afc == 0.036
    assert a.pay.evidence_of("award_afc") == Evidence("set by the user", "U")
    assert a.efficiency.ask_effect == 0.03
    assert a.flexibility == sr.Assumptions().flexibility


def test_every_value_has_unit_source_and_confidence():
    for row in changed().log():
        assert row.unit
        assert row.source
        assert row.meaning
        assert row.confidence in CONFIDENCE


def test_a_changed_value_is_logged_as_the_users_unless_it_says_otherwise():
    log = {row.name: row for row in changed().log()}
    assert log["efficiency.ask_effect"].source == "our own panel of 2024"
    assert log["deterioration.drift"].confidence == "U"
    assert log["efficiency.plan_gamma"].confidence == "D"


def test_all_faults_come_in_one_report_and_name_the_nearest_key():
    text = """
    [eficiency]
    ask_effect = 0.1
    [pay]
    award_afk = 0.03
    award_afc = "three"
    [deterioration]
    shock_sd = 2
    drift = { family = "nonesuch", a = 1.0 }
    [dependence]
    efficiency = { sector = 0.9, trust_type = 0.9 }
    tail_dof = 1.5
    """
    with pytest.raises(sr.InputError) as report:
        sr.Assumptions.from_toml(text)
    message = str(report.value)
    for expected in (
        "did you mean 'efficiency'?",
        "did you mean 'award_afc'?",
        "pay.award_afc: must be a number",
        "deterioration.shock_sd: must be at most 0.05",
        "deterioration.drift: scipy.stats cannot make it",
        "shares of variance add up to more than one",
    ):
        assert expected.lower() in message.lower()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[pay\n", "not TOML"),
        ("pay = 3", "must be a section"),
        ("drivers = 'flood'", "must be a list of names"),
        ("[centre]\nx = 1", "holds only actions"),
        ("[[centre.actions]]\nplanned = 3.0", "an action needs a name"),
        ("[dependence]\nsector_correlation = [[1.0]]", "must have 4 values"),
        ("[flexibility]\npath = [0.1, 0.2]", "must have 12 values"),
    ],
)
def test_faults_of_form(text, rule):
    with pytest.raises(sr.InputError, match=rule):
        sr.Assumptions.from_toml(text)


def test_a_missing_file_is_a_fault(tmp_path):
    with pytest.raises(sr.InputError, match="cannot be read as text"):
        sr.Assumptions.from_toml(tmp_path / "none.toml")


def test_assumptions_are_frozen():
    with pytest.raises(AttributeError):
        sr.Assumptions().efficiency.ask_effect = 0.1


@given(st.floats(0.3, 30), st.floats(0.3, 30), st.floats(0.1, 5))
def test_tables_hold_the_exact_quantiles(a, b, scale):
    marginal, frozen = sr.Marginal.of("beta", a=a, b=b, scale=scale), stats.beta(a, b, scale=scale)
    z = np.linspace(-4, 4, 61)
    # Linear interpolation over cells of 12/1024 in z: error at most h^2/8 times the curvature, below 1e-4 of scale.
    np.testing.assert_allclose(marginal.from_normal(z), frozen.ppf(stats.norm.cdf(z)), atol=1e-4 * scale)
    assert marginal.mean() == pytest.approx(frozen.mean(), rel=2e-3)


@pytest.mark.parametrize(
    "frozen", [stats.t(5, 0.1, 2), stats.gamma(a=0.7), stats.triang(0.3, scale=2), stats.norm(1, 3)]
)
def test_any_frozen_scipy_distribution(frozen):
    p = np.array([0.001, 0.3, 0.9])
    marginal = sr.Marginal.from_scipy(frozen)
    np.testing.assert_allclose(marginal.ppf(p), frozen.ppf(p), rtol=1e-12)
    assert sr.Marginal.from_mapping(marginal.as_mapping()) == marginal


def test_empirical_quantiles():
    marginal = sr.Marginal.of("empirical", probabilities=[0.0, 0.5, 1.0], values=[1.0, 2.0, 5.0])
    np.testing.assert_allclose(marginal.ppf([0.25, 0.75]), [1.5, 3.5])


def test_months_of_effect():
    assert elapsed(1).tolist() == [m / 12 for m in range(1, 13)]
    assert elapsed(7)[[5, 6, 11]].tolist() == [0, 1 / 12, 0.5]


def test_delivery_falls_with_the_ask():
    turnover = np.array([200.0, 100.0])
    asked = np.array([0.03, 0.05]) * turnover
    effect = Efficiency().effect_at_no_ask(4.0) - Efficiency().effect_slope(turnover) * asked
    # Asks of 3% and 5% around an average of 4%: one point each side at .025 of a mean of .70.
    np.testing.assert_allclose(effect, [1 + 0.025 / 0.7, 1 - 0.025 / 0.7], rtol=1e-3)


@pytest.mark.parametrize("end", [0.9, 1.1])
def test_one_off_measures_must_all_be_there_at_the_year_end(end):
    flexibility = sr.Assumptions().flexibility
    with pytest.raises(sr.InputError, match=r"flexibility\.path"):
        flexibility.replace(path=(*flexibility.path[:11], end))


def test_evidence_survives_a_second_change_and_names_a_known_value():
    e = sr.Assumptions().efficiency.replace(ask_effect=0.04, evidence=(("ask_effect", Evidence("a", "D")),))
    e = e.replace(slippage_sd=0.2, evidence=(("slippage_sd", Evidence("b", "W")),))
    assert (e.evidence_of("ask_effect").source, e.evidence_of("slippage_sd").source) == ("a", "b")
    with pytest.raises(sr.InputError, match="ask_effect"):
        e.replace(evidence=(("ask_efect", Evidence("a", "D")),))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[dependence]\ntail_dof = inf", "must be a number"),
        ("[pay]\nmonth_medical = 7.5", "must be a whole number"),
        (
            '[efficiency]\nrecurrent_ratio = { family = "norm", mean = 0.7, sd = 0.05 }',
            "norm has no parameter mean, sd",
        ),
        ('[efficiency]\nrecurrent_ratio = { family = "beta", a = "x", b = 1.0 }', "is not a number"),
        ('[efficiency]\nask_effect = { value = 0.03, sorce = "me" }', "Did you mean 'source'?"),
        ("[deterioration]\nseason = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]", "must not all be zero"),
        ("[centre]\nactions = [3]", "must be a table"),
        ('[[centre.actions]]\nname = "r"\n[[centre.actions]]\nname = "r"', "a name occurs twice"),
        ('drivers = ["u", "u"]', "a name occurs twice"),
    ],
)
def test_settings_that_would_run_and_mislead_are_refused(text, rule):
    with pytest.raises(sr.InputError, match=rule.replace("?", r"\?")):
        sr.Assumptions.from_toml(text)


def test_a_group_of_the_wrong_kind_is_refused():
    with pytest.raises(sr.InputError, match="must be Pay"):
        sr.Assumptions(pay=3)


def test_tables_by_year_that_are_equal_have_one_hash():
    forth, back = sr.ByYear({"2019-20": 1.0, "2020-21": 2.0}), sr.ByYear({"2020-21": 2.0, "2019-20": 1.0})
    assert forth == back
    assert hash(forth) == hash(back)
    assert hash(sr.FinancialRecoveryFund(pots=forth)) == hash(sr.FinancialRecoveryFund(pots=back))


def test_lists_will_do_for_tuples():
    assert sr.SustainabilityFunding(weights=[0.1, 0.2, 0.3, 0.4]) == sr.SustainabilityFunding(
        weights=(0.1, 0.2, 0.3, 0.4)
    )
    with pytest.raises(sr.InputError, match="must have 4 values"):
        sr.SustainabilityFunding(weights=[0.5, 0.5])


def test_growth_has_a_value_a_year_as_far_as_it_is_known():
    outlook = sr.Assumptions().outlook
    short = outlook.replace(allocation_growth=(0.03,))
    np.testing.assert_allclose(short.turnover_index(4), 1.03 ** np.arange(4))
    long = outlook.replace(demand_growth=[0.01 * year for year in range(9)])
    falls = np.diff(long.net_growth(11)[1:])
    np.testing.assert_allclose(falls, [-0.01] * 8 + [0.0], atol=1e-12)
    for wrong, rule in (((), "one value or more"), (0.03, "one value or more"), ((0.03, "x"), "must be a number")):
        with pytest.raises(sr.InputError, match=rule):
            outlook.replace(allocation_growth=wrong)
    a = sr.Assumptions(outlook=short)
    assert sr.Assumptions.from_toml(a.to_toml()) == a


def test_the_least_savings_are_not_above_the_most():
    outlook = sr.Assumptions().outlook
    with pytest.raises(sr.InputError, match=r"outlook.efficiency_floor: is above the cap \('0.06'\)"):
        outlook.replace(efficiency_floor=0.06)
    assert outlook.replace(efficiency_floor=0.05).efficiency_floor == 0.05
