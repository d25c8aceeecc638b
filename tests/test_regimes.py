"""Regimes as lists of rules: what is refused, how they are changed, and their way through TOML and JSON."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sector_risk as sr
from sector_risk import regimes
from sector_risk.regimes import (
    REGIMES,
    ImprovementProgramme,
    PaymentReform,
    QuarterOneReview,
    Regime,
    Rule,
    SustainabilityFunding,
)
from sector_risk.regimes import AdministrativeSavings as Savings
from sector_risk.regimes.regime import BUNDLED
from sector_risk.schema import VariableSpec
from sector_risk.settings import CONFIDENCE, ByYear, Evidence, assumption

MOMENTS = ("before_plan", "before_year", "after_year")


@regimes.register
@dataclass(frozen=True)
class HardshipFund(Rule):
    """A user's own rule with every kind of setting."""

    name = "hardship_fund"
    needs = ("sustainability_funding",)

    rate: float = assumption(0.01, unit="fraction", meaning="rate", source="made up", confidence="G", low=0.0)
    places: int = assumption(3, unit="trusts", meaning="places", source="made up", confidence="G", low=0)
    kept: bool = assumption(False, unit="flag", meaning="kept", source="made up", confidence="G")
    cap: float | None = assumption(None, unit="GBP m", meaning="cap", source="no cap is set", confidence="W")
    pots: ByYear = assumption(ByYear(), unit="GBP m", meaning="pots", source="made up", confidence="G")
    until: str = assumption("", unit="financial year", meaning="last", source="made up", confidence="G")
    parts: tuple[float, float] = assumption((0.5, 0.5), unit="share", meaning="parts", source="made up", confidence="G")

    @property
    def ends_control_totals_from(self):
        return self.until

    def acts_in(self, label):
        return self.pots.at(label) > 0


def own_regime(**settings):
    return Regime("own", (SustainabilityFunding(), HardshipFund(**settings)))


# --- the bundled regimes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGIMES)
def test_bundled_regimes_go_through_toml_and_json(name, tmp_path):
    regime = REGIMES[name]
    file = tmp_path / "regime.toml"
    file.write_text(regime.to_toml(), encoding="utf-8")
    assert Regime.from_toml(file) == Regime.from_toml(str(file)) == regime
    assert Regime.from_toml(regime.to_toml()) == regime
    assert Regime.from_json(regime.to_json()) == regime
    assert regime.name == name


@pytest.mark.parametrize("rule", BUNDLED.values(), ids=BUNDLED)
def test_every_rule_goes_through_toml_and_names_its_sources(rule):
    regime = Regime("one", (*(BUNDLED[need]() for need in rule.needs), rule()))
    assert Regime.from_toml(regime.to_toml()) == regime
    for row in rule().log(rule.name):
        assert row.unit
        assert row.source
        assert row.meaning
        assert row.confidence in CONFIDENCE
        assert row.confidence != "U"


def test_the_predecessor_of_the_programme_goes_through_toml():
    regime = Regime("before", (regimes.OversightFramework(), regimes.ImprovementProgramme.predecessor()))
    assert Regime.from_toml(regime.to_toml()) == regime


def test_regimes_hold_the_rules_of_their_day_in_order():
    def of(name):
        return [rule.name for rule in REGIMES[name].rules]

    assert of("none") == []
    assert of("2018-19") == ["sustainability_funding"]
    assert of("2019-20") == [
        "sustainability_funding",
        "financial_recovery_fund",
        "administrative_savings",
        "payment_reform",
        "accelerated_turnaround",
        "distress_loans",
    ]
    assert of("2025-26") == ["deficit_support", "oversight_framework", "improvement_programme"]
    fund = REGIMES["2019-20"].rule("sustainability_funding")
    assert [fund.schedule.at(label) for label in ("2018-19", "2019-20", "2021-22")] == [1.0, 0.51, 0.0]
    assert dict(fund.into_prices) == {"2019-20": 1000.0}


def test_logs_name_rule_and_setting():
    log = {row.name: row for row in own_regime(rate=0.02).log()}
    assert (log["hardship_fund.rate"].value, log["hardship_fund.rate"].confidence) == (0.02, "U")
    assert log["sustainability_funding.finance_share"].confidence == "V"
    assert len(log) == len(SustainabilityFunding().assumptions()) + len(HardshipFund().assumptions())


# --- what is refused --------------------------------------------------------------------------------------


def faults_of(make, *arguments, **settings):
    with pytest.raises(sr.InputError) as report:
        make(*arguments, **settings)
    return [str(fault) for fault in report.value.faults]


