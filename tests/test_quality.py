"""The quality pack: what it says of sound forecasts, and that each check fails when its part of a file is damaged."""

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.assumptions import Centre
from sector_risk.calibration import calibrate
from sector_risk.drivers import _REGISTERED
from sector_risk.faults import InputError
from sector_risk.history import History
from sector_risk.quality import folder as folders
from sector_risk.quality import quality_pack, write_quality_pack
from sector_risk.quality.checks import CHECKS, run_checks
from sector_risk.quality.figures import draws_are_enough, headline_errors, shares_of_range
from sector_risk.quality.folder import NAMES
from sector_risk.quality.logs import digest_of_file
from sector_risk.quality.pack import TABLES
from sector_risk.quality.page import quality_page
from sector_risk.quality.rows import FAILED, NOT_RUN, PASSED, CheckRow, ErrorRow, ShareRow

DRAWS = 2_600
OF_MONTHS = {"months_seen", "surprises", "reports_met"}


@pytest.fixture(scope="module")
def made(case):
    return sr.simulate(case, n_draws=DRAWS, seed=3)


@pytest.fixture(scope="module")
def few():
    """Six trusts of the case with a report of month 6 each."""
    panel = sr.load_case("england-2018-19").isel(trust=slice(6))
    variance = np.array([-1.0, 0.0, -3.0, 0.0, 0.0, -0.5])[:, None]
    return panel.assign(variance_ytd=(("trust", "month"), variance)).assign_coords(month=[6])


@pytest.fixture(scope="module")
def given(few):
    return sr.condition(few, through_month=6, n_draws=DRAWS, seed=1)


@pytest.fixture(scope="module")
def drawn(case):
    return sr.simulate_with_parameters(case, calibrate(History()), n_draws=DRAWS, parameter_sets=20, seed=2)


def results(forecast):
    return {row.name: row.result for row in run_checks(forecast)}


def failures(forecast):
    return {name for name, result in results(forecast).items() if result == FAILED}


def not_run(forecast):
    return {name for name, result in results(forecast).items() if result == NOT_RUN}


def note_of(forecast, check):
    (note,) = [row.note for row in run_checks(forecast) if row.name == check]
    return note


def without_versions(pack):
    return replace(pack, tables={name: rows for name, rows in pack.tables.items() if name != "versions"})


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


# --- sound forecasts --------------------------------------------------------------------------------------


def test_a_fresh_forecast_passes_what_applies_to_it(made):
    found = results(made)
    assert {name for name, result in found.items() if result == NOT_RUN} == OF_MONTHS
    assert set(found.values()) == {PASSED, NOT_RUN}


@pytest.mark.parametrize("name", ["f.nc", "f.zarr"])
def test_a_reopened_forecast_gives_the_same_pack(made, name, tmp_path):
    opened = sr.open_forecast(sr.save_forecast(made, tmp_path / name))
    fresh, again = quality_pack(made), quality_pack(opened, file=tmp_path / name)
    assert not again.failed
    assert without_versions(again) == without_versions(fresh)
    (digest,) = [row.now for row in again.tables["versions"] if row.item == f"SHA-256 of {name}"]
    assert digest == digest_of_file(tmp_path / name)


