"""Chances of deficits, of many at once and of being among the worst: against plain NumPy and repetition."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sector_risk as sr
from hand_made import hand_made
from sector_risk import units as units_module
from sector_risk.kernels.ranks import rank_block
from sector_risk.kernels.select import worst_block
from sector_risk.measures import (
    SURE,
    Binned,
    deficit_counts,
    exceedance,
    is_summary,
    mean_effects,
    rank_stability,
    summary_faults,
    worst_draws,
)
from sector_risk.units import position_of, units_of

SECTOR = "Provider sector"
EVENTS = ("deficit", "missing_plan", "missing_control_total")
CALLS = (exceedance, deficit_counts, rank_stability)
GBP_5000 = float(np.float32(0.005))


@pytest.fixture(scope="module")
def counts(forecast):
    return deficit_counts(forecast)


@pytest.fixture(scope="module")
def ranks(forecast):
    return rank_stability(forecast)


@pytest.fixture(scope="module")
def summary(case):
    """What is left of the draws of `forecast` where they are not kept."""
    return sr.simulate(case, n_draws=2000, seed=5, keep="summary")


@pytest.fixture(scope="module")
def small_forecasts(case):
    """120 seeds of 400 draws of twelve trusts."""
    panel = case.isel(trust=slice(None, None, 20))
    return [sr.simulate(panel, n_draws=400, seed=s) for s in range(120)]


def of_positions(position):
    """A forecast of trusts with these positions, (trust, draw), planned to balance."""
    return hand_made(np.asarray(position)[None])


def events_of(forecast):
    """How many trusts have each event in each draw, the plain way."""
    before = forecast["position_before_support"]
    yield (forecast["position"] < -np.float32(0.005)).sum("trust").values
    for against in ("plan", "control_total"):
        limit = forecast[against].astype(np.float32) - np.float32(0.005)
        yield (before < limit).sum("trust").values


def repeated(measure, forecasts):
    return xr.concat([measure(f) for f in forecasts], "seed", data_vars="all", coords="minimal", compat="override")


def assert_error_is_that_of_repetition(many, figure):
    """The sd over seeds against the mean error stated, where there is any: 5 sd of a ratio that 120 seeds give."""
    seen, stated = many[figure].std("seed", ddof=1).values, many[f"{figure}_se"].mean("seed").values
    usual = stated > 0.2 * stated.max()  # rare events are not Normal: no bound on their ratio follows
    assert usual.any()
    assert np.abs(seen[usual] / stated[usual] - 1).max() < 5 / np.sqrt(2 * 119)


# Exceedance


@pytest.mark.parametrize("unit", [SECTOR, "Whole NHS", "London", "Acute"])
def test_exceedance_counts_the_draws_beyond(forecast, unit):
    deficits = np.array([-300.0, 0.0, 12.5, 80.0, 900.0])
    found = exceedance(forecast, unit, deficits)
    position = position_of(forecast, unit, "test")
    expected = [(position < -d - GBP_5000).mean() for d in deficits]
    np.testing.assert_array_equal(found["p_exceeding"], [expected])
    np.testing.assert_allclose(
        found["p_exceeding_se"][0], np.sqrt(np.array(expected) * (1 - np.array(expected)) / 2000)
    )
    assert found["unit"].values.tolist() == [unit]
    assert found.attrs == forecast.attrs


def test_exceedance_keeps_the_order_in_which_it_is_asked(forecast):
    units = ["Whole NHS", forecast["trust"].values[7], "London"]
    found = exceedance(forecast, units, [500.0, -500.0, 1.0])
    assert found["threshold"].values.tolist() == [500.0, -500.0, 1.0]
    for i, unit in enumerate(units):
        alone = exceedance(forecast, unit, [500.0, -500.0, 1.0])
        np.testing.assert_array_equal(found["p_exceeding"][i], alone["p_exceeding"][0])


def test_exceedance_at_nought_is_the_chance_of_a_deficit(forecast):
    summary = sr.summarise(forecast)
    found = exceedance(forecast, summary["unit"].values, [0.0])
    np.testing.assert_array_equal(found["p_exceeding"][:, 0], summary["p_deficit"])


def test_exceedance_at_the_value_at_risk_is_what_confidence_leaves(forecast):
    """Of 2,000 draws k reach the deficit of the k-th worst, and k - 1 pass it: they lie GBP 5,000 apart."""
    sure = (0.9, 0.95, 0.99)
    at = sr.summarise(forecast, confidence=sure)["value_at_risk"].sel(unit=SECTOR).values
    k = np.array([200, 100, 20])
    position = forecast["sector_position"].values
    reached = exceedance(forecast, SECTOR, at - 2 * GBP_5000)["p_exceeding"].values[0]
    passed = exceedance(forecast, SECTOR, at)["p_exceeding"].values[0]
    near = np.array([(np.abs(position + deficit) <= 2 * GBP_5000).sum() - 1 for deficit in at])
    assert near.sum() == 0
    np.testing.assert_allclose(reached, k / 2000)
    np.testing.assert_allclose(passed, (k - 1) / 2000)


def test_a_deficit_must_pass_the_threshold_by_more_than_rounding():
    tied = of_positions([[-4.0, -4.004, -4.006, -5.0]])
    np.testing.assert_array_equal(exceedance(tied, "ZZ1", [4.0])["p_exceeding"], [[0.5]])


@pytest.mark.parametrize("units", [SECTOR, ["Whole NHS", "London"], "Ambulance"])
def test_the_thresholds_of_itself_are_round_and_cover_all_draws(forecast, units):
    found = exceedance(forecast, units)
    at, p = found["threshold"].values, found["p_exceeding"].values
    assert 40 <= len(at) <= 101
    step = np.diff(at)
    np.testing.assert_allclose(step, step[0])
    assert f"{step[0]:e}".rstrip("0").split("e")[0].rstrip("0").rstrip(".") in {"1", "2", "2.5", "5"}
    np.testing.assert_allclose(at / step[0], np.round(at / step[0]), atol=1e-9)
    assert (p[:, -1] == 0.0).all()
    assert p[:, 0].max() > 0.99
    assert (np.diff(p, axis=1) <= 0.0).all()
    assert exceedance(forecast, units, [at[0] - step[0]])["p_exceeding"].min() == 1.0


@pytest.mark.parametrize("span", [0.02, 0.37, 5.03, 24.9, 99.0, 103.0, 253.0, 1010.0, 21000.0])
def test_there_are_a_hundred_thresholds_at_most_and_half_as_many_at_least(span):
    at = exceedance(of_positions([[0.3, 0.3 + span]]), "ZZ1")["threshold"]
    assert 50 <= len(at) <= 101
    assert at[0] <= -0.3 - span + 1e-6 * span
    assert at[-1] >= -0.3 - 1e-6


def test_thresholds_of_draws_that_are_all_alike():
    found = exceedance(of_positions([[3.0, 3.0]]), "ZZ1")
    np.testing.assert_allclose(found["threshold"], -3.0)
    assert found["p_exceeding"].values.tolist() == [[0.0]]


def test_errors_of_exceedance_are_what_repetition_shows(small_forecasts):
    many = repeated(lambda f: exceedance(f, SECTOR, [-100.0, 0.0, 50.0, 100.0]), small_forecasts)
    assert_error_is_that_of_repetition(many, "p_exceeding")


def test_all_units_that_are_not_known_are_named(forecast):
    with pytest.raises(sr.InputError, match="London") as report:
        exceedance(forecast, ["Londn", SECTOR, "Akute"])
    assert [fault.value for fault in report.value.faults] == ["Londn", "Akute"]
    with pytest.raises(sr.InputError, match="names no unit"):
        exceedance(forecast, [])


def test_units_are_looked_for_once(forecast, monkeypatch):
    made = []
    monkeypatch.setattr(units_module, "units_of", lambda one: made.append(1) or units_of(one))
    exceedance(forecast, ["London", "Acute", SECTOR])
    assert len(made) == 1


@pytest.mark.parametrize("thresholds", [[], [1.0, np.nan], [np.inf], 5.0, [[1.0]], "500", ["500"], [[1.0], [1.0, 2.0]]])
def test_thresholds_that_are_no_list_of_sums_are_refused(forecast, thresholds):
    with pytest.raises(sr.InputError, match="finite sums"):
        exceedance(forecast, SECTOR, thresholds)


# Exceedance of a summary


SEVERAL = [SECTOR, "Whole NHS", "London", "Acute", "SYN019", "SYN174"]


def edges_of(summary, unit):
    """The edges between two bins."""
    one = summary.sel(unit=unit)
    return one["bin_start"].item() + one["bin_width"].item() * np.arange(1, summary.sizes["bin"])


@pytest.mark.parametrize("unit", SEVERAL)
def test_at_edges_of_bins_a_summary_says_what_the_draws_say(forecast, summary, unit):
    deficits = -edges_of(summary, unit) - GBP_5000
    read, counted = exceedance(summary, unit, deficits), exceedance(forecast, unit, deficits)
    np.testing.assert_array_equal(read["p_exceeding"], counted["p_exceeding"])
    np.testing.assert_array_equal(read["p_exceeding_se"], counted["p_exceeding_se"])
    assert not read["p_exceeding_bound"].any()
    assert len(np.unique(read["p_exceeding"])) > 50


@pytest.mark.parametrize("unit", SEVERAL)
def test_between_edges_a_summary_keeps_its_bound(forecast, summary, unit):
    position = position_of(forecast, unit, "test")
    deficits = np.sort(np.random.default_rng(1).uniform(-position.max(), -position.min(), 500))
    read, counted = exceedance(summary, unit, deficits), exceedance(forecast, unit, deficits)
    off, bound = abs(read["p_exceeding"] - counted["p_exceeding"]).values, read["p_exceeding_bound"].values
    assert (off <= bound + 1e-12).all()
    assert (off > 0).any()
    most = summary["histogram"].sel(unit=unit).max().item() / 2000
    assert 0 < bound.max() <= most
    p = read["p_exceeding"].values
    np.testing.assert_allclose(read["p_exceeding_se"], np.sqrt(p * (1 - p) / 2000))
    assert (np.diff(p[0]) <= 0).all()


def test_a_summary_says_how_far_off_it_is_beside_a_heap_of_equal_draws(forecast, summary):
    """Exactly on plan in half of the draws: within the heap's bin, it may be on either side."""
    heap, times = np.unique(forecast["position"].sel(trust="SYN174"), return_counts=True)
    at, share = float(heap[times.argmax()]), times.max() / 2000
    assert share > 0.5
    beside = -at - GBP_5000 + np.array([-1e-3, 1e-3])
    read, counted = exceedance(summary, "SYN174", beside), exceedance(forecast, "SYN174", beside)
    off = abs(read["p_exceeding"] - counted["p_exceeding"])
    assert (off <= read["p_exceeding_bound"] + 1e-12).all()
    assert off.max() > 0.45 * share