def test_a_list_of_rules_is_refused_in_one_report():
    @dataclass(frozen=True)
    class SecondWayOut(HardshipFund):
        name = "second_way_out"
        needs = ()

    wrong = (HardshipFund(until="2021-22"), SecondWayOut(until="2022-23"), Savings(), Savings(), Savings, "reform")
    faults = faults_of(Regime, "", wrong)
    for expected in (
        "a regime needs a name",
        "not a rule ('reform')",
        "not a rule ('<class",
        "a rule occurs twice ('administrative_savings')",
        "two rules end control totals ('hardship_fund, second_way_out')",
        "needs another rule before it ('hardship_fund'). Put sustainability_funding before it.",
    ):
        assert sum(expected in fault for fault in faults) == 1, expected
    assert len(faults) == 6


def test_a_rule_that_needs_another_comes_after_it():
    rules = (SustainabilityFunding(), HardshipFund())
    assert Regime("right", rules).rules == rules
    assert faults_of(Regime, "wrong", rules[::-1]) == faults_of(Regime("right", rules).without, rules[0].name)


def test_one_rule_may_end_control_totals():
    assert own_regime(until="2021-22").rule("hardship_fund").until == "2021-22"


def test_a_list_will_do_but_a_lone_rule_will_not():
    assert Regime("list", [SustainabilityFunding()]) == Regime("list", (SustainabilityFunding(),))
    assert "not a list of rules" in faults_of(Regime, "lone", SustainabilityFunding())[0]


def test_all_faults_of_a_file_come_in_one_report():
    text = """
    title = "x"
    [[rules]]
    rule = "sustainability_funds"
    [[rules]]
    rule = "payment_reform"
    yeers = 4
    inequality_pot = -3.0
    [[rules]]
    rule = "hardship_fund"
    pots = { value = { "2019" = 3.0 }, sorce = "me" }
    parts = [0.5]
    [[rules]]
    rate = 1.0
    """
    faults = faults_of(Regime.from_toml, text)
    for expected in (
        "title: unknown key",
        "unknown rule ('sustainability_funds'). Did you mean 'sustainability_funding'?",
        "payment_reform.yeers: unknown key ('yeers'). Did you mean 'years'?",
        "payment_reform.inequality_pot: must be at least 0",
        "hardship_fund.pots: must have financial years",
        "hardship_fund.pots.sorce: unknown key ('sorce'). Did you mean 'source'?",
        "hardship_fund.parts: must have 2 values",
        "must be a table that names its rule",
        "a regime needs a name",
    ):
        assert sum(expected in fault for fault in faults) == 1, expected
    assert len(faults) == 9


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('name = "x"\n[rules\n', "not TOML"),
        ('name = "x"\nrules = 3', "must have a list of rules"),
        ('name = "x"\nrules = [3]', "must be a table that names its rule"),
        ('name = "x"\nrules = [{ rule = 3 }]', "must be a table that names its rule"),
        ("name = 3", "a regime needs a name"),
        ('name = "x"\nrules = [{ rule = "payment_reform" }, { rule = "payment_reform" }]', "occurs twice"),
        ('name = "x"\nrules = [{ rule = "payment_reform", years = { value = 3, confidence = "X" } }]', "known mark"),
    ],
)
def test_faults_of_form(text, rule):
    assert any(rule in fault for fault in faults_of(Regime.from_toml, text))


BY_DRAW = ("trust", "draw")


def reporter(*variables, **private):
    """A rule that reports these variables and remembers those."""

    class Reporter(Rule):
        name = "reporter"

    Reporter.variables, Reporter.private = variables, private
    return Reporter()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (reporter(VariableSpec("debt", BY_DRAW, "GBP million", "x")), "have one name ('debt')"),
        (reporter(interest_due="float32"), "have one name ('interest_due')"),
        (reporter(VariableSpec("mine", BY_DRAW, "1", "x"), mine="bool"), "have one name ('mine')"),
        (reporter(VariableSpec("position", BY_DRAW, "GBP million", "x")), "taken by a variable of results"),
        (reporter(VariableSpec("mine", ("trust",), "1", "x")), "cannot report this variable"),
        (reporter(VariableSpec("mine", ("region", "draw"), "1", "x")), "cannot report this variable"),
        (reporter(VariableSpec("mine", BY_DRAW, "", "x", kind="text")), "cannot report this variable"),
    ],
)
def test_variables_that_results_cannot_hold_are_refused(rule, expected):
    faults = faults_of(Regime, "x", (regimes.DistressLoans(), rule))
    assert len(faults) == 1
    assert expected in faults[0]


