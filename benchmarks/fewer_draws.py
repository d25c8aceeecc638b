"""How many plain draws a draw is worth with Sobol points and controls, and what it costs: `python fewer_draws.py`.

Variance reduction is measured, not taken from a formula: the variance of estimates over groups of 16 replicates of
1,024 draws, plain over other, at equal draws. With G groups the ratio's relative error is about 2 / sqrt(G - 1), and
it is given beside the ratio. `--smoke` makes two groups of a tenth of the trusts: it shows that everything runs.
"""

import argparse
import math
import time

import numpy as np

import numpy_model
import sector_risk as sr
from sector_risk.controls import measure, samples_of
from sector_risk.kernels.sobol import REPLICATE
from sector_risk.panel import check_panel
from sector_risk.planned import Planned, plan_run

GROUP = 16 * REPLICATE
SECTOR_THRESHOLD = -725.0
FIGURES = ("sector mean", "P(sector >= threshold)", "P(NHS >= 0)", "sector TVaR95", "NHS TVaR95")


def planned_year(panel, n_draws, seed):
    assumptions = sr.Assumptions()
    run, regime = plan_run(panel, assumptions, "2018-19", years=1, n_draws=n_draws, seed=seed, by_trust=True)
    return Planned(run, regime, panel, assumptions)


WAYS = {
    "ordinary": lambda planned: planned,
    "Sobol": lambda planned: planned.with_points(),
    "controls": lambda planned: planned.with_controls(),
    "both": lambda planned: planned.with_points().with_controls(),
}


def figures(forecast, threshold):
    """Estimates of one group, in the order of FIGURES."""
    sector, nhs = (measure(s, np.array([threshold, 0.0]), np.array([0.95])) for s in samples_of(forecast))
    return (
        sector["mean"],
        sector["p_reaching"][0],
        nhs["p_reaching"][1],
        sector["tail_value_at_risk"][0],
        nhs["tail_value_at_risk"][0],
    )


def groups_of(panel, way, n_groups, seed, threshold):
    """Estimates of all groups, (group, figure)."""
    planned = WAYS[way](planned_year(panel, n_groups * GROUP, seed))
    parts = (planned.part(range(g * GROUP, (g + 1) * GROUP)) for g in range(n_groups))
    return np.array([figures(part.forecast(), threshold) for part in parts])


def cost_of(panel, way, repeats):
    """Seconds a group takes, the best of some: simulation, then everything `controlled` measures."""
    planned = WAYS[way](planned_year(panel, GROUP, 0))
    best = [math.inf, math.inf]
    for _ in range(repeats + 1):
        start = time.perf_counter()
        forecast = planned.forecast()
        made = time.perf_counter()
        figures(forecast, SECTOR_THRESHOLD)
        best = [min(best[0], made - start), min(best[1], time.perf_counter() - made)]
    return best


def numpy_cost(panel, repeats):
    """Seconds that the same group takes as plain NumPy, the best of some: tuned, and as usually written."""
    run = planned_year(panel, GROUP, 0).run
    ways = {"tuned": {}, "usual": {"block": 10_000, "dtype": np.float64}}
    best = dict.fromkeys(ways, math.inf)
    for _ in range(repeats):
        for way, how in ways.items():
            start = time.perf_counter()
            numpy_model.run(run, GROUP, **how)
            best[way] = min(best[way], time.perf_counter() - start)
    return best


def show_per_second(ratios, costs, plain, heading):
    """Print variance reduction over the cost of a draw, as measured with its estimates, against plain draws."""
    print(heading)
    for way, row in ratios.items():
        print(f"{way:10}" + "".join(f"{r * plain / sum(costs[way]):>26.1f}" for r in row))


def show(ratios, errors, costs):
    """Print the table."""
    print(f"{'':10}" + "".join(f"{name:>26}" for name in FIGURES) + f"{'cost of a draw':>18}{'estimates, ms':>16}")
    plain = costs["ordinary"][0]
    for way, row in ratios.items():
        cells = "".join(f"{f'{r:.1f} +- {r * errors:.1f}':>26}" for r in row)
        print(f"{way:10}{cells}{costs[way][0] / plain:>18.2f}{1000 * costs[way][1]:>16.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=40, help="groups of 16 replicates of 1,024 draws")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="two groups of a tenth of the trusts")
    asked = parser.parse_args()
    panel, n_groups, threshold = check_panel(sr.load_case("england-2018-19")), asked.groups, SECTOR_THRESHOLD
    if asked.smoke:
        panel, n_groups, threshold = panel.isel(trust=slice(0, None, 10)), 2, -100.0
    costs = {way: cost_of(panel, way, 1 if asked.smoke else 5) for way in WAYS}
    spread = {way: groups_of(panel, way, n_groups, asked.seed, threshold).var(axis=0, ddof=1) for way in WAYS}
    ratios = {way: spread["ordinary"] / np.maximum(variance, 1e-300) for way, variance in spread.items()}
    print(f"{len(panel.trust)} trusts, {n_groups} groups of {GROUP:,} draws; threshold GBP {threshold:,.0f}m")
    show(ratios, 2.0 / math.sqrt(n_groups - 1), costs)
    show_per_second(ratios, costs, sum(costs["ordinary"]), "gain per second over plain draws of ours")
    for how, seconds in numpy_cost(panel, 1 if asked.smoke else 3).items():
        show_per_second(ratios, costs, seconds, f"gain per second over plain NumPy, {how} (two threads over one)")


if __name__ == "__main__":
    main()