def test_at_nought_a_summary_says_the_chance_of_a_deficit(summary):
    read = exceedance(summary, summary["unit"].values, [0.0])
    np.testing.assert_array_equal(read["p_exceeding"][:, 0], summary["p_deficit"])
    assert not read["p_exceeding_bound"].any()


def test_a_summary_has_the_names_and_the_order_of_draws(forecast, summary):
    asked = ["Whole NHS", "SYN019", "London"], [500.0, -500.0, 1.0]
    read, counted = exceedance(summary, *asked), exceedance(forecast, *asked)
    assert set(read.data_vars) == {*counted.data_vars, "p_exceeding_bound"}
    for name in counted.variables:
        assert read[name].dims == counted[name].dims
        assert read[name].attrs == counted[name].attrs
    assert read["unit"].equals(counted["unit"])
    assert read["threshold"].equals(counted["threshold"])
    assert (abs(read["p_exceeding"] - counted["p_exceeding"]) <= read["p_exceeding_bound"] + 1e-12).all()
    assert read.attrs == summary.attrs


def test_the_thresholds_of_a_summary_are_round_and_cover_its_draws(forecast, summary):
    read = exceedance(summary, [SECTOR, "London"])
    at, p = read["threshold"].values, read["p_exceeding"].values
    np.testing.assert_allclose(np.diff(at), at[1] - at[0])
    assert (p[:, -1] == 0.0).all()
    assert p[:, 0].max() == 1.0
    assert not read["p_exceeding_bound"].isel(threshold=[0, -1]).any()
    assert 40 <= len(at) <= 101
    alike = exceedance(of_bins([-1.9, -1.1, 1.9]), "ZZ1")["threshold"].values
    assert alike[0] <= -2.0
    assert alike[-1] >= 2.0
    assert len(alike) > 40


