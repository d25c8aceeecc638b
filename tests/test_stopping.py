"""Runs that stop when errors are small enough."""

import json

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk import stopping
from sector_risk.stopping import Reached, Target, next_draws, simulate_until

SECTOR = "Provider sector"


@pytest.fixture(scope="module")
def panel(case):
    return case.isel(trust=slice(None, None, 30))


@pytest.fixture
def runs(monkeypatch):
    """Draws of each run that is made."""
    made = []

    def simulate(*args, **how):
        made.append(how["n_draws"])
        return sr.simulate(*args, **how)

    monkeypatch.setattr(stopping, "simulate", simulate)
    return made


def error(forecast, measure, unit=SECTOR, **at):
    return sr.summarise(forecast)[f"{measure}_se"].sel(unit=unit, **at)


def said(forecast):
    return json.loads(forecast.attrs["targets"])


def without_words(forecast):
    return forecast.drop_attrs()


def test_the_result_is_that_of_simulate_to_the_bit(panel, runs):
    wanted = float(error(sr.simulate(panel, n_draws=200, seed=4), "mean")) / 2.5
    forecast = simulate_until(panel, targets=Target("mean", wanted), start_draws=200, seed=4)
    n = forecast.sizes["draw"]
    assert 1000 < n < 2000
    xr.testing.assert_identical(without_words(forecast), without_words(sr.simulate(panel, n_draws=n, seed=4)))
    assert forecast.attrs["n_draws"] == n == runs[-1]
    assert float(error(forecast, "mean")) <= wanted
    assert forecast.attrs["stopped_because"] == "targets met"
    assert len(runs) <= 3


def test_months_seen_are_kept_in_mind(panel):
    seen = panel.assign_coords(month=[3]).assign(variance_ytd=(("trust", "month"), np.full((8, 1), -0.5)))
    wanted = float(error(sr.condition(seen, through_month=3, n_draws=200), "mean")) / 1.5
    with pytest.warns(sr.InputWarning, match="another seed shows it"):
        forecast = simulate_until(seen, targets=Target("mean", wanted), start_draws=200, through_month=3)
    n = forecast.sizes["draw"]
    assert n > 300
    assert forecast.attrs["through_month"] == 3
    again = sr.condition(seen, through_month=3, n_draws=n)
    xr.testing.assert_identical(without_words(forecast), without_words(again))


def test_what_is_met_at_once_takes_one_run(panel, runs):
    forecast = simulate_until(panel, regime="none", targets=Target("mean", 1e6), start_draws=50)
    assert runs == [50]
    assert float(forecast["support"].sum()) == 0.0
    assert said(forecast)[0]["met"] is True


def test_every_unit_of_every_target_is_looked_at(panel):
    at_first = sr.simulate(panel, n_draws=200)
    worst = error(at_first, "p_deficit", at_first["trust"].values)
    targets = (
        Target("p_deficit", float(worst.max()) / 1.5, units="trust"),
        Target("mean", 1e3, units=[SECTOR, "Whole NHS", "region"]),
    )
    forecast = simulate_until(panel, targets=targets, start_draws=200)
    errors = error(forecast, "p_deficit", forecast["trust"].values)
    assert float(errors.max()) <= targets[0].se
    first, second = said(forecast)
    assert first["se_reached"] == float(errors.max())
    assert first["unit_reached"] == forecast["trust"].values[errors.values.argmax()]
    assert (first["units"], first["at"], first["measure"]) == (["trust"], None, "p_deficit")
    assert second["units"] == [SECTOR, "Whole NHS", "region"]
    assert second["unit_reached"] in (SECTOR, "Whole NHS")


@pytest.mark.parametrize(
    ("measure", "at", "coordinate"),
    [
        ("position_quantile", 0.1, "quantile"),
        ("value_at_risk", 0.9, "confidence"),
        ("tail_value_at_risk", 0.8, "confidence"),
    ],
)
def test_measures_are_taken_where_they_are_asked_for(panel, measure, at, coordinate):
    wanted = Target(measure, 1e3, at=at)
    other = Target(measure, 1e3, at=0.5)
    forecast = simulate_until(panel, targets=[wanted, other], start_draws=300)
    summary = sr.summarise(forecast, quantiles=(0.1, 0.5), confidence=(0.5, 0.8, 0.9))
    for target, found in zip((wanted, other), said(forecast), strict=True):
        reached = summary[f"{measure}_se"].sel({"unit": SECTOR, coordinate: target.at})
        assert found["se_reached"] == float(reached)


