"""Goal seeking: the value of a lever at which a unit breaks even with a given probability."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.faults import Fault, raise_if_any
from sector_risk.goals.levers import Lever, find_lever
from sector_risk.goals.switching import NEEDED, probability_faults, sums_needed
from sector_risk.progress import Progress
from sector_risk.scenarios import Scenario
from sector_risk.schema import BALANCE_SIGN, ERROR, FRACTION, MONEY, VariableSpec
from sector_risk.summary import binomial_se
from sector_risk.units import BALANCED, SECTOR, check_forecast, numbers, position_of

F64 = NDArray[np.float64]
PLACE = "goal_seek"
CLOSE = 0.05
"""A quantile that is beyond the goal by no more than this part of its Monte Carlo error is at the goal."""
STEP = 3.0
"""Where the slope at the goal is measured: this many Monte Carlo errors of the quantile to each side."""
NARROW = 1e-9  # of the range: where it jumps over the goal, a lever is followed no further
_TRIAL = ("trial",)

SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            VariableSpec("value", (), "", "value of the lever that meets the goal, or that comes nearest to it"),
            VariableSpec("value_se", (), "", ERROR + "the value"),
            VariableSpec("present", (), "", "value of the lever in the scenario"),
            VariableSpec("p_breakeven", (), FRACTION, "probability, at the value, that the unit is not in deficit"),
            VariableSpec("p_breakeven_se", (), FRACTION, ERROR + "the probability"),
            VariableSpec("reached", (), FRACTION, "whether the goal is met at the value", kind="flag"),
            VariableSpec("simulations", (), FRACTION, "number of simulations that it took"),
            VariableSpec("trial_value", _TRIAL, "", "value of the lever that was tried"),
            VariableSpec("trial_p_breakeven", _TRIAL, FRACTION, "probability of breakeven there"),
            VariableSpec("trial_p_breakeven_se", _TRIAL, FRACTION, ERROR + "the probability"),
            VariableSpec(
                "trial_quantile",
                _TRIAL,
                MONEY,
                "position that is reached or exceeded there with the probability asked for",
                sign=BALANCE_SIGN,
            ),
            VariableSpec("trial_quantile_se", _TRIAL, MONEY, ERROR + "the quantile"),
            VariableSpec("trial", _TRIAL, FRACTION, "number of the trial"),
            VariableSpec("unit", (), "", "trust, region, type, system, provider sector or whole NHS", kind="text"),
            VariableSpec("lever", (), "", "what is moved", kind="text"),
            VariableSpec("probability", (), FRACTION, "probability of breakeven that is asked for"),
        )
    }
)
"""What `goal_seek` returns."""
OF_LEVER = ("value", "value_se", "present", "trial_value")
"""Variables in the lever's own unit."""


