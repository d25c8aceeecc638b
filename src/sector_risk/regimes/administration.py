"""Administrative savings of the long-term plan: 700 a year after five years, of commissioners and providers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.kernels.random import YEAR, group_label, label_hashes, normals_block
from sector_risk.regimes.payment import first_year_fault, phi_step
from sector_risk.regimes.rule import Block, Context, PreparedRule, Rule
from sector_risk.schema import AMOUNT_SIGN, MONEY, VariableSpec
from sector_risk.settings import assumption

F32 = np.float32
CENTRAL = "administrative_savings_central"


@dataclass(frozen=True)
class AdministrativeSavings(Rule):
    """Savings that rise by equal steps over `years` years, of which the sector delivers a share drawn for each year.

    In each of these years, with ``delta = max(delivery + delivery_sd * F, 0)`` and F a Normal of the sector for the
    year, the opening of a trust rises by ``providers / years * delta * T_i / sum(T)``, GBP million, and what
    commissioners have reached by ``commissioners / years * delta``. The centre keeps what commissioners have reached
    in every later year. Savings of years before the panel's own are taken to be in the panel, and the panel's own
    plan to hold that year's step of its trusts.

    Examples
    --------
    >>> AdministrativeSavings(delivery=1.0).replace(years=4).evidence_of("providers").confidence
    'V'
    """

    name: ClassVar[str] = "administrative_savings"
    national: ClassVar[tuple[str, ...]] = ("providers", "commissioners")
    variables: ClassVar[tuple[VariableSpec, ...]] = (
        VariableSpec(
            CENTRAL,
            ("draw",),
            MONEY,
            "administrative savings of commissioners reached by the year",
            sign=AMOUNT_SIGN,
        ),
    )

    first_year: str = assumption(
        "2019-20",
        unit="financial year",
        meaning="first year with savings",
        source="NHS long-term plan (January 2019); HSJ 7024125",
        confidence="V",
    )
    years: int = assumption(
        5,
        unit="years",
        meaning="years over which savings rise to their full level by equal steps",
        source="NHS long-term plan (January 2019); HSJ 7024125",
        confidence="V",
        low=1,
    )
    providers: float = assumption(
        410.0,
        unit="GBP m a year",
        meaning="planned savings of providers in the last of these years",
        source="NHS long-term plan (January 2019); HSJ 7024125",
        confidence="V",
        low=0.0,
    )
    commissioners: float = assumption(
        290.0,
        unit="GBP m a year",
        meaning="planned savings of commissioners in the last of these years",
        source="NHS long-term plan (January 2019); HSJ 7024125",
        confidence="V",
        low=0.0,
    )
    delivery: float = assumption(
        0.7,
        unit="fraction",
        meaning="mean share of a year's planned step that is delivered",
        source="judgement: as recurrent efficiency plans",
        confidence="G",
        low=0.0,
    )
    delivery_sd: float = assumption(
        0.15,
        unit="fraction",
        meaning="standard deviation of that share from year to year, before it is kept from falling below nought",
        source="judgement",
        confidence="G",
        low=0.0,
    )

    def _relation_faults(self) -> Iterator[Fault]:
        yield from first_year_fault(self, self.first_year)

    def acts_in(self, label: str) -> bool:
        """Whether savings have begun: the centre keeps them from then on."""
        return label >= self.first_year

    def prepare(self, context: Context) -> "PreparedSavings":
        """Bind the settings to the seed."""
        return PreparedSavings(self, context.key("administrative_savings"), label_hashes([group_label("sector")]))


@dataclass(frozen=True)
class PreparedSavings(PreparedRule):
    """The rule, ready for blocks of draws."""

    rule: AdministrativeSavings
    key: NDArray[np.uint32]  # (2,) stream of delivery
    sector: NDArray[np.uint32]  # (1, 2) hash of the sector's label

    def before_plan(self, block: Block) -> None:
        """Deliver this year's step."""
        rise = phi_step(block.label, self.rule.first_year, self.rule.years)
        if rise > 0.0:
            delivered = rise * self.delivered(block)
            share = (block.turnover / block.turnover.sum()).astype(F32)
            block.opening += share[:, None] * (self.rule.providers * delivered).astype(F32)
            reached: Any = block.state[CENTRAL]
            reached += (self.rule.commissioners * delivered).astype(F32)

    def after_year(self, block: Block) -> None:
        """Give the centre what commissioners have reached."""
        block.central += block.state[CENTRAL].astype(np.float64)

    def delivered(self, block: Block) -> NDArray[np.float64]:
        """Share of the year's step that is delivered, shape (draw,)."""
        normals = np.empty((1, 4, block.central.size), F32)
        normals_block(self.key, self.sector, block.year * YEAR, block.first_draw, normals)
        shares = self.rule.delivery + self.rule.delivery_sd * normals[0, 0].astype(np.float64)
        return np.maximum(shares, 0.0)
