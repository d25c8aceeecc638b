"""A forecast whose draws are not kept says what the draws would have said."""

import gc
import tracemalloc
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk import engine
from sector_risk.kernels.rows import LANES
from sector_risk.kernels.stream import add_histogram, add_moments, add_products, pick
from sector_risk.panel import check_panel
from sector_risk.planned import Planned, plan_run
from sector_risk.regimes import PreparedRule
from sector_risk.streaming import Counts, add_up, count, lay_out
from sector_risk.streaming import exact as exact_pass
from sector_risk.streaming.exact import counted
from sector_risk.streaming.layout import BINS, Bins
from sector_risk.streaming.quantiles import Histogram

N = 6_300  # more than the pilot, and no whole number of blocks
LEVELS = (0.0, 0.004, 0.05, 0.5, 0.77, 0.95, 1.0)
SURE = (0.6, 0.9, 0.95, 0.999)


def planned_year(panel, n_draws=N, regime="2018-19", assumptions=None, seed=3):
    assumptions = assumptions or sr.Assumptions()
    panel = check_panel(panel)
    run, chosen = plan_run(panel, assumptions, regime, years=1, n_draws=n_draws, seed=seed, by_trust=True)
    return Planned(run, chosen, panel, assumptions)


@pytest.fixture(scope="module")
def panel():
    return sr.load_case("england-2018-19")


@pytest.fixture(scope="module")
def draws(panel):
    return sr.simulate(panel, n_draws=N, seed=3)


@pytest.fixture(scope="module")
def read_off(draws):
    return sr.summarise(draws, LEVELS, SURE)


@pytest.fixture(scope="module")
def streamed(panel):
    return sr.simulate(panel, n_draws=N, seed=3, keep=sr.Summary(LEVELS, SURE))


@pytest.fixture(scope="module")
def exact(panel):
    return sr.simulate(panel, n_draws=N, seed=3, keep=sr.Summary(LEVELS, SURE, exact=True))


def apart(a, b):
    assert a.dims == b.dims
    return float(np.nan_to_num(abs(a - b)).max())


COUNTED = [
    "p_deficit",
    "p_breakeven",
    "p_missing_plan",
    "p_missing_control_total",
    "p_deficit_se",
    "p_missing_plan_se",
    "plan",
]


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_counted_is_the_same(streamed, read_off, name):
    assert streamed[name].equals(read_off[name])


@pytest.mark.parametrize("name", ["mean", "sd", "mean_se"])
def test_moments_agree_to_rounding(streamed, read_off, name):
    assert apart(streamed[name], read_off[name]) < 1e-7


@pytest.mark.parametrize("name", ["position_quantile", "value_at_risk", "tail_value_at_risk"])
def test_what_is_read_off_bins_keeps_its_bound(streamed, read_off, name):
    off, bound = abs(streamed[name] - read_off[name]), streamed[f"{name}_bound"]
    assert (off <= bound + 1e-9).all()
    assert off.max() > 0.0
    assert (bound.sel(unit="Provider sector") < 0.01 * read_off["sd"].sel(unit="Provider sector")).all()


@pytest.mark.parametrize("name", ["position_quantile", "value_at_risk", "tail_value_at_risk"])
def test_exact_is_what_sorting_gives(exact, read_off, name):
    assert apart(exact[name], read_off[name]) < (1e-4 if "tail" in name else 1e-300)  # GBP 100
    assert not exact[f"{name}_bound"].any()


@pytest.mark.parametrize("name", ["position_quantile_se", "value_at_risk_se", "tail_value_at_risk_se"])
def test_errors_are_those_of_sorted_draws_to_a_bin(streamed, read_off, name):
    width = streamed["bin_width"] / 8  # a sixteenth for each end of the distance
    inner = {"quantile": [0.05, 0.5, 0.77, 0.95]} if "quantile" in name else {"confidence": [0.6, 0.9, 0.95]}
    off = abs(streamed[name] - read_off[name]).sel(inner)
    assert (off <= np.maximum(width, 0.02 * read_off[name].sel(inner))).all()


