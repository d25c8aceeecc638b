"""Answer the question of 2025: which fifteen trusts to take into the improvement programme, and how sure the list is.

Run it with ``python examples/fifteen_trusts_2025.py [PANEL]``. PANEL is a file that ``sr.read_panel`` reads, such as
the oversight framework's as it is published. Without one the trusts are synthetic: those of the bundled case, made to
match published totals of 2025-26. The year is looked at from its start: what a file says of its months is not used.
"""

import sys
from itertools import combinations

import numpy as np
import xarray as xr

import sector_risk as sr
from sector_risk.panel.fill import income_uplift
from sector_risk.readings import data_notes

YEAR, N_DRAWS, SEED = "2025-26", 4_000, 0
RULES = sr.REGIMES[YEAR]
COST = RULES.rule("improvement_programme").cost  # GBP million a trust and year: judgement
COUNT, LOWEST, INSIDE = 15, 4, 5  # places (HSJ 7039531); the lowest segment; the one of trusts in the programme
DEFICITS, EFFICIENCY = 2_200.0, 0.071  # planned, GBP million and share of turnover: NHS England, 29 May 2025
PLAN_A_DEFICIT = {  # share of trusts: oversight framework data of 2025-26; that of ambulance trusts is a guess
    "Acute": 0.67,
    "Mental health": 0.20,
    "Community": 0.20,
    "Ambulance": 0.20,
}


def synthetic_panel() -> xr.Dataset:
    """Carry the bundled case to 2025-26: deficits of the same trusts in the same order, fewer, and to the new total."""
    case = sr.load_case("england-2018-19")
    turnover, depth = case["turnover"] * income_uplift(YEAR), case["plan"] / case["turnover"]
    limit = {kind: depth[(case["trust_type"] == kind).values].quantile(p).item() for kind, p in PLAN_A_DEFICIT.items()}
    deficit = turnover * np.maximum([limit[kind] for kind in case["trust_type"].values] - depth, 0.0)
    money = {
        "turnover": turnover,
        "plan": -DEFICITS * deficit / deficit.sum(),
        "efficiency_plan": EFFICIENCY * turnover,
    }
    said = "bundled case, made to match published totals of 2025-26"
    return sr.check_panel(xr.Dataset(money, case.coords, {"year": YEAR, "source": said, "synthetic": said}))


def forecast_with(panel, codes) -> xr.Dataset:
    """Forecast the year with these trusts in the programme from its start, and no others."""
    segment = panel.get("segment", xr.full_like(panel["plan"], np.nan))
    inside = segment.where(segment < INSIDE).where(~panel["trust"].isin(codes), INSIDE)
    return sr.simulate(panel.assign(segment=inside), regime=RULES, n_draws=N_DRAWS, seed=SEED)


def fifteen(figures, errors) -> xr.DataArray:
    """Return the fifteen largest figures, the largest first, each with its Monte Carlo error."""
    return figures.assign_coords(error=errors).sortby(-figures)[:COUNT]


def print_year(panel, forecast) -> None:
    """Say whose year it is and how it may end."""
    if "synthetic" in panel.attrs:
        print("THESE TRUSTS ARE SYNTHETIC: no line below is about a trust that exists.")
    position, paid = forecast["sector_position"], forecast["support"].sum("trust").mean()
    low, high = position.quantile((0.05, 0.95)).values
    offered, after = forecast["planned_support"].sum(), forecast["sector_plan_ytd"][-1]
    print(f"{panel.sizes['trust']} trusts: {panel.attrs['source']}. {N_DRAWS:,} draws, GBP million.")
    print(f"Planned: {panel['plan'].sum():z,.0f} before deficit support of {offered:,.0f}, {after:z,.0f} after it.")
    print(
        f"Expected: {position.mean():,.0f} after support of {paid:,.0f} (90% between {low:,.0f} and {high:,.0f}),",
        end=" ",
    )
    print(f"{forecast['deficit_count'].mean():.0f} trusts in deficit.")
    notes = data_notes(forecast.attrs, brief=True)
    print(*(note for note in notes if not note.startswith("Filled by default")), "", sep="\n")


