"""What Dask costs: two processes of one thread against two threads, and the figures of a cost model for many nodes.

    python benchmarks/cluster.py             # a million draws, one run of each after a warm-up
    python benchmarks/cluster.py --smoke     # a few thousand draws, to see that it runs

Both make the same groups of draws and keep only the mean of the sector's position. Only ratios are meant to be quoted
from a shared machine; the cost model says for which machine its seconds are.
"""

import argparse
import logging
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import cloudpickle
import numpy as np
from distributed import Client, LocalCluster

import sector_risk as sr
from sector_risk import distributed
from sector_risk.distributed import DRAWS_PER_TASK, lazy_forecast, total, tree_sum
from sector_risk.planned import Planned, plan_run
from sector_risk.streaming import Counts, lay_out

REGIME = "2018-19"
QUIET = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
MILLION = 1_000_000


def planned(n_draws: int) -> Planned:
    panel, assumptions = sr.check_panel(sr.load_case("england-2018-19")), sr.Assumptions()
    run, regime = plan_run(panel, assumptions, REGIME, years=1, n_draws=n_draws, seed=0, by_trust=True)
    return Planned(run, regime, panel, assumptions)


def seconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def mean_on_threads(plan: Planned, per_task: int, threads: int) -> float:
    """Groups in turn, the threads within each: nothing of Dask."""
    draws = plan.run.draws
    parts = (plan.part(draws[k : k + per_task]) for k in range(0, len(draws), per_task))
    return sum(float(part.forecast(threads)["sector_position"].sum()) for part in parts) / len(draws)


def mean_on_cluster(plan: Planned, per_task: int) -> float:
    return float(lazy_forecast(plan, draws_per_task=per_task)["sector_position"].mean().compute())


def nothing(part: Planned) -> int:
    return len(part.run.draws)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def bytes_received(dask_worker) -> int:
    return sum(int(entry["total"]) for entry in dask_worker.transfer_incoming_log)


def folder_bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def row(what: str, value: str, note: str = "") -> None:
    print(f"{what:<66} {value:>12}   {note}")


def overhead(plan: Planned, per_task: int, repeats: int) -> None:
    n, threads, cluster = len(plan.run.draws), [], []
    for _ in range(repeats):
        threads.append(seconds(lambda: mean_on_threads(plan, per_task, 2)))
        cluster.append(seconds(lambda: mean_on_cluster(plan, per_task)))
    base = statistics.median(threads)
    row(f"two processes over two threads, mean of {n:,} draws", f"{statistics.median(cluster) / base:.2f}", "aim: 1.15")
    row("seconds per million draws: two threads", f"{base / n * MILLION:.1f}")
    row("seconds per million draws: two processes", f"{statistics.median(cluster) / n * MILLION:.1f}")


def traffic(client: Client, panel: object, n_draws: int, per_task: int) -> None:
    """A summary: counts are added up on workers, and one lot of them comes to the client."""
    before = sum(client.run(bytes_received).values())
    asked = {"n_draws": n_draws, "regime": REGIME, "keep": "summary"}
    taken = seconds(lambda: distributed.simulate(panel, draws_per_task=per_task, **asked))
    between = sum(client.run(bytes_received).values()) - before
    threads = seconds(lambda: sr.simulate(panel, threads=2, **asked))
    row(f"two processes over two threads, summary of {n_draws:,} draws", f"{taken / threads:.2f}", "aim: 1.15")
    row("seconds per million draws: summary on two threads", f"{threads / n_draws * MILLION:.1f}")
    row("seconds per million draws: summary on two processes", f"{taken / n_draws * MILLION:.1f}")
    row("MB between workers for a summary", f"{between / 1e6:.1f}", f"groups of {per_task:,}")
    row("peak memory of a worker, MB", f"{max(client.run(peak_mb).values()):.0f}", "draws and counts")


def sizes(plan: Planned) -> None:
    layout = lay_out(plan, 0.9, 2)
    held = Counts.empty(layout)
    row("KB of the plan, to each worker once", f"{len(cloudpickle.dumps(plan)) / 1e3:.0f}")
    row(
        "KB of the plan and where to count",
        f"{len(cloudpickle.dumps((plan, layout))) / 1e3:.0f}",
    )
    row("MB of counts, whatever the draws", f"{sum(getattr(held, f.name).nbytes for f in fields(held)) / 1e6:.1f}")


def stored(plan: Planned, per_task: int) -> None:
    forecast = lazy_forecast(plan.part(range(2 * per_task)), draws_per_task=per_task)
    per_million = MILLION / forecast.sizes["draw"]
    by_draw = [name for name in forecast.data_vars if "draw" in forecast[name].dims]
    row("GB per million draws: all variables", f"{forecast[by_draw].nbytes * per_million / 1e9:.2f}")
    row("GB per million draws: positions of trusts", f"{forecast['position'].nbytes * per_million / 1e9:.3f}")
    with tempfile.TemporaryDirectory() as folder:
        positions = forecast[["position"]].reset_coords(drop=True)
        taken = seconds(lambda: positions.to_zarr(folder, consolidated=False))
        row("the same in a Zarr store, compressed", f"{folder_bytes(folder) * per_million / 1e9:.3f}", f"{taken:.2f} s")


def tasks(parts: int) -> None:
    plan = planned(parts)
    taken = seconds(lambda: total(tree_sum(plan, nothing, draws_per_task=1)))
    row("milliseconds of the cluster per task that does nothing", f"{1e3 * taken / parts:.2f}", f"{parts:,} tasks")
    built = seconds(lambda: lazy_forecast(planned(parts * 10), draws_per_task=10))
    row("milliseconds of the client to plan a group", f"{1e3 * built / parts:.3f}", f"{parts:,} groups, all variables")


def one_core(plan: Planned, per_task: int) -> None:
    part = plan.part(range(per_task))
    taken = statistics.median(seconds(lambda: part.forecast(threads=1)) for _ in range(5))
    row("microseconds of one core per draw, nothing kept", f"{1e6 * taken / per_task:.1f}", f"groups of {per_task:,}")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--smoke", action="store_true")
    asked.add_argument("--draws", type=int, default=MILLION)
    asked.add_argument("--per-task", type=int, default=DRAWS_PER_TASK)
    asked.add_argument("--repeats", type=int, default=1)
    settings = asked.parse_args()
    n_draws, per_task = (4_000, 500) if settings.smoke else (settings.draws, settings.per_task)
    plan = planned(n_draws)
    one_core(plan, per_task)
    started = time.perf_counter()
    with LocalCluster(n_workers=2, threads_per_worker=1, **QUIET) as workers, Client(workers) as client:
        row("seconds to start two workers", f"{time.perf_counter() - started:.1f}")
        first = planned(2 * per_task)
        taken = seconds(lambda: mean_on_cluster(first, per_task))
        row("seconds of a worker's first group", f"{taken:.1f}", "imports and compiled code from disk included")
        means = mean_on_threads(first, per_task, 2), mean_on_cluster(first, per_task)
        assert np.isclose(*means, rtol=1e-12, atol=0), means
        overhead(plan, per_task, settings.repeats)
        sizes(plan)
        traffic(client, plan.panel, min(n_draws, 40 * per_task), 10 * per_task)
        tasks(200 if settings.smoke else 2_000)
        stored(plan, per_task)


if __name__ == "__main__":
    main()
