"""A bridge from one scenario to another: what each of several changes does, first, last, and together."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.faults import Fault, InputError, InputWarning, raise_if_any
from sector_risk.pairs import lined_up, said_of_both, trust_faults
from sector_risk.progress import Progress
from sector_risk.scenarios import Scenario
from sector_risk.schema import BALANCE_SIGN, MONEY, VariableSpec, described, with_error
from sector_risk.summary import mean_error
from sector_risk.units import GROUPED, Units, unit_positions, units_of

__all__ = ["INTERACTION", "bridge"]

F64 = NDArray[np.float64]
Change = Callable[[Scenario], Scenario]
Subset = frozenset[str]
PLACE, INTERACTION = "bridge", "interaction"
BETTER = "better at the end positive, worse negative"
_UNIT, _STEP = ("unit",), ("step", "unit")


SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            *with_error("effect", _STEP, MONEY, "expected effect of the change alone, made at the start", BETTER),
            *with_error(
                "effect_last", _STEP, MONEY, "expected effect of the change made last, after all others", BETTER
            ),
            *with_error("total", _UNIT, MONEY, "expected effect of all changes together", BETTER),
            *with_error("start_mean", _UNIT, MONEY, "expected year-end position at the start", BALANCE_SIGN),
            *with_error("end_mean", _UNIT, MONEY, "expected year-end position with all changes", BALANCE_SIGN),
            VariableSpec("step", ("step",), "", "the change, or what changes do to each other", kind="text"),
            VariableSpec("unit", _UNIT, "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
            VariableSpec("level", _UNIT, "", "what the unit is", kind="text"),
        )
    }
)
"""What `bridge` returns."""


def bridge(
    start: Scenario,
    changes: Mapping[str, Change],
    *,
    n_draws: int = 10_000,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> xr.Dataset:
    """Lead from a scenario to the one with all changes, change by change, with what they do to each other apart.

    With A(S) the year-end position in a draw when the changes of a set S are made, in the order given, and C all of
    them:

        total          A(C) - A()
        effect         A({i}) - A(), of each change i alone
        effect_last    A(C) - A(C without i), of each change where all others are made already
        interaction    total less the sum of the changes, in either reading

    The order of the changes matters only where one overwrites what another has set. The two readings of a change say
    how much it depends on the others. Interactions of pairs are not told apart. All forecasts have the same draws, and
    errors are those of paired differences, sd / sqrt(n).

    Parameters
    ----------
    start : Scenario
    changes : mapping of name to function (Scenario) -> Scenario
        Such as ``{"no fund": lambda s: s.replace(regime="none")}``. Trusts must stay the same.
    n_draws, seed, threads, progress
        As for `simulate`, of each forecast in turn. For k changes there are 2 k + 2 forecasts (4 for two changes, 2 for
        one), one in memory at a time; beside it up to eight arrays of units by draws, in double precision.

    Returns
    -------
    Dataset
        GBP million, better is positive. On (step, unit), steps being the changes and "interaction": `effect` and
        `effect_last`, each adding up to the total; on `unit` with coordinate `level`, as `summarise` has them: `total`,
        `start_mean`, `end_mean`; and the errors of all, `..._se`. With a single change the interaction is exactly
        nought. Attributes are those of the start's forecast, and as `end_...` those in which the end's differs.

    Raises
    ------
    InputError
        With every fault of the changes: none at all, a name that is empty or "interaction", what is no function or
        does not return a scenario; if a change makes other trusts; and as `simulate`.

    Warns
    -----
    InputWarning
        Of changes that move no draw of any unit, neither alone nor last. And as `simulate`, each run.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.scenarios import Scenario
    >>> def no_fund(scenario):
    ...     return scenario.replace(regime="none")
    >>> def better_plans(scenario):
    ...     return scenario.replace(panel=scenario.panel.assign(plan=scenario.panel["plan"] + 1.0))
    >>> start = Scenario(sr.load_case("england-2018-19"))
    >>> steps = bridge(start, {"no fund": no_fund, "better plans": better_plans}, n_draws=200)
    >>> sector = steps.sel(unit="Provider sector")
    >>> steps["step"].values.tolist()
    ['no fund', 'better plans', 'interaction']
    >>> bool(sector["effect"].sel(step="no fund") < 0 < sector["effect"].sel(step="better plans"))
    True
    >>> bool(abs(sector["effect"].sum("step") - sector["total"]) < 1e-9)
    True
    """
    scenarios = scenarios_of(start, changes)
    how = {"n_draws": n_draws, "seed": seed, "threads": threads, "progress": progress}
    every = frozenset(changes)
    at_start, first = _run(scenarios, frozenset(), how)
    at_end, last = _run(scenarios, every, how, first)
    known = {frozenset[str](): at_start, every: at_end}
    readings = {"effect": Reading(), "effect_last": Reading()}
    for made in scenarios:
        position = known[made] if made in known else _run(scenarios, made, how, first)[0]
        if len(made) == 1:
            readings["effect"].add(min(made), position - at_start)
        if len(made) == len(changes) - 1:
            readings["effect_last"].add(min(every - made), at_end - position)
    warn_of_idle(changes, readings.values())
    return _labelled(readings, at_start, at_end, list(changes), units_of(first)).assign_attrs(said_of_both(first, last))


class Reading:
    """Expected effects of changes in one reading with their errors, and the sum of all effects draw by draw."""

    def __init__(self) -> None:
        self.means: dict[str, F64] = {}
        self.errors: dict[str, F64] = {}
        self.moving: set[str] = set()
        self.sum: F64 | float = 0.0

    def add(self, name: str, effect: F64) -> None:
        """Take in the effect of a change, (unit, draw)."""
        self.means[name], self.errors[name] = effect.mean(axis=1), mean_error(effect)
        self.moving |= {name} if effect.any() else set()
        self.sum = self.sum + effect

    def steps(self, names: list[str], total: F64) -> tuple[F64, F64]:
        """Means and errors of the changes and, last, of the interaction, each (step, unit)."""
        rest = total - self.sum
        means = [*(self.means[name] for name in names), rest.mean(axis=1)]
        return np.array(means), np.array([*(self.errors[name] for name in names), mean_error(rest)])


def scenarios_of(start: Scenario, changes: Mapping[str, Change]) -> dict[Subset, Scenario]:
    """Return the scenarios to be run, by the changes made: none, all, each alone, and all but each.

    Raises
    ------
    InputError
        With every fault of the start and of the changes.
    """
    raise_if_any(_faults(start, changes))
    every = frozenset(changes)
    alone, others = ([wanted(name) for name in changes] for wanted in (lambda n: frozenset({n}), lambda n: every - {n}))
    subsets = dict.fromkeys([frozenset[str](), every, *alone, *others])
    return {
        made: _changed(start, {name: change for name, change in changes.items() if name in made}) for made in subsets
    }


def warn_of_idle(changes: Iterable[str], readings: Iterable[Reading]) -> None:
    """Warn of changes that change nothing."""
    moving = set[str]().union(*(reading.moving for reading in readings))
    for name in (name for name in changes if name not in moving):
        warnings.warn(
            f"the change '{name}' moves no draw of any unit: does it do anything?", InputWarning, stacklevel=3
        )


def _changed(start: Scenario, changes: Mapping[str, Change]) -> Scenario:
    """Make changes one after the other."""
    scenario: Any = start
    for name, change in changes.items():
        scenario = change(scenario)
        if not isinstance(scenario, Scenario):
            remedy = "Return the scenario, such as scenario.replace(regime=...)."
            came = type(scenario).__name__
            raise InputError(
                [Fault(PLACE, f"the change '{name}' returns no scenario", came, remedy, variable="changes")]
            )
    return scenario


def _run(
    scenarios: Mapping[Subset, Scenario], made: Subset, how: Mapping[str, Any], like: xr.Dataset | None = None
) -> tuple[F64, xr.Dataset]:
    """Positions of all units with some changes made, (unit, draw), and the forecast without its draws.

    Trusts and groups are those of the forecast that it is to be like.
    """
    forecast = scenarios[made].forecast(**how)
    if like is not None:
        faults = trust_faults(like, forecast)
        raise_if_any(replace(fault, place=f"forecast with {' and '.join(sorted(made))}") for fault in faults)
        forecast = lined_up(forecast, like)
    labels = forecast[list(GROUPED)]
    return np.concatenate(list(unit_positions(forecast, units_of(labels)))), labels


def _faults(start: Any, changes: Any) -> Iterator[Fault]:
    """Faults of the start and of the changes."""
    if not isinstance(start, Scenario):
        yield Fault(PLACE, "must be a scenario", type(start).__name__, "Give Scenario(panel).", variable="start")
    if not isinstance(changes, Mapping) or not changes:
        remedy = "Give names and functions, at least one."
        yield Fault(PLACE, "must be changes by name", str(changes), remedy, variable="changes")
        return
    for name, change in changes.items():
        if not isinstance(name, str) or name in ("", INTERACTION):
            yield Fault(PLACE, "not a name for a change", str(name), "Use another one.", variable="changes")
        if not callable(change):
            remedy = "Give a function that takes a scenario and returns one."
            yield Fault(PLACE, f"the change '{name}' is no function", str(change), remedy, variable="changes")


def _labelled(
    readings: Mapping[str, Reading], at_start: F64, at_end: F64, names: list[str], units: Units
) -> xr.Dataset:
    """The result, without attributes of its own."""
    total = at_end - at_start
    found = {name: reading.steps(names, total) for name, reading in readings.items()}
    found |= {
        name: (rows.mean(axis=1), mean_error(rows))
        for name, rows in (("total", total), ("start_mean", at_start), ("end_mean", at_end))
    }
    variables = {name: (SPECS[name].dims, mean) for name, (mean, _) in found.items()}
    variables |= {f"{name}_se": (SPECS[name].dims, error) for name, (_, error) in found.items()}
    steps = np.array([*names, INTERACTION], object)
    result = xr.Dataset(variables, {"step": steps, "unit": units.unit, "level": (_UNIT, units.level)})
    return described(result, SPECS)
