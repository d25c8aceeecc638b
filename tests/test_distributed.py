"""Forecasts as Dask tasks: the bits of `simulate` under any scheduler, laziness, and what may go wrong on a cluster."""

import logging
import os
import pickle
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk import distributed
from sector_risk.distributed import lazy_forecast, simulate, total, tree_sum
from sector_risk.planned import Planned, plan_run
from sector_risk.regimes import PreparedRule, Regime, Rule
from sector_risk.streaming import Summary

dask = pytest.importorskip("dask", reason="Dask is not installed")
dd = pytest.importorskip("distributed", reason="distributed is not installed")

QUIET = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
N, SEED = 1000, 3


@pytest.fixture(scope="module")
def case():
    return sr.load_case("england-2018-19").isel(trust=slice(12))


@pytest.fixture(scope="module")
def expected(case):
    return sr.simulate(case, n_draws=N, seed=SEED, threads=2)


@pytest.fixture(scope="module")
def cluster():
    with dd.LocalCluster(n_workers=2, threads_per_worker=1, **QUIET) as workers:
        yield workers


@pytest.fixture
def client(cluster):
    with dd.Client(cluster) as found:
        yield found


@pytest.fixture
def synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def groups_made(monkeypatch):
    """Draws of every group that this process made."""
    made, run_draws = [], distributed.run_draws

    def counted(run, *settings):
        made.append(run.draws)
        return run_draws(run, *settings)

    monkeypatch.setattr(distributed, "run_draws", counted)
    return made


def plan(panel, n_draws=N, seed=SEED):
    panel, assumptions = sr.check_panel(panel), sr.Assumptions()
    run, regime = plan_run(panel, assumptions, None, years=1, n_draws=n_draws, seed=seed, by_trust=True)
    return Planned(run, regime, panel, assumptions)


def assert_same(computed, expected):
    """All values, labels, types and attributes, but for the time at which each was made."""
    computed, expected = computed.copy(), expected.copy()
    assert computed.attrs.pop("created")
    assert expected.attrs.pop("created")
    xr.testing.assert_identical(computed, expected)
    assert all(computed[name].dtype == expected[name].dtype for name in expected.variables)


# The same bits


def test_two_processes_give_the_bits_of_threads(case, expected, client):
    assert_same(simulate(case, n_draws=N, seed=SEED, draws_per_task=300).compute(), expected)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("regime", ["none", "2019-20"])
def test_schedulers_of_one_process_give_the_same_bits(case, scheduler, regime):
    panel = case.assign_attrs(year="2019-20")
    forecast = simulate(panel, regime=regime, n_draws=N, seed=SEED, by_quarter=True, draws_per_task=128)
    threads = sr.simulate(panel, regime=regime, n_draws=N, seed=SEED, by_quarter=True)
    assert_same(forecast.compute(scheduler=scheduler), threads)


@pytest.mark.parametrize("per_task", [97, 500, 999, 1000, 5000])
def test_any_cut_into_groups_gives_the_same_bits(case, expected, per_task, synchronous):
    forecast = simulate(case, n_draws=N, seed=SEED, draws_per_task=per_task, threads_per_task=2)
    sizes = forecast["position"].chunksizes["draw"]
    assert sum(sizes) == N
    assert sizes[:-1] == (per_task,) * (len(sizes) - 1)
    assert_same(forecast.compute(), expected)


def test_groups_of_a_single_draw(case, expected, synchronous):
    few = expected.isel(draw=slice(3)).assign_attrs(n_draws=3)
    assert_same(simulate(case, n_draws=3, seed=SEED, draws_per_task=1).compute(), few)


def test_a_part_of_a_plan_keeps_its_numbers(case, expected, synchronous):
    part = lazy_forecast(plan(case).part(range(400, 700)), draws_per_task=200)
    assert part["draw"].values.tolist() == list(range(400, 700))
    assert_same(part.compute(), expected.isel(draw=slice(400, 700)).assign_attrs(n_draws=300))


SAMPLED = {"n_draws": 2048, "seed": SEED, "sampling": "sobol", "controls": True}


