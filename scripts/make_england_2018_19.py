"""Make the bundled case england-2018-19: synthetic trusts whose totals are the published ones.

    python scripts/make_england_2018_19.py

No row is a real trust. Counts by type and region, and the totals below, are published; how they are spread over
trusts is drawn with a fixed seed and then scaled so that every total holds to the penny.

What is published and where
---------------------------
counts by type and region   227 trusts of the public 2018-19 estates and reference lists (NHS Digital)
turnover                    87.8bn: 3.6bn of efficiency is 4.1% (NHS Improvement, quarter 1 of 2018-19)
mean and spread by type     operating expenditure 2018-19 of 208 trusts in the same lists
plan                        -519 with 2,450 of sustainability funding, hence -2,969 without (NHS Improvement, quarter 1
                            of 2018-19; HFMA 5 June 2018); funding that refusers did not take counts in the -519
efficiency plan             3,600; refusers' ask 6.4% against 4.2% (HSJ 7016700)
Agenda for Change pay       37,200: 756m is 2.03% (HFMA 4 September 2018)
medical pay                 11,800: 65m is half a year at 1.1% (HSJ 7023095)
worst plan                  -146 (Guardian 10 May 2019)

What is not published: how many trusts planned a deficit, and the rest of the planned tail. Outturns are: 107 in
deficit; worst five -523, worst ten -850. `N_PLANNED_DEFICITS` and the three constants of the tail were set once so that
the default forecast's medians come to these outturns.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from sector_risk.schema import REGIONS

SEED = 201819
TARGET = Path(__file__).parents[1] / "src" / "sector_risk" / "cases" / "england-2018-19.csv"

TURNOVER = 87_800.0
PLAN_AFTER = -519.0
SUPPORT = 2_450.0
EFFICIENCY = 3_600.0
PAY_AFC = 37_200.0
PAY_MEDICAL = 11_800.0
WORST_PLAN = -146.0

N_REFUSERS = 32
REFUSERS_ASK = 0.064
N_PLANNED_DEFICITS = 115
SHARE_OF_DEFICITS_ACUTE = 0.85
TAIL_SIZE = -41.0
TAIL_LENGTH = 21.0
LEAST_DEFICIT = -4.3

COUNTS = {
    "Acute - Teaching": (2, 8, 6, 8, 6, 4, 2),
    "Acute - Large": (1, 4, 5, 5, 2, 6, 4),
    "Acute - Medium": (7, 3, 4, 2, 6, 5, 5),
    "Acute - Small": (6, 3, 5, 6, 6, 1, 6),
    "Acute - Specialist": (1, 5, 3, 1, 6, 1, 0),
    "Acute - Multi-Service": (1, 0, 0, 1, 0, 2, 0),
    "Mental health": (3, 9, 10, 7, 6, 6, 6),
    "Community": (3, 2, 5, 1, 2, 3, 0),
    "Care trust": (0, 1, 1, 2, 0, 0, 1),
    "Ambulance": (1, 1, 2, 2, 1, 2, 1),
}
MEAN_TURNOVER = (879, 508, 362, 236, 227, 357, 250, 158, 113, 243)
SPREAD = (0.41, 0.19, 0.20, 0.21, 0.58, 0.39, 0.42, 0.42, 0.30, 0.30)
SYSTEMS = (6, 5, 11, 6, 3, 6, 7)  # 44 in all

# Relative weights by broad type: acute, mental health, community, ambulance.
WEIGHTS = {
    "pay_afc": (1.0, 1.3, 1.3, 1.35),
    "pay_medical": (1.0, 0.7, 0.25, 0.02),
    "support": (1.0, 0.5, 0.45, 0.45),
}
BROAD = {"Mental health": 1, "Community": 2, "Care trust": 2, "Ambulance": 3}


def scaled(values: np.ndarray, total: float) -> np.ndarray:
    """Values in proportion, adding up to a total."""
    return values * (total / values.sum())


def to_pennies(values: np.ndarray, total: float) -> np.ndarray:
    """Values in whole GBP 10,000 that still add up: the rounding difference goes to the largest."""
    rounded = values.round(2)
    rounded[np.abs(rounded).argmax()] += total - rounded.sum()
    return rounded.round(2)


def trusts(rng: np.random.Generator) -> pd.DataFrame:
    """One row a trust: subtype, region, system, turnover."""
    rows = [
        (subtype, region, r, kind)
        for kind, (subtype, counts) in enumerate(COUNTS.items())
        for r, (region, count) in enumerate(zip(REGIONS, counts, strict=True))
        for _ in range(count)
    ]
    table = pd.DataFrame(rows, columns=["trust_subtype", "region", "r", "kind"])
    first = np.cumsum((0, *SYSTEMS))
    number = [first[r] + rng.integers(SYSTEMS[r]) + 1 for r in table["r"]]
    table["system"] = [f"Synthetic system {n:02d}" for n in number]
    spread = np.array(SPREAD)[table["kind"]]
    size = np.array(MEAN_TURNOVER)[table["kind"]] * np.exp(spread * rng.standard_normal(len(table)) - spread**2 / 2)
    table["turnover"] = to_pennies(scaled(size, TURNOVER), TURNOVER)
    table["broad"] = table["trust_subtype"].map(BROAD).fillna(0).astype(int)
    return table


def spread_by_type(table: pd.DataFrame, name: str, total: float, sd: float, rng: np.random.Generator) -> np.ndarray:
    """A total spread by turnover, type weight and a little noise."""
    weight = np.array(WEIGHTS[name])[table["broad"]]
    return scaled(table["turnover"].to_numpy() * weight * np.exp(sd * rng.standard_normal(len(table))), total)


def planned_deficits(table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Return the planned deficits after support by trust; zero elsewhere: a long tail of mostly large acute trusts."""
    rank = np.arange(1, N_PLANNED_DEFICITS + 1)
    size = np.where(rank == 1, WORST_PLAN, LEAST_DEFICIT + TAIL_SIZE * np.exp(-rank / TAIL_LENGTH))
    acute = (table["broad"] == 0).to_numpy()
    n_acute = round(SHARE_OF_DEFICITS_ACUTE * N_PLANNED_DEFICITS)
    chosen = [
        *rng.choice(np.flatnonzero(acute), n_acute, replace=False),
        *rng.choice(np.flatnonzero(~acute), N_PLANNED_DEFICITS - n_acute, replace=False),
    ]
    # The deeper deficits go to the larger of these trusts, not strictly: size times a random factor.
    order = np.argsort(-table["turnover"].to_numpy()[chosen] * np.exp(0.5 * rng.standard_normal(len(chosen))))
    deficits = np.zeros(len(table))
    deficits[np.array(chosen)[order]] = size
    return deficits