def test_the_digest_of_a_file_is_what_others_compute(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/a").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert digest_of_file(tmp_path / "store/a") == digest
    assert digest_of_file(tmp_path / "store") == hashlib.sha256(f"{digest}  a\n".encode()).hexdigest()


def test_a_forecast_given_the_year_so_far(given):
    assert failures(given) == set()
    assert not_run(given) == {"again"}
    pack = quality_pack(given)
    data = {row.item: row.value for row in pack.tables["data"]}
    assert (data["months seen: 6"], data["trusts_reporting"], data["variance_reported"]) == (6, 6, -4.5)
    assert "up to month 6, 6 reporting" in {row.in_force for row in pack.tables["decisions"]}


def test_where_not_all_trusts_report_the_month_it_is_not_judged(few):
    few["variance_ytd"][0] = np.nan
    forecast = sr.condition(few, through_month=6, n_draws=DRAWS)
    assert failures(forecast) == set()
    assert "reports_met" in not_run(forecast)


def test_what_counts_as_on_plan_need_not_be_met_to_the_penny(few):
    panel = few.copy(deep=True)
    beside = 0.9 * sr.Assumptions().reporting.on_plan * float(panel["turnover"][1]) / 2  # half of the year
    panel["variance_ytd"][:2] = [[-1.0], [beside]]
    forecast = sr.condition(panel, through_month=6, n_draws=DRAWS)
    assert failures(forecast) == set()
    assert "reports_met" not in not_run(forecast)


def test_declared_forecasts_are_not_judged(few):
    forecast = sr.condition(few.assign(forecast=few["plan"]), through_month=6, n_draws=DRAWS)
    assert failures(forecast) == set()
    assert "reports_met" in not_run(forecast)


def test_a_forecast_with_drawn_parameters_is_made_again_by_its_set(drawn):
    assert failures(drawn) == set()
    assert not_run(drawn) == OF_MONTHS
    decisions = {row.choice: row.in_force for row in quality_pack(drawn).tables["decisions"]}
    assert decisions["parameters"] == "drawn 20 times from a fit"


def test_small_parameter_sets_are_made_again_whole(case):
    forecast = sr.simulate_with_parameters(case, calibrate(History()), n_draws=80, parameter_sets=4)
    (row,) = [row for row in run_checks(forecast) if row.name == "again"]
    assert (row.result, row.note) == (PASSED, "20 draws")


@pytest.mark.parametrize("regime", list(sr.REGIMES))
@pytest.mark.filterwarnings("ignore::sector_risk.faults.InputWarning")
def test_every_regime_passes_and_its_settings_are_the_defaults(case, regime):
    pack = quality_pack(sr.simulate(case, regime=regime, n_draws=DRAWS, by_quarter=True))
    assert pack.failed == ()
    assert {row.changed for row in (*pack.tables["rules"], *pack.tables["assumptions"])} <= {"no"}


def test_one_draw_and_one_trust_are_too_few_and_nothing_breaks(case):
    pack = quality_pack(sr.simulate(case.isel(trust=[0]), n_draws=1))
    assert {row.name for row in pack.failed} == {"error"}
    assert pack.not_made == ()
    assert all(np.isnan(row.share) for row in pack.tables["uncertainty"])


def test_a_forecast_from_a_file_of_ones_own_cannot_be_made_again(case):
    other = case.assign(plan=case["plan"] + 1.0)
    assert failures(sr.simulate(other, n_draws=DRAWS)) == set()
    assert "again" in not_run(sr.simulate(other, n_draws=DRAWS))
    del other.attrs["case"]
    assert "again" in not_run(sr.simulate(other, n_draws=DRAWS))


def test_an_own_driver_is_logged_and_needed_to_make_it_again(case, monkeypatch):
    monkeypatch.setitem(_REGISTERED, "zz_test", None)  # so that it is gone afterwards

    @sr.driver("zz_test", items=1, shares=sr.Shares(), source="made for a test")
    def pressure(z, panel):
        return np.repeat(0.1 * z, 12, axis=1)

    forecast = sr.simulate(case, sr.Assumptions(drivers=("zz_test",)), n_draws=DRAWS)
    assert failures(forecast) == set()
    row = {row.choice: row for row in quality_pack(forecast).tables["decisions"]}["own driver: zz_test"]
    assert row.reason == "made for a test"
    monkeypatch.delitem(_REGISTERED, "zz_test")
    (again,) = [row for row in run_checks(forecast) if row.name == "again"]
    assert again.result == NOT_RUN
    assert "zz_test" in again.note


# --- damage -----------------------------------------------------------------------------------------------


def added(amount, *places):
    """A damage that adds to some variables, each at its first place of all dimensions but the last."""

    def damage(forecast):
        for name in places:
            values = forecast[name].values
            values[(*(0,) * (values.ndim - 1), -1)] += amount

    return damage


def said(**attrs):
    def damage(forecast):
        forecast.attrs.update(attrs)

    return damage


def unsaid(name):
    def damage(forecast):
        del forecast.attrs[name]

    return damage


def at_year_end(forecast):
    forecast["sector_ytd"].values[-1, -1] += 1.0


def sector_alone(forecast):
    added(1.0, "sector_position", "nhs_position")(forecast)
    at_year_end(forecast)


def changed_json(name, **changes):
    def damage(forecast):
        forecast.attrs[name] = json.dumps(json.loads(forecast.attrs[name]) | changes)

    return damage


def other_assumption(forecast):
    plain = sr.Assumptions()
    forecast.attrs["assumptions"] = plain.replace(deterioration=plain.deterioration.replace(shock_sd=0.001)).to_json()


def no_number(forecast):
    forecast["nhs_position"].values[-1] = np.nan


def twice(forecast):
    forecast["trust"] = ("trust", ["SYN002", *forecast["trust"].values[1:]])


def first_draw(forecast):
    forecast["underlying"].values[0, 0] += 1.0
    forecast["sector_underlying"].values[0] += 1.0


DAMAGES = [
    (said(format=0), {"record"}),
    (unsaid("format"), {"record"}),
    (no_number, {"complete"}),
    (twice, {"record"}),
    (said(n_draws=DRAWS + 1), {"draws"}),
    (unsaid("n_draws"), {"draws"}),
    (said(panel_hash="2a26"), {"record"}),
    (said(panel_hash=33 * "a"), {"record"}),
    (unsaid("panel_hash"), {"record"}),
    (said(assumptions="{"), {"settings"}),
    (changed_json("assumptions", eficiency={}), {"settings"}),
    (changed_json("assumptions", deterioration={"shock_sd": "much"}), {"settings"}),
    (unsaid("assumptions"), {"settings"}),
    (said(regime="[]"), {"settings"}),
    (changed_json("regime", rules=[{"rule": "sustainability_fnding"}]), {"settings"}),
    (unsaid("regime"), {"settings"}),
    (said(random_stream="dice/1"), {"record"}),
    (sector_alone, {"sector"}),
    (added(0.01, "sector_position_before_support"), {"sector"}),
    (added(0.01, "sector_underlying"), {"sector"}),
    (added(0.01, "contribution"), {"contributions"}),
    (added(0.01, "one_off"), {"one_off"}),
    (added(0.01, "position_before_support", "sector_position_before_support"), {"position"}),
    (added(0.01, "support", "support_by_fund"), {"position"}),
    (added(0.01, "support_by_fund"), {"support"}),
    (added(0.01, "nhs_position"), {"nhs"}),
    (added(0.01, "central_action"), {"nhs"}),
    (added(1, "deficit_count"), {"deficit_count"}),
    (added(0.01, "gross_deficit"), {"gross_deficit"}),
    (at_year_end, {"year_end"}),
    (first_draw, {"again"}),
    (other_assumption, {"again"}),
    (changed_json("regime", rules=[]), {"again"}),
    (said(seed="4"), {"again"}),
    (said(seed="four"), {"again"}),
    (unsaid("versions"), {"again"}),
    (added(0.01, "position"), {"sector", "position"}),
    (added(0.01, "plan"), {"position"}),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGES)
def test_damage_fails_its_check_and_no_other(made, damage, expected):
    harmed = made.copy(deep=True)
    damage(harmed)
    assert failures(harmed) == expected


@pytest.mark.parametrize(
    ("harmed", "expected"),
    [
        (lambda f: f.drop_vars("sector_underlying"), {"complete"}),
        (lambda f: f.drop_vars("position"), {"complete"}),
        (lambda f: f.assign(nhs_position=("month", np.ones(12))), {"complete"}),
        (lambda f: f.isel(draw=slice(None, -1)), {"draws"}),
        (lambda f: f.isel(draw=slice(None, None, -1)), {"draws"}),
        (lambda f: f.assign_coords(draw=f["draw"] + 1), {"draws"}),
        (lambda f: f.isel(trust=slice(None, None, -1)), {"again"}),
        (lambda f: f.isel(trust=slice(200)), None),
    ],
)
def test_what_is_not_whole_is_found(made, harmed, expected):
    found = failures(harmed(made))
    assert found == expected if expected else {"sector", "deficit_count"} <= found


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (said(variance_reported=-3.5), {"reports_met"}),
        (unsaid("variance_reported"), {"reports_met"}),
        (lambda f: f["sector_ytd"].values.__setitem__((5, 0), -9.0), {"reports_met"}),
        (lambda f: f["months_seen"].values.__setitem__(0, 13), {"months_seen"}),
        (lambda f: f["particles_worth"].values.__setitem__(0, np.nan), {"months_seen"}),
        (lambda f: f["particles_worth"].values.__setitem__(0, 3.0), {"surprises"}),
    ],
)
def test_damage_to_what_was_seen(given, damage, expected):
    harmed = given.copy(deep=True)
    damage(harmed)
    assert failures(harmed) == expected


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: f["parameter_set"].values.__setitem__(-1, 1), {"draws"}),
        (said(parameter_sets=5), {"draws"}),
        (said(calibration="[fit]"), {"again"}),
        (first_draw, {"again"}),
    ],
)
def test_damage_to_parameter_sets(drawn, damage, expected):
    harmed = drawn.copy(deep=True)
    damage(harmed)
    assert failures(harmed) == expected


