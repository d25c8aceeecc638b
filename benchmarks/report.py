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
import sector_risk as sr
from sector_risk import engine, prepare
from sector_risk.kernels.random import normals_block

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


def compare_with_numpy(panel, n_draws: int, repeats: int) -> None:
    prepared = prepare.prepare(panel, sr.Assumptions(), 0)
    rule = sr.REGIMES["2018-19"].rules[0].prepare(prepared.codes, prepared.panel, 0)
    normals = numpy_model.normals_used(prepared) * n_draws
    rng = np.random.default_rng(0)
    piece = np.empty(200_000)

    def draw_a_quarter() -> None:
        for _ in range(max(normals // 4 // len(piece), 1)):
            rng.standard_normal(out=piece)

    def own_normals() -> None:
        n, keep = 800, np.empty((len(prepared.codes), 20, 800), np.float32)
        for first in range(0, n_draws, n):
            normals_block(prepared.keys[0], prepared.trusts.hashes, first, keep)

    took = medians(
        {
            "one": lambda: engine.run_blocks(prepared, (rule,), n_draws, threads=1),
            "two": lambda: engine.run_blocks(prepared, (rule,), n_draws, threads=2),
            "tuned": lambda: numpy_model.run(prepared, rule.fund, n_draws),
            "usual": lambda: numpy_model.run(prepared, rule.fund, n_draws, block=10_000, dtype=np.float64),
            "quarter": draw_a_quarter,
            "normals": own_normals,
        },
        repeats,
    )
    per = 1e9 / n_draws / len(prepared.codes)
    detail = {name: f"{value * per:.1f} ns per trust and draw" for name, value in took.items()}
    print(f"\n{n_draws:,} draws, {len(prepared.codes)} trusts, 12 months")
    print(f"ours: {detail['two']} on two threads, {detail['one']} on one")
    row("NumPy as usually written over ours, two threads", took["usual"] / took["two"], "at least 15", detail["usual"])
    row("NumPy as usually written over ours, one thread", took["usual"] / took["one"], "at least 8", "")
    row("NumPy tuned over ours, two threads", took["tuned"] / took["two"], "at least 15", detail["tuned"])
    row("NumPy tuned over ours, one thread", took["tuned"] / took["one"], "at least 8", "")
    row("one thread over two", took["one"] / took["two"], "at least 1.8", "")
    row("ours over NumPy drawing a quarter of the Normals", took["two"] / took["quarter"], "below 1", "two threads")
    row("ours over generating 20 own Normals alone", took["one"] / took["normals"], "", "one thread")


def compare_summary(panel, n_draws: int, repeats: int) -> None:
    forecast = sr.simulate(panel, n_draws=n_draws)
    took = medians(
        {"simulate": lambda: sr.simulate(panel, n_draws=n_draws), "summarise": lambda: sr.summarise(forecast)}, repeats
    )
    detail = f"{took['summarise']:.3f} s over {took['simulate']:.3f} s"
    row(f"summarise over simulate, {n_draws:,} draws", took["summarise"] / took["simulate"], "at most 0.5", detail)


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


MEMORY = """
import pathlib, sector_risk as sr
panel = sr.load_case("england-2018-19")
forecast = sr.simulate(panel, n_draws={n})
one_off = forecast["one_off"].nbytes  # a view of contribution
returned = (forecast.nbytes - one_off) / 2**20
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) / 2**10
print(peak - returned, returned)
"""


def compare_memory(n_draws: int) -> None:
    run = subprocess.run([sys.executable, "-c", MEMORY.format(n=n_draws)], check=True, capture_output=True, text=True)
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
    panel = sr.load_case("england-2018-19")
    print(f"{'ratio':>66}   {'bar':<14}")
    for n_draws, repeats in ((1_600, 1),) if smoke else ((10_000, 15), (100_000, 5)):
        compare_with_numpy(panel, n_draws, repeats)
        compare_summary(panel, n_draws, repeats)
        compare_memory(n_draws)
    print("\nStart")
    compare_start(1 if smoke else 9)


if __name__ == "__main__":
    main()
