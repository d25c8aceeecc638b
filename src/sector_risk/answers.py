"""The five questions of a finance director, each answered in two sentences off a forecast."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sector_risk.chances import evidence_notes, probability
from sector_risk.evidence_log import JUDGED, assumption_rows, rule_rows
from sector_risk.findings import Findings, find
from sector_risk.measures import SURE
from sector_risk.readings import balance, counted_draws, effect_label, money, pounds
from sector_risk.settings import CONFIDENCE
from sector_risk.units import NHS, SECTOR

__all__ = ["Answer", "evidence_marks", "five_answers"]

LISTED = 10
NORMAL_95 = 1.96
FEWEST = 5
"""A list of the worst that is shorter is not spoken of."""
PHRASES = {
    "efficiency_recurrent": "recurrent savings not made",
    "efficiency_one_off": "planned one-off savings not made",
    "pay_afc": "Agenda for Change pay",
    "deterioration": "drift beyond contingency",
    "favourable_spent": "underspends that are spent again",
}
"""What an effect is called inside a sentence, where its label does not do."""
MENTIONED = 0.1
"""An effect is named if it is at least this part of all that pull the same way."""


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a sentence, and what stands behind it."""

    question: str
    headline: str
    detail: str


def five_answers(forecast: xr.Dataset, findings: Findings | None = None) -> tuple[Answer, ...]:
    """Answer how bad it can get, whose risk it is, what drives it, what would fix it, and how sure that is.

    Parameters
    ----------
    forecast : Dataset
        From `simulate`, `condition` or `open_forecast`.
    findings : Findings, optional
        What was measured of it; measured here if not given.

    Returns
    -------
    tuple of Answer
        Five: question, headline, detail. Figures are GBP million after support.

    Raises
    ------
    InputError
        If the forecast is not whole (see `summarise`).

    Examples
    --------
    >>> import sector_risk as sr
    >>> for answer in five_answers(sr.simulate(sr.load_case("england-2018-19"), n_draws=400)):
    ...     print(answer.question)
    How bad can it get?
    Whose risk is it?
    What drives it?
    What would fix it?
    How sure are you?
    """
    found = find(forecast) if findings is None else findings
    return (
        Answer("How bad can it get?", *_how_bad(found)),
        Answer("Whose risk is it?", *_whose(found)),
        Answer("What drives it?", *_drivers(found)),
        Answer("What would fix it?", *_fix(found)),
        Answer("How sure are you?", *_how_sure(found)),
    )


def evidence_marks(forecast: xr.Dataset) -> dict[str, int]:
    """Count the values assumed, of the model and of the rules, by their mark of confidence (`settings.CONFIDENCE`).

    Examples
    --------
    >>> import sector_risk as sr
    >>> marks = evidence_marks(sr.simulate(sr.load_case("england-2018-19"), n_draws=2))
    >>> list(marks), marks["U"]
    (['V', 'D', 'G', 'W', 'U'], 0)
    """
    rows = (*assumption_rows(forecast.attrs), *rule_rows(forecast.attrs))
    return {mark: sum(row.confidence == mark for row in rows) for mark in CONFIDENCE}


def _how_bad(found: Findings) -> Iterator[str]:
    sector = found.one("sector")
    at = sector.sel(confidence=0.95)
    mean, worst, tail = sector["mean"].item(), -at.value_at_risk.item(), -at.tail_value_at_risk.item()
    yield (
        f"{found.who} is expected to end the year with {balance(mean)}; one year in twenty ends at {pounds(worst)} or "
        f"worse, {pounds(tail)} on average."
    )
    count, trusts = found.counts.sel(event="deficit"), found.forecast.sizes["trust"]
    many = int(count.count_quantile.sel(quantile=0.95))
    nhs = f", that of the whole NHS {_breakeven(found, 'nhs')}" if found.whole else ""
    yield (
        f"Its chance of breakeven is {_breakeven(found, 'sector')}{nhs}. Of {trusts} trusts "
        f"{count.count_mean.item():.0f} are expected in deficit, and {many} or more in one year in twenty."
    )


def _breakeven(found: Findings, level: str) -> str:
    return probability(found.one(level).p_breakeven.item(), found.n_draws)


