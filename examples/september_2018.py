"""Answer the question of September 2018: does the sector, and does the NHS, end 2018-19 in balance, and why.

Run it with ``python examples/september_2018.py``. The trusts of the bundled case are synthetic; together they match
published totals. The assumptions rest on outturns up to 2018-19 itself, so the known outturn is not a test of them.
"""

import numpy as np

import sector_risk as sr

N_DRAWS, SEED = 10_000, 0
BALANCE = -0.005  # GBP 5,000 rounds to nought
LABELS = {
    "efficiency_recurrent": "Recurrent savings not delivered",
    "efficiency_one_off": "Planned one-off savings",
    "pay_afc": "Agenda for Change pay, after funding",
    "pay_medical": "Medical pay, not funded",
    "deterioration": "Run rate gets worse",
    "one_off": "One-off measures in year",
    "favourable_spent": "Underspends that are spent",
}


def chance(draws) -> str:
    """Write the share of draws in balance; what hardly any draw shows is never called impossible."""
    share = 100 * float((draws >= BALANCE).mean())
    return f"{share:.0f}%" if share >= 1 else "under 1%"


def row(label: str, draws, target) -> str:
    """One line of the table: mean, 90% range, and the share of the target's variance that moves with it."""
    low, high = np.quantile(draws, (0.05, 0.95))
    share = 100 * np.cov(draws, target)[0, 1] / np.var(target, ddof=1)
    return f"  {label:38}{draws.mean():z8,.0f}{low:z8,.0f}{high:z8,.0f}{share:z8.0f}%"


def main() -> None:
    """Simulate 2018-19 and answer in sentences and a table."""
    panel = sr.load_case("england-2018-19")
    forecast = sr.simulate(panel, n_draws=N_DRAWS, seed=SEED)
    sector, nhs = forecast["sector_position"].values, forecast["nhs_position"].values
    plan, pot = float(forecast["sector_plan_ytd"][-1]), float(panel["support_allocation"].sum())
    effects, count = forecast["contribution"].sum("trust", dtype=float), forecast["deficit_count"]
    missing, found = (float(effects.sel(driver=name).mean()) for name in ("efficiency_recurrent", "one_off"))

    print(f"The plan for 2018-19 was {plan:,.0f} after {pot:,.0f} of sustainability funding, GBP million.")
    print(f"The {panel.sizes['trust']} trusts here are synthetic; together they match the published totals.")
    print(f"The provider sector: {sector.mean():,.0f} expected, in balance in {chance(sector)} of {N_DRAWS:,} draws.")
    print(f"The whole NHS: {nhs.mean():,.0f} expected, in balance in {chance(nhs)}.")
    print(f"Trusts in deficit: {count.mean():.0f} expected.")
    print(f"Recurrent savings fall {-missing:,.0f} short. One-off measures of {found:,.0f} are more than that, but")
    print("the run rate gets worse, trusts with money to spare spend most of it, and the plan itself was a deficit.")
    print()
    print(f"{'Why, GBP million':40}{'Mean':>8}{'5%':>8}{'95%':>8}{'Moves':>9}")
    print(f"  {'Plan':38}{plan:8,.0f}")
    for name in LABELS:
        print(row(LABELS[name], effects.sel(driver=name).values, nhs))
    print(row("Provider sector", sector, nhs))
    for action in forecast["action"].values:
        print(row(action.capitalize(), forecast["central_action"].sel(action=action).values, nhs))
    print(row("Whole NHS", nhs, nhs))
    print("Moves: the share of the variance of the whole NHS's position that comes with this line.")
    print("What happened: -571 as reported, -827 without a technical gain of 256 (National Audit Office, 2020).")


if __name__ == "__main__":
    main()
