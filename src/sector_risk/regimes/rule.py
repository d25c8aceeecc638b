"""What a rule is: frozen settings that prepare themselves for a panel and then act on blocks of draws, year by year."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault
from sector_risk.kernels.random import label_hashes, stream_key
from sector_risk.schema import VariableSpec
from sector_risk.settings import ByYear, Evidence, Settings

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Panel = Mapping[str, F64]
"""The panel's numbers by name, each of shape (trust,)."""


@dataclass(frozen=True)
class Context:
    """What a rule may know before any draw (T trusts, Y years)."""

    codes: list[str]
    panel: Panel
    seed: int
    years: tuple[str, ...]  # labels, the panel's own year first
    turnover: F64  # (Y, T) GBP m
    system: NDArray[np.int64]  # (T,) row of the trust's system; one of its own where none is stated
    region: NDArray[np.int64]  # (T,) row of the trust's region

    @property
    def hashes(self) -> NDArray[np.uint32]:
        """Hashes of the trusts' codes, (T, 2), for random numbers by address."""
        return label_hashes(self.codes)

    def key(self, stream: str) -> NDArray[np.uint32]:
        """Key of a random stream under the run's seed."""
        return stream_key(self.seed, stream)

    def number(self, name: str, default: float) -> F64:
        """Return a variable of the panel, (T,), with `default` where the panel says nothing."""
        values = self.panel.get(name, np.full(len(self.codes), np.nan))
        return np.where(np.isnan(values), default, values)


@dataclass
class Block:
    """One year of a block of draws as rules see it (T trusts, B draws); arrays are changed in place.

    Money is GBP m, surplus positive. In the first year plans are the panel's, and `opening` is not used.
    """

    first_draw: int
    year: int  # 0 is the panel's own
    label: str
    turnover: F64  # (T,) of the year
    opening: F32  # (T, B) position before this year's savings and support
    planned_support: F32  # (T, B) support that plans count on
    plan: F32  # (T, B) planned position before support
    efficiency_plan: F32  # (T, B)
    delivery: F32  # (T, B) multiplier on recurrent delivery, one before the first rule
    volatility: F32  # (T,) multiplier on run-rate shocks, one before the first rule
    control_total: F32  # (T, B) 1 while the trust is under control totals, else 0; kept from year to year
    quarter_variance: F32  # (4, T, B) variance before support, year to date at months 3, 6, 9, 12
    position_before_support: F32  # (T, B)
    position: F32  # (T, B) with all that rules have paid so far
    central: F64  # (B,) what rules save the centre this year, costs negative
    paid: Mapping[str, F32] = field(default_factory=dict)
    """(T, B) by name of each rule that pays: nought before the year, and the rule writes what it pays."""
    state: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    """Each rule's own variables, (T, B) or (B,): nought before the first year, kept from year to year."""


class PreparedRule:
    """A rule that knows its panel; it acts at up to three moments of a year.

    Threads share it, and blocks come in any order: what a rule remembers belongs in `block.state`, on itself it
    changes nothing. A fund writes what it pays into `block.paid`; positions follow from that.
    """

    def before_plan(self, block: Block) -> None:
        """Change what the year opens with, and say what support plans may count on."""

    def before_year(self, block: Block) -> None:
        """Change what was planned, or how well savings are delivered."""

    def after_year(self, block: Block) -> None:
        """Pay, and bring debts and status up to date."""


@dataclass(frozen=True)
class Rule(Settings):
    """Frozen settings of one rule of a regime; each derives from this, with fields made by `assumption`.

    Examples
    --------
    >>> from sector_risk.settings import assumption
    >>> @dataclass(frozen=True)
    ... class Levy(Rule):
    ...     name = "levy"
    ...     rate: float = assumption(0.01, unit="fraction", meaning="levy", source="example", confidence="G")
    >>> Levy(rate=0.02).evidence_of("rate").confidence, Levy().acts_in("2018-19")
    ('U', True)
    """

    place: ClassVar[str] = "regime"
    name: ClassVar[str]
    """Name in regimes, provenance and messages."""
    pays: ClassVar[bool] = False
    """Whether it is a fund: then `block.paid[name]` is there for it to write."""
    variables: ClassVar[tuple[VariableSpec, ...]] = ()
    """What it reports for every year, on ("trust", "draw") or ("draw",); `block.state` holds them."""
    private: ClassVar[Mapping[str, str]] = {}
    """What else it remembers in `block.state` for each trust and draw: dtype by name."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Names of rules that must come before it."""

    national: ClassVar[tuple[str, ...]] = ()
    """Settings that are amounts, pots or places for the whole sector."""

    @classmethod
    def section(cls) -> str:
        """Name of the rule in files and messages."""
        return cls.name

    @property
    def ends_control_totals_from(self) -> str:
        """The first year in which trusts may leave control totals; empty if the rule says nothing of it."""
        return ""

    def scaled(self, share: float) -> Self:
        """Return the rule for a part of the sector: national settings times a share, whole numbers rounded."""
        given = {name: getattr(self, name) for name in self.national}
        changed = {name: _times(value, share) for name, value in given.items() if value is not None}
        evidence = tuple((name, _share_of(self.evidence_of(name), share)) for name in changed)
        return self.replace(**changed, evidence=evidence)

    def on_offer(self, context: Context) -> F64:
        """Support of the first year that the sector's plan counts on, whoever agrees to it, (T,) GBP m."""
        return np.zeros(len(context.codes))

    def counted_on(self, context: Context) -> F64:
        """Part of what is on offer that each trust's own plan counts on, (T,) GBP m."""
        return self.on_offer(context)

    def planned_path(self) -> F64:
        """Cumulative share, by month, of what is on offer that the sector's plan expects."""
        return np.zeros(12)

    def acts_in(self, label: str) -> bool:
        """Whether the rule does anything in a year."""
        return True

    def prepare(self, context: Context) -> PreparedRule:
        """Bind the settings to a panel, a seed and the years of a run."""
        raise NotImplementedError(f"{type(self).__name__} needs a method prepare that returns a PreparedRule")


def _times(value: Any, share: float) -> Any:
    if isinstance(value, ByYear):
        return ByYear({year: share * amount for year, amount in value.items()})
    return max(round(share * value), 1) if isinstance(value, int) and value else share * value


def _share_of(evidence: Evidence, share: float) -> Evidence:
    return Evidence(f"{share:.1%} of the national figure ({evidence.source})", evidence.confidence)


def shares_fault(rule: Rule, name: str) -> Iterator[Fault]:
    """Yield a fault if the values of a setting do not add up to one."""
    shares = getattr(rule, name)
    if abs(sum(shares) - 1.0) > 1e-9:
        where, remedy = f"{rule.name}.{name}", "Give shares of a whole."
        yield Fault(rule.place, "must add up to one", str(shares), remedy, variable=where)
