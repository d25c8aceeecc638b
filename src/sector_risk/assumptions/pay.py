"""Pay award: what it costs each trust beyond its budget, what is funded, and from when."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.marginal import Marginal
from sector_risk.settings import Settings, assumption

F64 = NDArray[np.float64]

DEAL_2018 = "2018 deal: 800m, of which providers 756m; national cost 2.03% above the 1% in tariff: HFMA 4 Sep 2018"
MEDICAL_2018 = "consultants 1.5%, juniors 2%, SAS 3% from 1 October 2018, not funded, about 65m: HSJ 7023095, HFMA"


@dataclass(frozen=True)
class Pay(Settings):
    """Award against budget for Agenda for Change and medical staff.

    Year's gap: pay_afc (award_afc + own - budgeted_afc) - funding (1 - clawback), and
    pay_medical (award_medical + own - budgeted_medical), each from its month of effect.
    """

    award_afc: float = assumption(
        0.0303,
        unit="fraction of the pay bill",
        meaning="national cost of the Agenda for Change award",
        source=DEAL_2018,
        confidence="V",
        low=-0.1,
        high=0.3,
    )
    budgeted_afc: float = assumption(
        0.01,
        unit="fraction of the pay bill",
        meaning="award that plans allow for",
        source=DEAL_2018,
        confidence="V",
        low=-0.1,
        high=0.3,
    )
    funded_share_afc: float = assumption(
        1.0,
        unit="fraction of national cost above budget",
        meaning="share of the national cost that the centre funds, by pay-bill share, unless the panel gives funding",
        source=DEAL_2018,
        confidence="V",
        low=0.0,
        high=1.5,
    )
    own_award_afc: Marginal = assumption(
        Marginal.of("norm", scale=0.0025),
        unit="fraction of the pay bill",
        meaning="a trust's own award cost less the national one, by its staff mix",
        source="judgement on local pay-point mix: HFMA 4 Sep 2018, HSJ 7022963",
        confidence="G",
    )
    clawback_afc: float = assumption(
        0.0,
        unit="fraction of funding",
        meaning="funding taken back for outsourced and bank staff",
        source="HSJ 7022963 describes it without a figure",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    month_afc: int = assumption(
        1,
        unit="month",
        meaning="first month of effect (1 = April)",
        source=DEAL_2018,
        confidence="V",
        low=1,
        high=12,
    )
    award_medical: float = assumption(
        0.021,
        unit="fraction of the pay bill",
        meaning="average medical award",
        source=MEDICAL_2018,
        confidence="D",
        low=-0.1,
        high=0.3,
    )
    budgeted_medical: float = assumption(
        0.01,
        unit="fraction of the pay bill",
        meaning="award that plans allow for",
        source=MEDICAL_2018,
        confidence="V",
        low=-0.1,
        high=0.3,
    )
    own_award_medical: Marginal = assumption(
        Marginal.of("norm", scale=0.0025),
        unit="fraction of the pay bill",
        meaning="a trust's own medical award cost less the national one",
        source="taken as for Agenda for Change",
        confidence="G",
    )
    month_medical: int = assumption(
        7,
        unit="month",
        meaning="first month of effect (7 = October)",
        source=MEDICAL_2018,
        confidence="V",
        low=1,
        high=12,
    )

    def national_cost_afc(self, pay_afc: F64) -> F64:
        """Cost above budget at the national rate, GBP m a full year."""
        return pay_afc * (self.award_afc - self.budgeted_afc)

    def funding_afc(self, pay_afc: F64) -> F64:
        """Formula funding by pay-bill share, GBP m, before clawback."""
        return self.funded_share_afc * self.national_cost_afc(pay_afc)


def elapsed(first_month: int) -> F64:
    """Share of a full year's cost that has fallen by the end of each month, from the month of effect.

    Examples
    --------
    >>> elapsed(7)[[5, 6, 11]].round(3).tolist()
    [0.0, 0.083, 0.5]
    """
    return np.clip(np.arange(1, 13) - first_month + 1, 0, 12) / 12.0
