"""Sobol points by address: evenly spread, independent between replicates, and the same however draws are cut."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special
from scipy.stats import qmc

import sector_risk as sr
from sector_risk.assumptions import Dependence
from sector_risk.factors import draw_factors, months_effect, point_normals
from sector_risk.kernels import pressure
from sector_risk.kernels.random import group_label, label_hash, stream_key, words_block
from sector_risk.kernels.sobol import MONTHS, REPLICATE, point_words
from sector_risk.panel import check_panel
from sector_risk.planned import Planned, plan_run
from sector_risk.readings import data_notes

DEFAULT = (
    MONTHS,
    "commissioner underspend",
    pressure.DRIFT,
    pressure.RECURRENT,
    pressure.FLEXIBILITY,
    "provider improvement target",
    pressure.ONE_OFF,
)


@pytest.fixture(scope="module")
def some(case):
    return check_panel(case.isel(trust=slice(0, None, 19)))


def plan(panel, n_draws, assumptions=None, seed=3):
    assumptions = assumptions or sr.Assumptions()
    run, regime = plan_run(panel, assumptions, "2018-19", years=1, n_draws=n_draws, seed=seed, by_trust=True)
    return Planned(run, regime, panel, assumptions)


@pytest.fixture(scope="module")
def spread(some):
    return plan(some, 2 * REPLICATE).with_points()


def points_of(planned):
    return planned.run.prepared.points


def test_points_are_scipys_moved_by_one_word_of_each_replicate_and_dimension(spread):
    unscrambled = (qmc.Sobol(7, scramble=False, bits=32).random(REPLICATE) * 2.0**32).astype(np.uint64).T
    words = np.empty((1, 8, 3), np.uint32)
    words_block(stream_key(3, "sobol"), label_hash(group_label("sobol")).reshape(1, 2), 0, 0, words)
    expected = np.concatenate([unscrambled ^ words[0, :7, r : r + 1].astype(np.uint64) for r in range(3)], axis=1)
    assert np.array_equal(point_words(points_of(spread), 0, 3 * REPLICATE), expected)
    assert np.array_equal(point_words(points_of(spread), 1000, 700), expected[:, 1000:1700])


def test_every_dimension_of_a_replicate_has_one_point_in_each_of_1024_strata(spread):
    normals = point_normals(points_of(spread), REPLICATE, REPLICATE)
    strata = np.floor(special.ndtr(normals.astype(float)) * REPLICATE).astype(int)
    assert (np.sort(strata, axis=1) == np.arange(REPLICATE)).mean() > 0.99  # single precision moves a few


def test_replicates_and_seeds_have_other_shifts(some, spread):
    first, second = np.split(point_words(points_of(spread), 0, 2 * REPLICATE), 2, axis=1)
    other = point_words(points_of(plan(some, REPLICATE, seed=4).with_points()), 0, REPLICATE)
    assert (first != second).all()
    assert (first != other).all()


def test_points_are_uniform_over_replicates(spread):
    """A point's distribution is over shifts: its mean over 4,000 replicates is that of uniform numbers."""
    n = 4000
    one = np.array([point_words(points_of(spread), r * REPLICATE + 17, 1)[:, 0] for r in range(n)]) * 2.0**-32
    assert np.abs(one.mean(axis=0) - 0.5).max() < 4.5 / np.sqrt(12 * n)
    assert np.abs(np.corrcoef(one.T) - np.eye(7)).max() < 4.5 / np.sqrt(n)


def test_what_the_sector_shares_is_where_the_points_are(spread):
    prepared, n = spread.run.prepared, 100
    room = np.zeros((pressure.N_YEARLY_STREAMS, len(prepared.groups.hashes), 4, n), np.float32)
    plain_room = np.zeros_like(room)
    months = draw_factors(prepared, 0, 30, room)
    plain = draw_factors(replace(prepared, points=None), 0, 30, plain_room)
    normals = dict(zip(points_of(spread).whose, point_normals(points_of(spread), 30, n), strict=True))
    for v in (pressure.DRIFT, pressure.RECURRENT, pressure.FLEXIBILITY, pressure.ONE_OFF):
        s, item = pressure.STREAM_OF[v], pressure.ITEM_OF[v]
        assert np.array_equal(room[s, 0, item], normals[v])
        plain_room[s, 0, item] = normals[v]
    assert np.array_equal(room, plain_room)  # nothing else has moved
    effect = months_effect(float(prepared.profile.persistence))
    along = effect / np.linalg.norm(effect)
    assert np.allclose(along @ months, normals[MONTHS], atol=1e-5)
    assert np.allclose(months - np.outer(along, along @ months), plain - np.outer(along, along @ plain), atol=1e-5)


def test_turned_months_are_independent_standard_normals(spread):
    prepared, n = spread.run.prepared, 64 * REPLICATE
    room = np.zeros((pressure.N_YEARLY_STREAMS, len(prepared.groups.hashes), 4, n), np.float32)
    months = draw_factors(prepared, 0, 0, room).astype(float)
    assert np.abs(months @ months.T / n - np.eye(12)).max() < 4.5 * np.sqrt(2.0 / n)
    assert np.abs(months.mean(axis=1)).max() < 4.5 / np.sqrt(n)
    assert np.abs((months**4).mean(axis=1) - 3.0).max() < 4.5 * np.sqrt(96.0 / n)


def test_later_years_have_none(spread):
    prepared, n = spread.run.prepared, 8
    rooms = np.zeros((2, pressure.N_YEARLY_STREAMS, len(prepared.groups.hashes), 4, n), np.float32)
    months = draw_factors(prepared, 1, 0, rooms[0]), draw_factors(replace(prepared, points=None), 1, 0, rooms[1])
    assert np.array_equal(*months)
    assert np.array_equal(*rooms)