@pytest.mark.parametrize(
    ("damage", "check", "note"),
    [
        (said(format=0), "record", "format is 0, not 1"),
        (unsaid("random_stream"), "record", "random_stream is missing, not philox4x32-10/box-muller-f32/1"),
        (said(panel_hash="2a26"), "record", "panel_hash is 2a26, not 32 hexadecimal digits"),
        (twice, "record", "trust SYN002 occurs twice"),
        (no_number, "complete", "nhs_position is not finite throughout"),
        (sector_alone, "sector", "sector_position"),
        (added(0.01, "sector_position_before_support"), "sector", "sector_position_before_support"),
        (added(0.01, "sector_underlying"), "sector", "sector_underlying"),
        (added(0.01, "support", "support_by_fund"), "position", "position"),
        (unsaid("regime"), "settings", "'regime' is missing"),
        (said(assumptions="{"), "settings", "Expecting property name"),
    ],
)
def test_a_check_of_several_things_says_which(made, damage, check, note):
    harmed = made.copy(deep=True)
    damage(harmed)
    assert note_of(harmed, check).startswith(note)
    assert note_of(harmed, check) == note or check == "settings"


def test_gaps_are_those_of_the_damage(made):
    harmed = made.copy(deep=True)
    harmed["sector_underlying"].values[7] += 0.25
    harmed["contribution"].values[2, 5, 9] -= 0.5
    found = {row.name: row for row in run_checks(harmed)}
    assert found["sector"].figure == pytest.approx(0.25)
    assert found["sector"].limit == pytest.approx(1e-9 * np.abs(made["underlying"]).sum("trust").max().item(), rel=1e-5)
    assert found["contributions"].figure == pytest.approx(0.5, abs=1e-4)
    assert found["deficit_count"].unit == "trusts"