def of_bins(draws, start=-4.0, width=2.0, bins=6):
    """The summary of one unit, counted as the kernel does: what lies beyond goes to the end bins."""
    place = np.clip(np.floor((np.array(draws) - start) / width), 0, bins - 1).astype(int)
    variables = {
        "histogram": (("unit", "bin"), np.bincount(place, minlength=bins)[None]),
        "bin_start": ("unit", [start]),
        "bin_width": ("unit", [width]),
        "p_deficit": ("unit", [(np.array(draws) < -GBP_5000).mean()]),
    }
    return xr.Dataset(variables, {"unit": ["ZZ1"]}, {"n_draws": len(draws)})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([-30.0, -4.0, -3.0, -2.0, -1.0, -0.0051, -0.005, 0.0, 0.5, 6.0, 7.9, 8.0, 40.0]), min_size=1
    ),
    st.lists(st.floats(-45.0, 45.0) | st.sampled_from([-4.0, -2.0, 0.0, 6.0, 8.0]), min_size=1, max_size=9),
    st.sampled_from([-4.0, 2.0, -20.0]),
)
def test_no_draws_lie_further_off_than_the_bound(draws, positions, start):
    """Also where all bins are on one side of nought, and beyond the bins."""
    draws, deficits = np.array(draws), -np.array(positions) - GBP_5000
    read = exceedance(of_bins(draws, start), "ZZ1", deficits)
    true = np.array([(draws < -d - GBP_5000).mean() for d in deficits])
    near = np.abs(positions - np.round(positions)) < 1e-6  # rounding may put a position on either side of a draw
    on = np.isin(np.round(positions), draws) & near & ~np.isin(positions, [-2.0, 0.0, 6.0])
    off = np.abs(read["p_exceeding"].values[0] - true)
    assert (off <= read["p_exceeding_bound"].values[0] + 1e-12)[~on].all()


