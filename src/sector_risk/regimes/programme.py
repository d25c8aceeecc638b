"""Provider improvement programme of 2025, and the programme it replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import programme
from sector_risk.regimes.rule import Block, Context, PreparedRule, Rule
from sector_risk.schema import VariableSpec
from sector_risk.settings import Evidence, assumption

F32 = np.float32
F64 = NDArray[np.float64]
_LOW_CAPABILITY_ABOVE = 3.5
_SEGMENT_OF_THE_PROGRAMME = 5
_BEFORE = (
    ("places", Evidence("20 providers and 3 commissioners in December 2024, a programme of 25: NHS England", "D")),
    ("entry", Evidence("general knowledge: the lowest segment of its day", "G")),
    ("paid_by", Evidence("centrally supported: HSJ 7039531", "V")),
)


@dataclass(frozen=True)
class ImprovementProgramme(Rule):
    """Entry, five conditions, escalation and exit, for a limited number of trusts.

    Status at a year's end holds in the next year: 0 outside, 1 diagnostic, 2 in the programme, 3 national taskforce,
    4 administration or takeover. A trust that has met all five conditions leaves, and does not come back by its
    segment. While inside, `cost` (GBP m a year) is in its opening position, or the centre's, and from status 2 on its
    delivery is multiplied by ``1 + delivery_effect``. A trust that the panel puts in segment 5 starts with status 2
    and no conditions met, and its plan is taken to hold the cost.

    Examples
    --------
    >>> ImprovementProgramme().places, ImprovementProgramme.predecessor().places
    (15, 25)
    """

    name: ClassVar[str] = "improvement_programme"
    national: ClassVar[tuple[str, ...]] = ("places",)
    needs: ClassVar[tuple[str, ...]] = ("oversight_framework",)
    variables: ClassVar[tuple[VariableSpec, ...]] = (
        VariableSpec(
            "programme_status",
            ("trust", "draw"),
            "1",
            "improvement programme at the year end: 0 outside, 1 diagnostic, 2 inside, 3 taskforce, 4 administration",
            kind="code",
        ),
    )
    private: ClassVar[Mapping[str, str]] = {
        "programme_years": "uint8",
        "programme_conditions": "uint8",
        "programme_charged": "bool",
    }

    places: int = assumption(
        15,
        unit="trusts",
        meaning="trusts that may be inside at a time",
        source="HSJ 7039531",
        confidence="V",
        low=0,
        high=10_000,
    )
    entry: str = assumption(
        "segment and capability",
        unit="choice",
        meaning="entry by segment 4 with low capability, or by 'segment' 4 alone; failed governance enters either way",
        source="HSJ 7039531",
        confidence="V",
        choices=("segment and capability", "segment"),
    )
    paid_by: str = assumption(
        "trust",
        unit="choice",
        meaning="who pays the cost: the 'trust' or the 'centre'",
        source="HSJ 7039531",
        confidence="V",
        choices=("trust", "centre"),
    )
    cost: float = assumption(
        1.5,
        unit="GBP m a year",
        meaning="cost of a year inside, for each trust",
        source="judgement: an improvement director, a team and advisers",
        confidence="G",
        low=0.0,
    )
    delivery_effect: float = assumption(
        0.08,
        unit="fraction",
        meaning="rise of recurrent delivery after the diagnostic",
        source="judgement",
        confidence="G",
        low=-1.0,
        high=10.0,
    )
    conditions: tuple[float, float, float, float, float] = assumption(
        (0.6, 0.5, 0.6, 0.4, 0.25),
        unit="probability a year",
        meaning="leadership; clinical link, staff engagement; governance; improvement approach; structural barriers",
        source="judgement; the five conditions are in HSJ 7039531",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    patience: int = assumption(
        3,
        unit="years",
        meaning="years inside, the diagnostic included, before the national taskforce",
        source="judgement",
        confidence="G",
        low=1,
        high=100,
    )
    taskforce_years: int = assumption(
        1,
        unit="years",
        meaning="years with the taskforce before administration or takeover",
        source="judgement",
        confidence="G",
        low=0,
        high=100,
    )
    low_capability: float = assumption(
        0.25,
        unit="probability",
        meaning="capability is low where the panel does not rate it",
        source="judgement",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    governance_failure: float = assumption(
        0.004,
        unit="probability a year",
        meaning="catastrophic failure of governance, of quality or finance",
        source="judgement: about one trust a year",
        confidence="G",
        low=0.0,
        high=1.0,
    )

    @classmethod
    def predecessor(cls) -> Self:
        """Return the programme before 2025: 25 places, entry by segment alone, paid for by the centre.

        Examples
        --------
        >>> ImprovementProgramme.predecessor().paid_by
        'centre'
        """
        return cls(places=25, entry="segment", paid_by="centre", evidence=_BEFORE)

    def probability_of_low_capability(self, context: Context) -> F64:
        """For each trust, that it may enter from segment 4: one or nought where the panel rates its capability."""
        rating = context.number("capability", np.nan)
        if self.entry == "segment":
            return np.ones_like(rating)
        return np.where(np.isnan(rating), self.low_capability, rating > _LOW_CAPABILITY_ABOVE)

    def prepare(self, context: Context) -> "PreparedProgramme":
        """Settings and panel as the kernel needs them."""
        known = programme.Programme(
            hashes=context.hashes,
            conditions_key=context.key("programme_conditions"),
            capability_key=context.key("capability"),
            governance_key=context.key("governance"),
            conditions=np.array(self.conditions, np.float64),
            low_capability=self.probability_of_low_capability(context),
            places=self.places,
            patience=self.patience,
            patience_of_taskforce=self.patience + self.taskforce_years,
            central_cost=self.cost if self.paid_by == "centre" else 0.0,
        )
        return PreparedProgramme(
            known,
            inside_at_first=np.rint(context.number("segment", 0.0)) == _SEGMENT_OF_THE_PROGRAMME,
            failed_at_first=context.number("governance_failure", 0.0) > 0.0,
            failure=self.governance_failure,
            trusts_cost=F32(self.cost if self.paid_by == "trust" else 0.0),
            delivery_factor=F32(1.0 + self.delivery_effect),
        )


@dataclass(frozen=True)
class PreparedProgramme(PreparedRule):
    """The rule, ready for blocks of draws."""

    known: programme.Programme
    inside_at_first: NDArray[np.bool_]  # (T,) at the start of the first year
    failed_at_first: NDArray[np.bool_]  # (T,) governance fails in the first year
    failure: float  # probability a year that governance fails
    trusts_cost: np.float32  # GBP m a year
    delivery_factor: np.float32

    def before_plan(self, block: Block) -> None:
        """Charge trusts that pay for themselves; in the first year, set who is inside."""
        status, charged = block.state["programme_status"], block.state["programme_charged"]
        if block.year == 0:
            status[self.inside_at_first] = programme.INSIDE
            charged[self.inside_at_first] = True
        elif self.trusts_cost > 0.0:
            programme.charge_block(self.trusts_cost, status, charged, block.opening)

    def before_year(self, block: Block) -> None:
        """Raise the delivery of trusts past the diagnostic."""
        programme.delivery_block(self.delivery_factor, block.state["programme_status"], block.delivery)

    def after_year(self, block: Block) -> None:
        """Progress, then entry."""
        state = block.state
        inside = programme.Inside(state["programme_status"], state["programme_years"], state["programme_conditions"])
        certain = self.failed_at_first & (block.year == 0)
        now = programme.Moment(block.year, block.first_draw, np.where(certain, 1.0, self.failure))
        programme.programme_block(self.known, now, state["segment"], state["average_score"], inside, block.central)