def goal_seek(
    scenario: Scenario,
    lever: Lever | str,
    probability: float = 0.5,
    *,
    unit: str = SECTOR,
    low: float | None = None,
    high: float | None = None,
    n_draws: int = 10_000,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> xr.Dataset:
    """Find the value of a lever at which a unit breaks even with a given probability.

    All values are tried on the same draws, so that the position exceeded with that probability moves smoothly with the
    lever: its root is looked for by Brent's method, to a twentieth of the quantile's Monte Carlo error, on the side
    where the goal is met. A lever whose effect turns round between its bounds may have a root that is not found.

    Parameters
    ----------
    scenario : Scenario
    lever : Lever or str
        A lever, or the name of one of `LEVERS`.
    probability : float
        Of breakeven, a position of -GBP 5,000 or better; above 0 and below 1.
    unit : str
        A trust's code, a region, type or system, "Provider sector" or "Whole NHS".
    low, high : float, optional
        Bounds of the value, in the lever's unit. Default: the lever's own.
    n_draws, seed, threads, progress
        As in `simulate`, for each of the simulations.

    Returns
    -------
    Dataset
        Of one value each, with coordinates `unit`, `lever` and `probability`:

        * `value` and its error `value_se`, that of the quantile divided by the slope of the quantile at the goal,
          which is measured at two further values; NaN where there is no slope, as where the quantile jumps over the
          goal: then `value` is just beyond the jump. `present`, the lever's value in the scenario;
        * `p_breakeven` at the value, and its error sqrt(p (1 - p) / n);
        * `reached`: whether a value was found that just meets the goal: `p_breakeven` is then as asked, or above. False
          where the goal is met nowhere that was looked at, or more than met everywhere: `value` is then the one that
          comes nearest, `p_breakeven` the probability there, and `value_se` is NaN. Attribute `finding` says it in
          words;
        * `simulations`: how many were run. A lever that pays money at the year end needs one (see `switching_value`).

        On `trial`, in the order tried: `trial_value`, `trial_p_breakeven`, `trial_quantile` (GBP million; at the goal
        -0.005) and their errors. Attributes are those of the forecast at the first value.

    Raises
    ------
    InputError
        For an unknown lever or unit, a probability that is not between 0 and 1, bounds that are not in order, and as
        `simulate`.

    Examples
    --------
    >>> import sector_risk as sr
    >>> base = Scenario(sr.load_case("england-2018-19"))
    >>> found = goal_seek(base, "fund_size", probability=0.9, n_draws=300)
    >>> bool(found["reached"]), float(abs(found["p_breakeven"] - 0.9)) < 0.01
    (True, True)
    """
    goal = _goal(find_lever(lever), probability, unit, low, high)
    raise_if_any([*_faults(scenario, probability), *_bound_faults(goal)])
    how = {"n_draws": n_draws, "seed": seed, "threads": threads, "progress": progress}
    now = float(goal.lever.present(scenario))
    position, attrs = _at_present(goal, scenario, how)
    trials = _trials(goal, scenario, (now, position), how)
    found = _paid(goal, trials) if goal.lever.apply is None else _sought(goal, trials)
    return _labelled(goal, trials, found, attrs)


@dataclass(frozen=True)
class Goal:
    """What is asked: the lever's value between bounds at which the unit breaks even with the probability."""

    lever: Lever
    unit: str
    probability: float
    low: float
    high: float


class Trial(NamedTuple):
    """What one value of a lever gives: probability of breakeven, and the sum still needed with its error, GBP m."""

    p: float
    needed: float
    error: float


class Found(NamedTuple):
    """The value that meets the goal, or comes nearest, with its error."""

    value: float
    error: float
    reached: bool


@dataclass(frozen=True)
class Trials:
    """Values of a lever that have been tried, all on the same draws."""

    position: Callable[[float], F64]
    probability: float
    present: float
    tried: dict[float, Trial] = field(default_factory=dict)

    def at(self, value: float) -> Trial:
        """Try a value, unless it has been tried before."""
        if value not in self.tried:
            self.add(value, self.position(value))
        return self.tried[value]

    def add(self, value: float, position: F64) -> None:
        """Note what a value gives."""
        needed, error = sums_needed(position[None], np.array([self.probability]))
        p = float((position >= BALANCED).mean())
        self.tried[value] = Trial(p, float(needed[0, 0]), float(error[0, 0]))

    def miss(self, value: float) -> float:
        """How far a value is from being just enough: nought or less where the goal is met, and nought near it."""
        trial = self.at(value)
        near = CLOSE * trial.error if trial.error > 0.0 else 0.0
        return 0.0 if -near <= trial.needed <= 0.0 else trial.needed + 0.5 * near

    def enough_near(self, value: float, a: float, b: float) -> float:
        """The value between a and b that was tried, meets the goal and is nearest to one."""
        return min((v for v in self.tried if a <= v <= b and self.miss(v) <= 0.0), key=lambda v: abs(v - value))

    def slope(self, a: float, b: float) -> float:
        """How fast the sum still needed changes between two values, whichever way."""
        return abs(self.at(b).needed - self.at(a).needed) / (b - a)


def _at_present(goal: Goal, scenario: Scenario, how: dict[str, Any]) -> tuple[F64, dict[Any, Any]]:
    """Position of the unit as things are, and what the forecast says of itself; no more of it is kept."""
    forecast = scenario.forecast(**how)
    check_forecast(forecast, NEEDED)
    return position_of(forecast, goal.unit, PLACE), forecast.attrs


def _trials(goal: Goal, scenario: Scenario, present: tuple[float, F64], how: dict[str, Any]) -> Trials:
    """Return how values are tried; the present one, with its position, has been."""
    apply, (now, base) = goal.lever.apply, present

    def position(value: float) -> F64:
        if apply is None:
            return base + (value - now)
        return position_of(apply(scenario, value).forecast(**how), goal.unit, PLACE)

    trials = Trials(position, goal.probability, now)
    trials.add(now, base)
    return trials


def _paid(goal: Goal, trials: Trials) -> Found:
    """Money paid in every draw: what is needed is known from the first trial."""
    first = trials.at(trials.present)
    needed = trials.present + first.needed
    if needed - trials.present < first.needed:  # by rounding
        needed = float(np.nextafter(needed, np.inf))
    value = min(max(needed, goal.low), goal.high)
    trials.at(value)
    return Found(value, first.error if value == needed else np.nan, value == needed)


def _sought(goal: Goal, trials: Trials) -> Found:
    """Look for the goal from the present value to each bound."""
    from scipy.optimize import brentq

    start = min(max(trials.present, goal.low), goal.high)
    for a, b in ((start, goal.high), (goal.low, start)):
        if a < b and trials.miss(a) * trials.miss(b) <= 0.0:
            root = float(brentq(trials.miss, a, b, xtol=NARROW * (goal.high - goal.low)))
            value = trials.enough_near(root, a, b)
            return Found(value, _error_of(trials, value, a, b), reached=True)
    nearest = min((start, goal.low, goal.high), key=lambda value: abs(trials.at(value).needed))
    return Found(nearest, np.nan, reached=False)


def _error_of(trials: Trials, value: float, a: float, b: float) -> float:
    """Error of the quantile at a value over its slope there, which is found between a and b; NaN without a slope."""
    error, chord = trials.at(value).error, trials.slope(a, b)
    if not error > 0.0:
        return error
    if trials.miss(value) < 0.0 or not chord:  # the goal is jumped over, or nothing moves
        return np.nan
    step = STEP * error / chord
    slope = trials.slope(max(value - step, a), min(value + step, b))
    return error / slope if slope else np.nan


def _goal(lever: Lever, probability: float, unit: str, low: float | None, high: float | None) -> Goal:
    bounds = (numbers(lever.low if low is None else low), numbers(lever.high if high is None else high))
    return Goal(lever, unit, probability, *(float(bound) if not bound.ndim else np.nan for bound in bounds))


def _faults(scenario: Any, probability: Any) -> Iterator[Fault]:
    """Yield what is wrong with what is asked."""
    if not isinstance(scenario, Scenario):
        remedy = "Give Scenario(panel, assumptions, regime)."
        yield Fault(PLACE, "not a scenario", type(scenario).__name__, remedy, variable="scenario")
    if numbers(probability).ndim:
        yield Fault(PLACE, "must be one number", str(probability), "Seek one at a time.", variable="probability")
    else:
        yield from probability_faults(PLACE, probability)


def _bound_faults(goal: Goal) -> Iterator[Fault]:
    bounds = (goal.low, goal.high)
    if not goal.low < goal.high or (goal.lever.apply is not None and not np.isfinite(bounds).all()):
        remedy = f"Give low and high of '{goal.lever.name}', each a number, low below high."
        yield Fault(PLACE, "bounds are not in order", f"{goal.low:g} to {goal.high:g}", remedy, variable="low")


def _labelled(goal: Goal, trials: Trials, found: Found, attrs: dict[Any, Any]) -> xr.Dataset:
    """Return what was found, and what was tried, as a Dataset that describes itself."""
    values = np.array(list(trials.tried))
    p, needed, error = np.array(list(trials.tried.values())).T
    p_se = binomial_se(p, attrs["n_draws"])
    measured = {
        "value": found.value,
        "value_se": found.error,
        "present": trials.present,
        "p_breakeven": p[values == found.value][0],
        "p_breakeven_se": p_se[values == found.value][0],
        "reached": found.reached,
        "simulations": 1 if goal.lever.apply is None else len(values),
        "trial_value": (_TRIAL, values),
        "trial_p_breakeven": (_TRIAL, p),
        "trial_p_breakeven_se": (_TRIAL, p_se),
        "trial_quantile": (_TRIAL, BALANCED - needed),
        "trial_quantile_se": (_TRIAL, error),
    }
    labels = {"unit": goal.unit, "lever": goal.lever.name, "probability": goal.probability}
    trial = {"trial": np.arange(1, len(values) + 1)}
    made = xr.Dataset(measured, labels | trial, attrs=attrs | {"finding": _finding(goal, trials, found)})
    for name in made.variables:
        spec = SPECS[str(name)]
        made[name].attrs = (replace(spec, unit=goal.lever.unit_of_value) if name in OF_LEVER else spec).attrs
    return made


def _finding(goal: Goal, trials: Trials, found: Found) -> str:
    """Say in one sentence what was found."""
    name, wanted, best = goal.lever.name, f"{goal.probability:.0%}", trials.at(found.value)
    there = f"{name} = {found.value:.6g} (now {trials.present:.6g})"
    if found.reached and np.isnan(found.error):
        return f"{goal.unit} breaks even with a probability of {wanted} or more from {there}: {best.p:.1%} there."
    if found.reached:
        return f"{goal.unit} breaks even with a probability of {wanted} at {there}."
    way = "more than met" if best.needed < 0.0 else "not reached"
    tried = f"at any of {len(trials.tried)} values tried between {goal.low:g} and {goal.high:g}"
    return f"{wanted} is {way} {tried}: at {name} = {found.value:g} the probability is {best.p:.1%}."
