"""Summaries against plain NumPy, and their Monte Carlo errors against repetition."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sector_risk as sr
from sector_risk.kernels.order import order_statistics

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@pytest.fixture(scope="module")
def summary(forecast):
    return sr.summarise(forecast, LEVELS)


def draws_of(forecast):
    """Draws of every unit, (unit, draw), the plain way."""
    position = forecast["position"].astype(float)
    regions = position.groupby("region").sum().transpose("region", "draw").values
    types = position.groupby("trust_type").sum().transpose("trust_type", "draw").values
    totals = [forecast["sector_position"].values, forecast["nhs_position"].values]
    return np.vstack([position.transpose("trust", "draw").values, regions, types, *totals])


def test_moments_and_probabilities(forecast, summary):
    x = draws_of(forecast)
    np.testing.assert_allclose(summary["mean"], x.mean(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(summary["sd"], x.std(axis=1, ddof=1), rtol=1e-9)
    np.testing.assert_array_equal(summary["p_deficit"], (x < -np.float32(0.005)).mean(axis=1))
    np.testing.assert_allclose(summary["mean_se"], summary["sd"] / np.sqrt(x.shape[1]))


def test_quantiles_are_order_statistics(forecast, summary):
    x = np.sort(draws_of(forecast), axis=1)
    ranks = np.ceil(np.array(LEVELS) * x.shape[1]).astype(int) - 1
    np.testing.assert_allclose(summary["position_quantile"], x[:, ranks], rtol=1e-12)


def test_expected_shortfall_is_the_mean_of_the_worst_twentieth(forecast, summary):
    x = np.sort(draws_of(forecast), axis=1)
    worst = x[:, : x.shape[1] // 20]
    # Equal draws at the border (a trust exactly on plan) belong to the tail together.
    distinct = x[:, x.shape[1] // 20 - 1] < x[:, x.shape[1] // 20]
    np.testing.assert_allclose(summary["expected_shortfall"][distinct], worst.mean(axis=1)[distinct], rtol=1e-6)


def test_missing_plan_is_before_support(forecast, summary):
    trust = summary.sel(unit=forecast["trust"].values)
    missed = (forecast["position_before_support"] - forecast["plan"].astype(np.float32) < -0.005).mean("draw")
    np.testing.assert_allclose(trust["p_missing_plan"], missed, atol=1 / forecast.sizes["draw"])
    assert np.isnan(summary["p_missing_plan"].sel(unit="Whole NHS"))


def test_units_and_labels(forecast, summary):
    assert summary["level"].values.tolist() == ["trust"] * 227 + ["region"] * 7 + ["trust_type"] * 4 + ["sector", "nhs"]
    assert float(summary["plan"].sel(unit="Provider sector")) == pytest.approx(-519)
    regions = summary.where(summary["level"] == "region", drop=True)
    assert float(regions["mean"].sum()) == pytest.approx(float(summary["mean"].sel(unit="Provider sector")))
    for name in summary.variables:
        assert summary[name].attrs["long_name"]


def test_standard_errors_are_what_repetition_shows(case):
    """Sixty seeds of 400 draws: the sd over seeds of each figure against the error it states (within 5 sd of 1)."""
    panel = case.isel(trust=slice(None, None, 20))
    made = [sr.summarise(sr.simulate(panel, n_draws=400, seed=s)) for s in range(60)]
    many = xr.concat(made, "seed", data_vars="all", coords="minimal", compat="override", join="override")
    sector = many.sel(unit="Provider sector")
    for figure, error in (
        ("mean", "mean_se"),
        ("position_quantile", "position_quantile_se"),
        ("expected_shortfall", "expected_shortfall_se"),
    ):
        seen, stated = sector[figure].std("seed", ddof=1), sector[error].mean("seed")
        assert np.abs(seen / stated - 1).max() < 5 / np.sqrt(2 * 59)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 400)), elements=st.floats(-50, 50, width=32)),
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
)
def test_order_statistics_are_those_of_sorting(rows, shares):
    ranks = np.unique([int(share * (rows.shape[1] - 1)) for share in shares])
    out = np.empty((len(rows), len(ranks)), np.float32)
    order_statistics(rows, ranks, out)
    np.testing.assert_array_equal(out, np.sort(rows, axis=1)[:, ranks])


def test_faults_come_in_one_report(forecast):
    with pytest.raises(sr.InputError, match="sector_position") as report:
        sr.summarise(forecast.drop_vars(["sector_position", "plan"]), quantiles=(0.5, 1.5))
    assert len(report.value.faults) == 3
    broken = forecast.copy()
    broken["sector_position"] = broken["sector_position"] * np.nan
    with pytest.raises(sr.InputError, match="not finite"):
        sr.summarise(broken)


def test_what_is_no_forecast_and_no_probability_is_said_at_once(case):
    path = sr.project(case.isel(trust=slice(6)), years=1, n_draws=20)
    with pytest.raises(sr.InputError, match="Use summarise_projection for what project gave") as report:
        sr.summarise(path, quantiles=(2,))
    assert len(report.value.faults) == 2


def test_masked_draws_and_selections_are_refused(forecast):
    masked = forecast.copy()
    masked["position"] = masked["position"].where(masked["position"] > -50)
    with pytest.raises(sr.InputError, match="not finite"):
        sr.summarise(masked)
    with pytest.raises(sr.InputError, match="is it a selection"):
        sr.summarise(forecast.isel(trust=slice(0, 50)))
    sr.summarise(forecast.isel(draw=slice(0, 500)))


def test_ranks_do_not_suffer_from_floating_point(forecast):
    few = forecast.isel(draw=slice(0, 100))
    value = sr.summarise(few, (0.07,))["position_quantile"].sel(unit="Provider sector")
    assert float(value[0]) == np.sort(few["sector_position"].values)[6]
