"""Answer the question of September 2018: does the sector, and does the NHS, end 2018-19 in balance, and why.

Run it with ``python examples/september_2018.py``. The trusts of the bundled case are synthetic; together they match
published totals. The assumptions rest on outturns up to 2018-19 itself, so the known outturn is not a test of them.
"""

from textwrap import fill

import sector_risk as sr

N_DRAWS, SEED, NHS = 10_000, 0, "Whole NHS"
LABELS = {
    "efficiency_recurrent": "Recurrent savings not made",
    "efficiency_one_off": "Planned one-off savings not made",
    "pay_afc": "Agenda for Change pay, after funding",
    "pay_medical": "Medical pay, not funded",
    "deterioration": "Drift in the run rate",
    "one_off": "One-off measures in the year",
    "favourable_spent": "Underspends that are spent again",
    "support": "Support above or below what was planned",
    "centre": "What the centre adds",
}


def print_answers(forecast) -> None:
    """Print five questions, the answer to each, and what is behind it."""
    for answer in sr.five_answers(forecast):
        print(answer.question)
        print(fill(f"{answer.headline} {answer.detail}", width=110, initial_indent="  ", subsequent_indent="  "))
    print()


def print_reasons(forecast) -> None:
    """Lead from the plan to the whole NHS's year end, line by line."""
    flow, spread = sr.waterfall(forecast, NHS), sr.allocate(forecast, NHS)
    low, high = flow["effect_by_draw"].quantile((0.05, 0.95), "draw")
    moves = 100 * spread["sd_by_effect"] / spread["sd"]
    print(f"{'From plan to year end, GBP million':42}{'Mean':>8}{'Error':>8}{'5%':>8}{'95%':>8}{'Moves':>9}")
    print(f"  {'Plan, after support':40}{flow['plan']:8,.0f}")
    for name, label in LABELS.items():
        mean, error, *ends = (d.sel(effect=name) for d in (flow["mean_effect"], flow["mean_effect_se"], low, high))
        if name == "centre":
            print(f"  {'Provider sector':40}{flow['mean'] - mean:8,.0f}")
        bounds = "".join(f"{end:z8,.0f}" for end in ends)
        print(f"  {label:40}{mean:z8,.0f}{error:8.1f}{bounds}{moves.sel(effect=name):z8.0f}%")
    print(f"  {NHS:40}{flow['mean']:8,.0f}{flow['mean_se']:8.1f}")
    print("Moves: the share of the whole NHS's spread that comes with the line; with a minus it dampens the others.")


def main() -> None:
    """Simulate 2018-19 and answer."""
    panel = sr.load_case("england-2018-19")
    forecast = sr.simulate(panel, n_draws=N_DRAWS, seed=SEED)
    plan, pot = forecast["sector_plan_ytd"][-1], panel["support_allocation"].sum()
    target, underspend = forecast["central_action"].mean("draw").values
    print(f"The plan for 2018-19 was {plan:,.0f} after {pot:,.0f} of sustainability funding, GBP million.")
    print(f"The {panel.sizes['trust']} trusts here are synthetic; together they match the published totals.")
    print()
    print_answers(forecast)
    print_reasons(forecast)
    print("The centre was to add 254 by a target for providers and 265 by an underspend of commissioners;", end=" ")
    print(f"{target:,.0f} and {underspend:,.0f} are expected.")
    print("What happened: -571 as reported, -827 without a technical gain of 256 (National Audit Office, 2020).")


if __name__ == "__main__":
    main()