def test_points_and_controls_have_the_bits_of_threads_wherever_they_are_cut(case, client):
    forecast = simulate(case, draws_per_task=300, **SAMPLED)
    assert "replicate" in forecast.coords
    assert_same(forecast.compute(), sr.simulate(case, **SAMPLED))


@pytest.mark.parametrize("sampling", ["random", "sobol"])
def test_controls_of_the_sector_alone_can_be_kept(case, sampling, synchronous):
    settings = SAMPLED | {"sampling": sampling, "keep": ["sector_position", "control_value"]}
    assert_same(simulate(case, draws_per_task=1500, **settings).compute(), sr.simulate(case, **settings))


def test_points_without_controls_have_none(case, synchronous):
    settings = SAMPLED | {"controls": False}
    assert_same(simulate(case, **settings).compute(), sr.simulate(case, **settings))


# Laziness


def test_nothing_is_made_before_it_is_asked_for(case, groups_made, synchronous):
    forecast = simulate(case, n_draws=N, draws_per_task=250)
    repr(forecast)
    mean = forecast["sector_position"].mean()
    assert not groups_made
    mean.compute()
    assert sorted(draws.start for draws in groups_made) == list(range(0, N, 250))


def test_what_depends_on_no_draw_is_there_at_once(case, expected, groups_made):
    forecast = simulate(case, n_draws=N, seed=SEED)
    for name, variable in expected.variables.items():
        assert bool(forecast[name].chunks) == ("draw" in variable.dims and name != "draw"), name
    assert list(forecast.data_vars) == list(expected.data_vars)
    xr.testing.assert_identical(forecast.drop_dims("draw").drop_attrs(), expected.drop_dims("draw").drop_attrs())
    assert not groups_made


def test_together_each_group_is_made_once_and_apart_once_for_each(case, groups_made, synchronous):
    forecast = simulate(case, n_draws=N, draws_per_task=500)
    wanted = [forecast["sector_position"].mean(), forecast["position"].std("draw"), forecast["deficit_count"].max()]
    dask.compute(*wanted)
    assert len(groups_made) == 2
    for one in wanted:
        one.compute()
    assert len(groups_made) == 2 + 3 * 2


def test_what_was_persisted_is_not_made_again(case, groups_made, synchronous):
    forecast = simulate(case, n_draws=N, draws_per_task=500).persist()
    forecast["sector_position"].mean().compute()
    forecast["position"].mean().compute()
    assert len(groups_made) == 2


def test_a_few_draws_need_only_their_group(case, groups_made, synchronous):
    forecast = simulate(case, n_draws=10**7, seed=SEED, draws_per_task=1000)
    last = forecast["position"].isel(draw=slice(-3, None)).compute()
    assert groups_made == [range(10**7 - 1000, 10**7)]
    assert last.identical(plan(case, 10**7).part(range(10**7 - 3, 10**7)).forecast()["position"])


def test_only_what_is_kept_leaves_a_task(case, synchronous):
    names = ["position", "variance"]
    forecast = simulate(case, n_draws=N, seed=SEED, keep=names)
    graph = dict(forecast["position"].__dask_graph__())
    (group,) = (key for key in graph if key[0].startswith("draws-"))
    assert list(dask.get(graph, group)) == names
    assert_same(forecast.compute(), sr.simulate(case, n_draws=N, seed=SEED, keep=names))


def test_a_saved_forecast_is_written_group_by_group(case, expected, groups_made, synchronous, tmp_path):
    path = sr.save_forecast(simulate(case, n_draws=N, seed=SEED, draws_per_task=300), tmp_path / "forecast.zarr")
    assert [len(draws) for draws in sorted(groups_made, key=lambda draws: draws.start)] == [300, 300, 300, 100]
    assert_same(sr.open_forecast(path), expected)


def test_the_plan_is_in_the_graph_once(case):
    forecast = simulate(case, n_draws=N, draws_per_task=5)
    (optimised,) = dask.optimize(forecast["position"].mean())
    plan_bytes = len(pickle.dumps(plan(case)))
    for array in (forecast["position"], optimised):
        sizes = sorted(len(pickle.dumps(task)) for task in dict(array.__dask_graph__()).values())
        assert sizes[-1] > 0.9 * plan_bytes
        assert sizes[-2] < 2000