def with_draws(sector, **attrs):
    return xr.Dataset({"sector_position": ("draw", np.asarray(sector, float))}, attrs=attrs)


def test_independent_draws_are_enough_from_2500(case):
    chance = np.random.default_rng(5).standard_normal(2_500)
    assert draws_are_enough(with_draws(chance)).passed
    few = draws_are_enough(with_draws(chance[1:]))
    assert (few.passed, few.note) == (False, "2,499 draws")
    assert few.figure == pytest.approx(chance[1:].std(ddof=1) / 2_499**0.5)
    assert few.limit == pytest.approx(chance[1:].std(ddof=1) / 50)
    assert failures(sr.simulate(case, n_draws=2_000)) == {"error"}


def test_draws_in_sets_are_judged_by_the_error_between_sets():
    def in_sets(n_sets, between):
        sets = np.repeat(np.arange(n_sets), 200)
        values = between * np.resize([-1.0, 1.0], n_sets)[sets] + np.resize([-1.0, 1.0], sets.size)
        return with_draws(values).assign_coords(parameter_set=("draw", sets))

    many, few = draws_are_enough(in_sets(20, 10.0)), draws_are_enough(in_sets(10, 10.0))
    assert (many.passed, few.passed) == (True, False)
    assert (many.note, few.note) == ("20 parameter sets", "10 parameter sets")
    assert many.figure == pytest.approx(10.0 / 19**0.5)
    assert many.limit == pytest.approx(101**0.5 / 4, rel=1e-3)
    assert draws_are_enough(in_sets(4, 0.1)).passed  # parameters hardly matter