def test_exact_over_200_000_draws_is_what_sorting_gives(panel):
    few = panel.isel(trust=slice(0, 12))
    exact = sr.simulate(few, regime="none", n_draws=200_000, keep=sr.Summary(exact=True))
    kept = sr.summarise(sr.simulate(few, regime="none", n_draws=200_000))
    assert exact["position_quantile"].equals(kept["position_quantile"])
    assert exact["value_at_risk"].equals(kept["value_at_risk"])
    assert apart(exact["tail_value_at_risk"], kept["tail_value_at_risk"]) < 1e-5


def test_numbers_of_trusts_are_counted_as_deficit_counts_does(streamed, draws):
    for name, values in sr.deficit_counts(draws, LEVELS).data_vars.items():
        assert streamed[name].equals(values), name


def test_shares_of_the_sector_are_those_of_allocate(streamed, draws):
    shares = sr.allocate(draws, confidence=0.95)
    np.testing.assert_allclose(streamed["sd_share"], shares["sd_share"], atol=1e-7)
    np.testing.assert_allclose(streamed["sd_share_se"], shares["sd_share_se"], rtol=0.1, atol=0.002)
    tail = streamed.sel(confidence=0.95)
    error = shares["tail_value_at_risk_share_se"].values
    off = abs(tail["tail_value_at_risk_share"].values - shares["tail_value_at_risk_share"].values)
    assert (off < 0.25 * error + 1e-6).all()
    np.testing.assert_allclose(tail["tail_value_at_risk_share_se"], error, rtol=0.15, atol=1e-4)


def test_shares_add_up_to_the_sector(streamed, draws):
    sector = streamed.sel(unit="Provider sector")
    for part in ("trust", "effect"):
        name = "share" if part == "trust" else "by_effect"
        assert abs(streamed[f"sd_{name}"].sum(part) - sector["sd"]) < 1e-6
    whole = streamed["tail_value_at_risk_share"].sum("trust")
    assert (abs(whole - sector["tail_value_at_risk"]) < 0.02 * sector["sd"]).all()
    effects = streamed["tail_value_at_risk_by_effect"].sum("effect")
    assert (abs(effects - whole - draws["plan"].sum()) < 1e-3).all()  # effects start from the plan before support


def test_tail_shares_add_up_however_small_the_tail(panel):
    few = panel.isel(trust=slice(0, 3))
    for seed in (38, 39):
        made = sr.simulate(few, n_draws=20_000, seed=seed, keep=sr.Summary(confidence=(0.999,)))
        sector = made.sel(unit="Provider sector", confidence=0.999)
        off = made["tail_value_at_risk_share"].sum("trust") - sector["tail_value_at_risk"]
        assert abs(off.item()) < 0.1 * sector["sd"]


def test_tail_shares_of_a_trust_that_is_often_on_plan_are_those_of_allocate(panel):
    one = panel.isel(trust=[10])
    made = sr.simulate(one, n_draws=4_000, keep=sr.Summary(confidence=(0.8,)))
    shares = sr.allocate(sr.simulate(one, n_draws=4_000), confidence=0.8)
    np.testing.assert_allclose(made["tail_value_at_risk_share"][:, 0], shares["tail_value_at_risk_share"], atol=0.01)


def test_contributions_and_months_are_those_of_the_draws(streamed, draws):
    mean = draws["contribution"].astype(float).mean("draw")
    np.testing.assert_allclose(streamed["contribution_mean"], mean, atol=1e-6)
    error = draws["contribution"].astype(float).std("draw", ddof=1) / np.sqrt(N)
    np.testing.assert_allclose(streamed["contribution_mean_se"], error, rtol=1e-4, atol=1e-7)
    month = np.quantile(draws["sector_ytd"], LEVELS[1:-1], axis=1, method="inverted_cdf").T
    inner = streamed.sel(quantile=list(LEVELS[1:-1]))
    assert (abs(inner["sector_ytd_quantile"] - month) <= inner["sector_ytd_quantile_bound"] + 1e-9).all()


