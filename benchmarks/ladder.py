"""The same year done by others, on a ladder of sizes, as ratios over ours.

    python benchmarks/ladder.py                    # 1,000 to 10,000,000 draws (ten minutes)
    python benchmarks/ladder.py --largest 100000
    python benchmarks/ladder.py --smoke            # a few hundred draws, to see that it runs and agrees

The job is one year of the bundled case without rules: all trusts, twelve months, factors that trusts share, marginals
by quantile tables, one-off cover. What comes of it, so that nobody need return draws:

- of every trust's year-end position, and of the sector's: mean, sd, quantiles at 5, 50 and 95 per cent, P(deficit);
- mean contributions by driver and trust; the sector's variance by month.

Everyone starts from the same prepared arrays but ours, which is the public call from the panel and makes much more
(measures of systems and regions, tails, standard errors, underlying positions): at few draws that is most of its time.
Ours, JAX and OpenTURNS have two threads, the others one. What is compiled is compiled before. All run in turn in one
process; a cell is a median over such rounds. All must agree with draws of ours within Monte Carlo error. A peer is left
out where, by the sizes before, a run would take more than two minutes or 6 GB.
"""

import argparse
import importlib
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import numpy_model
import sector_risk as sr
from sector_risk import engine
from sector_risk.kernels.pressure import Plans
from sector_risk.kernels.reduce import BALANCE
from sector_risk.panel import check_panel
from sector_risk.planned import plan_run
from sector_risk.run import Draws, Run

Result = dict[str, np.ndarray]
"""mean, sd, p_deficit (unit); quantile (probability, unit); contribution (driver, trust); sector_ytd (month), of which
ours has no means. The sector is the last unit."""
Job = Callable[[], Result]
Ready = Callable[[int], Job]

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
SMOKE = 400
ROUNDS = {1_000: 5, 10_000: 3}
"""Rounds at small sizes; one elsewhere. The first of all, which loads what was compiled, is one that a median drops."""
MOST_SECONDS, MOST_MEGABYTES = 120.0, 6_000.0
PROBABILITIES = (0.05, 0.5, 0.95)
STANDARD_ERRORS, ROUNDING = 5, 1e-5
QUANTILE_ERROR = np.array([2.11, 1.25, 2.11])
"""Standard errors of a Normal's quantiles at these probabilities: sd times this over the root of the draws."""

PEERS = {
    "JAX": ("jax", "jax_model"),
    "OpenTURNS": ("openturns", "openturns_model"),
    "Proteus": ("pal", "proteus_model"),
}
"""Package to look for and module of each peer that may not be installed."""


@dataclass
class Entry:
    """One who does the job: how it is made ready for a number of draws, and what the last size took."""

    ready: Ready
    seconds: list[float] = field(default_factory=list)
    megabytes: float = 0.0
    before: float = 0.0  # median seconds of the size before the last

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def clear(self) -> None:
        """Begin another size."""
        self.before = self.median if self.seconds else 0.0
        self.seconds, self.megabytes = [], 0.0


def ours(panel, n_draws: int) -> Job:
    def job() -> Result:
        summary = sr.simulate(panel, regime="none", n_draws=n_draws, keep="summary", threads=2)
        wanted = np.isin(summary["level"], ["trust", "sector"])
        units = summary.isel(unit=wanted).sel(quantile=list(PROBABILITIES))
        return {
            "mean": units["mean"].values,
            "sd": units["sd"].values,
            "quantile": units["position_quantile"].transpose("quantile", "unit").values,
            "p_deficit": units["p_deficit"].values,
            "contribution": summary["contribution_mean"].values,
        }

    return job


def measures(position: np.ndarray) -> tuple:
    """Mean, sd, quantiles and probability of a deficit of one unit's draws."""
    mean, sd = position.mean(dtype=float), position.std(dtype=float)
    return mean, sd, np.quantile(position, PROBABILITIES), (position < -BALANCE).mean()


