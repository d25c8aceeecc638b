"""Control totals and sustainability funding, 2016-17 to 2018-19 (the provider sustainability fund)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import support
from sector_risk.kernels.random import label_hashes, stream_key
from sector_risk.regimes.rule import Block, Panel, settings_faults

F32 = np.float32
GATE_SHARE = np.array([0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True)
class SustainabilityFunding:
    """Quarterly earnings behind a year-to-date gate, catch-up, and a year-end distribution of what is left.

    Per quarter an agreed trust that is at or above its year-to-date control total earns
    ``allocation * (finance_share * (w_q + missed) + (1 - finance_share) * w_q * [access standard met])``.
    What the pot then has left goes to agreed trusts at or above their year-end total: pound for pound for
    the amount beaten, then by allocation. The pot is the sum of all allocations, agreed or not, unless given.

    Parameters
    ----------
    weights : share of the allocation earned in each quarter (HSJ 7020470; numbers G)
    finance_share : share that depends on finance alone (HSJ 7006253; HFMA 3 May 2017; V for 2016-17)
    access_met : probability that the access standard is met in a quarter by a trust that meets its total
        (64% of trusts against 82%: Parliament answer of 20 February 2017; D)
    catch_up : missed finance earnings are paid when the gate is met later (G)
    acceptance : "given" takes `control_total_agreed` of the panel; "logit" draws it from the trust's ask
    acceptance_at_average, acceptance_slope : logit(P) = logit(at_average) - slope * (ask% - the sector's ask%)
        (82-87% accepted in 2018-19, refusers' ask 6.4% against 4.2%: HSJ 7016700, NHS Providers 2019; G)
    pot : GBP m, or None for the sum of allocations
    """

    name = "sustainability_funding"

    weights: tuple[float, float, float, float] = (0.15, 0.20, 0.30, 0.35)
    finance_share: float = 0.7
    access_met: float = 0.78
    catch_up: bool = True
    acceptance: str = "given"
    acceptance_at_average: float = 0.85
    acceptance_slope: float = 0.8
    pot: float | None = None

    def __post_init__(self) -> None:
        """Check the settings; all faults in one error."""
        shares = np.array(self.weights, dtype=float)
        settings_faults(
            self.name,
            {
                "weights are four, none below zero, and add up to one": shares.shape == (4,)
                and bool((shares >= 0.0).all())
                and abs(shares.sum() - 1.0) < 1e-9,
                "acceptance_slope is a number": bool(np.isfinite(self.acceptance_slope)),
                "finance_share is between 0 and 1": 0.0 <= self.finance_share <= 1.0,
                "access_met is between 0 and 1": 0.0 <= self.access_met <= 1.0,
                "acceptance is 'given' or 'logit'": self.acceptance in ("given", "logit"),
                "acceptance_at_average is between 0 and 1": 0.0 < self.acceptance_at_average < 1.0,
                "pot is not below zero": self.pot is None or self.pot >= 0.0,
            },
        )

    def planned_path(self) -> NDArray[np.float64]:
        """Cumulative share of support that plans expect by each month: W(m), linear within a quarter."""
        return np.interp(np.arange(1, 13), [0, 3, 6, 9, 12], [0.0, *np.cumsum(self.weights)])

    def agreed(self, panel: Panel) -> NDArray[np.float64]:
        """Probability that each trust has agreed its control total."""
        offered = panel["support_allocation"] > 0.0
        if self.acceptance == "given":
            return (offered & (panel["control_total_agreed"] > 0.0)).astype(float)
        at_average = np.log(self.acceptance_at_average / (1.0 - self.acceptance_at_average))
        probability = 1.0 / (1.0 + np.exp(self.acceptance_slope * (panel["ask"] - panel["sector_ask"]) - at_average))
        return np.where(offered, probability, 0.0)

    def prepare(self, codes: list[str], panel: Panel, seed: int) -> "PreparedFund":
        """Settings and panel as the kernel needs them."""
        allocation = panel["support_allocation"]
        fund = support.Funding(
            hashes=label_hashes(codes),
            access_key=stream_key(seed, "access_standard"),
            agreed_key=stream_key(seed, "control_total_acceptance"),
            allocation=allocation.astype(F32),
            gap=np.outer(GATE_SHARE, panel["control_total"] - panel["plan"]).astype(F32),
            agreed=self.agreed(panel).astype(F32),
            access_met=F32(self.access_met),
            weights=np.array(self.weights, F32),
            finance_share=F32(self.finance_share),
            catch_up=F32(self.catch_up),
            pot=np.float64(allocation.sum() if self.pot is None else self.pot),
        )
        return PreparedFund(fund)

    def settings(self) -> Mapping[str, object]:
        """Settings as plain values, for provenance."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class PreparedFund:
    """The rule, ready for blocks of draws."""

    fund: support.Funding

    def apply(self, block: Block) -> None:
        """Pay the fund in one block."""
        support.sustainability_block(self.fund, block.first_draw, block.quarter_variance, block.support)