def test_few_sets_fail(case):
    forecast = sr.simulate_with_parameters(case, calibrate(History()), n_draws=2_600, parameter_sets=4, seed=2)
    assert failures(forecast) == {"error"}
    means = forecast["sector_position"].values.reshape(4, -1).mean(axis=1)
    (row,) = [row for row in run_checks(forecast) if row.name == "error"]
    assert row.figure == pytest.approx(means.std(ddof=1) / 2)


def test_what_more_draws_do_not_help_is_allowed_for(few):
    assert failures(sr.condition(few, through_month=6, n_draws=2_500)) == set()
    assert failures(sr.condition(few, through_month=6, n_draws=2_400)) == {"error"}


def test_every_check_is_the_only_one_to_fail_somewhere():
    alone = {name for _, names in DAMAGES if len(names) == 1 for name in names}
    elsewhere = {"error", *OF_MONTHS}
    assert alone | elsewhere == {check.name for check in CHECKS}


def test_damage_never_keeps_the_pack_from_being_made(made, tmp_path):
    for i, (damage, expected) in enumerate(DAMAGES):
        harmed = made.copy(deep=True)
        damage(harmed)
        if i % 4 == 0 or "settings" in expected:
            pack = quality_pack(harmed)
            assert {row.name for row in pack.failed} == expected
            assert all(row.check in quality_page(pack) for row in pack.failed)


def test_tables_that_damage_keeps_from_being_made_are_named(made):
    harmed = made.copy(deep=True)
    harmed.attrs["assumptions"] = "{"
    harmed["sector_position"].values[0] = np.nan
    pack = quality_pack(harmed)
    assert {gap.table for gap in pack.not_made} == {"assumptions", "decisions", "errors", "uncertainty"}
    assert pack.tables["assumptions"] == pack.tables["errors"] == ()
    assert "**assumptions.csv could not be made**" in quality_page(pack)


@pytest.mark.parametrize(
    "wrong", [lambda f: sr.summarise(f), lambda f: sr.load_case("england-2018-19"), lambda f: f.isel(draw=slice(0))]
)
def test_what_is_no_forecast_is_refused(forecast, wrong):
    with pytest.raises(InputError, match="not a forecast"):
        quality_pack(wrong(forecast))


def test_a_projection_is_refused(case):
    with pytest.raises(InputError, match="a projection of several years"):
        quality_pack(sr.project(case.isel(trust=slice(4)), years=2, n_draws=4))


# --- logs -------------------------------------------------------------------------------------------------


def test_the_log_of_assumptions_says_what_was_changed(case):
    plain = sr.Assumptions()
    reserve = sr.CentralAction("risk reserve", 640.0)
    centre = Centre((plain.centre.actions[0], reserve))
    changed = plain.replace(dependence=plain.dependence.replace(tail_dof=4.0), centre=centre)
    pack = quality_pack(sr.simulate(case, changed, n_draws=DRAWS))
    rows = {row.name: row for row in pack.tables["assumptions"]}
    assert {name for name, row in rows.items() if row.changed == "yes"} == {
        "dependence.tail_dof",
        "centre.risk reserve.planned",
        "centre.risk reserve.delivery",
    }
    tails = rows["dependence.tail_dof"]
    assert (tails.value, tails.default, tails.confidence, tails.confidence_meaning) == (
        4.0,
        0.0,
        "U",
        "set by the user",
    )
    decisions = {row.choice: row.in_force for row in pack.tables["decisions"]}
    assert decisions["dependence between trusts"] == "Student t with 4 degrees of freedom"
    assert decisions["central action: commissioner underspend"] == "left out"
    assert decisions["central action: risk reserve"] == "GBP 640m planned, 100% of it expected"


def test_the_log_of_rules_is_held_against_the_bundled_regime(case):
    softer = sr.REGIMES["2018-19"].replace("sustainability_funding", finance_share=0.5)
    rows = quality_pack(sr.simulate(case, regime=softer, n_draws=20)).tables["rules"]
    assert [row.name for row in rows if row.changed == "yes"] == ["sustainability_funding.finance_share"]


