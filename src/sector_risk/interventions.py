"""Interventions: what support or help is worth at each trust, and where a fixed number of them do the most."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.engine import default_threads
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.pairs import aligned, pair_faults, said_of_both
from sector_risk.schema import AMOUNT_SIGN, FRACTION, MONEY, VariableSpec, described, with_error
from sector_risk.summary import binomial_se, mean_error
from sector_risk.units import BALANCED, check_forecast, draws_last, numbers

__all__ = ["value_of_intervention", "value_of_support"]

F64 = NDArray[np.float64]
Array = NDArray[Any]
Rows = NDArray[np.int64]
NEEDED = ("position", "sector_position")
BATCHES = 50
"""Runs of draws whose means are drawn again and again, to see how sure a choice is."""
RESAMPLES = 1000
ALIKE = 9  # decimals: scores that differ by rounding only are equal
_TRUST = ("trust",)


SPECS: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            VariableSpec("cost", _TRUST, MONEY, "cost at the trust", sign=AMOUNT_SIGN),
            *with_error("expected_deficit", _TRUST, MONEY, "expected deficit without it", AMOUNT_SIGN),
            *with_error("deficit_removed", _TRUST, MONEY, "fall of the expected deficit", "less deficit positive"),
            *with_error("pounds_per_pound", _TRUST, FRACTION, "pounds spent per pound of expected deficit removed"),
            *with_error("p_breakeven_rise", _TRUST, FRACTION, "rise of the probability of breakeven"),
            VariableSpec("chosen", _TRUST, FRACTION, "among those that remove most per pound", kind="flag"),
            *with_error("p_chosen", _TRUST, FRACTION, "probability of being chosen when draws are drawn again"),
            VariableSpec("chosen_cost", (), MONEY, "cost at all trusts chosen", sign=AMOUNT_SIGN),
            *with_error("chosen_removed", (), MONEY, "expected deficit removed at all trusts chosen"),
            VariableSpec("trust", _TRUST, "", "organisation code of the trust", kind="text"),
            VariableSpec("name", _TRUST, "", "name of the trust", kind="text"),
        )
    }
)
"""What both functions return."""


class WithAndWithout(NamedTuple):
    """Positions of trusts without and with an intervention, (trust, draw), GBP m: `with_` is the second plus `paid`."""

    without: Array
    with_: Array
    paid: F64  # (trust,)

    def of(self, trust: int) -> tuple[F64, F64]:
        """Return one trust's positions without and with it."""
        return self.without[trust].astype(float), self.with_[trust] + self.paid[trust]


def value_of_support(forecast: xr.Dataset, amount: float | Array | xr.DataArray, count: int = 15) -> xr.Dataset:
    """Say what giving each trust a sum at the year end is worth, and which trusts make most of it.

    With a for the sum and X for the position, the expected deficit removed is

        E[max(-X, 0)] - E[max(-X - a, 0)] = E[min(a, max(-X, 0))]

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`.
    amount : float, array or DataArray on `trust`
        GBP million, not negative: one sum for all, or each trust's own.
    count : int
        How many trusts are chosen.

    Returns
    -------
    Dataset
        On `trust`, GBP million:

        * `cost`, what the trust is given;
        * `expected_deficit` without it, and `deficit_removed`; their errors are sd / sqrt(n) of the draws, for what is
          removed of the paired difference;
        * `pounds_per_pound`, cost over deficit removed: at least 1, infinite where nothing is removed; its error is
          that of what is removed, times cost / removed^2;
        * `p_breakeven_rise`, with its paired error;
        * `chosen`: the `count` trusts that remove most per pound, of those that remove anything; and `p_chosen`, how
          often a trust is chosen if the draws are drawn again: the share of 1,000 samples, with replacement, of the
          means of 50 runs of draws, with its binomial error.

        Scalars: `chosen_cost`, and `chosen_removed`, with the error of a sum of trusts that share their draws. As the
        trusts are chosen by the same draws, this is a little more than they would remove in others.

        Errors take draws as independent: where they come in parameter sets (`simulate_with_parameters`), they are too
        small, for the draws of a set share its parameters.

    Raises
    ------
    InputError
        If the forecast is not whole or its draws are not finite, for sums that are negative, not finite or not one a
        trust, and for a count below 1.

    Examples
    --------
    >>> import sector_risk as sr
    >>> value = value_of_support(sr.simulate(sr.load_case("england-2018-19"), n_draws=400), 5.0)
    >>> int(value["chosen"].sum()), float(value["chosen_cost"])
    (15, 75.0)
    >>> bool((value["deficit_removed"] <= 5.0).all())
    True
    """
    check_forecast(forecast, NEEDED)
    paid = _by_trust(forecast, amount, "value_of_support", "amount")
    raise_if_any(_count_faults(count, "value_of_support"))
    position = draws_last(forecast, "position")
    return _valued(forecast, WithAndWithout(position, position, paid), paid, count).assign_attrs(forecast.attrs)


