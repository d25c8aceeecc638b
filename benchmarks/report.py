"""Speed and memory as ratios within one run.

    python benchmarks/report.py             # 10,000 and 100,000 draws
    python benchmarks/report.py --smoke     # a few hundred draws, to see that it runs

Every figure is a median over repetitions that alternate between the two things compared, so that a noisy machine
disturbs both alike. Seconds are printed for orientation; only ratios are meant to be quoted.
"""

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import numpy_model
import numpy_projection
import sector_risk as sr
from floor import make_normals
from sector_risk import engine
from sector_risk.kernels.reduce import BALANCE
from sector_risk.kernels.select import worst_block
from sector_risk.panel import check_panel
from sector_risk.planned import plan_run
from sector_risk.run import Run

Job = Callable[[], object]
PROGRAM = str(Path(sys.executable).with_name("sector-risk"))


def seconds(job: Job) -> float:
    start = time.perf_counter()
    result = job()
    taken = time.perf_counter() - start
    del result  # giving memory back is not the job
    return taken


def medians(jobs: dict[str, Job], repeats: int) -> dict[str, float]:
    """Median seconds of each job, run in turn."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            taken[name].append(seconds(job))
    return {name: statistics.median(values) for name, values in taken.items()}


def row(what: str, ratio: float, bar: str, detail: str) -> None:
    print(f"{what:<58} {ratio:7.2f}   {bar:<14} {detail}")


def planned(panel, n_draws: int, years: int, regime: str) -> Run:
    """A run as `simulate` makes it for one year, and `project` for more."""
    by_trust = years == 1
    return plan_run(panel, sr.Assumptions(), regime, years=years, n_draws=n_draws, seed=0, by_trust=by_trust)[0]


def per_step(took: dict[str, float], steps: int) -> dict[str, str]:
    return {name: f"{value * 1e9 / steps:.1f} ns" for name, value in took.items()}


def numpy_rows(took: dict[str, float], detail: dict[str, str], bars: tuple[str, str]) -> None:
    """NumPy over ours, four rows."""
    for kind, how in (("usual", "as usually written"), ("tuned", "tuned")):
        two, one = took[kind] / took["two"], took[kind] / took["one"]
        row(f"NumPy {how} over ours, two threads", two, bars[0], detail[kind])
        row(f"NumPy {how} over ours, one thread", one, bars[1], "")


def draw_a_quarter(run: Run, n_draws: int) -> Job:
    """NumPy's generator drawing a quarter of the Normals that a year needs."""
    rng, piece = np.random.default_rng(0), np.empty(200_000)
    pieces = max(numpy_model.normals_used(run.prepared) * n_draws // 4 // len(piece), 1)

    def job() -> None:
        for _ in range(pieces):
            rng.standard_normal(out=piece)

    return job


def compare_with_numpy(panel, n_draws: int, repeats: int) -> None:
    run = planned(panel, n_draws, 1, "2018-19")
    took = medians(
        {
            "one": lambda: engine.run_blocks(run, threads=1),
            "two": lambda: engine.run_blocks(run, threads=2),
            "tuned": lambda: numpy_model.run(run, n_draws),
            "usual": lambda: numpy_model.run(run, n_draws, block=10_000, dtype=np.float64),
            "quarter": draw_a_quarter(run, n_draws),
            "normals": lambda: make_normals(run, n_draws),
        },
        repeats,
    )
    detail = per_step(took, n_draws * len(run.prepared.codes))
    print(f"\n{n_draws:,} draws, {len(run.prepared.codes)} trusts, 12 months; times per trust and draw")
    print(f"ours: {detail['two']} on two threads, {detail['one']} on one")
    numpy_rows(took, detail, ("at least 15", "at least 8"))
    row("one thread over two", took["one"] / took["two"], "at least 1.8", "")
    row("ours over NumPy drawing a quarter of the Normals", took["two"] / took["quarter"], "below 1", "two threads")
    row("ours over making its own Normals alone", took["one"] / took["normals"], "at most 2.5", "one thread")


def choose_worst(run: Run) -> Job:
    """Choosing the thirty worst in all blocks of a year, from positions as a year without rules ends."""
    draws, places = engine.run_blocks(run, threads=1), 30
    size = engine.even_block(run.n_draws, 1)
    key = np.ascontiguousarray(draws.position[0, :, :size])
    key[key >= -BALANCE] = np.inf
    wanted, chosen = np.full(size, places), np.empty(key.shape, bool)

    def job() -> None:
        for _ in range(0, run.n_draws, size):
            worst_block(key, wanted, chosen)

    return job


def compare_years(panel, n_draws: int, repeats: int) -> None:
    year, five = planned(panel, n_draws, 1, "none"), planned(panel, n_draws, 5, "2019-20")
    took = medians(
        {
            "year": lambda: engine.run_blocks(year, threads=2),
            "year on one": lambda: engine.run_blocks(year, threads=1),
            "choosing": choose_worst(year),
            "one": lambda: engine.run_blocks(five, threads=1),
            "two": lambda: engine.run_blocks(five, threads=2),
            "tuned": lambda: numpy_projection.run(five, n_draws),
            "usual": lambda: numpy_projection.run(five, n_draws, block=10_000, dtype=np.float64),
        },
        repeats,
    )
    detail = per_step(took, 5 * n_draws * len(five.prepared.codes))
    print(f"\nFive years, regime 2019-20, {n_draws:,} draws; times per trust, draw and year")
    print(f"ours: {detail['two']} on two threads, {detail['one']} on one")
    row("five years with all rules over one year without", took["two"] / took["year"], "at most 7", "two threads")
    row("choosing the worst thirty over the year", took["choosing"] / took["year on one"], "at most 0.10", "one thread")
    numpy_rows(took, detail, ("at least 12", ""))
    row("one thread over two", took["one"] / took["two"], "", "")


def year_so_far(panel, months: list[int]):
    """The panel with what one simulated year reports by these months, in between its quarter ends by straight lines."""
    year = sr.simulate(panel, regime="none", n_draws=1, seed=99, by_quarter=True)
    quarters = year["variance_by_quarter"].isel(draw=0).values.T
    every = np.arange(1, 13)
    variance = np.array([np.interp(every, [0, 3, 6, 9, 12], [0.0, *row]) for row in quarters])
    variance[:, ~np.isin(every, months)] = np.nan
    return panel.assign(variance_ytd=(("trust", "month"), variance)).assign_coords(month=every)


def compare_seen(panel, n_draws: int, repeats: int) -> None:
    print(f"\nGiven the year so far, {n_draws:,} draws, two threads")
    for what, months in (("months 3 and 6", [3, 6]), ("all months to 6", [1, 2, 3, 4, 5, 6])):
        seen = year_so_far(panel, months)
        took = medians(
            {
                "simulate": lambda: sr.simulate(panel, n_draws=n_draws, threads=2),
                "condition": lambda seen=seen: sr.condition(seen, through_month=6, n_draws=n_draws, threads=2),
            },
            repeats,
        )
        detail = f"{took['condition']:.3f} s over {took['simulate']:.3f} s"
        row(f"condition on {what} over simulate", took["condition"] / took["simulate"], "at most 5", detail)


MEASURES = {
    "summarise": sr.summarise,
    "exceedance": sr.exceedance,
    "deficit_counts": sr.deficit_counts,
    "rank_stability": sr.rank_stability,
}
ANSWERS = {
    "waterfall": sr.waterfall,
    "allocate": sr.allocate,
    "tornado": sr.tornado,
    "switching_value": sr.switching_value,
    "reverse_stress": sr.reverse_stress,
    "value_of_support": lambda forecast: sr.value_of_support(forecast, 5.0),
}


def compare_measures(panel, n_draws: int, repeats: int) -> None:
    """What is read off a forecast, over making it."""
    forecast = sr.simulate(panel, n_draws=n_draws)
    jobs = {name: (lambda read=read: read(forecast)) for name, read in (MEASURES | ANSWERS).items()}
    took = medians({"simulate": lambda: sr.simulate(panel, n_draws=n_draws)} | jobs, repeats)
    print(f"\nRead off a forecast of {n_draws:,} draws, over simulate ({took['simulate']:.3f} s)")
    for name in jobs:
        row(name, took[name] / took["simulate"], "at most 0.5" if name == "summarise" else "", f"{took[name]:.3f} s")
    row("all measures (the first four)", sum(took[name] for name in MEASURES) / took["simulate"], "below 1", "")
    row("all of them", sum(took[name] for name in jobs) / took["simulate"], "", "")


def compare_sensitivity(panel, n_draws: int) -> None:
    """Indices of all causes for all units, over one simulation."""
    one = seconds(lambda: sr.simulate(panel, n_draws=n_draws))
    for shapley in (False, True):
        took = seconds(lambda shapley=shapley: sr.sensitivity_indices(panel, n_draws=n_draws, shapley=shapley))
        what = "sensitivity_indices with Shapley effects" if shapley else "sensitivity_indices, first order and total"
        row(f"{what} over simulate", took / one, "", f"{took:.1f} s")


def python_seconds(code: str) -> float:
    return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True))