def numpy_year(run: Run, n_draws: int, block: int, dtype: type) -> Job:
    """The NumPy model of `report.py`, reduced block by block but for positions, which quantiles need."""
    prepared, trusts = run.prepared, run.prepared.years[0].trusts
    plan, planned = prepared.plan[:, None], prepared.efficiency_plan[:, None]
    plans, size = Plans(plan, planned, delivery=dtype(1)), min(block, n_draws)

    def job() -> Result:
        rng, position = np.random.default_rng(0), np.empty((len(plan) + 1, n_draws), dtype)
        sector_ytd, contribution = np.zeros(12), 0.0
        for first in range(0, n_draws, size):
            made = numpy_model.year(prepared, trusts, plans, dtype(1), rng, size, dtype)
            position[:-1, first : first + size] = made.before
            position[-1, first : first + size] = made.before.sum(axis=0)
            sector_ytd += made.sector_variance.mean(axis=1) * (size / n_draws)
            contribution += made.contribution.mean(axis=2, dtype=float) * (size / n_draws)
        mean, sd, quantile, p_deficit = (np.array(part) for part in zip(*map(measures, position), strict=True))
        kept = {"mean": mean, "sd": sd, "quantile": quantile.T, "p_deficit": p_deficit}
        return kept | {"sector_ytd": sector_ytd, "contribution": contribution}

    return job


def entries(panel, run: Run) -> dict[str, Entry]:
    """Ours, NumPy, and those peers that are installed; names the others."""
    found = {
        "ours": Entry(partial(ours, panel)),
        "NumPy tuned": Entry(partial(numpy_year, run, block=500, dtype=np.float32)),
        "NumPy as usually written": Entry(partial(numpy_year, run, block=10_000, dtype=np.float64)),
    }
    for name, (package, module) in PEERS.items():
        if importlib.util.find_spec(package) is None:
            print(f"{name} is not installed and is left out: pip install '.[bench]'")
        else:
            found[name] = Entry(partial(importlib.import_module(module).ready, run.prepared))
    return found


def assert_close(what: str, apart: np.ndarray, error: np.ndarray, size: np.ndarray) -> None:
    allowed = STANDARD_ERRORS * error + ROUNDING * np.abs(size)
    assert (np.abs(apart) <= allowed).all(), f"{what}: {np.abs(apart).max():.4g} apart, {np.max(allowed):.4g} allowed"


def assert_agree(name: str, result: Result, n_draws: int, draws: Draws) -> None:
    """Means, the sector's sd and quantiles, and the count in deficit are ours within five standard errors."""
    sector, months = draws.sector[0, 1], draws.sector_variance[0]
    scale = np.sqrt(1 / n_draws + 1 / len(sector))
    for what, theirs, values in (
        ("mean by trust", result["mean"][:-1], draws.position[0]),
        ("sector mean", result["mean"][-1], sector),
        ("count in deficit", result["p_deficit"][:-1].sum(), draws.sector[0, 2]),
        ("contributions", result["contribution"].sum(axis=1), draws.contribution.sum(axis=1, dtype=float)),
        ("sector by month", result.get("sector_ytd", months.mean(axis=1)), months),
    ):
        mean, sd = values.mean(axis=-1, dtype=float), values.std(axis=-1, dtype=float)
        assert_close(f"{name}, {what}", theirs - mean, sd * scale, mean)
    sd, kurtosis = sector.std(), ((sector - sector.mean()) ** 4).mean() / sector.var() ** 2
    assert_close(f"{name}, sector sd", result["sd"][-1] - sd, sd * np.sqrt((kurtosis - 1) / 4) * scale, sd)
    apart = result["quantile"][:, -1] - np.quantile(sector, PROBABILITIES)
    assert_close(f"{name}, sector quantiles", apart, sd * QUANTILE_ERROR * scale, sector.mean())