def test_end_bins_are_open_and_say_so():
    """Of eight draws two are below the bins and one above: nothing is known of where."""
    summary = of_bins([-30.0, -5.0, -1.0, -1.0, 1.0, 3.0, 7.0, 40.0])
    at = np.array([-25.0, -4.0, -3.0, -2.0, 6.0, 7.0, 8.0, 50.0])
    read = exceedance(summary, "ZZ1", -at - GBP_5000)
    np.testing.assert_allclose(read["p_exceeding"][0] * 8, [0, 0, 1, 2, 6, 7, 8, 8], atol=1e-9)
    np.testing.assert_allclose(read["p_exceeding_bound"][0] * 8, [2, 2, 1, 0, 0, 1, 2, 2], atol=1e-9)


def test_a_position_on_an_edge_but_for_rounding_is_on_it():
    binned = Binned.of(of_bins([-1.0, 1.0, 1.0, 3.0]).isel(unit=0))
    share, bound = binned.share_below(np.array([2.0 - 1e-13, 2.0, 2.0 + 1e-13, 2.0 + 1e-6]))
    np.testing.assert_array_equal(share[:3], 0.75)
    np.testing.assert_array_equal(bound[:3], 0.0)
    assert bound[3] > 0.24


def test_a_summary_of_several_units_may_be_a_selection_of_them(summary):
    some = summary.sel(unit=["London", SECTOR])
    assert exceedance(some, "London", [100.0]).equals(exceedance(summary, "London", [100.0]))


