"""Efficiency: how much of the year's savings plan is delivered, recurrently and as planned one-offs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.marginal import Marginal
from sector_risk.settings import Settings, assumption

F64 = NDArray[np.float64]
LOWEST_EFFECT, HIGHEST_EFFECT = 0.4, 1.3


@dataclass(frozen=True)
class Efficiency(Settings):
    """Delivery of the efficiency plan K with recurrent share s.

    delivered(m) = K s r (1 + slip (1 - m/12)) G_rec(m) + K (1 - s) q G_one_off(m),  G(m) = (m/12)**gamma
    """

    recurrent_ratio: Marginal = assumption(
        Marginal.of("beta", a=15.4, b=6.6),
        unit="fraction of the recurrent plan",
        meaning="recurrent delivery r of a trust with the sector's average ask",
        source="2017-18 recurrent delivery of about 2.36bn against 3.39bn planned: HFMA 5 Dec 2017, HSJ 7025306",
        confidence="D",
    )
    one_off_ratio: Marginal = assumption(
        Marginal.of("beta", a=14.0, b=4.0, scale=1.2),
        unit="fraction of the planned one-off savings",
        meaning="delivery q of savings that were planned as one-off",
        source="judgement: one-off plans are small and are over-delivered through cover, which is modelled apart",
        confidence="G",
    )
    ask_effect: float = assumption(
        0.025,
        unit="fall of mean delivery per percentage point of turnover",
        meaning="how much mean recurrent delivery falls as a trust's ask exceeds the sector's",
        source="prior from refusals at 6.4% and surveys that call 2% achievable: HSJ 7016700",
        confidence="G",
        low=0.0,
        high=0.2,
    )
    plan_gamma: float = assumption(
        1.35,
        unit="exponent",
        meaning="phasing of planned savings, G_plan(m) = (m/12)**gamma",
        source="15.5% planned by month 3 of 2018-19, 38.5% by month 6 of 2017-18: NHSI Q1 2018-19, HFMA 5 Dec 2017",
        confidence="D",
        low=0.5,
        high=4.0,
    )
    recurrent_gamma: float = assumption(
        1.35,
        unit="exponent",
        meaning="phasing of delivered recurrent savings",
        source="delivered share of plan is level from month 3 to 12 (.89, .90, .88, .89): same sources",
        confidence="D",
        low=0.5,
        high=4.0,
    )
    one_off_gamma: float = assumption(
        1.35,
        unit="exponent",
        meaning="phasing of planned one-off savings",
        source="taken as the plan's",
        confidence="G",
        low=0.5,
        high=4.0,
    )
    slippage_sd: float = assumption(
        0.10,
        unit="fraction of delivery",
        meaning="sd of a trust's lead or lag on its delivery path at the start of the year; none at year end",
        source="judgement",
        confidence="G",
        low=0.0,
        high=0.5,
    )

    def effect_at_no_ask(self, sector_ask: float) -> float:
        """Return the multiplier on recurrent delivery at an ask of nought, where the sector's is `sector_ask` per cent.

        The effect of an ask is this less `effect_slope` times the GBP m asked, kept within fixed limits.
        """
        mean = self.recurrent_ratio.mean()
        return (mean + self.ask_effect * sector_ask) / max(mean, 1e-9)

    def effect_slope(self, turnover: F64) -> F64:
        """Return how much the multiplier falls with each GBP m asked of a trust."""
        return 100.0 * self.ask_effect / (max(self.recurrent_ratio.mean(), 1e-9) * turnover)