def test_histograms_hold_every_draw(streamed, draws):
    assert (streamed["histogram"].sum("bin") == N).all()
    sector = streamed.sel(unit="Provider sector")
    edges = float(sector["bin_start"]) + float(sector["bin_width"]) * np.arange(1025)
    np.testing.assert_array_equal(sector["histogram"], np.histogram(draws["sector_position"], edges)[0])


def test_everything_says_what_it_is(streamed):
    assert all(streamed[name].attrs.get("long_name") for name in streamed.variables)
    assert streamed.attrs["n_draws"] == N
    assert streamed.attrs["assumptions"]


# Counts of parts, threads and orders


def same(a, b):
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Counts))


def test_counts_are_the_same_to_the_bit_for_any_threads_and_parts(panel):
    planned = planned_year(panel, 13_700)
    layout = lay_out(planned, 0.9, 1)
    whole = count(planned, layout, 1)
    assert same(whole, count(planned, layout, 3))
    cuts = [range(4_000), range(4_000, 12_000), range(12_000, 13_700)]
    parts = [count(planned.part(cut), layout, 2) for cut in cuts]
    assert same(whole, add_up(parts))
    assert same(whole, add_up(reversed(parts)))


def test_bins_do_not_depend_on_the_number_of_draws(panel):
    few, many = (lay_out(planned_year(panel, n), 0.9) for n in (2_000, 9_000))
    assert np.array_equal(few.bins.low, many.bins.low)
    assert np.array_equal(few.units_scale.centre, many.units_scale.centre)


def test_a_plan_is_missed_in_the_precision_of_positions(panel):
    layout = lay_out(planned_year(panel), 0.9)
    of_trusts = layout.limits[: layout.n_trusts]
    assert np.array_equal(of_trusts, of_trusts.astype(np.float32))


class Saver(PreparedRule):
    def after_year(self, block):
        block.central += 50.0 + 100.0 * ((block.first_draw + np.arange(block.central.size)) % 7)


@dataclass(frozen=True)
class Saving(sr.Rule):
    """Saves the centre a sum that depends on the draw's number."""

    name: ClassVar[str] = "saving"

    def prepare(self, context):
        return Saver()


def test_what_rules_save_the_centre_counts_for_the_whole_nhs(panel):
    regime = sr.Regime("mine", (Saving(),))
    kept = sr.simulate(panel, regime=regime, n_draws=4_700)
    streamed = sr.simulate(panel, regime=regime, n_draws=4_700, keep=sr.Summary(exact=True))
    nhs = sr.summarise(kept).sel(unit="Whole NHS")
    assert streamed["position_quantile"].sel(unit="Whole NHS").equals(nhs["position_quantile"])
    assert abs(streamed["mean"].sel(unit="Whole NHS") - nhs["mean"]) < 1e-6


def test_merged_trusts_rules_and_drivers_of_others_are_counted_too(panel):
    merged = sr.merge(panel, ["SYN001", "SYN002"], into="ZZ1")
    fat = sr.Assumptions()
    fat = replace(fat, dependence=replace(fat.dependence, tail_dof=5.0))
    for regime in ("none", "2018-19"):
        kept = sr.simulate(merged, fat, regime, n_draws=2_500)
        streamed = sr.simulate(merged, fat, regime, n_draws=2_500, keep=sr.Summary(exact=True))
        expected = sr.summarise(kept)
        assert streamed["position_quantile"].equals(expected["position_quantile"])
        assert streamed["p_missing_control_total"].equals(expected["p_missing_control_total"])
        mean = kept["contribution"].mean("draw", dtype=float)
        np.testing.assert_allclose(streamed["contribution_mean"], mean, atol=1e-6)
        error = kept["contribution"].astype(float).std("draw", ddof=1) / np.sqrt(2_500)
        np.testing.assert_allclose(streamed["contribution_mean_se"], error, atol=1e-6)


