"""A rule of one's own: a winter fund for trusts that are below plan after nine months, beside the rules of 2018-19.

Run it with ``python examples/own_rule.py``. The fund is an illustration, not a policy that was, and the trusts of the
bundled case are synthetic.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import sector_risk as sr
from sector_risk.regimes import PreparedRule
from sector_risk.settings import assumption

N_DRAWS, SEED = 2_000, 1
MONTH_9 = 2  # quarter ends are months 3, 6, 9 and 12


@sr.register  # so that regimes with this rule can be read from a file
@dataclass(frozen=True)
class WinterFund(sr.Rule):
    """A fixed pot, shared by turnover among the trusts that are below plan before support at month 9."""

    name: ClassVar[str] = "winter_fund"
    pays: ClassVar[bool] = True  # it is a fund: what it pays goes to block.paid["winter_fund"]

    pot: float = assumption(
        240.0,
        unit="GBP m",
        meaning="size of the fund, in every year",
        source="illustration",
        confidence="G",
        low=0.0,
    )

    def prepare(self, context):
        """Bind the settings to a run; this rule needs to know nothing of the panel beforehand."""
        return PreparedWinterFund(self.pot)


@dataclass(frozen=True)
class PreparedWinterFund(PreparedRule):
    """The rule at work, on blocks of draws of shape (trust, draw)."""

    pot: float

    def after_year(self, block):
        """Pay the whole pot in every draw in which anyone is below plan."""
        claims = block.turnover[:, None] * (block.quarter_variance[MONTH_9] < 0)
        total = claims.sum(axis=0)
        block.paid["winter_fund"][...] = self.pot * claims / np.where(total > 0, total, 1)


def main() -> None:
    """Forecast the same year without and with the fund, and compare draw by draw."""
    usual = sr.REGIMES["2018-19"]
    text = sr.Regime("2018-19 with a winter fund", (*usual.rules, WinterFund(pot=300.0))).to_toml()  # to keep in a file
    regime = sr.Regime.from_toml(text)

    panel = sr.load_case("england-2018-19")
    without = sr.simulate(panel, regime=usual, n_draws=N_DRAWS, seed=SEED)
    with_fund = sr.simulate(panel, regime=regime, n_draws=N_DRAWS, seed=SEED)

    paid = with_fund["support"] - without["support"]
    receive = (paid > 0.005).sum("trust")
    in_deficit = [forecast["deficit_count"].mean() for forecast in (without, with_fund)]

    print("The rule as a file holds it:")
    print(*(f"  {line}" for line in text.split("[[rules]]")[-1].strip().splitlines()), sep="\n")
    print()
    print(f"A winter fund in the bundled case of {panel.sizes['trust']} synthetic trusts, means over draws")
    print(f"  paid, GBP million                {paid.sum('trust').mean():5.0f}")
    print(f"  trusts that are paid             {receive.mean():5.0f}")
    print(f"  trusts in deficit without it     {in_deficit[0]:5.0f}")
    print(f"  trusts in deficit with it        {in_deficit[1]:5.0f}")


if __name__ == "__main__":
    main()