def test_the_same_forecast_has_the_same_tasks_and_another_has_others(case):
    def keys(seed, **settings):
        return set(simulate(case, n_draws=N, seed=seed, **settings)["position"].__dask_graph__())

    assert keys(1) == keys(1)
    assert not keys(1) & keys(2)
    assert not keys(1) & keys(1, draws_per_task=77)
    assert not keys(1) & keys(1, keep=["position"])


READERS = {
    "summarise": sr.summarise,
    "exceedance": sr.exceedance,
    "deficit_counts": sr.deficit_counts,
    "rank_stability": sr.rank_stability,
    "allocate": sr.allocate,
    "waterfall": sr.waterfall,
    "tornado": sr.tornado,
    "five_answers": sr.five_answers,
    "switching_value": sr.switching_value,
    "compare": lambda forecast: sr.compare(forecast, forecast),
    "write_report": lambda forecast: sr.write_report(forecast, "never-written.html"),
    "plot_forecast": sr.plot_forecast,
    "plot_fan": sr.plot_fan,
    "plot_balance": sr.plot_balance,
    "controlled": sr.controlled,
    "quality_pack": sr.quality_pack,
}


@pytest.mark.parametrize("name", READERS)
def test_readers_ask_for_draws_in_memory_before_any_is_made(case, name, groups_made):
    with pytest.raises(
        sr.InputError, match=r"draws are Dask arrays, not in memory. Compute it first: forecast.compute"
    ):
        READERS[name](simulate(case, **SAMPLED))
    assert not groups_made


def test_what_was_computed_is_read(case, synchronous):
    computed = sr.summarise(simulate(case, n_draws=N, seed=SEED).compute())
    assert computed.drop_attrs().equals(sr.summarise(sr.simulate(case, n_draws=N, seed=SEED)).drop_attrs())


# Drivers and rules of the user's own


@dataclass(frozen=True)
class Halved(Rule):
    name = "halved"

    def prepare(self, context):
        return HalveDelivery()


class HalveDelivery(PreparedRule):
    def before_year(self, block):
        block.delivery[:] *= 0.5


def flu(cost):
    def pressure(z, panel):
        return (cost * np.exp(z[:, :1]) * panel["turnover"][:, None, None] + np.zeros((12, 1))).astype(np.float32)

    return pressure


def with_driver(name, pressure):
    sr.driver(name, items=1, shares=sr.Shares(sector=0.5), source="test")(pressure)
    return sr.Assumptions(drivers=(name,))


def test_drivers_and_rules_of_the_users_own_go_to_other_processes(case, client):
    assumptions, regime = with_driver("flu_sent", flu(0.001)), Regime("halved", (Halved(),))
    forecast = simulate(case, assumptions, regime, n_draws=N, seed=SEED, draws_per_task=300).compute()
    assert_same(forecast, sr.simulate(case, assumptions, regime, n_draws=N, seed=SEED))
    assert not forecast["position"].equals(sr.simulate(case, regime="none", n_draws=N, seed=SEED)["position"])


def fails(z, panel):
    raise LookupError("no winter in the table")


def test_an_error_in_a_task_names_its_draws(case, client):
    forecast = simulate(case, with_driver("fails", fails), n_draws=N, draws_per_task=100)
    with pytest.raises(LookupError, match="no winter in the table") as caught:
        forecast["position"].isel(draw=slice(300, 350)).compute()
    assert "This was in draws 300 to 399." in caught.value.__notes__


def test_what_cannot_be_sent_is_named_before_anything_runs(case):
    lock = threading.Lock()

    def locked(z, panel):
        with lock:
            return flu(0.001)(z, panel)

    with pytest.raises(sr.InputError, match="'flu_locked'") as caught:
        simulate(case, with_driver("flu_locked", locked), n_draws=N)
    assert len(caught.value.faults) == 1


# Faults