def test_trusts_without_a_system_count_in_no_system(panel):
    few = panel.isel(trust=slice(0, 12))
    none = few.assign_coords(system=("trust", ["not stated", "A", "B", "B", *["not stated"] * 8]))
    streamed = sr.simulate(none, n_draws=2_100, keep=sr.Summary(exact=True))
    expected = sr.summarise(sr.simulate(none, n_draws=2_100))
    assert list(streamed["unit"].values) == list(expected["unit"].values)
    assert streamed["position_quantile"].equals(expected["position_quantile"])


def test_sums_far_beyond_the_first_draws_are_right_and_do_not_wrap():
    rows, sums, products = np.array([[1e9, -1e9, 3e9]]), np.zeros((1, 2)), np.zeros((1, 3))
    for _ in range(1_000):
        add_moments(rows, np.zeros(1), np.ones(1), sums)
        add_products(rows, np.zeros(1), np.ones(1), rows[0], products)
    np.testing.assert_allclose(sums, [[3e12, 11e21]], rtol=1e-12)
    np.testing.assert_allclose(products, [[11e21, 83e39, 83e39]], rtol=1e-12)


def test_a_single_draw_has_no_errors(panel):
    one = sr.simulate(panel, n_draws=1, keep="summary")
    for name in ("mean_se", "sd_share_se", "tail_value_at_risk_share_se", "contribution_mean_se"):
        assert np.isnan(one[name]).all(), name
    assert abs(one["mean"] - sr.summarise(sr.simulate(panel, n_draws=1))["mean"]).max() < 1e-9


def test_memory_does_not_grow_with_draws(panel):
    def peak(n):
        planned = planned_year(panel, n)
        layout = lay_out(planned, 0.9, 1)
        gc.collect()
        tracemalloc.start()
        count(planned, layout, 1)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1_000)
    few, many = peak(8_000), peak(40_000)
    assert many < 1.02 * few


# Some variables only


def test_kept_variables_of_sobol_draws_have_their_replicates(panel):
    how = {"n_draws": 11_264, "sampling": "sobol", "controls": True}
    whole = sr.simulate(panel, **how)
    some = sr.simulate(panel, **how, keep=["control_value", "sector_position"])
    for name in ("control_value", "sector_position", "replicate"):
        assert some[name].identical(whole[name]), name


def test_draws_in_a_store_are_those_of_the_whole(panel, tmp_path):
    whole = sr.simulate(panel, n_draws=1_000)
    with sr.simulate(panel, n_draws=1_000, store=tmp_path / "f.zarr") as stored:
        for name in whole.variables:
            assert np.array_equal(stored[name].values, whole[name].values, equal_nan=whole[name].dtype.kind == "f"), (
                name
            )


def test_kept_variables_are_those_of_the_whole(panel):
    names = ["sector_position", "position", "central_action"]
    whole = sr.simulate(panel, n_draws=10_700, seed=5)
    some = sr.simulate(panel, n_draws=10_700, seed=5, keep=names)
    for name in names:
        assert some[name].identical(whole[name]), name
    assert some["plan"].identical(whole["plan"])
    assert {name for name in some.data_vars if "draw" in some[name].dims} == set(names)
    assert some["draw"].identical(whole["draw"])
    assert some.attrs["n_draws"] == 10_700


# What is asked wrongly


@pytest.mark.parametrize(
    ("keep", "value"),
    [
        ("sumary", "sumary"),
        (["position", "positon"], "positon"),
        (sr.Summary(quantiles=(2.0,)), "2.0"),
        (sr.Summary(confidence=(1.0,)), "1.0"),
        (["plan"], "plan"),
        ([], "names nothing"),
        (sr.Summary, "names nothing"),
        (None, "names nothing"),
    ],
)
def test_what_cannot_be_kept_is_refused(panel, keep, value):
    with pytest.raises(sr.InputError, match="simulate") as error:
        sr.simulate(panel, n_draws=10, keep=keep)
    assert value in str(error.value)


