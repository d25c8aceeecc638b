"""Accelerated turnaround of the trusts with the worst deficits, from 2019-20."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sector_risk.kernels import turnaround
from sector_risk.regimes.rule import Block, Context, PreparedRule, Rule
from sector_risk.schema import BALANCE_SIGN, FRACTION, MONEY, VariableSpec
from sector_risk.settings import assumption

F32 = np.float32


@dataclass(frozen=True)
class AcceleratedTurnaround(Rule):
    """The worst trusts of one year get help in the next: it costs them money and they deliver more of their savings.

    At each year end, in every draw, the ``trusts`` with the worst positions after support are chosen among those
    in deficit by GBP 5,000 or more; of equals the one earlier in the panel. In the next year ``cost`` (GBP m) is
    taken from their opening position, and given back in the opening of the year after. Recurrent delivery is
    multiplied by ``1 + delivery_effect * tau`` with ``tau = 1 - months_to_work / 12`` in a first year of
    turnaround and one in a year that follows another. Thirty trusts made up the whole net deficit (HSJ 7024125);
    effect, cost and time to work are judgement.

    Examples
    --------
    >>> rule = AcceleratedTurnaround(first_year="2019-20")
    >>> [rule.acts_in(year) for year in ("2017-18", "2018-19", "2024-25")]
    [False, True, True]
    """

    name: ClassVar[str] = "accelerated_turnaround"
    national: ClassVar[tuple[str, ...]] = ("trusts",)
    variables: ClassVar[tuple[VariableSpec, ...]] = (
        VariableSpec(
            "turnaround_chosen",
            ("trust", "draw"),
            FRACTION,
            "chosen at the year end for accelerated turnaround in the next year",
            kind="flag",
        ),
        VariableSpec(
            "turnaround_position",
            ("draw",),
            MONEY,
            "sum of the year-end positions of the trusts chosen",
            sign=BALANCE_SIGN,
        ),
    )
    private: ClassVar[dict[str, str]] = {"turnaround_before": "bool"}

    trusts: int = assumption(
        30,
        unit="trusts",
        meaning="trusts chosen at a year end",
        source="HSJ 7024125: the thirty worst",
        confidence="V",
        low=0,
    )
    first_year: str = assumption(
        "2019-20",
        unit="financial year",
        meaning="first year with trusts in turnaround, chosen at the end of the year before; empty: any year",
        source="HSJ 7024125",
        confidence="D",
    )
    delivery_effect: float = assumption(
        0.08,
        unit="fraction",
        meaning="rise of recurrent delivery in a full year of turnaround",
        source="judgement",
        confidence="G",
        low=-1.0,
    )
    cost: float = assumption(
        2.0,
        unit="GBP m a year",
        meaning="cost to a trust of a year in turnaround",
        source="judgement",
        confidence="G",
        low=0.0,
    )
    months_to_work: float = assumption(
        6.0,
        unit="months",
        meaning="months of a first year that pass before it works",
        source="judgement",
        confidence="G",
        low=0.0,
        high=12.0,
    )

    def acts_in(self, label: str) -> bool:
        """Whether trusts are in turnaround or chosen for it: from the year before the first one on."""
        return not self.first_year or int(label[:4]) >= int(self.first_year[:4]) - 1

    def prepare(self, context: Context) -> "PreparedTurnaround":
        """Settings as the kernels need them."""
        part = 1.0 - self.months_to_work / 12.0
        return PreparedTurnaround(
            places=min(self.trusts, len(context.codes)),
            cost=F32(self.cost),
            delivery_if_new=F32(1.0 + self.delivery_effect * part),
            delivery_if_settled=F32(1.0 + self.delivery_effect),
        )


@dataclass(frozen=True)
class PreparedTurnaround(PreparedRule):
    """The rule, ready for blocks of draws.

    Until the year ends, ``turnaround_chosen`` says who is in turnaround this year and ``turnaround_before`` who
    was last year.
    """

    places: int
    cost: np.float32  # GBP m a year
    delivery_if_new: np.float32
    delivery_if_settled: np.float32

    def before_plan(self, block: Block) -> None:
        """Take the cost of this year from the opening position and give back that of last year."""
        now, before = block.state["turnaround_chosen"], block.state["turnaround_before"]
        turnaround.charge_block(now, before, self.cost, block.opening)

    def before_year(self, block: Block) -> None:
        """Let trusts in turnaround deliver more."""
        now, before = block.state["turnaround_chosen"], block.state["turnaround_before"]
        turnaround.deliver_block(now, before, self.delivery_if_new, self.delivery_if_settled, block.delivery)

    def after_year(self, block: Block) -> None:
        """Choose the trusts of the next year."""
        now, before = block.state["turnaround_chosen"], block.state["turnaround_before"]
        total = np.empty(block.position.shape[1])
        turnaround.choose_block(block.position, self.places, now, before, total)
        block.state["turnaround_position"][:] = total