def test_all_faults_of_the_settings_come_at_once(case):
    with pytest.raises(sr.InputError) as caught:
        simulate(case, regime="nowhere", n_draws=0, seed=-1, draws_per_task=0, threads_per_task=1.5)
    said = str(caught.value)
    for name in ("n_draws", "seed", "draws_per_task", "threads_per_task", "nowhere"):
        assert name in said
    assert len(caught.value.faults) == 5


def test_what_does_not_go_together_is_in_the_same_report(case):
    with pytest.raises(sr.InputError) as caught:
        simulate(case, n_draws=0, keep="summary", sampling="sobol", by_quarter=True)
    assert [fault.variable for fault in caught.value.faults] == ["n_draws", "keep", "by_quarter"]
    with pytest.raises(sr.InputError, match=r"sampling: unknown sampling \('halton'\)") as caught:
        simulate(case, n_draws=N, sampling="halton", progress=True)
    assert {fault.variable for fault in caught.value.faults} == {"sampling", "progress"}
    assert {fault.place for fault in caught.value.faults} == {"distributed.simulate"}


def test_points_come_in_whole_replicates(case):
    with pytest.raises(sr.InputError, match=r"Ask for 2,048 draws"):
        simulate(case, n_draws=1500, sampling="sobol")


def test_a_name_that_is_no_variable_by_draw_is_a_fault(case):
    with pytest.raises(sr.InputError, match=r"keep.*'positions'") as caught:
        simulate(case, n_draws=N, keep=["positions", "plan"])
    assert len(caught.value.faults) == 2


def test_rules_that_do_nothing_are_warned_of_where_the_user_is(case):
    with pytest.warns(sr.InputWarning) as caught:
        simulate(case, regime="2019-20", n_draws=N)
    assert Path(caught[0].filename) == Path(__file__)


