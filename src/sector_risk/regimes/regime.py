"""A regime: a named, ordered list of rules, checked as a whole, in and out of TOML and JSON."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from sector_risk.faults import Fault, InputError, as_sentence, nearest, raise_if_any
from sector_risk.regimes.administration import AdministrativeSavings
from sector_risk.regimes.deficit_support import DeficitSupport
from sector_risk.regimes.loans import DistressLoans
from sector_risk.regimes.oversight import OversightFramework
from sector_risk.regimes.payment import PaymentReform
from sector_risk.regimes.programme import ImprovementProgramme
from sector_risk.regimes.recovery import FinancialRecoveryFund
from sector_risk.regimes.review import QuarterOneReview
from sector_risk.regimes.rule import Rule
from sector_risk.regimes.sustainability import SustainabilityFunding
from sector_risk.regimes.turnaround import AcceleratedTurnaround
from sector_risk.schema import FORECAST, PROJECTION
from sector_risk.settings import (
    ByYear,
    Evidence,
    LogRow,
    from_section,
    read_toml,
    to_plain,
    toml_inline,
    unknown_key,
    with_evidence,
)

RuleType = TypeVar("RuleType", bound=type[Rule])

BUNDLED: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        SustainabilityFunding,
        FinancialRecoveryFund,
        AcceleratedTurnaround,
        DistressLoans,
        DeficitSupport,
        OversightFramework,
        ImprovementProgramme,
        QuarterOneReview,
        AdministrativeSavings,
        PaymentReform,
    )
}
"""Rules of the library by name."""

_REGISTERED: dict[str, type[Rule]] = {}
_KEYS = ("name", "rules")
REPORTED_DIMS = (("trust", "draw"), ("draw",))


def register(rule: RuleType) -> RuleType:
    """Make a rule of one's own known under its `name`, so that regimes with it can be read from TOML and JSON.

    Registering the same name again replaces it.

    Raises
    ------
    InputError
        If it is not a `Rule` with a name, or the name is one of the library's rules.

    Examples
    --------
    >>> from sector_risk.settings import assumption
    >>> @register
    ... @dataclass(frozen=True)
    ... class Levy(Rule):
    ...     name = "levy"
    ...     rate: float = assumption(0.01, unit="fraction", meaning="levy", source="example", confidence="G")
    >>> mine = Regime("mine", (Levy(rate=0.02),))
    >>> Regime.from_toml(mine.to_toml()) == mine
    True
    """
    given: Any = rule
    if not (isinstance(given, type) and issubclass(given, Rule) and getattr(given, "name", None)):
        remedy = "Derive a class from Rule and give it a name."
        raise InputError([Fault("regime", "not a rule that can be registered", str(rule), remedy)])
    if rule.name in BUNDLED:
        raise InputError(
            [Fault("regime", "the name is taken by a rule of the library", rule.name, "Choose another name.")]
        )
    _REGISTERED[rule.name] = rule
    return rule


@dataclass(frozen=True)
class Regime:
    """An ordered list of rules under a name.

    Parameters
    ----------
    name : str
    rules : tuple of Rule
        In the order in which they act.

    Raises
    ------
    InputError
        With all of: what is not a rule, a rule that occurs twice, two rules that both end control totals, a rule
        that needs another before it, variables of rules that share a name or that results cannot hold, a class of
        settings that is not a dataclass.

    Examples
    --------
    >>> softer = REGIMES["2018-19"].replace("sustainability_funding", finance_share=0.5)
    >>> softer.rule("sustainability_funding").finance_share
    0.5
    >>> Regime.from_toml(softer.to_toml()) == softer
    True
    """

    name: str
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        """Check the list as a whole; all faults in one `InputError`."""
        rules: Any = self.rules
        if isinstance(rules, list):
            object.__setattr__(self, "rules", tuple(rules))
        raise_if_any(_list_faults(self.name, self.rules))

    def rule(self, name: str) -> Rule:
        """Return the rule of that name; an `InputError` names the nearest where there is none."""
        rules = {rule.name: rule for rule in self.rules}
        if name not in rules:
            raise InputError([_unknown("the regime has no such rule", name, rules)])
        return rules[name]

    def replace(self, rule_name: str, **settings: Any) -> Self:
        """Return the regime with some settings of one rule changed."""
        old = self.rule(rule_name)
        known = (*old.assumptions(), "evidence")
        raise_if_any(unknown_key(rule_name, key, known, "regime") for key in settings if key not in known)
        new = old.replace(**settings)
        return type(self)(self.name, tuple(new if rule is old else rule for rule in self.rules))

    def without(self, rule_name: str) -> Self:
        """Return the regime without one of its rules."""
        left_out = self.rule(rule_name)
        return type(self)(self.name, tuple(rule for rule in self.rules if rule is not left_out))

    def with_rule(self, rule: Rule) -> Self:
        """Return the regime with a rule in the place of the one of the same name, or at the end.

        >>> REGIMES["2025-26"].with_rule(ImprovementProgramme.predecessor()).rule("improvement_programme").places
        25
        """
        others = [old.name for old in self.rules]
        if rule.name not in others:
            return type(self)(self.name, (*self.rules, rule))
        return type(self)(self.name, tuple(rule if old.name == rule.name else old for old in self.rules))

    def scaled(self, share: float) -> Self:
        """Return the regime for a part of the sector: pots, places and amounts that are national, times a share.

        >>> part = REGIMES["2019-20"].scaled(0.2)
        >>> part.rule("accelerated_turnaround").trusts, part.rule("financial_recovery_fund").pots.at("2019-20")
        (6, 210.0)
        """
        if not 0.0 < share <= 1.0:
            rule, remedy = (
                "a share of the sector is above 0 and at most 1",
                "Give the part of its turnover, such as 0.2.",
            )
            raise InputError([Fault("regime", rule, str(share), remedy, variable="share")])
        return type(self)(f"{self.name}, {share:.0%} of the sector", tuple(rule.scaled(share) for rule in self.rules))

    def log(self) -> tuple[LogRow, ...]:
        """Return name, value, unit, source, confidence (V, D, G, W, U) and meaning of every setting of every rule."""
        return tuple(row for rule in self.rules for row in rule.log(rule.name))

    def to_json(self) -> str:
        """Return the rules with the evidence for their settings as JSON; `from_json` reads it back."""
        return json.dumps({"name": self.name, "rules": [_section(rule) for rule in self.rules]}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; faults are reported as by `from_toml`."""
        try:
            return cls._from_mapping(json.loads(text))
        except json.JSONDecodeError as error:
            raise InputError([Fault("regime", "not JSON", str(error), "Give what to_json wrote.")]) from None

    def to_toml(self) -> str:
        """Return the rules with source and confidence of each setting as TOML; `from_toml` reads it back.

        Each rule is a table ``[[rules]]`` with its name as ``rule``. Settings that are not given (None) are left out.
        """
        lines = [f"name = {toml_inline(self.name)}", ""]
        for rule in self.rules:
            lines += ["[[rules]]", *(f"{key} = {toml_inline(value)}" for key, value in _section(rule).items()), ""]
        return "\n".join(lines)

    @classmethod
    def from_toml(cls, source: str | Path) -> Self:
        """Read a regime from a TOML file or text; settings that are absent keep their defaults.

        Parameters
        ----------
        source : path of a file, or TOML text (recognised by its line breaks or equals signs)

        Raises
        ------
        InputError
            With every unknown rule or setting (and the nearest known one), every value out of range, and what is
            wrong with the list as a whole.
        """
        return cls._from_mapping(read_toml(source, "regime"))

    @classmethod
    def _from_mapping(cls, mapping: Any) -> Self:
        if not isinstance(mapping, Mapping) or not isinstance(mapping.get("rules", []), list):
            remedy = 'Write name = "..." and a table [[rules]] for each rule.'
            raise InputError([Fault("regime", "must have a list of rules", str(mapping), remedy)])
        name, entries = mapping.get("name", ""), mapping.get("rules", [])
        faults = [unknown_key("", key, _KEYS, "regime") for key in mapping if key not in _KEYS]
        rules: list[Rule] = []
        for entry in entries:
            try:
                rules.append(_rule(entry))
            except InputError as error:
                faults.extend(error.faults)
                rules.extend(_usual(entry))  # so that the list can still be checked as a whole
        if faults:  # a rule that is not known may be the one that another needs: then the list cannot be judged
            faults += [*_name_faults(name), *(_order_faults(rules) if len(rules) == len(entries) else ())]
        raise_if_any(faults)
        return cls(name, tuple(rules))