def compare_start(repeats: int) -> None:
    imports = {
        "xarray": lambda: python_seconds("import xarray"),
        "sector_risk": lambda: python_seconds("import sector_risk"),
        "both": lambda: python_seconds("import xarray, numba"),
        "forecast": lambda: subprocess.run(
            [PROGRAM, "forecast", "--case", "england-2018-19", "--quiet"],
            check=True,
            capture_output=True,
        ),
        "forecast and print": lambda: subprocess.run(
            [PROGRAM, "forecast", "--case", "england-2018-19"],
            check=True,
            capture_output=True,
        ),
    }
    took = medians(imports, repeats)
    panel = sr.load_case("england-2018-19")
    simulation = medians({"simulate": lambda: sr.simulate(panel)}, repeats)["simulate"]
    row("import sector_risk over import xarray", took["sector_risk"] / took["xarray"], "at most 1.3", "")
    allowed = 2 * took["both"] + simulation
    detail = f"{took['forecast and print']:.2f} s; import xarray, numba {took['both']:.2f} s"
    row("warm forecast over (2 x import + simulation)", took["forecast and print"] / allowed, "at most 1", detail)


PEAK = """
import pathlib
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 2**10
"""
"""Peak memory of a process so far, MB: the end of what it runs."""

MEMORY = """
import sector_risk as sr
panel = sr.load_case("england-2018-19")
forecast = sr.simulate(panel, n_draws={n})
one_off = forecast["one_off"].nbytes  # a view of contribution
returned = (forecast.nbytes - one_off) / 2**20
{peak}
print(peak - returned, returned)
"""


def compare_memory(n_draws: int) -> None:
    code = MEMORY.format(n=n_draws, peak=PEAK)
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    over, returned = map(float, run.stdout.split())
    row(
        f"peak memory beyond the returned arrays, MB, {n_draws:,} draws",
        over,
        "at most 300",
        f"{returned:.0f} MB returned",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    warnings.simplefilter("ignore")
    panel = check_panel(sr.load_case("england-2018-19"))
    print(f"{'ratio':>66}   {'bar':<14}")
    for n_draws, repeats in ((1_600, 1),) if smoke else ((10_000, 15), (100_000, 5)):
        compare_with_numpy(panel, n_draws, repeats)
        compare_measures(panel, n_draws, repeats)
        compare_memory(n_draws)
    compare_years(panel, *((1_600, 1) if smoke else (10_000, 9)))
    compare_seen(panel, *((1_600, 1) if smoke else (10_000, 9)))
    compare_sensitivity(panel, 1_600 if smoke else 10_000)
    print("\nStart")
    compare_start(1 if smoke else 9)


if __name__ == "__main__":
    main()
