"""Summaries against plain NumPy, and their Monte Carlo errors against repetition."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sector_risk as sr
from sector_risk.kernels.moments import tails
from sector_risk.kernels.order import order_statistics
from sector_risk.summary import mean_error, mean_se, quantiles_of, tail_size

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SURE = (0.9, 0.95, 0.99)
GROUPS = ("region", "trust_type", "system")


@pytest.fixture(scope="module")
def summary(forecast):
    return sr.summarise(forecast, LEVELS)


def draws_of(forecast, name="position"):
    """Draws of every unit, (unit, draw), the plain way; the NHS has only a position."""
    trusts = forecast[name].astype(float)
    groups = [trusts.groupby(level).sum().transpose(level, "draw").values for level in GROUPS]
    totals = [forecast[f"sector_{name}"].values, forecast["nhs_position"].values]
    return np.vstack([trusts.transpose("trust", "draw").values, *groups, *totals])


def missed(forecast, against):
    """Share of draws in which each unit but the NHS is below what it is held against, before support."""
    before = draws_of(forecast, "position_before_support")[:-1]
    limit = [forecast[against].values, *(forecast[against].groupby(level).sum().values for level in GROUPS)]
    limit = np.concatenate([*limit, [forecast[against].values.sum()]])
    return (before - limit[:, None] < -0.005).mean(axis=1)


def tail_and_error(row, k):
    """Mean of the k lowest, and its error, from the sorted row."""
    worst = np.sort(row)[:k]
    gap = worst - worst[-1]
    return worst.mean(), np.sqrt((np.mean(gap**2) - k / len(row) * gap.mean() ** 2) / (k - 1))


def test_moments_and_probabilities(forecast, summary):
    x = draws_of(forecast)
    np.testing.assert_allclose(summary["mean"], x.mean(axis=1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(summary["sd"], x.std(axis=1, ddof=1), rtol=1e-9)
    np.testing.assert_array_equal(summary["p_deficit"], (x < -np.float32(0.005)).mean(axis=1))
    np.testing.assert_allclose(summary["p_breakeven"], (x >= -np.float32(0.005)).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(summary["mean_se"], summary["sd"] / np.sqrt(x.shape[1]))
    for chance in ("p_deficit", "p_breakeven", "p_missing_plan", "p_missing_control_total"):
        p = summary[chance]
        np.testing.assert_allclose(summary[f"{chance}_se"], np.sqrt(p * (1 - p) / x.shape[1]))


def test_quantiles_are_order_statistics(forecast, summary):
    x = np.sort(draws_of(forecast), axis=1)
    ranks = np.ceil(np.array(LEVELS) * x.shape[1]).astype(int) - 1
    np.testing.assert_allclose(summary["position_quantile"], x[:, ranks], rtol=1e-12)


@pytest.mark.parametrize("sure", SURE)
def test_value_at_risk_bounds_the_worst_draws_and_the_tail_is_their_mean(forecast, summary, sure):
    x = draws_of(forecast)
    k = round((1 - sure) * x.shape[1])
    found = summary.sel(confidence=sure)
    np.testing.assert_allclose(found["value_at_risk"], -np.sort(x, axis=1)[:, k - 1], rtol=1e-12)
    mean, error = np.array([tail_and_error(row, k) for row in x]).T
    np.testing.assert_allclose(found["tail_value_at_risk"], -mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["tail_value_at_risk_se"], error, rtol=1e-6, atol=1e-9)
    assert (found["tail_value_at_risk"] >= found["value_at_risk"]).all()


def test_value_at_risk_is_minus_the_quantile_with_its_error(forecast):
    both = sr.summarise(forecast, quantiles=(0.25, 0.5), confidence=(0.75, 0.5))
    np.testing.assert_array_equal(both["value_at_risk"], -both["position_quantile"])
    np.testing.assert_array_equal(both["value_at_risk_se"], both["position_quantile_se"])


@pytest.mark.parametrize(("n", "sizes"), [(2000, (200, 100, 20)), (30, (3, 2, 1)), (1, (1, 1, 1)), (700, (70, 35, 7))])
def test_the_tail_is_rounded_up(n, sizes):
    """In floating point (1 - .9) * 30 is a little below 3 and (1 - .95) * 700 a little above 35."""
    np.testing.assert_array_equal(tail_size(n, np.array(SURE)), sizes)


def test_equal_draws_at_the_border_count_no_more_than_there_is_room(forecast):
    """Of ten draws the worst three are counted, though five are equal at the third."""
    few = forecast.isel(draw=slice(0, 10)).copy(deep=True)
    sector = np.array([1.0, -9.0, -4.0, -4.0, 2.0, -4.0, -4.0, -6.0, -4.0, 3.0])
    few["position"][:] = 0.0
    few["position"][0] = sector
    few["sector_position"][:] = sector
    found = (
        sr.summarise(few, confidence=(0.7,)).sel(unit=["Provider sector", few["trust"].values[0]]).isel(confidence=0)
    )
    np.testing.assert_allclose(found["tail_value_at_risk"], 19 / 3)
    np.testing.assert_allclose(found["value_at_risk"], 4.0)
    np.testing.assert_allclose(found["tail_value_at_risk_se"], np.sqrt((29 / 3 - 0.3 * (7 / 3) ** 2) / 2))


def test_missing_plan_and_control_total_are_before_support(forecast, summary):
    one_draw = 1 / forecast.sizes["draw"]  # float32 limits of trusts may turn single draws over
    np.testing.assert_allclose(summary["p_missing_plan"][:-1], missed(forecast, "plan"), atol=one_draw)
    np.testing.assert_allclose(
        summary["p_missing_control_total"][:-1], missed(forecast, "control_total"), atol=one_draw
    )
    assert np.isnan(summary["p_missing_plan"].sel(unit="Whole NHS"))
    assert np.isnan(summary["p_missing_control_total_se"].sel(unit="Whole NHS"))


def test_control_totals_are_not_plans(forecast):
    stricter = forecast.assign(control_total=forecast["plan"] + 1000.0)
    found = sr.summarise(stricter)
    assert (found["p_missing_control_total"][:-1] == 1.0).all()
    assert found["p_missing_plan"].sel(unit="Provider sector") < 1.0


def test_units_and_labels(forecast, summary):
    n_systems = len(np.unique(forecast["system"]))
    levels = ["trust"] * 227 + ["region"] * 7 + ["trust_type"] * 4 + ["system"] * n_systems + ["sector", "nhs"]
    assert summary["level"].values.tolist() == levels
    assert float(summary["plan"].sel(unit="Provider sector")) == pytest.approx(-519)
    assert np.isnan(summary["plan"].sel(unit="Whole NHS"))
    for level in GROUPS:
        group = summary.where(summary["level"] == level, drop=True)
        assert float(group["mean"].sum()) == pytest.approx(float(summary["mean"].sel(unit="Provider sector")))
        planned = (forecast["plan"] + forecast["planned_support"]).groupby(level).sum()
        np.testing.assert_allclose(group["plan"], planned)
        np.testing.assert_array_equal(group[level].values, group["unit"].values)
        assert summary[level].sel(unit="Provider sector").item() == ""
    trusts = summary.isel(unit=slice(0, 227))
    for label in ("name", *GROUPS):
        np.testing.assert_array_equal(trusts[label], forecast[label])
    for name in summary.variables:
        assert summary[name].attrs["long_name"]
    assert summary.attrs == forecast.attrs


def test_trusts_without_a_system_belong_to_none(forecast):
    system = np.where(np.arange(227) < 5, "A", np.where(np.arange(227) < 9, "B", "not stated"))
    found = sr.summarise(forecast.assign_coords(system=("trust", system)))
    systems = found.isel(unit=found["level"].values == "system")
    assert systems["unit"].values.tolist() == ["A", "B"]
    by_trust = forecast["position"].astype(float).mean("draw").values
    np.testing.assert_allclose(systems["mean"], [by_trust[:5].sum(), by_trust[5:9].sum()])
    nowhere = sr.summarise(forecast.assign_coords(system=("trust", ["not stated"] * 227)))
    assert "system" not in nowhere["level"].values


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_draws_say_what_they_cannot_tell(forecast, n):
    found = sr.summarise(forecast.isel(draw=slice(0, n))).sel(unit="Provider sector")
    assert np.isfinite(found["mean"])
    assert np.isfinite(found["tail_value_at_risk"]).all()
    np.testing.assert_array_equal(np.isnan(found["mean_se"]), n == 1)
    np.testing.assert_array_equal(np.isnan(found["position_quantile_se"]), n == 1)
    np.testing.assert_array_equal(found["value_at_risk"], found["tail_value_at_risk"])  # one draw is the tail
    assert np.isnan(found["tail_value_at_risk_se"]).all()


def test_a_quantile_near_the_end_of_few_draws_has_the_error_of_a_whole_sd_of_rank():
    """The 5% quantile of 20: rank 0 of 0 .. 19, ranks -1 and 1 wanted, 0 and 1 there: their distance counts twice."""
    row = np.arange(20.0)[None, :] ** 2
    value, error = quantiles_of(row, np.array([0.05, 0.5]))
    np.testing.assert_array_equal(value, [[0.0, 81.0]])
    np.testing.assert_array_equal(error, [[0.5 * 1.0 * 2, 0.5 * (12**2 - 6**2)]])


def test_standard_errors_are_what_repetition_shows(case):
    """120 seeds of 400 draws: the sd over seeds of each figure against the error it states (within 5 sd of 1)."""
    panel = case.isel(trust=slice(None, None, 20))
    made = [sr.summarise(sr.simulate(panel, n_draws=400, seed=s)) for s in range(120)]
    many = xr.concat(made, "seed", data_vars="all", coords="minimal", compat="override", join="override")
    sector = many.sel(unit="Provider sector")
    for figure, error in (
        ("mean", "mean_se"),
        ("position_quantile", "position_quantile_se"),
        ("value_at_risk", "value_at_risk_se"),
        ("tail_value_at_risk", "tail_value_at_risk_se"),
        ("p_breakeven", "p_breakeven_se"),
        ("p_missing_control_total", "p_missing_control_total_se"),
    ):
        seen, stated = sector[figure].std("seed", ddof=1), sector[error].mean("seed")
        assert np.abs(seen / stated - 1).max() < 5 / np.sqrt(2 * 119)


def test_the_error_of_a_heavy_tail_is_what_repetition_shows():
    """2,000 samples of 300 with an exponential tail: the mean square error stated is the variance seen, within 5 sd."""
    rows = -np.random.default_rng(1).exponential(size=(2000, 300))
    sizes, out = np.array([300, 150, 15, 3, 2]), np.empty((2000, 5, 2))
    tails(rows, np.sort(rows, axis=1)[:, sizes - 1], sizes, out)
    seen, stated = out[:, :, 0].var(axis=0, ddof=1), (out[:, :, 1] ** 2).mean(axis=0)
    squares = (out[:, :, 0] - out[:, :, 0].mean(axis=0)) ** 2
    noise = np.hypot(squares.std(axis=0), (out[:, :, 1] ** 2).std(axis=0)) / np.sqrt(2000)
    np.testing.assert_array_less(np.abs(seen - stated), 5 * noise)


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
        sr.summarise(forecast.drop_vars(["sector_position", "plan"]), quantiles=(0.5, 1.5), confidence=(0.9, 95))
    assert len(report.value.faults) == 4
    assert [fault.variable for fault in report.value.faults] == ["sector_position", "plan", "quantiles", "confidence"]
    broken = forecast.copy()
    broken["sector_position"] = broken["sector_position"] * np.nan
    with pytest.raises(sr.InputError, match="not finite"):
        sr.summarise(broken)


def test_what_is_no_forecast_and_no_probability_is_said_at_once(case):
    path = sr.project(case.isel(trust=slice(6)), years=1, n_draws=20)
    with pytest.raises(sr.InputError, match="Use summarise_projection for what project gave") as report:
        sr.summarise(path, quantiles=(2,))
    assert len(report.value.faults) == 2


def test_what_is_no_number_is_named(forecast):
    with pytest.raises(sr.InputError) as report:
        sr.summarise(forecast, quantiles="median", confidence=[0.9, "high"])
    said = [(fault.place, fault.variable, fault.value) for fault in report.value.faults]
    assert said == [("summarise", "quantiles", "median"), ("summarise", "confidence", "[0.9, 'high']")]


@pytest.mark.parametrize("confidence", [(), (0.0,), (1.0,), (np.nan,), 0.95, "high", ("0.9",), (0.9, None)])
def test_a_level_must_be_between_nought_and_one(forecast, confidence):
    with pytest.raises(sr.InputError, match="must be between 0 and 1"):
        sr.summarise(forecast, confidence=confidence)


def test_a_file_of_another_version_is_refused(forecast):
    with pytest.raises(sr.InputError, match="made by another version"):
        sr.summarise(forecast.assign_attrs(format=0))


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


def test_the_error_of_a_mean_is_its_sd_over_the_root_of_draws():
    rows = np.random.default_rng(0).normal(size=(3, 50))
    np.testing.assert_allclose(mean_error(rows), mean_se(rows.std(axis=1, ddof=1), 50))
    np.testing.assert_allclose(mean_error(rows)[0], np.sqrt(((rows[0] - rows[0].mean()) ** 2).sum() / 49 / 50))
    assert np.isnan(mean_error(rows[:, :1])).all()
    assert mean_error(rows[:, :1]).shape == (3,)
