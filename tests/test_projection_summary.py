"""Summaries of projections against plain NumPy; the review list against counting."""

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.kernels.reduce import BALANCE
from sector_risk.projection_summary import OF_RULES
from sector_risk.schema import PROJECTION_SUMMARY

LEVELS = (0.05, 0.5, 0.95)
DRAWS = 300


@pytest.fixture(scope="module")
def few(case):
    return case.isel(trust=slice(None, None, 6))


@pytest.fixture(scope="module")
def projection(few):
    return sr.project(few, regime="2018-19", years=3, n_draws=DRAWS, seed=3)


@pytest.fixture(scope="module")
def summary(projection):
    return sr.summarise_projection(projection, LEVELS)


def ranked(draws):
    """Order statistics of rank ceil(p n), the plain way."""
    ranks = np.ceil(np.array(LEVELS) * DRAWS - 1e-9).astype(int) - 1
    return np.sort(draws.astype(float), axis=1)[:, ranks]


def test_the_sector_is_averaged_over_its_own_draws(projection, summary):
    total = projection["position"].values.astype(float).sum(axis=1)
    np.testing.assert_allclose(summary["sector_mean"], total.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(summary["sector_sd"], total.std(axis=1, ddof=1), rtol=1e-7)
    np.testing.assert_allclose(summary["sector_mean_se"], total.std(axis=1, ddof=1) / np.sqrt(DRAWS), rtol=1e-7)
    np.testing.assert_allclose(summary["sector_quantile"], ranked(total), rtol=1e-9)
    underlying = projection["underlying"].values.astype(float).sum(axis=1)
    np.testing.assert_allclose(summary["underlying_mean"], underlying.mean(axis=1), rtol=1e-9)


def test_balance_and_counts_agree_with_the_draws(projection, summary):
    position = projection["position"].values
    in_deficit = position < -BALANCE
    count = in_deficit.sum(axis=1)
    np.testing.assert_allclose(summary["deficit_count_mean"], count.mean(axis=1))
    np.testing.assert_array_equal(summary["deficit_count_quantile"], ranked(count))
    gross = np.minimum(position, 0.0).astype(float).sum(axis=1)
    np.testing.assert_allclose(summary["gross_deficit_mean"], gross.mean(axis=1), rtol=1e-6)
    p = (projection["sector_position"].values >= -BALANCE).mean(axis=1)
    np.testing.assert_allclose(summary["p_sector_balance"], p, atol=1e-12)
    np.testing.assert_allclose(summary["p_sector_balance_se"], np.sqrt(p * (1 - p) / DRAWS), atol=1e-12)


def test_chances_between_nought_and_one_are_counted(projection):
    """Lift the sector to where its chance of balance is neither nought nor one."""
    lift = -float(projection["sector_position"].isel(year=1).median()) / projection.sizes["trust"]
    lifted = projection.copy()
    lifted["position"] = (projection["position"] + np.float32(lift)).astype(np.float32)
    lifted["sector_position"] = lifted["position"].sum("trust", dtype=float)
    found = sr.summarise_projection(lifted)
    p = (lifted["sector_position"].values >= -BALANCE).mean(axis=1)
    assert 0.3 < p[1] < 0.7
    np.testing.assert_allclose(found["p_sector_balance"], p)


def test_trusts_are_measured_one_by_one(projection, summary):
    position = projection["position"].values
    np.testing.assert_allclose(summary["mean"], position.astype(float).mean(axis=2), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(summary["p_deficit"], (position < -BALANCE).mean(axis=2))
    assert summary["mean"].dims == ("year", "trust")
    assert summary["region"].equals(projection["region"])


def test_support_is_averaged_by_fund(projection, summary):
    paid = projection["support_by_fund"].values.astype(float).sum(axis=2).mean(axis=2)
    np.testing.assert_allclose(summary["support_mean"], paid)
    assert summary["support_mean"].dims == ("year", "fund")
    assert summary["fund"].values.tolist() == ["sustainability_funding"]


def test_milestones_are_shares_of_draws(projection, summary):
    p = projection["milestone_met"].values.mean(axis=1)
    np.testing.assert_allclose(summary["p_milestone"], p)
    np.testing.assert_allclose(summary["p_milestone_se"], np.sqrt(p * (1 - p) / DRAWS))


def test_without_funds_and_milestones_there_is_less_to_say(few):
    summary = sr.summarise_projection(sr.project(few, regime="none", years=1, n_draws=20))
    assert summary.sizes["fund"] == 0
    assert "p_milestone" not in summary
    assert np.isfinite(summary["sector_mean"]).all()


@pytest.fixture(scope="module")
def of_2025(few):
    return sr.project(few, regime="2025-26", years=2, n_draws=DRAWS, seed=3)


def test_segments_and_the_programme_are_counted(of_2025):
    summary = sr.summarise_projection(of_2025)
    flags = {"segment_4": of_2025["segment"].values == 4, "in_programme": of_2025["programme_status"].values > 0}
    for name, found in flags.items():
        p = found.mean(axis=2)
        assert 0 < p.min() + p.max() < 2
        np.testing.assert_allclose(summary[f"p_{name}"], p, atol=1e-12)
        np.testing.assert_allclose(summary[f"p_{name}_se"], np.sqrt(p * (1 - p) / DRAWS), atol=1e-12)
        np.testing.assert_allclose(summary[f"{name}_count_mean"], found.sum(axis=1).mean(axis=1))


def test_loans_are_averaged_by_trust_and_added_up(few):
    projection = sr.project(few, regime="2019-20", years=3, n_draws=DRAWS)
    summary = sr.summarise_projection(projection)
    for name in ("debt", "interest"):
        draws = projection[name].values.astype(float)
        np.testing.assert_allclose(summary[f"{name}_mean"], draws.mean(axis=2), rtol=1e-9)
        np.testing.assert_allclose(summary[f"sector_{name}_mean"], draws.sum(axis=1).mean(axis=1), rtol=1e-9)
    assert not {"p_segment_4", "p_in_programme"} & set(summary)


def test_what_no_rule_reports_is_not_there(summary):
    assert not set(OF_RULES) & set(summary)


def test_every_variable_says_what_it_is(few, summary, of_2025):
    known = {**PROJECTION_SUMMARY, **OF_RULES}
    loans = sr.project(few, regime="2019-20", years=2, n_draws=20)
    for one in (summary, sr.summarise_projection(of_2025), sr.summarise_projection(loans)):
        for name in one.variables:
            assert one[name].attrs["long_name"] == known[str(name)].long_name
            assert set(one[name].dims) == set(known[str(name)].dims)
    assert not set(PROJECTION_SUMMARY) & set(OF_RULES)
    assert summary.attrs["seed"] == "3"


def test_the_order_of_dimensions_does_not_matter(projection, summary):
    turned = projection.transpose("draw", "trust", ...)
    xr.testing.assert_identical(sr.summarise_projection(turned, LEVELS), summary)


def test_nor_does_it_for_what_rules_report(of_2025):
    turned = of_2025.transpose("draw", "trust", ...)
    xr.testing.assert_identical(sr.summarise_projection(turned), sr.summarise_projection(of_2025))


def test_years_and_draws_may_be_selected(projection, summary):
    chosen = sr.summarise_projection(projection.sel(year=["2020-21"]), LEVELS)
    xr.testing.assert_identical(chosen["mean"], summary["mean"].sel(year=["2020-21"]))
    assert sr.summarise_projection(projection.isel(draw=slice(50)))["sector_mean"].shape == (3,)


def test_faults_come_in_one_report(projection):
    with pytest.raises(sr.InputError, match="variable is missing") as report:
        sr.summarise_projection(projection.drop_vars(["position", "sector_underlying"]), quantiles=(0.5, 1.5))
    assert len(report.value.faults) == 3
    with pytest.raises(sr.InputError, match="must be probabilities"):
        sr.summarise_projection(projection, ())


def test_draws_that_are_not_numbers_are_refused(projection):
    for name in ("sector_position", "gross_deficit", "position"):
        broken = projection.copy()
        broken[name] = broken[name].where(broken["draw"] > 0)
        with pytest.raises(sr.InputError, match=f"{name}: draws are not finite"):
            sr.summarise_projection(broken)


def test_a_forecast_is_sent_to_summarise_and_back(few, projection):
    forecast = sr.simulate(few, n_draws=20)
    with pytest.raises(sr.InputError, match=r"a forecast of one year\. Use summarise "):
        sr.summarise_projection(forecast)
    with pytest.raises(sr.InputError, match="Use summarise_projection"):
        sr.summarise(projection)


def test_selections_that_do_not_add_up_are_refused(projection):
    with pytest.raises(sr.InputError, match="is it a selection"):
        sr.summarise_projection(projection.isel(trust=slice(5)))
    with pytest.raises(sr.InputError, match="Select years as a list"):
        sr.summarise_projection(projection.isel(year=0))


@pytest.fixture(scope="module")
def forecast(few):
    return sr.simulate(few, n_draws=DRAWS, seed=2)


class TestReviewList:
    def test_it_names_those_of_each_region_that_miss_their_plan_most_often(self, forecast):
        listed = sr.review_list(forecast, per_region=2)
        missed = sr.summarise(forecast).sel(unit=forecast["trust"].values)["p_missing_plan"]
        for region in np.unique(forecast["region"]):
            own = missed[missed["region"].values == region]
            rows = listed.isel(unit=listed["region"].values == region)
            np.testing.assert_array_equal(rows["p_missing_plan"], np.sort(own)[::-1][:2])
        assert listed["region"].values.tolist() == sorted(listed["region"].values.tolist())

    def test_equals_keep_the_order_of_the_panel(self, forecast):
        alike = forecast.isel(draw=[0, 0])
        listed = sr.review_list(alike, per_region=100)
        places = [alike["trust"].values.tolist().index(code) for code in listed["unit"].values]
        for region in np.unique(listed["region"]):
            own = [place for place, name in zip(places, listed["region"].values, strict=True) if name == region]
            assert own == sorted(own)

    def test_who_never_misses_is_not_called(self, forecast):
        steady = forecast.copy(deep=True)
        steady["position_before_support"][0] = steady["plan"][0]
        listed = sr.review_list(steady, per_region=100)
        assert set(forecast["trust"].values) - set(listed["unit"].values) == {forecast["trust"].values[0]}
        assert (listed["p_missing_plan"] > 0).all()

    @pytest.mark.parametrize("number", [0, -1, 1.5, True, "3"])
    def test_a_number_that_is_none_is_refused(self, forecast, number):
        with pytest.raises(sr.InputError, match="per_region"):
            sr.review_list(forecast, per_region=number)