def test_months_effect_is_that_of_the_walk():
    walked, rate = np.zeros(12), np.zeros(12)
    for m in range(12):
        rate = 0.7 * rate + np.eye(12)[m]
        walked += rate
    assert np.allclose(months_effect(0.7), walked)


@pytest.mark.parametrize("how", [{"threads": 2}, {"block_size": 333}, {"block_size": 2048}])
def test_draws_do_not_depend_on_how_they_are_cut(spread, how):
    whole, other = spread.forecast(threads=1), spread.forecast(**how)
    for name in ("position", "sector_ytd", "nhs_position", "replicate"):
        assert np.array_equal(whole[name], other[name]), name


def test_a_part_is_those_draws_and_more_draws_keep_the_first(some, spread):
    whole = spread.forecast()
    part = spread.part(range(700, 1500)).forecast()
    more = plan(some, 3 * REPLICATE).with_points().forecast()
    for name in ("position", "sector_ytd", "nhs_position", "central_action", "replicate"):
        assert np.array_equal(part[name], whole[name].isel(draw=slice(700, 1500))), name
        assert np.array_equal(more[name].isel(draw=slice(0, 2 * REPLICATE)), whole[name]), name


def test_a_forecast_says_how_it_was_sampled(spread):
    forecast = spread.forecast()
    assert forecast.attrs["sampling"] == "sobol"
    assert forecast["replicate"].dims == ("draw",)
    assert np.array_equal(forecast["replicate"], np.repeat([0, 1], REPLICATE))
    assert np.allclose(forecast.nhs_position, forecast.sector_position + forecast.central_action.sum("action"))


def test_a_random_forecast_has_no_trace_of_it(some):
    forecast = plan(some, 50).forecast()
    assert "replicate" not in forecast.coords
    assert "sampling" not in forecast.attrs


def test_central_actions_follow_their_points(spread):
    actions = spread.central_actions()
    z = point_normals(points_of(spread), 0, 2 * REPLICATE)[1]
    action = next(a for a in sr.Assumptions().centre.actions if a.name == "commissioner underspend")
    assert np.allclose(actions[action.name], action.planned * action.delivery.from_normal(z))


def test_the_best_dimensions_go_to_what_moves_the_figures_most(some):
    assert points_of(plan(some, REPLICATE).with_points()).whose == DEFAULT


def test_dimensions_follow_the_assumptions(some):
    shared = sr.Assumptions().dependence
    small, large = (
        sr.CentralAction(name, planned, sr.Marginal.of("norm", loc=1.0, scale=0.5))
        for name, planned in (("small", 10.0), ("large", -2000.0))
    )
    assumptions = sr.Assumptions(
        dependence=replace(shared, pay_award=sr.Shares(), deterioration=sr.Shares(sector=0.0), run_rate_sector=0.0),
        centre=sr.Centre((*sr.Assumptions().centre.actions, small, large)),
    )
    expected = (
        "large",
        pressure.RECURRENT,
        pressure.FLEXIBILITY,
        "commissioner underspend",
        pressure.ONE_OFF,
        pressure.AFC,
        pressure.MEDICAL,
        "provider improvement target",
        "small",
    )
    assert points_of(plan(some, REPLICATE, assumptions).with_points()).whose == expected


def test_nothing_shared_and_no_actions_leave_draws_as_they_are(some):
    alone = sr.Shares(sector=0.0)
    dependence = Dependence(alone, alone, alone, alone, run_rate_sector=0.0)
    assumptions = sr.Assumptions(dependence=dependence, centre=sr.Centre(()))
    planned = plan(some, REPLICATE, assumptions)
    assert np.array_equal(planned.with_points().forecast().position, planned.forecast().position)


def test_draws_must_be_whole_replicates(some):
    with pytest.raises(sr.InputError, match=r"replicates of 1,024 draws \('1,500'\). Ask for 2,048 draws"):
        plan(some, 1500).with_points()


def test_errors_are_said_to_be_too_large_where_a_reader_sees_them(some, spread):
    plain, points = plan(some, 50).forecast(), spread.forecast()
    note = (
        "The draws are Sobol points: errors, which take draws as independent, are up to one and a half times too large"
    )
    for forecast, said in ((points, True), (plain, False)):
        assert any(line.startswith(note) for line in data_notes(forecast.attrs)) == said
        assert (note in sr.five_answers(forecast)[-1].detail) == said


def test_errors_are_as_much_too_large_as_is_said(case):
    """Of the sector's mean 1.57 and of the whole NHS's 3.14 times, in 200 replicates; here are 48."""
    kept = ["sector_position", "sector_position_before_support", "nhs_position", "central_action", "position"]
    forecast = sr.simulate(case, n_draws=48 * REPLICATE, seed=3, sampling="sobol", keep=kept)
    ratio = np.sqrt(sr.controlled(forecast)["mean_worth"].values)
    room = np.exp(4.5 / np.sqrt(2 * 48))
    assert 1.5 / room < ratio[0] < 1.5 * room
    assert 3.0 / room < ratio[1] < 3.0 * room
    own = forecast["position"].values.reshape(-1, 48, REPLICATE)
    of_trusts = own.std(axis=(1, 2)) / np.sqrt(REPLICATE) / own.mean(axis=2, dtype=float).std(axis=1, ddof=1)
    assert abs(np.median(of_trusts) - 1.0) < 0.1