def test_the_log_of_data_says_what_was_done(tmp_path):
    path = tmp_path / "plans_2018-19.csv"
    path.write_text(
        "trust,region,trust_type,plan,efficiency_plan\nZZ1,London,Acute,-10,20\nZZ2,London,Acute,5,\nZZ3,London,Acute,,\n"
    )
    with pytest.warns(sr.InputWarning):
        panel = sr.read_panel(path)
    accounts = xr.Dataset(
        {"turnover": ("trust", [500.0])}, {"trust": ["ZZ1"]}, {"year": "2018-19", "source": "accounts"}
    )
    with pytest.warns(sr.InputWarning):
        whole, _ = sr.combine(panel, accounts)
    merged = sr.merge(whole, ["ZZ1", "ZZ2"], into="ZZ1")
    pack = quality_pack(sr.simulate(merged, n_draws=20))
    data = {row.item: row.value for row in pack.tables["data"]}
    assert data["source"] == "plans_2018-19.csv"
    assert data["left out"] == "ZZ3"
    assert "filled: turnover" in data
    assert "turnover" in data["combined: accounts"]
    assert data["reconfigured"] == "ZZ1 and ZZ2 merged into ZZ1."
    assert ("turnover", "filled by a rule") in {row[:2] for row in pack.tables["decisions"]}
    assert "again" in {row.name for row in pack.checks if row.result == NOT_RUN}


def test_every_decision_has_a_reason_and_a_place(made):
    rows = quality_pack(made).tables["decisions"]
    assert len(rows) > 8
    assert all(all(row) for row in rows)


@pytest.mark.parametrize(("level", "unit"), [("sector", "Provider sector"), ("nhs", "Whole NHS")])
def test_every_error_of_a_unit_is_that_of_the_summary(made, level, unit):
    of = sr.summarise(made).sel(unit=unit)
    worst = of.sel(confidence=0.95)
    expected = {
        "expected position": (of["mean"], of["mean_se"]),
        "mean deficit of the worst 5%": (worst["tail_value_at_risk"], worst["tail_value_at_risk_se"]),
    }
    for p in (0.05, 0.25, 0.5, 0.75, 0.95):
        at = of.sel(quantile=p)
        expected[f"{p:.0%} quantile"] = at["position_quantile"], at["position_quantile_se"]
    chance = of["p_breakeven"].item()
    rule_of_three = chance in (0.0, 1.0)
    assert rule_of_three == (level == "sector")
    expected["chance of breakeven"] = chance, 3 / DRAWS / 1.96 if rule_of_three else of["p_breakeven_se"]
    rows = {row.figure: row for row in headline_errors(made) if row.figure.startswith(f"{unit}: ")}
    assert rows.keys() == {f"{unit}: {figure}" for figure in expected}
    for figure, (value, error) in expected.items():
        row = rows[f"{unit}: {figure}"]
        assert (row.value, row.standard_error) == (pytest.approx(float(value)), pytest.approx(float(error))), figure
        assert row.standard_error > 0.0
        assert row.unit == ("probability" if "chance" in figure else "GBP million")


def test_errors_of_what_trusts_add_up_to_are_those_of_the_draws(made):
    position = made["position"].values.astype(float)
    expected = {
        "Expected number of trusts in deficit": (position < -0.005).sum(axis=0),
        "Expected sum of all deficits": position.clip(max=0.0).sum(axis=0),
        "Expected sum of the 30 worst trusts": np.sort(position, axis=0)[:30].sum(axis=0),
    }
    rows = {row.figure: row for row in headline_errors(made) if ":" not in row.figure}
    assert rows.keys() == expected.keys()
    for figure, values in expected.items():
        assert rows[figure].value == pytest.approx(values.mean(), rel=1e-5)
        assert rows[figure].standard_error == pytest.approx(values.std(ddof=1) / DRAWS**0.5, rel=1e-5)


def test_part_of_the_sector_says_nothing_of_the_nhs(given):
    pack = quality_pack(given)
    assert {row.figure.split(":")[0] for row in pack.tables["errors"] if ":" in row.figure} == {"Provider sector"}
    assert {row.unit for row in pack.tables["uncertainty"]} == {"Provider sector"}