def test_the_cap_holds_and_is_told(panel, runs):
    wanted = float(error(sr.simulate(panel, n_draws=100), "mean")) / 10
    with pytest.warns(sr.InputWarning, match=r"not met with max_draws of 300: they would need about \d{1,2},\d{3}"):
        forecast = simulate_until(panel, targets=Target("mean", wanted), start_draws=100, max_draws=300)
    assert runs == [100, 300]
    assert forecast.sizes["draw"] == 300
    assert forecast.attrs["stopped_because"] == "cap reached"
    assert said(forecast)[0]["met"] is False
    assert said(forecast)[0]["se_reached"] == float(error(forecast, "mean")) > wanted


def test_a_small_step_is_made_larger_and_a_large_one_has_a_margin():
    assert next_draws(1000, 1001, 10**6) == 1250
    assert next_draws(1000, 8000, 10**6) == 8800
    assert next_draws(1000, 8000, 8000) == 8000


def test_a_leap_is_made_in_two(panel, runs):
    """A hundred times as many: a tenth of them first."""
    assert next_draws(1000, 100_000, 10**6) == 10_000
    assert next_draws(1000, 100_000, 5000) == 5000
    wanted = float(error(sr.simulate(panel, n_draws=100), "mean")) / 8
    forecast = simulate_until(panel, targets=Target("mean", wanted), start_draws=100)
    assert runs[:2] == [100, 800]
    assert forecast.sizes["draw"] == runs[-1] > 4000
    assert sum(runs) < 2 * runs[-1]


def test_draws_needed_fall_with_the_square_of_the_error():
    assert Reached(Target("mean", 2.0), 6.0, SECTOR).draws_needed(100) == 900
    assert Reached(Target("mean", 2.0), 2.0, SECTOR).draws_needed(100) == 100
    assert Reached(Target("mean", 2.0), np.nextafter(2.0, 3.0), SECTOR).draws_needed(100) > 100
    assert Reached(Target("mean", 2.0), np.nan, SECTOR).draws_needed(100) == 400
    assert Reached(Target("mean", 1e-300), 1.0, SECTOR).draws_needed(100) == 2**32 - 1


def test_a_share_that_no_draw_speaks_for_is_not_known_exactly(panel):
    """Nobody would be in deficit of 1,000 times its plan: the share is 0 in any number of draws."""
    safe = panel.assign(plan=panel["turnover"])
    forecast = simulate_until(safe, targets=Target("p_deficit", 1 / 250), start_draws=100, regime="none")
    assert float(sr.summarise(forecast)["p_deficit"].sel(unit=SECTOR)) == 0.0
    assert forecast.sizes["draw"] >= 250
    assert said(forecast)[0]["se_reached"] == 1 / forecast.sizes["draw"]


def test_an_error_that_draws_are_too_few_for_asks_for_more(panel, runs):
    """With 20 draws the worst hundredth is one draw, whose mean has no error."""
    target = Target("tail_value_at_risk", 1e6, at=0.99)
    forecast = simulate_until(panel, targets=target, start_draws=20)
    assert runs[:2] == [20, 88]
    assert forecast.sizes["draw"] > 100
    assert said(forecast)[0]["se_reached"] > 0
    with pytest.warns(sr.InputWarning, match="not met"):
        forecast = simulate_until(panel, targets=target, start_draws=20, max_draws=50)
    assert said(forecast)[0]["se_reached"] is None


def test_units_without_the_figure_are_passed_over_or_refused(panel):
    """Five trusts have no control total."""
    total = panel["control_total"].where(np.arange(8) >= 5)
    target = Target("p_missing_control_total", 0.5, units="trust")
    forecast = simulate_until(panel.assign(control_total=total), targets=target, start_draws=20)
    known = forecast["control_total"].notnull().values
    if not known.all():
        assert said(forecast)[0]["unit_reached"] in forecast["trust"].values[known]
    with pytest.raises(sr.InputError, match="no such unit has the figure p_missing_plan") as report:
        simulate_until(panel, targets=Target("p_missing_plan", 0.5, units=("Whole NHS", "nhs")), start_draws=20)
    assert len(report.value.faults) == 2