def test_what_reads_draws_says_that_a_summary_has_none(streamed):
    for read in (sr.summarise, sr.allocate, sr.waterfall):
        with pytest.raises(sr.InputError, match="a summary, which has no draws") as error:
            read(streamed)
        assert len(error.value.faults) == 1


def test_the_quality_pack_makes_sobol_draws_again(panel):
    pack = sr.quality_pack(sr.simulate(panel, n_draws=2_048, sampling="sobol"))
    (again,) = (check for check in pack.checks if "made again" in check.check)
    assert (again.result, again.note) == ("passed", "1024 draws")


def test_a_finished_store_of_the_same_forecast_is_left_alone(panel, tmp_path):
    path = tmp_path / "f.zarr"
    for _ in range(2):
        with sr.simulate(panel, n_draws=600, store=path) as stored:
            told = stored.attrs["created"], path.stat().st_ino
    with sr.simulate(panel, n_draws=600, store=path) as again:
        assert (again.attrs["created"], path.stat().st_ino) == told


def test_more_draws_than_memory_holds_are_refused_with_a_way_out(panel):
    with pytest.raises(sr.InputError, match="keep='summary'") as error:
        sr.simulate(panel, n_draws=2**31)
    assert "GB" in str(error.value)


def test_bytes_for_one_draw_are_those_of_the_arrays(panel):
    run = planned_year(panel, 30).run
    kept = engine.run_blocks(run, threads=1)
    arrays = [getattr(kept, f.name) for f in fields(kept) if f.name != "state"]
    assert 30 * type(kept).bytes_for_one(run) == sum(a.nbytes for a in (*arrays, *kept.state.values()))


def test_ways_that_do_not_go_together_are_refused_in_one_report(panel, tmp_path):
    how = {"sampling": "sobl", "controls": True, "by_quarter": True, "store": tmp_path / "f.zarr"}
    with pytest.raises(sr.InputError) as error:
        sr.simulate(panel, n_draws=2_048, keep="summary", **how)
    assert len(error.value.faults) == 4
    assert not list(tmp_path.iterdir())


def test_a_rule_that_fails_ends_all_threads(panel, monkeypatch):
    planned = planned_year(panel, 20_000)
    layout = lay_out(planned, 0.9, 1)
    run_block, seen = engine.Fold.run_block, []

    def fail(self, out, first, column):
        seen.append(first)
        if first == 1_000:
            raise ValueError("no such year")
        run_block(self, out, first, column)

    monkeypatch.setattr(engine.Fold, "run_block", fail)
    with pytest.raises(ValueError, match="no such year"):
        count(planned, layout, 2)
    assert len(seen) < 40


def test_progress_ends_with_all_done(panel):
    told = []
    sr.simulate(panel, n_draws=12_000, keep="summary", threads=2, progress=lambda *done: told.append(done))
    assert told[-1][0] == told[-1][1] == len(told) == 3
    told.clear()
    exact = sr.Summary(exact=True)
    sr.simulate(panel, n_draws=12_000, keep=exact, threads=1, progress=lambda *done: told.append(done))
    assert told == [(i, 6) for i in range(1, 7)]


# Kernels against plain arithmetic


@pytest.fixture
def rows():
    return np.random.default_rng(1).normal(3.0, 2.0, (5, LANES * 3 + 7))


def test_moments_and_products_are_plain_sums(rows):
    centre, per_scale, s = np.arange(5.0), np.full(5, 0.5), rows[0] - 1.0
    y = (rows - centre[:, None]) * 0.5
    sums, products = np.ones((5, 2)), np.ones((5, 3))
    add_moments(rows, centre, per_scale, sums)
    add_products(rows, centre, per_scale, s, products)
    np.testing.assert_allclose(sums - 1, np.stack([y.sum(1), (y**2).sum(1)], 1), atol=1e-6)
    expected = np.stack([(y * s).sum(1), ((y * s) ** 2).sum(1), (y * s**3).sum(1)], 1)
    np.testing.assert_allclose(products - 1, expected, atol=1e-6)


