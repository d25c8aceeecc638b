"""Oversight framework of 2025-26: finance scores, average scores, segments and the financial override."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sector_risk.faults import Fault
from sector_risk.kernels import oversight
from sector_risk.regimes.rule import Block, Context, PreparedRule, Rule
from sector_risk.schema import VariableSpec
from sector_risk.settings import assumption

F32 = np.float32
_TRUST_DRAW = ("trust", "draw")


def plan_score(percent: ArrayLike) -> NDArray[np.int64]:
    """Score of the planned position before support, from 1 (best) to 4.

    Parameters
    ----------
    percent : array_like
        Plan in per cent of turnover: 0 or more scores 1, -1 or more 2, -2 or more 3, less 4.

    Examples
    --------
    >>> plan_score([0.0, -0.1, -1.0, -1.1, -2.0, -2.1]).tolist()
    [1, 2, 2, 3, 3, 4]
    """
    below = np.asarray(percent, float)[..., np.newaxis] < oversight.PLAN_STEPS
    return 1 + below.sum(axis=-1)


def variance_score(percent: ArrayLike) -> NDArray[np.int64]:
    """Score of the variance to plan, both after support, from 1 (best) to 4.

    Parameters
    ----------
    percent : array_like
        Variance in per cent of turnover: 0 or more scores 1, -0.5 or more 2, above -1 scores 3, -1 or less 4.

    Examples
    --------
    >>> variance_score([0.0, -0.1, -0.5, -0.6, -0.9, -1.0]).tolist()
    [1, 2, 2, 3, 3, 4]
    """
    values = np.asarray(percent, float)
    on_plan, behind, far_behind = oversight.VARIANCE_STEPS
    return 1 + (values < on_plan).astype(np.int64) + (values < behind) + (values <= far_behind)


def combined_score(plan: ArrayLike, variance: ArrayLike) -> NDArray[np.int64]:
    """Finance score of a plan score and a variance score, each 1 to 4.

    Eleven cells are inferred from published scores; (2, 2), (2, 3), (2, 4), (3, 3) and (4, 3) were not seen and are
    filled so that no step of either score makes it better.

    Examples
    --------
    >>> combined_score([1, 1, 4], [1, 4, 1]).tolist()
    [1, 3, 2]
    """
    return oversight.COMBINED[np.asarray(plan, int) - 1, np.asarray(variance, int) - 1]


@dataclass(frozen=True)
class OversightFramework(Rule):
    """Finance score, average score and segment of every trust at each year's end.

    ``average = finance_weight * finance_score + (1 - finance_weight) * other``, with ``other`` a Normal drawn once for
    a trust and draw. The segment is one plus the number of cut points that the average reaches, and at least 3 with
    a planned deficit, a deficit, or deficit support received. Amounts within GBP 5,000 of the better side of a
    threshold count as on it.

    Examples
    --------
    >>> rule = OversightFramework(finance_weight=0.4)
    >>> [variable.name for variable in rule.variables]
    ['finance_score', 'average_score', 'segment']
    """

    name: ClassVar[str] = "oversight_framework"
    variables: ClassVar[tuple[VariableSpec, ...]] = (
        VariableSpec("finance_score", _TRUST_DRAW, "1", "finance score, 1 the best to 4 the worst", kind="code"),
        VariableSpec("average_score", _TRUST_DRAW, "1", "average score of all domains", sign="higher is worse"),
        VariableSpec(
            "segment", _TRUST_DRAW, "1", "oversight segment after the financial override, 1 to 4", kind="code"
        ),
    )

    finance_weight: float = assumption(
        0.25,
        unit="fraction",
        meaning="weight of the finance score in the average score",
        source="judgement: one of four or so domains",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    other_mean: float = assumption(
        2.32,
        unit="score",
        meaning="mean score of all other domains: the median of average scores",
        source="NHS England oversight data for 2025-26, quarter 1, mental health and community trusts",
        confidence="D",
        low=1.0,
        high=4.0,
    )
    other_sd: float = assumption(
        0.45,
        unit="score",
        meaning="standard deviation of the score of all other domains",
        source="judgement: with the finance score it gives quartiles near the cut points",
        confidence="G",
        low=0.0,
        high=2.0,
    )
    cut_points: tuple[float, float, float] = assumption(
        (2.05, 2.32, 2.60),
        unit="score",
        meaning="average scores from which a trust is in segments 2, 3 and 4",
        source="NHS England oversight data for 2025-26, quarter 1, mental health and community trusts",
        confidence="D",
        low=1.0,
        high=4.0,
    )
    segment_means: tuple[float, float, float, float, float] = assumption(
        (1.90, 2.19, 2.46, 2.80, 2.80),
        unit="score",
        meaning="mean score of all other domains for a trust whose segment the panel gives, 1 to 5",
        source="middle of the segment's average scores between the cut points; judgement at both ends",
        confidence="G",
        low=1.0,
        high=4.0,
    )
    segment_sd_share: float = assumption(
        0.5,
        unit="fraction",
        meaning="share of other_sd that is left where the panel gives the segment",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        if list(self.cut_points) != sorted(self.cut_points):
            where, remedy = f"{self.name}.cut_points", "Give the lowest first."
            yield Fault(self.place, "must not fall", str(self.cut_points), remedy, variable=where)

    def other_score(self, context: Context) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of each trust's score in all other domains."""
        segment = context.number("segment", 0.0)
        means = np.array((self.other_mean, *self.segment_means))
        sd = np.where(segment > 0.0, self.segment_sd_share * self.other_sd, self.other_sd)
        return means[np.rint(segment).astype(int)], sd

    def prepare(self, context: Context) -> "PreparedFramework":
        """Settings and panel as the kernel needs them."""
        mean, sd = self.other_score(context)
        framework = oversight.Framework(
            hashes=context.hashes,
            key=context.key("oversight_other"),
            mean=mean.astype(F32),
            sd=sd.astype(F32),
            weight=F32(self.finance_weight),
            cut_points=np.array(self.cut_points, F32),
        )
        return PreparedFramework(framework)


@dataclass(frozen=True)
class PreparedFramework(PreparedRule):
    """The rule, ready for blocks of draws."""

    framework: oversight.Framework

    def after_year(self, block: Block) -> None:
        """Score every trust."""
        received = block.paid.get("deficit_support", np.empty((0, 0), F32))
        year = oversight.Outturn(block.turnover, block.plan, block.planned_support, block.position, received)
        finance, average, segment = (block.state[variable.name] for variable in OversightFramework.variables)
        oversight.oversight_block(self.framework, year, block.first_draw, finance, average, segment)