def _list_faults(name: Any, rules: Any) -> Iterator[Fault]:
    """Yield what is wrong with a regime's name and with its rules as a list."""
    yield from _name_faults(name)
    if not isinstance(rules, tuple):
        remedy = "Give a tuple of rules, such as (SustainabilityFunding(),)."
        yield Fault("regime", "not a list of rules", str(rules), remedy, variable="rules")
        return
    for rule in (rule for rule in rules if not _is_rule(rule)):
        remedy = "Give settings of a named rule, such as SustainabilityFunding()."
        yield Fault("regime", "not a rule", str(rule), remedy, variable="rules")
    known = [rule for rule in rules if _is_rule(rule)]
    yield from _order_faults(known)
    yield from _variable_faults({rule.name: rule for rule in known}.values())
    yield from (fault for rule in known for fault in _unmade_faults(rule))


def _name_faults(name: Any) -> Iterator[Fault]:
    if not isinstance(name, str) or not name:
        yield Fault("regime", "a regime needs a name", str(name), 'Give one, such as "2018-19".', variable="name")


def _is_rule(rule: Any) -> bool:
    return isinstance(rule, Rule) and bool(getattr(rule, "name", ""))


def _order_faults(rules: Sequence[Rule]) -> Iterator[Fault]:
    names = [rule.name for rule in rules]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Fault("regime", "a rule occurs twice", name, "Name each rule once.", variable="rules")
    enders = [rule.name for rule in rules if rule.ends_control_totals_from]
    if len(set(enders)) > 1:
        remedy = "Let one of them say from when trusts may leave; set the other's year to nothing."
        yield Fault("regime", "two rules end control totals", ", ".join(enders), remedy, variable="rules")
    for place, rule in enumerate(rules):
        for need in (need for need in rule.needs if need not in names[:place]):
            yield Fault("regime", "needs another rule before it", rule.name, f"Put {need} before it.", variable="rules")