def test_histogram_counts_and_remembers_what_lies_beyond(rows):
    counts, extremes = np.zeros((5, 10), np.uint32), np.tile([np.inf, -np.inf], (5, 1))
    low, per_bin = np.full(5, 1.0), np.full(5, 2.0)
    add_histogram(rows, low, per_bin, counts, extremes, np.empty(rows.shape[1], np.int32))
    inside = np.clip(np.floor((rows - 1.0) * 2.0), 0, 9).astype(int)
    np.testing.assert_array_equal(counts, [np.bincount(row, minlength=10) for row in inside])
    np.testing.assert_array_equal(extremes, np.stack([rows.min(1), rows.max(1)], 1))


def test_values_beyond_the_bins_keep_the_bound():
    values = np.sort(np.random.default_rng(2).standard_t(1.5, 4_000))
    bins = Bins(np.array([-3.0]), np.array([BINS / 6.0]))
    counts, extremes = np.zeros((1, BINS), np.uint32), np.array([[np.inf, -np.inf]])
    add_histogram(values[None], bins.low, bins.per_bin, counts, extremes, np.empty(4_000, np.int32))
    assert counts[0, [0, -1]].all()
    ranks = np.arange(4_000)
    value, width = Histogram.of(counts[0], bins, 0, extremes[0]).order_statistic(ranks)
    assert (abs(value - values) <= width + 1e-12).all()
    mean, _, bound = Histogram.of(counts[0], bins, 0, extremes[0]).tail(40)
    assert abs(mean - values[:40].mean()) <= bound


def test_picks_what_is_looked_for_and_sums_what_lies_between(rows):
    table = np.full((5, 10), np.iinfo(np.int32).min, np.int32)
    table[:, 4], table[:, :4] = np.arange(5), -1 - np.arange(5)[:, None]
    values, ids, below = np.empty(rows.size), np.empty(rows.size, np.int32), np.zeros(5)
    scale = np.full(5, 1.0), np.full(5, 0.5)
    n = pick(rows, np.zeros(5), np.full(5, 1.0), table, *scale, below, values, ids, np.empty(rows.shape[1], np.int32))
    wanted = (rows >= 4.0) & (rows < 5.0)
    np.testing.assert_array_equal(values[:n], rows[wanted])
    np.testing.assert_array_equal(ids[:n], np.nonzero(wanted)[0])
    np.testing.assert_allclose(below, np.where(rows < 4.0, 0.5 * (rows - 1.0), 0.0).sum(1), atol=1e-5)


def test_values_are_put_together_on_the_way(panel, exact, monkeypatch):
    """What waits is sorted whenever it is more than what is held, and the result is the same."""
    sorted_so_far, whole = [], exact_pass.counted
    monkeypatch.setattr(exact_pass, "FLUSH", 1_000)
    monkeypatch.setattr(exact_pass, "counted", lambda parts: sorted_so_far.append(len(parts)) or whole(parts))
    again = sr.simulate(panel, n_draws=N, seed=3, threads=1, keep=sr.Summary(LEVELS, SURE, exact=True))
    assert len(sorted_so_far) > 2
    assert again["tail_value_at_risk"].equals(exact["tail_value_at_risk"])
    assert again["position_quantile"].equals(exact["position_quantile"])


def test_equal_values_are_counted_as_one():
    ids, values = np.array([1, 0, 1, 1], np.int32), np.array([2.0, 2.0, 2.0, -1.0])
    part = (ids, values, np.array([1, 1, 3, 1]))
    found = counted([part, part])
    assert [column.tolist() for column in found] == [[0, 1, 1], [2.0, -1.0, 2.0], [2, 2, 8]]


def test_saved_and_opened_again(streamed, tmp_path):
    path = sr.save_forecast(streamed, tmp_path / "summary.nc")
    assert sr.open_forecast(path).identical(streamed)
    assert isinstance(streamed, xr.Dataset)