def test_a_missing_dask_is_said_plainly(case, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'sector-risk\[cluster\]'"):
        simulate(case, n_draws=N)


def test_a_killed_worker_changes_nothing(case, client):
    forecast = simulate(case, n_draws=20_000, seed=SEED, draws_per_task=500).persist()
    first = next(iter(dd.as_completed(dd.futures_of(forecast["position"]))))
    holders = [address for held in client.who_has([first]).values() for address in held]
    pid = client.run(os.getpid, workers=holders[:1])[holders[0]]
    os.kill(pid, signal.SIGKILL)
    assert_same(forecast.compute(), sr.simulate(case, n_draws=20_000, seed=SEED))
    assert pid not in client.run(os.getpid).values()


# Sums and summaries on workers


@pytest.mark.parametrize("per_task", [500, 1700, 20_000])
def test_a_summary_from_workers_has_the_bits_of_threads(case, client, per_task):
    counted = simulate(case, n_draws=13_200, seed=SEED, keep="summary", draws_per_task=per_task)
    assert_same(counted, sr.simulate(case, n_draws=13_200, seed=SEED, keep="summary"))


def test_an_exact_summary_from_workers_has_the_bits_of_threads(case, client):
    asked = Summary(exact=True)
    found = simulate(case, n_draws=13_200, seed=SEED, keep=asked, draws_per_task=4_000)
    assert_same(found, sr.simulate(case, n_draws=13_200, seed=SEED, keep=asked))


def test_a_summary_is_at_the_levels_asked_for(case, synchronous):
    asked = Summary(quantiles=(0.3, 0.7), confidence=(0.8,))
    counted = simulate(case, n_draws=N, seed=SEED, keep=asked, threads_per_task=2)
    assert_same(counted, sr.simulate(case, n_draws=N, seed=SEED, keep=asked))


def test_faults_of_a_summary_come_at_once(case, groups_made):
    with pytest.raises(sr.InputError) as caught:
        simulate(case, n_draws=N, keep=Summary(quantiles=(2.0,), confidence=()))
    assert len(caught.value.faults) == 2
    assert not groups_made


def test_workers_get_no_draws_to_count_by(case, monkeypatch):
    sizes, pickled = [], distributed._pickled

    def seen(*args):
        job = pickled(*args)
        sizes.append(len(job))
        return job

    monkeypatch.setattr(distributed, "_pickled", seen)
    simulate(case, n_draws=N, keep="summary")
    assert sizes[0] < 4 * len(pickle.dumps(plan(case)))


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_progress_counts_groups_in_one_process(case, scheduler):
    told = []
    with dask.config.set(scheduler=scheduler):
        simulate(case, n_draws=18_000, keep="summary", draws_per_task=4_000, progress=lambda *how: told.append(how))
    assert told == [(k, 5) for k in range(1, 6)]


@pytest.mark.parametrize("groups", [1, 9])
def test_progress_counts_groups_on_a_cluster_and_changes_nothing(case, client, groups):
    told, settings = [], {"n_draws": 4_000 * groups, "seed": SEED, "keep": "summary"}
    counted = simulate(case, **settings, draws_per_task=4_000, progress=lambda *how: told.append(how))
    assert told == [(k, groups) for k in range(1, groups + 1)]
    assert_same(counted, sr.simulate(case, **settings))


def test_progress_is_a_line_on_standard_error(case, synchronous, capsys):
    simulate(case, n_draws=N, keep="summary", progress=True)
    assert capsys.readouterr().err == "\rcounted 1 of 1 groups of draws\n"


def deficits(part):
    return (part.forecast(threads=1)["position"].values < -0.005).sum(axis=1)


@pytest.mark.parametrize("per_task", [30, 333, 5000])
def test_sums_on_workers_are_those_of_the_whole(case, client, per_task):
    planned = plan(case)
    np.testing.assert_array_equal(total(tree_sum(planned, deficits, draws_per_task=per_task)), deficits(planned))


def test_states_are_added_in_order_and_few_at_a_time(case, synchronous, monkeypatch):
    monkeypatch.setattr(distributed, "FAN_IN", 3)
    value = tree_sum(plan(case), lambda part: [part.run.draws], draws_per_task=50)
    assert total(value) == [range(k, k + 50) for k in range(0, N, 50)]
    sums = [task for task in dict(value.__dask_graph__()).values() if task[0] is distributed._add]
    assert max(len(keys) for _, keys in sums) == 3
    assert len(sums) == 7 + 3 + 1


def slow_sum(started, part):
    Path(started).touch()
    time.sleep(0.2)
    return len(part.run.draws)


@pytest.mark.parametrize("progress", [None, lambda *how: None], ids=["silent", "told"])
def test_a_cluster_that_goes_away_is_said_plainly(case, tmp_path, progress):
    started = tmp_path / "started"

    def close_when_started(workers):
        while not started.exists():
            time.sleep(0.01)
        workers.close()

    with dd.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, **QUIET) as workers, dd.Client(workers):
        closing = threading.Thread(target=close_when_started, args=[workers])
        closing.start()
        with pytest.raises(ConnectionError, match="the cluster went away before the sum was done"):
            total(tree_sum(plan(case), partial(slow_sum, str(started)), draws_per_task=20), progress)
        closing.join()


def interrupted(part):
    raise KeyboardInterrupt


def test_an_interrupt_passes(case, synchronous):
    with pytest.raises(KeyboardInterrupt):
        total(tree_sum(plan(case), interrupted))


@pytest.mark.parametrize("progress", [None, lambda *how: None], ids=["silent", "told"])
def test_an_error_in_a_sum_names_its_draws(case, client, progress):
    def odd(part):
        return 1 // (part.run.draws.start - 500)

    with pytest.raises(ZeroDivisionError) as caught:
        total(tree_sum(plan(case), odd, draws_per_task=500), progress)
    assert "This was in draws 500 to 999." in caught.value.__notes__


def every_other_fails(part):
    if not part.run.first_draw % 100:
        raise LookupError("no even group")
    time.sleep(0.2)
    return 1


def test_an_error_does_not_wait_for_the_other_groups(case, client):
    told = []
    with pytest.raises(LookupError, match="no even group"):
        total(tree_sum(plan(case), every_other_fails, draws_per_task=50), lambda *how: told.append(how))
    assert len(told) < 10