def positions(
    table: pd.DataFrame, support: np.ndarray, agreed: np.ndarray, deficits: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return plans before support: deficits as given, surpluses in proportion to turnover, the published total."""
    surplus = np.where(deficits < 0, 0.0, table["turnover"] * np.exp(0.8 * rng.standard_normal(len(table))))
    own_after = PLAN_AFTER - SUPPORT + support[agreed].sum()
    after = deficits + scaled(surplus, own_after - deficits.sum())
    return after - np.where(agreed, support, 0.0)


def asks(table: pd.DataFrame, agreed: np.ndarray, deficits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Efficiency plans: higher for planned deficits, refusers at their published average ask."""
    turnover = table["turnover"].to_numpy()
    ask = np.exp(0.25 * rng.standard_normal(len(table))) * (1.0 + 4.0 * np.minimum(-deficits / turnover, 0.1))
    plan = ask * turnover
    refused = REFUSERS_ASK * turnover[~agreed].sum()
    plan[~agreed] = scaled(plan[~agreed], refused)
    plan[agreed] = scaled(plan[agreed], EFFICIENCY - refused)
    return plan


def make() -> pd.DataFrame:
    """Return the case as a table, one row a trust."""
    rng = np.random.default_rng(SEED)
    table = trusts(rng)
    deficits = planned_deficits(table, rng)
    keenness = rng.standard_normal(len(table)) + 15.0 * deficits / table["turnover"].to_numpy()
    agreed = np.ones(len(table), dtype=bool)
    agreed[np.argsort(keenness)[:N_REFUSERS]] = False
    support = to_pennies(spread_by_type(table, "support", SUPPORT, 0.3, rng), SUPPORT)
    plan = to_pennies(positions(table, support, agreed, deficits, rng), PLAN_AFTER - SUPPORT)
    number = np.arange(1, len(table) + 1)
    return pd.DataFrame(
        {
            "trust": [f"SYN{n:03d}" for n in number],
            "name": [f"Synthetic trust {n:03d}" for n in number],
            "region": table["region"],
            "trust_type": table["broad"].map(dict(enumerate(("Acute", "Mental health", "Community", "Ambulance")))),
            "trust_subtype": table["trust_subtype"],
            "system": table["system"],
            "turnover": table["turnover"],
            "plan": plan,
            "support_allocation": support,
            "control_total": np.where(agreed, plan, (plan + 0.01 * table["turnover"]).round(2)),
            "control_total_agreed": np.where(agreed, "yes", "no"),
            "efficiency_plan": to_pennies(asks(table, agreed, deficits, rng), EFFICIENCY),
            "pay_afc": to_pennies(spread_by_type(table, "pay_afc", PAY_AFC, 0.04, rng), PAY_AFC),
            "pay_medical": to_pennies(spread_by_type(table, "pay_medical", PAY_MEDICAL, 0.1, rng), PAY_MEDICAL),
        }
    )


if __name__ == "__main__":
    made = make()
    made.to_csv(TARGET, index=False, lineterminator="\n", float_format="%.2f")
    print(f"{len(made)} synthetic trusts written to {TARGET.name}")