def test_units_that_are_not_there_are_named_together(panel):
    targets = [Target("mean", 1.0, units=["Provider sectr", "London"]), Target("p_deficit", 0.1, units="ZZ1")]
    with pytest.raises(sr.InputError, match="Did you mean 'Provider sector'") as report:
        simulate_until(panel.assign_coords(region=panel["region"]), targets=targets, start_draws=10)
    assert [fault.value for fault in report.value.faults][-1] == "ZZ1"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"measure": "p_defict", "se": 0.1}, "Did you mean 'p_deficit'"),
        ({"measure": "zebra", "se": 0.1}, "Use one of mean"),
        ({"measure": "mean", "se": 0.0}, "above 0"),
        ({"measure": "mean", "se": float("nan")}, "above 0"),
        ({"measure": "mean", "se": float("inf")}, "above 0"),
        ({"measure": "mean", "se": "small"}, "above 0"),
        ({"measure": "mean", "se": True}, "above 0"),
        ({"measure": "mean", "se": 1.0, "at": 0.5}, "mean is not taken at anything"),
        ({"measure": "value_at_risk", "se": 1.0}, "must be the confidence"),
        ({"measure": "position_quantile", "se": 1.0, "at": 1.0}, "must be the quantile"),
        ({"measure": "mean", "se": 1.0, "units": ()}, "must be names"),
        ({"measure": "mean", "se": 1.0, "units": (SECTOR, 3)}, "must be names"),
    ],
)
def test_targets_are_checked_when_they_are_made(bad, words):
    with pytest.raises(sr.InputError, match=words) as report:
        Target(**bad)
    assert len(report.value.faults) == 1


def test_all_faults_of_a_target_come_together():
    with pytest.raises(sr.InputError) as report:
        Target("mean", -1.0, units=(), at=0.5)
    assert [fault.variable for fault in report.value.faults] == ["at", "se", "units"]


def test_all_faults_of_a_request_come_together(panel, runs):
    with pytest.raises(sr.InputError) as report:
        simulate_until(
            panel,
            "a.toml",
            "no such rules",
            targets=[1],
            max_draws=0,
            start_draws=1,
            seed=-1,
            threads=0,
            through_month=13,
        )
    named = {fault.variable for fault in report.value.faults}
    assert {"targets", "max_draws", "start_draws", "seed", "threads", "through_month", "assumptions"} <= named
    with pytest.raises(sr.InputError, match="must be targets"):
        simulate_until(panel, targets=[])
    with pytest.raises(sr.InputError, match="must be targets"):
        simulate_until(panel, targets=5.0)
    with pytest.raises(sr.InputError, match="must not be more than max_draws"):
        simulate_until(panel, targets=Target("mean", 1.0), start_draws=200, max_draws=100)
    assert not runs


def test_progress_is_told_of_every_run(panel):
    seen = []
    wanted = float(error(sr.simulate(panel, n_draws=100), "mean")) / 2
    simulate_until(
        panel, targets=Target("mean", wanted), start_draws=100, progress=lambda done, total: seen.append(done == total)
    )
    assert sum(seen) >= 2


def test_intervals_at_the_stop_hold_the_truth_as_often_as_they_say(case):
    """Of 200 stops, those within 1.96 errors of the truth are binomial: 95% and at most three sd less or more.

    The truth has an error of its own, a sixtieth of the intervals'.
    """
    panel = case.isel(trust=slice(0, 2))
    truth = sr.summarise(sr.simulate(panel, n_draws=400_000, seed=10**6)).sel(unit=SECTOR)
    sd = float(truth["sd"])
    hits = {"mean": [], "p_missing_plan": []}
    for seed in range(200):
        targets = [Target("mean", sd / 20), Target("p_missing_plan", 0.025)]
        found = sr.summarise(simulate_until(panel, targets=targets, start_draws=100, seed=seed, threads=1)).sel(
            unit=SECTOR
        )
        for name, hit in hits.items():
            hit.append(abs(float(found[name] - truth[name])) < 1.96 * float(found[f"{name}_se"]))
    allowed = 3 * np.sqrt(0.95 * 0.05 / 200)
    for hit in hits.values():
        assert abs(np.mean(hit) - 0.95) < allowed