def value_of_intervention(
    without: xr.Dataset, with_: xr.Dataset, cost: float | Array | xr.DataArray, count: int = 15
) -> xr.Dataset:
    """Say what an intervention is worth at each trust, from forecasts without it and with it at every trust.

    What it does at one trust may be felt at others, through a fund that they share: then the sum over some trusts is
    not what the intervention would do at these alone.

    Parameters
    ----------
    without, with_ : Dataset
        From `simulate` or `condition`, of the same trusts and on the same draws.
    cost : float, array or DataArray on `trust`
        Cost of the intervention at a trust, GBP million, not negative; it is taken from no position here.
    count : int
        How many trusts are chosen.

    Returns
    -------
    Dataset
        As `value_of_support`. What is removed may be negative, and `pounds_per_pound` is infinite where it is not
        above nought. Attributes are those of `without`, and as `end_...` those in which `with_` differs.

    Raises
    ------
    InputError
        As `value_of_support`, and for forecasts that are not of the same trusts and draws.

    Examples
    --------
    Better delivery of savings everywhere, at a cost of GBP 2m a trust:

    >>> import sector_risk as sr
    >>> from sector_risk.goals import LEVERS
    >>> from sector_risk.scenarios import Scenario
    >>> base = Scenario(sr.load_case("england-2018-19"))
    >>> better = LEVERS["recurrent_delivery"].apply(base, 0.8)
    >>> value = value_of_intervention(base.forecast(n_draws=400), better.forecast(n_draws=400), cost=2.0)
    >>> int(value["chosen"].sum()), bool(value["chosen_removed"] > 0.0)
    (15, True)
    """
    check_forecast(without, NEEDED)
    check_forecast(with_, NEEDED)
    raise_if_any(pair_faults(without, with_, "value_of_intervention"))
    without, with_ = aligned(without, with_)
    costs = _by_trust(without, cost, "value_of_intervention", "cost")
    raise_if_any(_count_faults(count, "value_of_intervention"))
    free = np.zeros(len(costs))
    pair = WithAndWithout(draws_last(without, "position"), draws_last(with_, "position"), free)
    return _valued(without, pair, costs, count).assign_attrs(said_of_both(without, with_))


def _by_trust(forecast: xr.Dataset, given: Any, place: str, name: str) -> F64:
    """One number a trust, in the forecast's order; refuse what is negative or not a number."""
    codes = forecast["trust"].values
    if isinstance(given, xr.DataArray) and "trust" in given.coords:
        missing = [str(code) for code in codes if code not in given["trust"].values]
        remedy = "Give one for each trust."
        raise_if_any(Fault(place, "no value for this trust", "", remedy, trust=c, variable=name) for c in missing)
        given = given.sel(trust=codes).values
    values = numbers(given)
    if values.shape not in ((), codes.shape):
        remedy = f"Give one number, or one for each of the {len(codes)} trusts."
        raise InputError([Fault(place, "must be one number a trust", str(values.shape), remedy, variable=name)])
    if not values.ndim and np.isnan(values):
        raise InputError([Fault(place, "must be a number, nought or more", str(given), "Use 5.0.", variable=name)])
    values = np.broadcast_to(values, codes.shape)
    wrong = ~(np.isfinite(values) & (values >= 0.0))
    remedy = "Give GBP million, nought or more."
    raise_if_any(
        Fault(place, "must be nought or more", str(value), remedy, trust=str(code), variable=name)
        for code, value in zip(codes[wrong], values[wrong], strict=True)
    )
    return values