def _whose(found: Findings) -> Iterator[str]:
    share, total = found.shares.tail_value_at_risk_share, found.shares.tail_value_at_risk.item()
    largest = np.sort(share.values)[::-1][:LISTED]
    adverse = share.values[share.values > 0.0].sum()
    if adverse > 0.0:
        yield (
            f"In the worst twentieth of years {len(largest)} trusts make {100 * largest.sum() / adverse:.0f}% of all "
            f"deficits, {pounds(largest.sum())} of {pounds(adverse)}; surpluses elsewhere leave {balance(-total)}."
        )
    else:
        yield f"No trust adds to the risk: even the worst twentieth of years ends with {balance(-total)}."
    by_region = share.groupby("region").sum()
    heaviest = by_region.sortby(-by_region)[:3]
    places = ", ".join(
        f"{name} {pounds(-value)}" for name, value in zip(heaviest.region.values, heaviest.values, strict=True)
    )
    firm = (
        f" Of the {found.worst_count} trusts most often among the {found.worst_count} worst, {found.ranks.sure.item()} "
        f"are there in {100 * SURE:.0f}% of draws or more."
    )
    yield f"Most falls on {places}.{firm if found.worst_count >= FEWEST else ''}"


def _drivers(found: Findings) -> Iterator[str]:
    mean = found.effects.mean_effect
    down, up = _leading(mean, -1.0), _leading(mean, 1.0)
    relief = f"; against it, {_listed(mean, up)}" if up else ""
    yield f"From a plan of {pounds(found.effects.plan.item())}, what weighs most is {_listed(mean, down)}{relief}."
    swings = found.swings.isel(effect=np.flatnonzero(found.swings.swing.values > 0.0))
    if not swings.sizes["effect"]:
        yield "Years hardly differ."
        return
    most = swings.isel(effect=0)
    low, high, effect = pounds(most.low.item()), pounds(most.high.item()), _phrase(str(most.effect.item()))
    yield f"What tells bad years from good is {effect}: {low} on average in its worst tenth, {high} in its best."


def _leading(values: xr.DataArray, sign: float) -> list[str]:
    """Effects that pull one way and are a fair part of all that do, the largest first."""
    pull = sign * values.values
    order = [i for i in np.argsort(-pull) if pull[i] > 0.0 and pull[i] >= MENTIONED * pull[pull > 0.0].sum()]
    return [str(values.effect.values[i]) for i in order]


def _listed(values: xr.DataArray, names: Iterable[str]) -> str:
    *said, last = (f"{_phrase(name)} ({pounds(values.sel(effect=name).item())})" for name in names)
    return f"{', '.join(said)} and {last}" if said else last


def _phrase(effect: str) -> str:
    """Name an effect inside a sentence."""
    label = effect_label(effect)
    return PHRASES.get(effect, label[:1].lower() + label[1:])


def _fix(found: Findings) -> Iterator[str]:
    even, likely = found.needed.switching_value.sel(unit=SECTOR).values
    if likely <= 0.0:
        yield f"Nothing is missing: with {pounds(-likely)} less, breakeven would still have nine chances in ten."
    elif even <= 0.0:
        yield f"An even chance of breakeven is there; for nine chances in ten {pounds(likely)} is missing."
    else:
        yield (
            f"{pounds(even)} more at the year end would give an even chance of breakeven, {pounds(likely)} more nine "
            "chances in ten."
        )
    yield " ".join(_in_terms(found, even))


def _in_terms(found: Findings, even: float) -> Iterator[str]:
    """Say what the sum is beside the savings that go missing, what the whole NHS needs, and what deficits come to."""
    missing = -found.effects.mean_effect.sel(effect="efficiency_recurrent").item()
    if even > 0.0 and missing > 0.0:
        yield f"The first sum is {100 * even / missing:.0f}% of the recurrent savings expected to go missing."
    nhs = found.needed.switching_value.sel(unit=NHS).values
    if found.whole and nhs[0] > 0.0:
        yield f"The whole NHS needs {pounds(nhs[0])} and {pounds(nhs[1])}."
    gross = found.forecast.gross_deficit.mean().item()
    yield f"Surpluses left out, the deficits of trusts come to {pounds(-gross)}: no single sum reaches them all."


def _how_sure(found: Findings) -> Iterator[str]:
    marks = evidence_marks(found.forecast)
    judged, every = sum(marks[mark] for mark in JUDGED), sum(marks.values())
    error = NORMAL_95 * found.one("sector").mean_se.item()
    yield (
        f"{counted_draws(found.n_draws)} leave the expected year end within ±£{money(error, 1)}m; the doubt is in what "
        f"is assumed: {judged} of {every} values are judgement or weakly founded."
    )
    yield " ".join(evidence_notes(found.forecast)) or (
        "The ranges hold chance under these assumptions, before anything of the year is seen. Doubt about the "
        "assumptions comes on top; drawn from a fit to history they show how much."
    )