def test_variables_of_a_rules_own_are_welcome():
    mine = reporter(VariableSpec("mine", BY_DRAW, "1", "x"), VariableSpec("ours", ("draw",), "1", "x"), theirs="bool")
    assert Regime("x", (regimes.DistressLoans(), mine)).rules[1] is mine


def test_a_rule_that_is_no_dataclass_or_is_never_prepared_says_what_is_missing():
    class Levy(Rule):
        name = "levy"
        rate: float = assumption(0.1, unit="%", meaning="rate", source="made up", confidence="G")

    assert "('levy.rate'). Put @dataclass(frozen=True) above Levy." in faults_of(Regime, "x", (Levy(),))[0]
    with pytest.raises(NotImplementedError, match="Reporter needs a method prepare"):
        reporter().prepare(None)


@pytest.mark.parametrize("text", ["{", "3", "[]"])
def test_faults_of_json(text):
    assert len(faults_of(Regime.from_json, text)) == 1


def test_a_missing_file_is_a_fault(tmp_path):
    assert "cannot be read as text" in faults_of(Regime.from_toml, tmp_path / "none.toml")[0]


# --- rules of one's own -----------------------------------------------------------------------------------


@given(
    rate=st.floats(0, 1e300),
    places=st.integers(0, 10**6),
    kept=st.booleans(),
    cap=st.none() | st.floats(-1e9, 1e9) | st.integers(-5, 5),
    pots=st.dictionaries(st.sampled_from(["2018-19", "2019-20", "1999-00"]), st.floats(0, 1e9)),
    until=st.sampled_from(["", "2030-31"]),
    source=st.text(st.characters(exclude_categories=["C"])),
    sourced=st.sets(st.sampled_from(["rate", "cap", "pots"])),
)
def test_own_rules_go_through_toml_and_json(sourced, source, **settings):
    evidence = tuple((name, Evidence(source, "D")) for name in ("rate", "cap", "pots") if name in sourced)
    regime = own_regime(evidence=evidence, **settings)
    assert Regime.from_toml(regime.to_toml()) == regime
    assert Regime.from_json(regime.to_json()) == regime


def test_a_file_may_say_only_what_differs_with_or_without_evidence():
    text = """
    name = "own"
    [[rules]]
    rule = "sustainability_funding"
    [[rules]]
    rule = "hardship_fund"
    rate = 0.5
    cap = { value = 7, source = "a letter", confidence = "W" }
    kept = { confidence = "D", source = "another letter" }
    """
    rule = Regime.from_toml(text).rule("hardship_fund")
    assert (rule.rate, rule.cap, rule.kept, rule.places) == (0.5, 7, False, 3)
    assert rule.evidence_of("rate") == Evidence("set by the user", "U")
    assert rule.evidence_of("cap") == Evidence("a letter", "W")
    assert rule.evidence_of("kept") == Evidence("another letter", "D")


def test_settings_that_are_not_given_are_left_out():
    assert "cap" not in own_regime().to_toml()
    assert "cap = { value = 3.5, " in own_regime(cap=3.5).to_toml()


def test_a_name_registered_again_is_replaced_but_the_librarys_names_are_not_free():
    for default in (1.0, 2.0):

        @regimes.register
        @dataclass(frozen=True)
        class Levy(Rule):
            name = "levy"
            rate: float = assumption(default, unit="%", meaning="rate", source="made up", confidence="G")

        assert Regime.from_toml('name = "x"\nrules = [{ rule = "levy" }]').rule("levy").rate == default

    class Mine(Rule):
        name = "payment_reform"

    class Nameless(Rule):
        pass

    assert "taken by a rule of the library" in faults_of(regimes.register, Mine)[0]
    for wrong in (Nameless, PaymentReform(), dict):
        assert "not a rule that can be registered" in faults_of(regimes.register, wrong)[0]
    assert Regime.from_toml('name = "x"\nrules = [{ rule = "payment_reform" }]').rules == (PaymentReform(),)


# --- changes and choice -----------------------------------------------------------------------------------


def test_replace_changes_one_rule_and_keeps_the_order():
    regime = Regime("own", (SustainabilityFunding(), HardshipFund(), QuarterOneReview()))
    changed = regime.replace("hardship_fund", rate=0.2, places=9)
    assert changed.rules == (SustainabilityFunding(), HardshipFund(rate=0.2, places=9), QuarterOneReview())
    assert changed.replace("hardship_fund", rate=0.01, places=3) == regime
    assert changed.without("hardship_fund").rules == (SustainabilityFunding(), QuarterOneReview())
    assert changed.name == "own"