def test_what_a_summary_has_lost_is_named(summary):
    with pytest.raises(sr.InputError, match="variable is missing") as report:
        exceedance(summary.drop_vars(["histogram", "bin_width"]))
    assert [fault.variable for fault in report.value.faults] == ["histogram", "bin_width"]
    with pytest.raises(sr.InputError, match=r"must be on \(unit, bin\)"):
        exceedance(summary.sel(unit=SECTOR))
    with pytest.raises(sr.InputError, match="selection of bins"):
        exceedance(summary.isel(bin=slice(512)))
    with pytest.raises(sr.InputError, match="Did you mean 'London'") as report:
        exceedance(summary, ["Londn", SECTOR, "Akute"], [np.inf])
    assert [fault.value for fault in report.value.faults][1:] == ["Londn", "Akute"]
    twice = summary.sel(unit=["London", "London", SECTOR])
    with pytest.raises(sr.InputError, match="several units have this name"):
        exceedance(twice, "London")
    assert exceedance(twice, SECTOR, [900.0]).equals(exceedance(summary, SECTOR, [900.0]))


def test_a_summary_made_of_kept_draws_has_no_bins(forecast):
    made = sr.summarise(forecast)
    assert not is_summary(made)
    with pytest.raises(sr.InputError, match="a summary, which has no draws"):
        exceedance(made)


def test_quantiles_that_are_not_there_are_named(summary):
    (fault,) = summary_faults(summary, ["position_quantile"], [SECTOR], (0.05, 0.1, 0.5, 0.9))
    assert fault.value == "0.1, 0.9"
    assert "quantiles=(0.05, 0.1, 0.5, 0.9)" in fault.remedy


def test_mean_effects_of_a_summary_are_those_of_the_waterfall(case):
    """Of a few trusts: they leave the fund some support that the plan counts on."""
    few = case.isel(trust=slice(5))
    found = mean_effects(sr.simulate(few, n_draws=600, keep="summary"))
    kept = sr.waterfall(sr.simulate(few, n_draws=600))["mean_effect"]
    np.testing.assert_allclose(found, kept, atol=1e-4)
    assert found["effect"].values.tolist() == kept["effect"].values.tolist()
    assert found.sel(effect="support") < -1.0


# Counts


def test_counts_are_those_of_every_draw(forecast, counts):
    assert counts["event"].values.tolist() == list(EVENTS)
    np.testing.assert_array_equal(counts["count"], np.arange(228))
    for event, seen in zip(EVENTS, events_of(forecast), strict=True):
        found = counts.sel(event=event)
        p = np.array([(seen >= k).mean() for k in range(228)])
        np.testing.assert_allclose(found["p_at_least"], p, rtol=1e-12)
        np.testing.assert_allclose(found["p_at_least_se"], np.sqrt(p * (1 - p) / 2000))
        np.testing.assert_allclose(found["count_mean"], seen.mean())
        np.testing.assert_allclose(found["count_mean_se"], seen.std(ddof=1) / np.sqrt(2000))
        ranks = np.array([100, 500, 1000, 1500, 1900]) - 1
        np.testing.assert_array_equal(found["count_quantile"], np.sort(seen)[ranks])
    assert counts.attrs == forecast.attrs


def test_chances_of_so_many_add_up_to_the_expected_number(forecast, counts):
    expected = counts["p_at_least"].sel(count=slice(1, None)).sum("count")
    np.testing.assert_allclose(expected, counts["count_mean"], rtol=1e-12)
    np.testing.assert_allclose(expected.sel(event="deficit"), forecast["deficit_count"].mean(), rtol=1e-12)
    trusts = sr.summarise(forecast).isel(unit=slice(0, 227))
    for event in EVENTS:
        np.testing.assert_allclose(trusts[f"p_{event}"].sum(), counts["count_mean"].sel(event=event), rtol=1e-9)


def test_control_totals_are_counted_apart_from_plans():
    forecast = of_positions([[-1.0, 0.0, 2.0], [-1.0, -1.0, 0.0]]).assign(control_total=("trust", [1.0, -5.0]))
    found = deficit_counts(forecast, quantiles=(0.5,))
    np.testing.assert_allclose(found["p_at_least"], np.array([[3, 2, 1], [3, 2, 1], [3, 2, 0]]) / 3)
    np.testing.assert_array_equal(found["count_quantile"], [[1.0], [1.0], [1.0]])


def test_errors_of_counts_are_what_repetition_shows(small_forecasts):
    many = repeated(deficit_counts, small_forecasts)
    assert_error_is_that_of_repetition(many, "count_mean")
    assert_error_is_that_of_repetition(many.sel(event="deficit"), "p_at_least")


# Ranks


