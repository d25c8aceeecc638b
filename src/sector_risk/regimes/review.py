"""Quarter 1 review: in each region the trusts furthest behind at month 3, and their plans worked through again.

Plans were sent back in 2018 where activity, finance and workforce did not agree with one another.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels.select import worst_block
from sector_risk.regimes.rule import Block, Context, PreparedRule, Rule
from sector_risk.schema import BALANCE_SIGN, MONEY, VariableSpec
from sector_risk.settings import assumption

F32 = np.float32


@dataclass(frozen=True)
class QuarterOneReview(Rule):
    """The `per_region` trusts of each region with the worst variance in per cent of turnover, and their reset plans.

    Called to review are trusts whose variance before support at month 3 is below ``-threshold * T``; of equals the
    one earlier in the panel. Their plan gives up part of what the quarter's run rate implies for the year,
    ``reset_plan = plan + recognised * 4 * v_1`` (GBP million, before support); the reset plan of all others is their
    plan. Positions do not change.

    Examples
    --------
    >>> review = QuarterOneReview(per_region=5)
    >>> [review.evidence_of(name).confidence for name in ("per_region", "threshold")]
    ['U', 'G']
    """

    name: ClassVar[str] = "quarter_one_review"
    variables: ClassVar[tuple[VariableSpec, ...]] = (
        VariableSpec(
            "reviewed", ("trust", "draw"), "1", "whether the trust was called to quarter 1 review", kind="flag"
        ),
        VariableSpec(
            "reset_plan",
            ("trust", "draw"),
            MONEY,
            "planned year-end position before support after quarter 1 review",
            sign=BALANCE_SIGN,
        ),
    )

    per_region: int = assumption(
        3,
        unit="trusts",
        meaning="trusts of a region that are called to review at most",
        source="judgement: reviews by region are described (2018), their number is not",
        confidence="G",
        low=1,
    )
    threshold: float = assumption(
        0.002,
        unit="fraction of turnover",
        meaning="how far behind plan at month 3 a trust must be to be called",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    recognised: float = assumption(
        0.5,
        unit="fraction",
        meaning="part of four times the quarter's variance that the plan gives up when it is worked through again",
        source="judgement: the rest is to be recovered within the year",
        confidence="G",
        low=0.0,
        high=1.0,
    )

    def prepare(self, context: Context) -> "PreparedReview":
        """Find each region's trusts."""
        regions = tuple(np.flatnonzero(context.region == region) for region in np.unique(context.region))
        return PreparedReview(self, regions)


@dataclass(frozen=True)
class PreparedReview(PreparedRule):
    """The review, ready for blocks of draws."""

    rule: QuarterOneReview
    regions: tuple[NDArray[np.intp], ...]  # rows of each region's trusts, in panel order

    def after_year(self, block: Block) -> None:
        """Choose who is reviewed and reset their plans."""
        variance = block.quarter_variance[0]
        turnover = block.turnover[:, None]
        behind = variance < (-self.rule.threshold * turnover).astype(F32)
        key = np.where(behind, variance / turnover.astype(F32), F32(np.inf))
        reviewed = block.state["reviewed"]
        for rows in self.regions:
            reviewed[rows] = self.worst(key[rows])
        given_up = F32(4.0 * self.rule.recognised) * np.where(reviewed, variance, F32(0.0))
        block.state["reset_plan"][...] = block.plan + given_up

    def worst(self, key: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which trusts of one region are called, by draw."""
        chosen = np.zeros(key.shape, np.bool_)
        worst_block(key, np.full(key.shape[1], self.rule.per_region), chosen)
        return chosen