def test_changes_of_what_is_not_there_are_refused():
    regime = own_regime()
    assert "Did you mean 'hardship_fund'?" in faults_of(regime.replace, "hardship_fun", rate=1.0)[0]
    assert "Did you mean 'hardship_fund'?" in faults_of(regime.without, "hardship_fun")[0]
    assert "Did you mean 'hardship_fund'?" in faults_of(regime.rule, "hardship_fun")[0]
    faults = faults_of(regime.replace, "hardship_fund", rat=1.0, plces=2)
    assert ["Did you mean 'rate'?" in faults[0], "Did you mean 'places'?" in faults[1]] == [True, True]
    assert "hardship_fund.rate: must be at least 0" in faults_of(regime.replace, "hardship_fund", rate=-1.0)[0]


def test_rules_that_never_act_are_faults_of_the_horizon():
    regime = Regime("late", (SustainabilityFunding(), HardshipFund(pots={"2020-21": 5.0}), Savings()))
    faults = regimes.horizon_faults(regime, ("2017-18", "2018-19"))
    assert [fault.variable for fault in faults] == ["hardship_fund", "administrative_savings"]
    assert "2017-18 to 2018-19" in faults[0].value
    assert [fault.variable for fault in regimes.horizon_faults(regime, ("2019-20",))] == ["hardship_fund"]
    assert regimes.horizon_faults(regime, ("2019-20", "2020-21")) == []


def test_regimes_are_chosen_by_themselves_by_name_by_file_or_by_the_panel(tmp_path):
    own, file = own_regime(), tmp_path / "own.toml"
    file.write_text(own.to_toml(), encoding="utf-8")
    for choice, expected in (
        (own, own),
        (str(file), own),
        (file, own),
        ("2018-19", REGIMES["2018-19"]),
    ):
        assert regimes.regime_for(choice, 0.0) == expected
    assert regimes.regime_for(None, 0.0) is REGIMES["none"]
    assert regimes.regime_for(None, 10.0) is REGIMES["2018-19"]
    assert "Use one of none, 2018-19, 2019-20, 2025-26" in faults_of(regimes.regime_for, "2018-9", 0.0)[0]
    assert "use one of" in faults_of(regimes.regime_for, "austerity", 0.0)[0].lower()
    assert "cannot be read as text" in faults_of(regimes.regime_for, "nowhere.toml", 0.0)[0]


# --- changing a regime as a whole -------------------------------------------------------------------------


def test_a_rule_takes_the_place_of_its_namesake_or_comes_last():
    before = REGIMES["2025-26"].with_rule(ImprovementProgramme.predecessor())
    assert [rule.name for rule in before.rules] == [rule.name for rule in REGIMES["2025-26"].rules]
    assert before.rule("improvement_programme") == ImprovementProgramme.predecessor()
    more = REGIMES["2018-19"].with_rule(QuarterOneReview())
    assert [rule.name for rule in more.rules] == ["sustainability_funding", "quarter_one_review"]


def test_a_part_of_the_sector_has_its_part_of_national_amounts():
    part = REGIMES["2019-20"].scaled(0.1)
    assert part.rule("accelerated_turnaround").trusts == 3
    assert dict(part.rule("sustainability_funding").into_prices) == {"2019-20": 100.0}
    assert part.rule("sustainability_funding").pot is None  # the panel's own allocations
    assert part.rule("payment_reform").inequality_pot == 100.0
    assert part.rule("administrative_savings").providers == pytest.approx(41.0)
    assert part.rule("financial_recovery_fund").risk_threshold == 0.005
    logged = {row.name: row for row in part.log()}["financial_recovery_fund.pots"]
    assert logged.source.startswith("10.0% of the national figure")
    assert Regime.from_toml(part.to_toml()) == part
    with pytest.raises(sr.InputError, match="above 0"):
        part.scaled(1.5)


def test_faults_of_settings_and_of_the_list_are_one_report():
    text = """
name = "mine"
[[rules]]
rule = "improvement_programme"
places = -1
[[rules]]
rule = "distress_loans"
[[rules]]
rule = "distress_loans"
"""
    with pytest.raises(sr.InputError) as report:
        Regime.from_toml(text)
    found = " ".join(str(fault) for fault in report.value.faults)
    assert len(report.value.faults) == 3
    for part in ("places", "needs another rule", "occurs twice"):
        assert part in found


@pytest.mark.parametrize(
    ("year", "name"), [("2016-17", "2018-19"), ("2018-19", "2018-19"), ("2020-21", "2019-20"), ("2026-27", "2025-26")]
)
def test_the_default_regime_is_that_of_the_year(year, name):
    assert regimes.regime_for(None, 10.0, year).name == name