def memory(line: str) -> float:
    """Megabytes this process holds (VmRSS) or held at most (VmHWM)."""
    status = dict(text.split(":", 1) for text in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) / 1024


def measured(entry: Entry, job: Job) -> Result:
    """Run a job once, and note what it took: seconds, and megabytes beyond those held before (Linux)."""
    peak = Path("/proc/self/clear_refs")
    if peak.exists():
        peak.write_text("5")  # from here on VmHWM is the job's
        held = memory("VmRSS")
    start = time.perf_counter()
    result = job()
    entry.seconds.append(time.perf_counter() - start)
    if peak.exists():
        entry.megabytes = max(entry.megabytes, memory("VmHWM") - held)
    return result


def too_much(entry: Entry, growth: float) -> str:
    """Say why a size so many times the last one is out of reach, or nothing; seconds grow as they did last time."""
    last = entry.median
    took = last + growth * (last - entry.before) if entry.before else last * growth
    if took > MOST_SECONDS:
        return f"it would take about {took:,.0f} s"
    held = entry.megabytes * growth
    return f"it would take about {held / 1_000:,.0f} GB" if held > MOST_MEGABYTES else ""


def climb(running: dict[str, Entry], n_draws: int, rounds: int) -> dict[str, Result]:
    """Run all in turn, a number of rounds; the results of the last."""
    jobs, results = {name: entry.ready(n_draws) for name, entry in running.items()}, {}
    for entry in running.values():
        entry.clear()
    for _ in range(rounds):
        for name, job in jobs.items():
            results[name] = measured(running[name], job)
    return results


def in_reach(running: dict[str, Entry], n_draws: int, growth: float) -> tuple[dict[str, Entry], list[str]]:
    """Those who go on to a size, and why the others do not; ours always goes on."""
    peers = {name: entry for name, entry in running.items() if name != "ours" and entry.seconds}
    reasons = {name: too_much(entry, growth) for name, entry in peers.items()}
    said = [f"{name} is left out from {n_draws:,} draws: {reason}." for name, reason in reasons.items() if reason]
    return {name: entry for name, entry in running.items() if not reasons.get(name)}, said


def times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def row(n_draws: int, n_trusts: int, names: list[str], running: dict[str, Entry]) -> str:
    """A line of the table: ours in seconds and nanoseconds, the others as ratios over it."""
    took = {name: entry.median for name, entry in running.items()}
    cells = [f"{times(took[name] / took['ours'])} ({took[name]:.3g} s)" if name in took else "–" for name in names[1:]]
    own = f"{took['ours']:.3g} s | {took['ours'] * 1e9 / (n_draws * n_trusts):.0f} ns"
    return " | ".join([f"| {n_draws:,}", own, *cells]) + " |"


def ladder(panel, run: Run, sizes: list[int]) -> None:
    """Print the table, size by size, and who was left out."""
    running, missing, draws = entries(panel, run), [], engine.run_blocks(run, threads=2)
    names = list(running)
    print("\n| draws | ours | a trust and draw | " + " | ".join(f"{name} over ours" for name in names[1:]) + " |")
    print("| ---: " * (len(names) + 2) + "|")
    for at, n_draws in enumerate(sizes):
        running, said = in_reach(running, n_draws, n_draws / sizes[at - 1])
        results, missing = climb(running, n_draws, ROUNDS.get(n_draws, 1)), missing + said
        for name, result in results.items():
            assert_agree(name, result, n_draws, draws)
        print(row(n_draws, len(run.prepared.codes), names, running), flush=True)
    print("\n" + "\n".join(missing))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--largest", type=int, default=SIZES[-1], metavar="N")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    panel = check_panel(sr.load_case("england-2018-19"))
    run = plan_run(panel, sr.Assumptions(), "none", years=1, n_draws=10_000, seed=1, by_trust=True)[0]
    ladder(panel, run, [SMOKE] if given.smoke else [n for n in SIZES if n <= given.largest])


if __name__ == "__main__":
    main()
