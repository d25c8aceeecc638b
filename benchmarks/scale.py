"""Many draws of which only a summary is kept: time, memory and what the summary costs, as ratios within one run.

python benchmarks/scale.py                # 10**5, 10**6 and 10**7 draws: about ten minutes on two cores
python benchmarks/scale.py --smoke        # a few thousand draws, to see that it runs
"""

import argparse
import json
import statistics
import subprocess
import sys
import warnings

import sector_risk as sr
from floor import make_normals
from report import PEAK, medians, planned, row
from sector_risk import engine
from sector_risk.engine import PIECE
from sector_risk.panel import check_panel
from sector_risk.planned import Planned
from sector_risk.streaming import count, lay_out

ONE_SIZE = """
import json, time, sector_risk as sr
panel = sr.load_case("england-2018-19")
ask = sr.Summary(exact={exact})
sr.simulate(panel, n_draws=2_000, keep=ask)
start = time.perf_counter()
summary = sr.simulate(panel, n_draws={n}, keep=ask)
taken = time.perf_counter() - start
{peak}
print(json.dumps([taken, peak]))
"""


class Nothing:
    """Takes blocks and looks at none."""

    def take(self, draws: object, first: int) -> None:
        """Nothing to keep."""


def one_size(n: int, exact: bool = False) -> tuple[float, float]:
    """Seconds and peak megabytes of a summary of n draws, in a process of its own."""
    code = ONE_SIZE.format(n=n, exact=exact, peak=PEAK)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def compare_sizes(sizes: list[int], repeats: int, trusts: int) -> None:
    """Time per draw and peak memory by number of draws; sizes are run in turn.

    What a summary takes whatever its draws (the panel's check, bins, labels) is that of one piece of draws, nearly;
    time is linear if each further draw takes as long at any size.
    """
    found = {n: [one_size(n) for _ in range(repeats if n < sizes[-1] else 1)] for n in (PIECE, *sizes)}
    took = {n: statistics.median(seconds for seconds, _ in runs) for n, runs in found.items()}
    further = {n: (took[n] - took[PIECE]) / (n - PIECE) for n in sizes}
    print(f"a summary of {PIECE:,} draws takes {took[PIECE]:.2f} s")
    for n in sizes:
        peak, whole = max(peak for _, peak in found[n]), took[n] / n * sizes[0] / took[sizes[0]]
        detail = f"{took[n]:.1f} s, {took[n] / n / trusts * 1e9:.1f} ns a trust and draw"
        row(f"time of a further draw, {n:,} draws, over {sizes[0]:,}", further[n] / further[sizes[0]], "0.9 to 1.1", "")
        row(f"time per draw, {n:,} draws, over {sizes[0]:,}", whole, "", detail)
        row(f"peak memory, MB, {n:,} draws", peak, "at most 600", "")
    seconds, peak = one_size(sizes[-2], exact=True)
    row(f"exact quantiles over quantiles read off bins, {sizes[-2]:,} draws", seconds / took[sizes[-2]], "", "")
    row(f"peak memory with exact quantiles, MB, {sizes[-2]:,} draws", peak, "", "")


def compare_counting(panel, n_draws: int, repeats: int) -> None:
    """What counting adds, and how far the simulation is from making its Normals."""
    run = planned(panel, n_draws, 1, "2018-19")
    plan = Planned(run, sr.REGIMES["2018-19"], panel, sr.Assumptions())
    layout = lay_out(plan, 0.9)
    took = medians(
        {
            "draws": lambda: engine.run_blocks(run, threads=2),
            "blocks": lambda: engine.stream_pieces(run, [Nothing(), Nothing()]),
            "counted": lambda: count(plan, layout, 2),
            "on one": lambda: engine.stream_pieces(run, [Nothing()]),
            "normals": lambda: make_normals(run, n_draws),
        },
        repeats,
    )
    row("a summary over keeping all draws", took["counted"] / took["draws"], "at most 1.25", f"{n_draws:,} draws")
    row("a summary over draws that nobody looks at", took["counted"] / took["blocks"], "at most 1.25", "two threads")
    over = took["on one"] / took["normals"]
    row("draws that nobody looks at over making their Normals", over, "at most 2.5", "one thread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    warnings.simplefilter("ignore")
    panel = check_panel(sr.load_case("england-2018-19"))
    compare_counting(panel, 2_000 if smoke else 20_000, 1 if smoke else 15)
    compare_sizes([8_000, 12_000] if smoke else [10**5, 10**6, 10**7], 1 if smoke else 3, panel.sizes["trust"])


if __name__ == "__main__":
    main()