def plain_ranks(position):
    """Ranks from 1 of every draw, (trust, draw), by sorting; of equal ones the earlier is worse."""
    return np.argsort(np.argsort(position, axis=0, kind="stable"), axis=0) + 1


def test_ranks_are_those_of_sorting_each_draw(forecast, ranks):
    seen = plain_ranks(forecast["position"].values)
    p = (seen <= 30).mean(axis=1)
    np.testing.assert_allclose(ranks["p_among_worst"], p, rtol=1e-12)
    np.testing.assert_allclose(ranks["p_among_worst_se"], np.sqrt(p * (1 - p) / 2000))
    np.testing.assert_allclose(ranks["expected_rank"], seen.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(ranks["rank_sd"], seen.std(axis=1, ddof=1), rtol=1e-9)
    np.testing.assert_allclose(ranks["expected_rank_se"], seen.std(axis=1, ddof=1) / np.sqrt(2000), rtol=1e-9)
    listed = np.argsort(-p, kind="stable")[:30]
    overlap = (seen[listed] <= 30).mean(axis=0)
    np.testing.assert_allclose(ranks["expected_overlap"], overlap.mean(), rtol=1e-12)
    np.testing.assert_allclose(ranks["expected_overlap_se"], overlap.std(ddof=1) / np.sqrt(2000), rtol=1e-9)
    assert ranks["sure"] == (p >= SURE).sum()
    assert ranks["count"] == 30
    assert ranks.attrs == forecast.attrs


@pytest.mark.parametrize("count", [1, 30, 227])
def test_shares_among_the_worst_add_up_to_their_number(forecast, count):
    found = rank_stability(forecast, count)
    np.testing.assert_allclose(found["p_among_worst"].sum(), count, rtol=1e-12)
    np.testing.assert_allclose(found["expected_rank"].mean(), 114.0, rtol=1e-12)
    np.testing.assert_allclose(found["expected_overlap"], np.sort(found["p_among_worst"])[-count:].mean(), rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 70)),
        elements=st.sampled_from([-np.float32(3e38), -7.5, -1.0, -1e-40, -0.0, 0.0, 1e-40, 2.0, 2.25, 3e38]),
    ),
    st.data(),
)
def test_kernel_ranks_and_chooses_as_sorting_and_as_the_other_kernel(rows, data):
    """Many are equal, and nought has two signs; of equal ones the earlier comes first."""
    count = data.draw(st.integers(1, len(rows)))
    found, chosen, others = (
        np.zeros((len(rows), len(rows)), int),
        np.zeros(rows.shape, bool),
        np.empty(rows.shape, bool),
    )
    rank_block(rows, count, found, chosen)
    seen = plain_ranks(rows)
    np.testing.assert_array_equal(found, [np.bincount(row - 1, minlength=len(rows)) for row in seen])
    np.testing.assert_array_equal(chosen, seen <= count)
    worst_block(rows, np.full(rows.shape[1], count), others)
    np.testing.assert_array_equal(chosen, others)


def test_pieces_of_draws_join_up(case):
    """More draws than a thread ranks at a time, and no multiple of it."""
    many = sr.simulate(case.isel(trust=slice(0, 8)), n_draws=9001)
    found, seen = rank_stability(many, 3), plain_ranks(many["position"].values)
    np.testing.assert_allclose(found["expected_rank"], seen.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["p_among_worst"], (seen <= 3).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["expected_overlap"], np.sort((seen <= 3).mean(axis=1))[-3:].mean(), rtol=1e-9)


def test_errors_of_ranks_are_what_repetition_shows(small_forecasts):
    many = repeated(lambda f: rank_stability(f, 4), small_forecasts)
    for figure in ("p_among_worst", "expected_rank", "expected_overlap"):
        assert_error_is_that_of_repetition(many, figure)