def _variable_faults(rules: Collection[Rule]) -> Iterator[Fault]:
    """Yield what is wrong with the variables that rules report or remember: all share one set of names."""
    reported = [variable for rule in rules for variable in rule.variables]
    names = [variable.name for variable in reported] + [name for rule in rules for name in rule.private]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Fault("regime", "two variables of rules have one name", name, "Rename one of them.", variable="rules")
    for name in dict.fromkeys(name for name in names if name in FORECAST or name in PROJECTION):
        yield Fault("regime", "the name is taken by a variable of results", name, "Rename it.", variable="rules")
    for variable in (v for v in reported if v.dims not in REPORTED_DIMS or v.kind == "text"):
        remedy = 'Report numbers, flags or codes on ("trust", "draw") or ("draw",).'
        yield Fault("regime", "a rule cannot report this variable", variable.name, remedy, variable="rules")


def _unmade_faults(rule: Rule) -> Iterator[Fault]:
    """Yield a fault for each setting that is still a declaration, because its class is not a dataclass."""
    for name in (name for name, value in vars(type(rule)).items() if isinstance(value, Field)):
        remedy = f"Put @dataclass(frozen=True) above {type(rule).__name__}."
        yield Fault("regime", "a setting without a value", f"{rule.name}.{name}", remedy, variable="rules")