def _count_faults(count: Any, place: str) -> Iterator[Fault]:
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        yield Fault(place, "must be a whole number from 1", str(count), "Use 15.", variable="count")


def _valued(forecast: xr.Dataset, pair: WithAndWithout, cost: F64, count: int) -> xr.Dataset:
    """Measure a pair trust by trust, and choose."""
    with ThreadPoolExecutor(default_threads()) as pool:
        measured = list(pool.map(lambda trust: _measure(*pair.of(trust)), range(len(cost))))
    deficit, removed, rise, batches = (np.array(column) for column in zip(*measured, strict=True))
    chosen = _best(removed[:, 0], cost, count)
    p_chosen = _stability(batches, cost, count)
    found = {
        "cost": cost,
        **_named("expected_deficit", *deficit.T),
        **_named("deficit_removed", *removed.T),
        **_named("pounds_per_pound", *_price(cost, *removed.T)),
        **_named("p_breakeven_rise", *rise.T),
        "chosen": chosen,
        **_named("p_chosen", p_chosen, binomial_se(p_chosen, RESAMPLES)),
    }
    total, error = _removed_at(pair, np.flatnonzero(chosen))
    scalars = {"chosen_cost": cost[chosen].sum(), **_named("chosen_removed", total, error)}
    labels = {name: (_TRUST, forecast[name].values) for name in ("trust", "name")}
    made = xr.Dataset({name: (_TRUST, values) for name, values in found.items()} | scalars, labels)
    return described(made, SPECS)


def _named(name: str, value: Any, error: Any) -> dict[str, Any]:
    return {name: value, f"{name}_se": error}


def _measure(without: F64, with_: F64) -> tuple[F64, F64, F64, F64]:
    """One trust's expected deficit, fall of it and rise of breakeven, with errors; and the fall by batch."""
    deficit, removed = np.maximum(-without, 0.0), _removed(without, with_)
    rise = (with_ >= BALANCED).astype(float) - (without >= BALANCED)
    return _mean(deficit), _mean(removed), _mean(rise), _batch_means(removed)


def _removed(without: F64, with_: F64) -> F64:
    """Fall of a trust's deficit by draw."""
    return np.maximum(-without, 0.0) - np.maximum(-with_, 0.0)


def _mean(draws: F64) -> F64:
    """Mean of draws and its error."""
    return np.array([draws.mean(), mean_error(draws)])


def _batch_means(draws: F64) -> F64:
    """Means of runs of draws of one length; a few draws at the end are left out."""
    batches = min(BATCHES, len(draws))
    size = len(draws) // batches
    return draws[: batches * size].reshape(batches, size).mean(axis=1)


def _price(cost: F64, removed: F64, error: F64) -> tuple[F64, F64]:
    """Pounds spent per pound of deficit removed, and its error."""
    some = removed > 0.0
    price = np.divide(cost, removed, out=np.full_like(removed, np.inf), where=some)
    return price, np.where(some, price, np.nan) * np.divide(error, removed, out=np.zeros_like(error), where=some)


def _best(removed: F64, cost: F64, count: int) -> NDArray[np.bool_]:
    """Mark the trusts that remove most per pound, (..., trust): of equals the earlier, and none without effect."""
    score = np.divide(removed, cost, out=np.where(removed > 0.0, np.inf, 0.0), where=cost > 0.0)
    first = np.argsort(-score.round(ALIKE), axis=-1, kind="stable")[..., :count]
    chosen = np.zeros(score.shape, bool)
    np.put_along_axis(chosen, first, values=True, axis=-1)
    return chosen & (removed > 0.0)


def _stability(batches: F64, cost: F64, count: int) -> F64:
    """How often each trust is chosen from batches, (trust, batch), that are drawn again with replacement."""
    n = batches.shape[1]
    again = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), RESAMPLES) / n
    return _best(again @ batches.T, cost, count).mean(axis=0)


def _removed_at(pair: WithAndWithout, trusts: Rows) -> tuple[float, float]:
    """Expected deficit removed at some trusts together, and its error."""
    total = np.zeros(pair.without.shape[1])
    for trust in trusts:
        total += _removed(*pair.of(int(trust)))
    mean, error = _mean(total)
    return float(mean), float(error)