def test_error_of_the_number_that_are_sure_is_what_repetition_shows():
    """Sixty chances near .8: the sd of `sure` over 120 samples, within 5 sd and what plugging in costs.

    The error takes the share seen for the chance, which makes q (1 - q) smaller on average, by at most a third.
    """
    rng = np.random.default_rng(3)
    usual, rare = np.zeros((40, 300)), np.linspace(0.77, 0.83, 60)[:, None]
    made = []
    for _ in range(120):
        low = rng.random((60, 300)) < rare
        made.append(rank_stability(of_positions(np.vstack([np.where(low, -1.0, 1.0), usual])), 60))
    seen = np.std([m["sure"].item() for m in made], ddof=1)
    stated = np.mean([m["sure_se"].item() for m in made])
    assert np.sqrt(2 / 3) - 5 / np.sqrt(2 * 119) < stated / seen < 1 + 5 / np.sqrt(2 * 119)


@pytest.mark.parametrize("count", [0, 228, 2.0, True, "30"])
def test_a_count_must_be_of_trusts(forecast, count):
    with pytest.raises(sr.InputError, match="whole number from 1 to 227"):
        rank_stability(forecast, count)


# Worst draws


@pytest.mark.parametrize("sure", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("unit", [SECTOR, "London", "Whole NHS"])
def test_the_worst_draws_are_those_of_the_tail(forecast, unit, sure):
    position = position_of(forecast, unit, "test")
    worst = worst_draws(position, sure)
    assert len(worst) == round((1 - sure) * 2000)
    assert (np.diff(worst) > 0).all()
    assert position[worst].max() < np.delete(position, worst).min()
    tail = sr.summarise(forecast, confidence=(sure,))["tail_value_at_risk"].sel(unit=unit)
    np.testing.assert_allclose(tail, -position[worst].mean(), rtol=1e-12)


def test_of_equal_draws_the_earlier_are_the_worst():
    position = np.array([0.0, -1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 5.0])
    assert worst_draws(position, 0.6).tolist() == [0, 1, 2, 4]
    assert worst_draws(position[:1], 0.99).tolist() == [0]


# All


@pytest.mark.parametrize("call", CALLS)
def test_every_variable_says_what_it_is_and_every_figure_has_its_error(forecast, call):
    found = call(forecast)
    for name in found.variables:
        assert found[name].attrs["long_name"]
    figures = [str(name) for name in found.data_vars if not str(name).endswith("_se") and name != "rank_sd"]
    assert all(f"{name}_se" in found and found[f"{name}_se"].dims == found[name].dims for name in figures)


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_whole_forecast_is_refused(forecast, case, call):
    broken = forecast.copy(deep=True)
    broken["position"][3, 5] = np.nan
    with pytest.raises(sr.InputError, match="not finite"):
        call(broken)
    with pytest.raises(sr.InputError, match="is it a selection"):
        call(forecast.isel(trust=slice(0, 50)))
    with pytest.raises(sr.InputError, match="made by another version"):
        call(forecast.assign_attrs(format=0))
    with pytest.raises(sr.InputError, match="position: variable is missing"):
        call(forecast.drop_vars("position"))
    with pytest.raises(sr.InputError, match="Use summarise_projection for what project gave"):
        call(sr.project(case.isel(trust=slice(6)), years=1, n_draws=20))


def test_faults_of_forecast_and_settings_come_in_one_report(forecast):
    lame = forecast.drop_vars("sector_position")
    for call in (
        lambda: exceedance(lame, SECTOR, []),
        lambda: deficit_counts(lame, quantiles=(2,)),
        lambda: rank_stability(lame, 0),
    ):
        with pytest.raises(sr.InputError) as report:
            call()
        assert len(report.value.faults) == 2


def test_one_draw_says_what_it_cannot_tell(forecast):
    one = forecast.isel(draw=[4])
    counts, ranks = deficit_counts(one), rank_stability(one)
    assert np.isnan(counts["count_mean_se"]).all()
    assert np.isnan(ranks["expected_rank_se"]).all()
    assert np.isnan(ranks["expected_overlap_se"])
    assert ranks["expected_overlap"] == 1.0
    assert ranks["sure"] == 30
    assert set(exceedance(one)["p_exceeding"].values[0]) <= {0.0, 1.0}


def test_measures_of_a_file_are_those_of_the_forecast(forecast, tmp_path):
    sr.save_forecast(forecast, tmp_path / "year.nc")
    again = sr.open_forecast(tmp_path / "year.nc")
    for call in CALLS:
        xr.testing.assert_equal(call(again), call(forecast))