def _rule(entry: Any) -> Rule:
    """Build one rule from its table, plain values and values with evidence alike."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("rule"), str):
        remedy = 'Write [[rules]] with rule = "sustainability_funding" and its settings.'
        raise InputError([Fault("regime", "must be a table that names its rule", str(entry), remedy, variable="rules")])
    known, name = BUNDLED | _REGISTERED, entry["rule"]
    if name not in known:
        raise InputError([_unknown("unknown rule", name, known)])
    fields = known[name].assumptions()
    settings = {key: _given(plain, fields.get(key)) for key, plain in entry.items() if key != "rule"}
    made: Rule = from_section(known[name], settings, name)
    return made


def _usual(entry: Any) -> Iterator[Rule]:
    """Yield the rule that a faulty table names, with its defaults, if it names one."""
    known = BUNDLED | _REGISTERED
    name = entry.get("rule") if isinstance(entry, Mapping) else None
    if isinstance(name, str) and name in known:
        yield known[name]()


def _given(plain: Any, field: Field[Any] | None) -> Any:
    """Fill in the usual value where a table holds only the evidence for it."""
    only_evidence = isinstance(plain, Mapping) and plain and set(plain) <= {"source", "confidence"}
    return {"value": to_plain(field.default)} | dict(plain) if field is not None and only_evidence else plain


def _section(rule: Rule) -> dict[str, Any]:
    """Return name and settings of a rule with their evidence."""
    return {"rule": rule.name} | with_evidence(rule)


def _unknown(problem: str, name: str, known: Iterable[str]) -> Fault:
    remedy = as_sentence(nearest(name, known) or f"use one of {', '.join(known)}.")
    return Fault("regime", problem, name, remedy, variable="rules")


def horizon_faults(regime: Regime, years: Sequence[str]) -> list[Fault]:
    """Return a fault for each rule that does nothing in any of the years of a run.

    Parameters
    ----------
    regime : Regime
    years : labels of the run's years, in order

    Examples
    --------
    >>> reform = Regime("reform", (PaymentReform(first_year="2030-31"),))
    >>> print(*horizon_faults(reform, ("2018-19", "2019-20")))
    payment_reform: acts in none of the years ('2018-19 to 2019-20'). Take it out or run other years.
    """
    run = " to ".join(dict.fromkeys((years[0], years[-1])))
    idle = [rule.name for rule in regime.rules if not any(rule.acts_in(label) for label in years)]
    remedy = "Take it out or run other years."
    return [Fault("regime", "acts in none of the years", run, remedy, variable=name) for name in idle]


_OF_2019 = (
    SustainabilityFunding(
        schedule=ByYear({"2018-19": 1.0, "2019-20": 0.51, "2020-21": 0.0}),
        into_prices=ByYear({"2019-20": 1000.0}),
        evidence=(
            ("schedule", Evidence("1,250 of 2,450 in 2019-20: HFMA 11 January 2019; then none: HSJ 7026828", "D")),
            ("into_prices", Evidence("HFMA 11 January 2019", "V")),
        ),
    ),
    FinancialRecoveryFund(),
    AdministrativeSavings(),
    PaymentReform(),
    AcceleratedTurnaround(),
    DistressLoans(),
)
_OF_2025 = (DeficitSupport(), OversightFramework(), ImprovementProgramme())

REGIMES = {
    regime.name: regime
    for regime in (
        Regime("none"),
        Regime("2018-19", (SustainabilityFunding(),)),
        Regime("2019-20", _OF_2019),
        Regime("2025-26", _OF_2025),
    )
}
"""Bundled regimes by name."""


def regime_for(choice: Regime | str | Path | None, allocations: float, year: str = "2018-19") -> Regime:
    """Return the regime asked for: a regime, the name of a bundled one, or the path of a file that ends in .toml.

    None picks by the panel: with support allocations (GBP million in all) the latest bundled regime that is not
    after its year, or the first one; without allocations none.

    Examples
    --------
    >>> regime_for("none", 100.0).name, regime_for(None, 100.0).name, regime_for(None, 100.0, "2020-21").name
    ('none', '2018-19', '2019-20')
    """
    if isinstance(choice, Regime):
        return choice
    name = str(choice or (_regime_of(year) if allocations > 0.0 else "none"))
    if name.endswith(".toml"):
        return Regime.from_toml(Path(name))
    if name not in REGIMES:
        remedy = f"Use one of {', '.join(REGIMES)}, or a file whose name ends in .toml."
        raise InputError([Fault("regime", "unknown regime", name, remedy)])
    return REGIMES[name]


def _regime_of(year: str) -> str:
    """Name of the bundled regime in force in a year."""
    dated = [name for name in REGIMES if name != "none"]
    return max((name for name in dated if name <= year), default=dated[0])
