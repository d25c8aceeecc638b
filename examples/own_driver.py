"""A driver of one's own: a bad winter for flu, what it costs the sector, and who bears it.

Run it with ``python examples/own_driver.py``. What flu costs is an illustration here, not an estimate, and the trusts
of the bundled case are synthetic.
"""

import numpy as np

import sector_risk as sr

N_DRAWS, SEED = 2_000, 1
USUAL_COST = 0.002  # of turnover, in a middling winter
SPREAD = 0.8  # of log cost: one winter in twenty costs nearly four times the usual
INCURRED = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0.35, 0.80, 1.0, 1.0])  # share of the cost by the end of each month


@sr.driver(
    "winter_flu",
    items=1,  # one number a trust and draw: how bad its winter is
    shares=sr.Shares(sector=0.6, trust_type=0.0, system=0.0, region=0.2),  # flu is national first, then regional
    source="illustration: 0.2% of turnover in a middling winter, where there are beds or ambulances",
)
def winter_flu(z, panel):
    """Return the cost to date, GBP million, adverse positive, shape (trust, 12, draw)."""
    usual = USUAL_COST * panel["turnover"] * panel["flu_exposure"]
    cost = usual[:, None] * np.exp(SPREAD * z[:, 0])
    return (cost[:, None, :] * INCURRED[:, None]).astype(np.float32)


def main() -> None:
    """Simulate the same year without and with flu, and compare them draw by draw."""
    panel = sr.load_case("england-2018-19")
    panel["flu_exposure"] = panel["trust_type"].isin(["Acute", "Ambulance"]).astype(float)
    without = sr.simulate(panel, n_draws=N_DRAWS, seed=SEED)
    with_flu = sr.simulate(panel, sr.Assumptions(drivers=("winter_flu",)), n_draws=N_DRAWS, seed=SEED)

    change = sr.compare(without, with_flu)
    by_cause, by_unit = change["effect_difference"], change["difference"]

    cost = -with_flu["contribution"].sel(driver="winter_flu")
    low, high = np.quantile(cost.sum("trust"), (0.05, 0.95))
    print(f"Winter flu in the bundled case of {panel.sizes['trust']} synthetic trusts, GBP million")
    print(f"  what it costs                {cost.sum('trust').mean():5.0f}   (90% between {low:.0f} and {high:.0f})")
    print(f"  met by one-off measures      {by_cause.sel(effect='one_off'):5.0f}")
    print(f"  met from slack in budgets    {by_cause.sel(effect='favourable_spent'):5.0f}")
    print(f"  left on the bottom line      {-by_unit.sel(unit='Provider sector'):5.0f}")
    print()
    print(f"{'Who bears it':16}{'trusts':>8}{'cost':>8}{'left':>8}{'left, % of turnover':>22}")
    for kind, bill in cost.groupby("trust_type"):
        left, turnover = -by_unit.sel(unit=kind), panel["turnover"].sel(trust=bill["trust"]).sum()
        print(
            f"{kind:16}{bill.sizes['trust']:8}{bill.sum('trust').mean():8.0f}{left:8.0f}{100 * left / turnover:22.2f}"
        )
    print("A minus is a gain: support that trusts with flu fail to earn is shared out among the others.")
    print()
    nhs = 100 * change.sel(unit="Whole NHS")
    print(f"The whole NHS breaks even in {nhs['start_p_breakeven']:.0f}% of draws without flu, and in", end=" ")
    print(f"{nhs['end_p_breakeven']:.0f}% with it (error of the difference {nhs['p_breakeven_difference_se']:.1f}).")


if __name__ == "__main__":
    main()
