"""Back-tests: by hand, on years that the model made, without leaks, and on published files."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.backtesting import backtest, backtest_years, in_money, trusts, years
from sector_risk.backtesting.labels import BACKTEST
from sector_risk.calibration import calibrate
from sector_risk.history import Figure, History, load_history
from sector_risk.rivals import RIVALS, latest, rival_forecasts

SMALL = {"points": 128, "fit_draws": 32, "n_draws": 640, "parameter_sets": 20}


@pytest.fixture(scope="module")
def blank():
    """Sixty made-up trusts, some of which plan deficits."""
    n = 60
    return sr.make_panel(
        pd.DataFrame(
            {
                "trust": [f"ZZ{k}" for k in range(n)],
                "region": ["London", "Midlands", "South West"] * (n // 3),
                "trust_type": ["Acute", "Mental health"] * (n // 2),
                "plan_pct": np.linspace(-4.0, 1.0, n),
                "turnover": np.linspace(200.0, 900.0, n),
                "efficiency_plan_pct": np.full(n, 4.0),
            }
        ),
        year="2018-19",
    )


def with_variances(panel, variance, months=(3, 6, 9, 12)):
    """A panel with variances (month, trust)."""
    full = np.full((12, panel.sizes["trust"]), np.nan)
    full[[m - 1 for m in months]] = variance
    return panel.drop_dims("month", errors="ignore").assign(
        variance_ytd=xr.DataArray(full, {"month": np.arange(1, 13)}, ("month", "trust")).transpose("trust", "month")
    )


@pytest.fixture(scope="module")
def made(blank):
    """Years that the model makes: the blank panel with what came."""
    came = sr.simulate(blank, n_draws=8, seed=77, by_quarter=True)["variance_by_quarter"]
    return [with_variances(blank, came.isel(draw=k).values) for k in range(8)]


@pytest.fixture(scope="module")
def result(made):
    return backtest(made[0], n_draws=400, seed=3)


def change(panel, month, by):
    """The panel with other variances from a month on."""
    variance = panel["variance_ytd"]
    return panel.assign(variance_ytd=variance.where(variance["month"] < month, variance + by))


# Rivals


def test_rivals_by_hand(made, result):
    at = made[0].isel(trust=7)
    turnover = float(at["turnover"])
    at_three = 100.0 * float(at["variance_ytd"].sel(month=3)) / (turnover * 3 / 12)
    one = result.sel(origin=3, unit="ZZ7")
    assert one["rival_forecast"].sel(rival="plan") == 0.0
    assert one["rival_forecast"].sel(rival="run_rate") == pytest.approx(at_three)
    assert np.isnan(one["rival_forecast"].sel(rival="declared_forecast"))
    # 2015-16, 2016-17; the panel's own year, 2018-19, stays out
    past = np.mean([-622 / 75_970, -202 / 79_910]) * 100 * 12 / 9
    assert one["rival_forecast"].sel(rival="plan_and_mean_error") == pytest.approx(past)
    came = 100.0 * float(at["variance_ytd"].sel(month=9)) / (turnover * 9 / 12)
    assert one["outcome"] == pytest.approx(came)
    assert one["rival_score"].sel(rival="run_rate").values == pytest.approx([abs(came - at_three)] * 2)


def test_the_sum_is_that_of_trusts_in_money(made, result):
    total = result.sel(unit="All trusts scored")
    came = made[0]["variance_ytd"].sel(month=9).sum() / (made[0]["turnover"].sum() * 9 / 12)
    assert total["outcome"] == pytest.approx(100.0 * float(came))
    run_rate = made[0]["variance_ytd"].sel(month=6).sum() / (made[0]["turnover"].sum() * 6 / 12)
    assert total["rival_forecast"].sel(origin=6, rival="run_rate") == pytest.approx(100.0 * float(run_rate))


def test_a_rival_with_nothing_to_go_on_says_nothing():
    forecasts = rival_forecasts(np.array([np.nan]), np.array([np.nan]), np.nan)
    assert forecasts[0] == 0.0
    assert np.isnan(forecasts[1:]).all()
    assert len(forecasts) == len(RIVALS)
    assert np.isnan(latest(np.empty((1, 0)))).all()


def test_the_declared_forecast_is_a_rival_at_the_year_end_from_its_month_on(made):
    panel = made[0].assign(forecast=made[0]["plan"] - 3.0)
    settings = {"from_months": (3, 6), "target_month": 12, "n_draws": 100}
    declared = backtest(panel, forecast_month=6, **settings)["rival_forecast"].sel(rival="declared_forecast")
    assert declared.sel(origin=3).isnull().all()
    np.testing.assert_allclose(
        declared.sel(origin=6)[:-1], -300.0 / panel["turnover"].values - np.zeros(60), rtol=1e-12
    )
    assert backtest(panel, **settings)["rival_forecast"].sel(rival="declared_forecast").isnull().all()


# Scores of the whole


def test_means_and_skill_by_hand(result):
    at = result.sel(origin=6, score="crps")
    ours = at["forecast_score"].values[:-1].mean()
    rivals = at["rival_score"].values[:, :-1].mean(axis=1)
    assert at["mean_score"] == pytest.approx(ours)
    assert at["skill"] == pytest.approx(1.0 - ours / np.nanmin(rivals))
    assert at["best_rival"] == list(RIVALS)[int(np.nanargmin(rivals))]
    assert float(at["pit_count"].sum()) == pytest.approx(60)
    np.testing.assert_allclose(at["coverage"], at["covered"].values[:-1].mean(axis=0))


def test_a_rival_is_compared_where_it_says_something():
    history = load_history()
    at = backtest_years(history, **SMALL).sel(origin=6, score="crps")
    known = at["rival_score"].sel(rival="declared_forecast").notnull().values
    assert known.sum() == 4
    ours = at["forecast_score"].values[known].mean()
    theirs = at["rival_score"].sel(rival="declared_forecast").values[known].mean()
    assert at["skill_over"].sel(rival="declared_forecast") == pytest.approx(1.0 - ours / theirs)


def test_every_variable_says_what_it_is(result):
    assert set(result.data_vars) == set(BACKTEST) & set(result.data_vars)
    for name in result.data_vars:
        assert result[name].attrs["long_name"]
        assert result[name].dims == BACKTEST[name].dims
    assert result["forecast_score"].attrs["units"] == "per cent of turnover to date"
    assert in_money(result)["forecast_score"].attrs["units"] == "GBP million"


def test_money_is_per_cent_times_turnover_to_date(made, result):
    money = in_money(result).sel(unit="ZZ7")
    assert money["outcome"] == pytest.approx(float(made[0]["variance_ytd"].sel(month=9)[7]))
    share = money["forecast_score"] / result.sel(unit="ZZ7")["forecast_score"]
    np.testing.assert_allclose(share, float(made[0]["turnover"][7]) * 9 / 12 / 100)
    assert in_money(result)["pit_p_value_shared"].equals(result["pit_p_value_shared"])


def test_on_plan_is_one_thing_for_draws_and_outcomes(made):
    near = made[0]["turnover"].values * 0.00015 * np.array([3, 6, 9, 12])[:, None] / 12
    at = backtest(with_variances(made[0], near), n_draws=400, from_months=[6]).isel(unit=slice(-1))
    assert (at["outcome"] == 0.0).all()
    assert (at["rival_score"].sel(rival="run_rate") == 0.0).all()
    assert (at["pit_high"] - at["pit_low"] > 0.2).mean() > 0.9  # most draws of such trusts are on plan


# A perfect model


def test_a_model_that_made_the_years_has_skill_and_right_chances(made):
    results = [backtest(panel, n_draws=400, seed=k, from_months=[6]).isel(origin=0) for k, panel in enumerate(made)]
    pit = np.concatenate([r["pit"].values[:-1, 0] for r in results])
    # Trusts of a year share causes, so years are what is independent: 4 standard errors of their mean
    in_eighty = np.array([((r["pit"].values[:-1, 0] > 0.1) & (r["pit"].values[:-1, 0] < 0.9)).mean() for r in results])
    assert abs(in_eighty.mean() - 0.8) < 4.0 * max(in_eighty.std(ddof=1), np.sqrt(0.16 / 60)) / np.sqrt(len(results))
    assert abs(pit.mean() - 0.5) < 4.0 * np.sqrt(1 / 12 / len(results) * 0.3)  # a third of it shared at most
    assert np.mean([r["coverage"].sel(interval=0.8) for r in results]) > 0.75  # more than .8 where many are on plan
    ours = np.mean([r["mean_score"].sel(score="crps") for r in results])
    rivals = np.nanmin(np.mean([r["mean_rival_score"].sel(score="crps") for r in results], axis=0))
    assert ours < 0.95 * rivals


def test_a_model_that_is_far_too_sure_is_found_out(made):
    sure = sr.Assumptions()
    sure = sure.replace(deterioration=sure.deterioration.replace(shock_sd=0.0003))
    with pytest.warns(sr.InputWarning, match="As of month 6"):
        at = backtest(made[0], sure, n_draws=400, from_months=[6]).isel(origin=0)
    assert at["coverage"].sel(interval=0.8) < 0.7
    assert at["pit_p_value"] < 0.01


# No leaks


@pytest.mark.filterwarnings("ignore:As of month")
def test_what_comes_after_an_origin_changes_no_forecast_as_of_it(made, result):
    other = backtest(change(made[0], 7, 5.0), n_draws=400, seed=3)
    for name in ("forecast_mean", "forecast_quantile", "rival_forecast"):
        xr.testing.assert_identical(other[name], result[name])
    assert (other["outcome"] != result["outcome"]).all()
    assert (other["forecast_score"] != result["forecast_score"]).all()
    between = backtest(change(made[0], 4, 5.0), n_draws=400, seed=3)
    xr.testing.assert_identical(between["forecast_mean"].sel(origin=3), result["forecast_mean"].sel(origin=3))
    assert (between["forecast_mean"].sel(origin=6) != result["forecast_mean"].sel(origin=6)).all()


@pytest.mark.filterwarnings("ignore:As of month")
def test_nothing_after_the_origin_is_handed_to_the_model(made, monkeypatch):
    panel = made[0].assign(forecast=made[0]["plan"] - 1.0, actual=xr.zeros_like(made[0]["variance_ytd"]))
    handed, condition = [], trusts.condition

    def watching(seen, *args, **settings):
        handed.append((seen, settings["through_month"]))
        return condition(seen, *args, **settings)

    monkeypatch.setattr(trusts, "condition", watching)
    backtest(panel, n_draws=100, forecast_month=5)
    assert [month for _, month in handed] == [3, 6]
    for seen, month in handed:
        assert seen["variance_ytd"].sel(month=slice(month + 1, None)).isnull().all()
        assert seen["actual"].sel(month=slice(month + 1, None)).isnull().all()
        assert seen["variance_ytd"].sel(month=month).notnull().all()
        assert ("forecast" in seen) == (month == 6)


def test_the_year_left_out_cannot_influence_its_fit():
    history, tested = load_history(), "2016-17"
    figures = tuple(
        f
        if f.year != tested or f.month < 12 or f.measure == "turnover"
        else Figure(f.year, f.month, f.measure, v, "", "U")
        for f in history.figures
        for v in [f.value * 0.5]
    )
    first, second = (backtest_years(h, **SMALL) for h in (history, History(figures)))
    for name in ("forecast_mean", "forecast_quantile", "rival_forecast"):
        chosen = {"year": tested} | ({"rival": ["plan", "run_rate", "plan_and_mean_error"]} if "rival" in name else {})
        assert (first[name].sel(chosen) == second[name].sel(chosen)).all()
    assert first["outcome"].sel(year=tested) != second["outcome"].sel(year=tested)
    # the other years are fitted with it, so they do move
    assert (first["forecast_mean"].sel(year="2018-19") != second["forecast_mean"].sel(year="2018-19")).all()


def test_every_fit_is_without_its_year(monkeypatch):
    fitted, real = [], years.calibrate

    def watching(history, *args, **settings):
        fitted.append(history.years)
        return real(history, *args, **settings)

    monkeypatch.setattr(years, "calibrate", watching)
    result = backtest_years(load_history(), **SMALL)
    assert [set(load_history().years) - set(used) for used in fitted] == [{y} for y in result["year"].values.tolist()]


def test_later_quarters_change_no_forecast_as_of_earlier_ones():
    history = load_history()
    figures = tuple(
        Figure(f.year, f.month, f.measure, f.value - 300.0, f.source, f.confidence)
        if (f.year, f.month, f.measure) == ("2018-19", 9, "actual_ytd")
        else f
        for f in history.figures
    )
    first, second = (backtest_years(h, **SMALL).sel(year="2018-19") for h in (history, History(figures)))
    assert (first["forecast_mean"] == second["forecast_mean"]).values.tolist() == [True, False]


def test_a_fit_that_has_seen_the_year_is_refused(made):
    fit = calibrate(load_history(), points=128, n_draws=32)
    with pytest.raises(sr.InputError, match=r"has seen the year.*2018-19"):
        backtest(made[0], fit)


def test_a_fit_to_other_years_draws_parameters(made):
    fit = calibrate(load_history().without("2018-19"), points=128, n_draws=32)
    done = []
    result = backtest(
        made[0], fit, n_draws=120, parameter_sets=4, from_months=[6], progress=lambda *at: done.append(at)
    )
    assert done == [(k, 4) for k in range(1, 5)]
    assert "2016-17" in result.attrs["fit"]
    assert result.attrs["parameter_sets"] == 4
    fixed = backtest(made[0], fit.assumptions(), n_draws=120, from_months=[6])
    assert (result["forecast_mean"] != fixed["forecast_mean"]).any()


def test_assumptions_that_name_the_year_are_named(made):
    view = backtest(made[0].assign_attrs(year="2025-26"), n_draws=100).attrs["set_with_this_year_in_view"]
    assert "deterioration.shock_sd" in view
    assert "pay." not in view


# Faults


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ({"target_month": 8}, ["must be the end of a quarter"]),
        ({"from_months": (9,)}, ["must be a month before the target"]),
        ({"from_months": ()}, ["must be one or more months"]),
        ({"from_months": (3, 3)}, ["must be one or more months, each once"]),
        ({"from_months": (0, 4.5)}, ["must be a month before the target"]),
        ({"forecast_month": 13}, ["must be a month from 0 to 12"]),
        ({"target_month": 8, "n_draws": 0, "from_months": ()}, ["end of a quarter", "one or more", "whole number"]),
        ({"from_months": (5,)}, ["no trust has a variance at a month"]),
    ],
)
def test_all_faults_at_once(made, settings, rules):
    with pytest.raises(sr.InputError) as error:
        backtest(made[0], **settings)
    for rule in rules:
        assert rule in str(error.value)


def test_a_panel_without_the_target_month_has_nothing_to_score(blank, made):
    with pytest.raises(sr.InputError, match="no trust has a variance at a month"):
        backtest(change(made[0], 9, np.nan), from_months=[3])
    split = made[0]["variance_ytd"].copy()
    split[:30, 5], split[30:, 8] = np.nan, np.nan
    with pytest.raises(sr.InputError, match="no trust has a variance at every month"):
        backtest(made[0].assign(variance_ytd=split), from_months=[6])


def test_only_trusts_with_every_month_are_scored(made):
    variance = made[0]["variance_ytd"].copy()
    variance[:20, 2] = np.nan
    result = backtest(made[0].assign(variance_ytd=variance), n_draws=100)
    assert result["unit"].values.tolist() == [*(f"ZZ{k}" for k in range(20, 60)), "All trusts scored"]


@pytest.mark.filterwarnings("ignore:As of month")
def test_actual_less_plan_to_date_will_do(made, result):
    plan_ytd = made[0]["plan"] * made[0]["month"] / 12.0
    every_month = (
        made[0]["variance_ytd"].sel(month=[3] * 3 + [6] * 3 + [9] * 3 + [12] * 3).assign_coords(month=made[0]["month"])
    )
    panel = made[0].drop_vars("variance_ytd").assign(plan_ytd=plan_ytd, actual=every_month + plan_ytd)
    other = backtest(panel, n_draws=100, from_months=[6])
    np.testing.assert_allclose(other["outcome"], result["outcome"], atol=1e-9)


def test_years_need_two_of_them():
    alone = History(tuple(f for f in load_history().figures if f.year == "2018-19"))
    for history in (alone, History()):
        with pytest.raises(sr.InputError, match="fewer than two years"):
            backtest_years(history)
    with pytest.raises(sr.InputError, match="must be a quarter from 0 to 3"):
        backtest_years(load_history(), from_quarter=4)


# Years of the sector


def test_years_by_hand():
    result = in_money(backtest_years(load_history(), **SMALL))
    at = result.sel(origin=6, year="2017-18")
    assert at["outcome"] == pytest.approx(-464.0)
    assert at["last_seen"] == 6
    rivals = at["rival_forecast"].to_series()
    assert rivals["run_rate"] == pytest.approx(-302.0)
    assert rivals["declared_forecast"] == pytest.approx(-623.0 + 496.0)
    others = np.mean([-398 / 72_030, -461 / 75_970, -211 / 79_910, -308 / 87_800]) * 83_860
    assert rivals["plan_and_mean_error"] == pytest.approx(others)
    assert result["last_seen"].sel(year="2015-16").values.tolist() == [0, 9]


def test_before_the_year_begins_nothing_is_seen():
    result = backtest_years(load_history(), from_quarter=0, **SMALL)
    assert result["origin"].values.tolist() == [0, 3, 6, 9]
    assert (result["last_seen"].sel(origin=0) == 0).all()
    assert result["rival_forecast"].sel(origin=0, rival="run_rate").isnull().all()


# Published files


@pytest.mark.needs_shared_data
def test_trusts_of_2025_26(shared_data):
    with pytest.warns(sr.InputWarning, match="was filled"):
        panel = sr.read_panel(shared_data / "nof_mh_community_q1-q3_2025-26.csv", year="2025-26")
    fit = calibrate(load_history(), points=256, n_draws=64)
    with pytest.warns(sr.InputWarning, match="As of month"):
        result = backtest(panel, fit, n_draws=600, parameter_sets=12)
    assert (result["level"] == "trust").sum() == 61
    assert "2025-26" not in fit.years
    at = result.sel(score="crps")
    assert (at["skill"] > -0.1).all()
    assert (abs(at["coverage"].sel(interval=0.8) - 0.8) < 0.15).all()
    assert (at["pit_p_value_shared"] > 0.001).all()
    run_rate = 100 * panel["variance_ytd"].sel(month=6) / (panel["turnover"] / 2)
    expected = np.where(abs(run_rate) <= 0.02 + 1e-9, 0.0, run_rate)
    np.testing.assert_allclose(at["rival_forecast"].sel(origin=6, rival="run_rate")[:-1], expected, atol=1e-9)