@pytest.mark.parametrize("unit", ["Provider sector", "Whole NHS"])
def test_every_share_is_that_of_the_allocation(made, unit):
    parts, rows = sr.allocate(made, unit), [row for row in shares_of_range(made) if row.unit == unit]
    sd, sd_se = parts["sd"].item(), parts["sd_se"].item()
    assert [row.effect for row in rows] == [name for name in parts["effect"].values if name != "plan"]
    for row in rows:
        one = parts.sel(effect=row.effect)
        part, part_se = one["sd_by_effect"].item(), one["sd_by_effect_se"].item()
        tail = one["tail_value_at_risk_by_effect"].item(), one["tail_value_at_risk_by_effect_se"].item()
        figures = part / sd, (part_se + abs(part / sd) * sd_se) / sd, part, part_se, *tail
        assert tuple(row[2:]) == pytest.approx(figures, rel=1e-12)
    assert sum(row.share for row in rows) == pytest.approx(1.0)


def test_shares_and_what_is_added_in_the_tail_are_those_of_the_draws(made):
    sector = made["sector_position"].values
    drift = made["contribution"].sum("trust", dtype=float).sel(driver="deterioration").values
    rows = {row.effect: row for row in shares_of_range(made) if row.unit == "Provider sector"}
    share = np.cov(drift, sector)[0, 1] / sector.var(ddof=1)
    assert rows["deterioration"].share == pytest.approx(share, rel=1e-4)
    worst = np.argsort(sector)[: DRAWS // 20]
    assert rows["deterioration"].deficit_in_worst_5_percent == pytest.approx(-drift[worst].mean(), rel=1e-4)
    assert rows["deterioration"].deficit_in_worst_5_percent > 0.0


# --- folder -----------------------------------------------------------------------------------------------


def test_all_files_are_written_and_read_back(made, tmp_path):
    written = write_quality_pack(quality_pack(made), tmp_path / "deep/qa")
    assert [path.name for path in written] == list(NAMES)
    assert sorted(path.name for path in (tmp_path / "deep/qa").iterdir()) == sorted(NAMES)
    pack = quality_pack(made)
    for name in TABLES:
        rows = rows_of(tmp_path / f"deep/qa/{name}.csv")
        assert len(rows) == len(pack.tables[name]) > 0
        assert list(rows[0]) == list(pack.tables[name][0]._fields)
    values = {row["name"]: json.loads(row["value"]) for row in rows_of(tmp_path / "deep/qa/assumptions.csv")}
    assert values == {row.name: row.value for row in sr.Assumptions().log()}


def test_the_page_puts_it_together(made):
    pack = quality_pack(made)
    page = quality_page(pack)
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings[0] == "# Quality pack: In-year forecast of provider positions, 2018-19, 227 trusts"
    for heading in ("Purpose", "Checks", "Limits", "Sign-off"):
        assert f"## {heading}" in headings
    assert "15 checks passed, 0 failed, 3 not run." in page
    guesses = sum(row.confidence in "GW" for row in (*pack.tables["assumptions"], *pack.tables["rules"]))
    assert (
        f"{guesses} of {len(pack.tables['assumptions']) + len(pack.tables['rules'])} values are judgement or weak."
        in page
    )
    assert "| Analyst | | | |\n| Reviewer | | | |\n| Owner | | | |" in page
    assert "| Provider sector: chance of breakeven | under 0.0012 |" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_every_figure_of_a_row_has_its_column(made):
    pack = quality_pack(made)
    check = CheckRow("sector", "Trusts add up", FAILED, 0.25, 0.5, "GBP million", "sector | position")
    share = ShareRow("Provider sector", "deterioration", 0.125, 0.25, 3.0, 4.0, 5.0, 6.0)
    error = ErrorRow("Mean", -1234.5, 0.75, "GBP million", "sd / sqrt(n)")
    tables = dict(pack.tables) | {"checks": (check,), "uncertainty": (share,), "errors": (error,)}
    lines = quality_page(replace(pack, tables=tables)).splitlines()
    for heading, row in {
        "| Check | Result | Figure | Limit | Unit | Note |": (
            "| Trusts add up | **failed** | 0.25 | 0.5 | GBP million | sector \\| position |"
        ),
        "| Unit | Effect | Share | Standard error | Deficit | Standard error |": (
            "| Provider sector | Drift less contingency | 12.5% | 25.0% | 5 | 6 |"
        ),
        "| Figure | Value | Standard error | Unit | How |": "| Mean | -1,234 | 0.75 | GBP million | sd / sqrt(n) |",
    }.items():
        assert lines[lines.index(heading) + 2] == row


def test_the_page_says_where_errors_are_too_small_and_what_is_left_out(made, drawn):
    page = quality_page(quality_pack(made))
    assert "They are too small where draws come in parameter sets, or months were seen" in page
    limits = page.split("## Limits\n\n")[1].split("\n\n## ")[0]
    assert 0 < sum(bool(line) for line in limits.splitlines()) <= 10
    (row,) = [row for row in quality_pack(drawn).tables["decisions"] if row.choice == "parameters"]
    assert "errors that take draws as independent are too small" in row.reason


def test_an_earlier_pack_is_replaced(made, forecast, tmp_path):
    write_quality_pack(quality_pack(forecast), tmp_path / "qa")
    write_quality_pack(quality_pack(made), tmp_path / "qa")
    assert "2,600" in (tmp_path / "qa/quality.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["qa"]


@pytest.mark.parametrize("others", [["notes.txt"], ["quality.md"], ["checks.csv"]])
def test_a_folder_that_is_something_else_is_left_alone(forecast, others, tmp_path):
    (tmp_path / "qa").mkdir()
    for name in others:
        (tmp_path / "qa" / name).write_text("mine")
    with pytest.raises(OSError, match="no quality pack"):
        write_quality_pack(quality_pack(forecast), tmp_path / "qa")
    assert sorted(path.name for path in (tmp_path / "qa").iterdir()) == others


def test_what_was_added_to_a_pack_is_not_lost(forecast, tmp_path):
    write_quality_pack(quality_pack(forecast), tmp_path / "qa")
    (tmp_path / "qa/minutes.txt").write_text("agreed")
    with pytest.raises(OSError, match=r"minutes\.txt would be lost"):
        write_quality_pack(quality_pack(forecast), tmp_path / "qa")
    assert (tmp_path / "qa/minutes.txt").read_text() == "agreed"


def test_a_signed_pack_is_not_overwritten(forecast, tmp_path):
    write_quality_pack(quality_pack(forecast), tmp_path / "qa")
    page = tmp_path / "qa/quality.md"
    page.write_text(page.read_text().replace("| Reviewer | | | |", "| Reviewer | Z. Z. | 1 May | yes |"))
    with pytest.raises(OSError, match="signed"):
        write_quality_pack(quality_pack(forecast), tmp_path / "qa")
    assert "Z. Z." in page.read_text()


def test_a_page_that_is_no_text_is_left_alone(forecast, tmp_path):
    (tmp_path / "quality.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OSError, match="no quality pack"):
        write_quality_pack(quality_pack(forecast), tmp_path)


def test_a_link_to_a_folder_is_followed(forecast, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far", target_is_directory=True)
    for _ in range(2):
        write_quality_pack(quality_pack(forecast), tmp_path / "near")
    assert (tmp_path / "far/quality.md").is_file()
    assert (tmp_path / "near").is_symlink()


def test_an_empty_folder_will_do_and_a_file_will_not(forecast, tmp_path):
    (tmp_path / "empty").mkdir()
    assert write_quality_pack(quality_pack(forecast), tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_quality_pack(quality_pack(forecast), tmp_path / "file")


def test_a_failure_leaves_the_earlier_pack_and_nothing_else(made, forecast, tmp_path, monkeypatch):
    write_quality_pack(quality_pack(forecast), tmp_path / "qa")
    before = {path.name: path.read_bytes() for path in (tmp_path / "qa").iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "quality_page", full)
    for target in ("qa", "new"):
        with pytest.raises(OSError, match="No space"):
            write_quality_pack(quality_pack(made), tmp_path / target)
    assert {path.name: path.read_bytes() for path in (tmp_path / "qa").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["qa"]


def test_the_error_of_a_share_is_at_most_what_is_given():
    few = sr.load_case("england-2018-19").isel(trust=slice(6))
    replicates, n_draws = 150, 200
    rows = [shares_of_range(sr.simulate(few, n_draws=n_draws, seed=seed)) for seed in range(replicates)]
    share = np.array([[row.share for row in pack] for pack in rows])
    given = np.array([[row.share_error for row in pack] for pack in rows]).mean(axis=0)
    spread = share.std(axis=0, ddof=1)
    assert (spread <= given * (1.0 + 4.0 / (2.0 * replicates) ** 0.5)).all()
    assert (spread[given > 0.01] >= 0.3 * given[given > 0.01]).all()