def print_lists(lists) -> None:
    """Print the lists side by side, each trust with the figure that put it there, and how far they overlap."""
    print(
        "Lowest segment: chance of segment 4 at the year end. Worst deficits: chance of being among the fifteen worst."
    )
    print("Most for the money: fall of the expected deficit, GBP million, by a year in the programme at every trust.")
    print(" " * 4 + "".join(f"{name:28}" for name in lists).rstrip())
    for i in range(COUNT):
        row = (chosen[i] for chosen in lists.values())
        cells = (f"{trust['trust'].item():8}{trust:5.2f} (error {trust['error']:.2f})" for trust in row)
        print(f"{i + 1:2}  " + "".join(f"{cell:28}" for cell in cells).rstrip())
    for one, other in combinations(lists, 2):
        both = np.intersect1d(lists[one]["trust"], lists[other]["trust"]).size
        print(f"On both lists, {one.lower()} and {other.lower()}: {both}")
    print()


def print_certainty(lists, ranks, worth) -> None:
    """Say how far each list can be held."""
    segment, _, money = lists.values()
    overlap, error = 100 * ranks["expected_overlap"], 100 * ranks["expected_overlap_se"]
    again = 100 * worth["p_chosen"].sel(trust=money["trust"]).min()
    print("How sure are the lists?")
    print(f"  Lowest segment: {100 * segment.mean():.0f}% of it is expected to be in segment {LOWEST} at the year end.")
    print(
        f"  Worst deficits: {overlap:.0f}% of it is expected to be among the {COUNT} worst (error {error:.1f});",
        end=" ",
    )
    print(f"surely there, in 80% of draws or more: {ranks['sure']:.0f}.")
    print(f"  Most for the money: were the draws drawn again, each trust would be chosen with a chance of {again:.0f}%")
    print("  or more. That is of chance alone; what is assumed of the programme matters more.")
    print()


def print_trials(panel, lists, forecast, worth) -> None:
    """Put each list into the programme and no other trust, and compare draw by draw."""
    print("What a year in the programme does, before its cost:")
    print(f"{'':22}{'Cost':>6}{'Sector':>10}{'error':>7}{'Their own deficits':>21}")
    for name, chosen in lists.items():
        codes = chosen["trust"].values
        tried = forecast_with(panel, codes)
        sector = sr.compare(forecast, tried).sel(unit="Provider sector")
        removed = sr.value_of_intervention(forecast, tried, COST)["deficit_removed"].sel(trust=codes).sum()
        gain = f"{sector['difference']:+10.1f}{sector['difference_se']:7.1f}"
        print(f"  {name:20}{COUNT * COST:6.1f}{gain}{-removed:+21.1f}")
    given = sr.value_of_support(forecast, COST, COUNT)
    print(f"  {'Support of that sum':20}{given['chosen_cost']:6.1f}{'':17}{-given['chosen_removed']:+21.1f}")
    print("The sector gains more than their deficits fall: surpluses rise, and others in their systems keep support.")
    print(
        f"With every trust in the programme the deficits of the third list fall by {worth['chosen_removed']:.1f},",
        end=" ",
    )
    print("since support is kept or lost by system.")
    print("Support of that sum is given at the year end, where it removes most.")
    print()


def print_guesses() -> None:
    """Say what rests on judgement."""
    other, log = 1 - RULES.rule("oversight_framework").finance_weight, RULES.log()
    effect, guessed = RULES.rule("improvement_programme").delivery_effect, sum(row.confidence == "G" for row in log)
    print(f"What is a guess: that a year inside costs {COST} and makes recurrent savings {effect:.0%} larger, the same")
    print(f"at every trust; and {other:.0%} of a trust's score, which is no matter of money and is drawn by chance.")
    print(f"Of the {len(log)} settings of these rules {guessed} are judgement; sr.REGIMES[{YEAR!r}].log() names them.")


def main() -> None:
    """Forecast the year, make three lists of fifteen, and try each."""
    panel = sr.read_panel(sys.argv[1], year=YEAR) if len(sys.argv) > 1 else synthetic_panel()
    forecast, everywhere = forecast_with(panel, []), forecast_with(panel, panel["trust"].values)
    lowest = (forecast["segment"] == LOWEST).mean("draw")
    ranks = sr.rank_stability(forecast, COUNT)
    worth = sr.value_of_intervention(forecast, everywhere, COST, COUNT)
    lists = {
        "Lowest segment": fifteen(lowest, np.sqrt(lowest * (1 - lowest) / N_DRAWS)),
        "Worst deficits": fifteen(ranks["p_among_worst"], ranks["p_among_worst_se"]),
        "Most for the money": fifteen(worth["deficit_removed"], worth["deficit_removed_se"]),  # costs are equal
    }
    print_year(panel, forecast)
    print_lists(lists)
    print_certainty(lists, ranks, worth)
    print_trials(panel, lists, forecast, worth)
    print_guesses()


if __name__ == "__main__":
    main()
