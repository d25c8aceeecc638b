"""The five questions of a finance director, each answered in two sentences off a forecast."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sector_risk.chances import NORMAL_95, evidence_notes, mean_error_of_sector, probability
from sector_risk.evidence_log import JUDGED, assumption_rows, rule_rows
from sector_risk.findings import Findings, find
from sector_risk.measures import SURE
from sector_risk.panel.fill import WARNED
from sector_risk.readings import balance, counted_draws, effect_label, money, pounds, sampling_notes
from sector_risk.settings import CONFIDENCE
from sector_risk.units import NHS, SECTOR

__all__ = ["Answer", "evidence_marks", "five_answers"]

LISTED = 10
MENTIONED = 0.1
"""An effect is named if it is at least this part of all that pull the same way."""
FEWEST = 5
"""A list of the worst that is shorter is not spoken of."""
PHRASES = {
    "efficiency_recurrent": ("recurrent savings not made", "recurrent savings beyond plan"),
    "efficiency_one_off": ("planned one-off savings not made", "one-off savings beyond plan"),
    "deterioration": ("drift beyond contingency", "contingency that drift does not use"),
    "favourable_spent": ("slack that is spent and not kept", "slack kept"),
}
"""What an effect is called inside a sentence where it is adverse and where it helps, if its label does not do."""


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
    sector, count = found.one("sector"), found.counts.sel(event="deficit")
    expected = balance(sector["mean"].item())
    if found.n_draws == 1:
        yield f"{found.who} ends the year with {expected} in this one draw; how far it may move takes more of them."
        yield f"{_trusts(count.count_mean.item(), found)} in deficit."
        return
    at = sector.sel(confidence=0.95)
    worst, tail = (balance(-at[name].item()) for name in ("value_at_risk", "tail_value_at_risk"))
    yield (
        f"{found.who} is expected to end the year with {expected}; one year in twenty ends with {worst} or worse, and "
        f"those years average {tail}."
    )
    nhs = f", that of the whole NHS {_breakeven(found, 'nhs')}" if found.whole else ""
    many = int(count.count_quantile.sel(quantile=0.95))
    chance = probability(count.p_at_least.sel(count=many).item(), found.n_draws)
    tail_of = f"; {many} or more with a chance of {chance}" if many else ""
    yield (
        f"Its chance of breakeven is {_breakeven(found, 'sector')}{nhs}. {_trusts(count.count_mean.item(), found)} "
        f"expected in deficit{tail_of}."
    )


def _trusts(count: float, found: Findings) -> str:
    every = found.forecast.sizes["trust"]
    return f"Of {every} trusts {count:.{0 if every > FEWEST * LISTED else 1}f} are"


def _breakeven(found: Findings, level: str) -> str:
    return probability(found.one(level).p_breakeven.item(), found.n_draws)


def _whose(found: Findings) -> Iterator[str]:
    share, total = found.shares.tail_value_at_risk_share, found.shares.tail_value_at_risk.item()
    adverse = np.sort(share.values[share.values > 0.0])[::-1]
    years = "in the worst twentieth of years" if found.n_draws > 1 else "in this one draw"
    if not len(adverse):
        yield f"No trust is in deficit on average, even {years}: together they end with {balance(-total)}."
    elif len(adverse) <= LISTED:
        few = "One trust is" if len(adverse) == 1 else f"{len(adverse)} of {share.size} trusts are"
        yield f"{few} in deficit on average {years}, {pounds(-adverse.sum())} in all."
    else:
        part = adverse[:LISTED].sum()
        yield (
            f"Ten trusts make {100 * part / adverse.sum():.0f}% of the risk: {pounds(-part)} of the "
            f"{pounds(-adverse.sum())} that trusts in deficit average {years}."
        )
    yield " ".join(_where(found, adverse.sum() - total))


def _where(found: Findings, surplus: float) -> Iterator[str]:
    """Say what trusts in surplus give back, where deficits fall, and how firm a list of the worst is."""
    share = found.shares.tail_value_at_risk_share
    if share.values.max() > 0.0 and surplus >= 1.0:
        yield f"Trusts in surplus bring that to {balance(-found.shares.tail_value_at_risk.item())}."
    by_region = share.groupby("region").sum()
    heaviest = by_region.sortby(-by_region)[:3]
    places = [
        f"{name} ({pounds(-value)})"
        for name, value in zip(heaviest.region.values, heaviest.values, strict=True)
        if value >= 1.0
    ]
    if places:
        yield f"By region most falls on {joined(places)}."
    if found.n_draws > 1 and FEWEST <= found.worst_count <= found.counts.count_mean.sel(event="deficit").item():
        yield (
            f"Of the {found.worst_count} trusts most often among the {found.worst_count} worst, "
            f"{found.ranks.sure.item()} are there in {100 * SURE:.0f}% of draws or more."
        )


def _drivers(found: Findings) -> Iterator[str]:
    mean = found.effects.mean_effect
    down, up = _leading(mean, -1.0), _leading(mean, 1.0)
    plan = f"From a plan of {pounds(found.effects.plan.item())}"
    if down:
        yield f"{plan}, what weighs most is {_listed(mean, down)}{f'; against it, {_listed(mean, up)}' if up else ''}."
    else:
        yield f"{plan}, {f'what helps most is {_listed(mean, up)}' if up else 'nothing moves it'}."
    swings = found.swings.isel(effect=np.flatnonzero(found.swings.swing.values > 0.0))
    if not swings.sizes["effect"]:
        yield "No effect tells bad years from good."
        return
    most = swings.isel(effect=0)
    low, high, effect = pounds(most.low.item()), pounds(most.high.item()), effect_label(str(most.effect.item()))
    yield (
        f"What tells bad years from good is {effect[:1].lower()}{effect[1:]}: in its worst tenth of years the year end "
        f"averages {low}, in its best {high}."
    )


def _leading(values: xr.DataArray, sign: float) -> list[str]:
    """Effects that pull one way and are a fair part of all that do, the largest first, and at least that one."""
    pull = sign * values.values
    order = [i for i in np.argsort(-pull) if pull[i] >= 0.5]
    fair = MENTIONED * pull[order].sum()
    return [str(values.effect.values[i]) for place, i in enumerate(order) if place == 0 or pull[i] >= fair]


def _listed(values: xr.DataArray, names: Iterable[str]) -> str:
    return joined([_phrase(name, values.sel(effect=name).item()) for name in names])


def _phrase(effect: str, value: float) -> str:
    """Name an effect inside a sentence, with its size."""
    label = effect_label(effect)
    plain = label if effect == "pay_afc" else label[:1].lower() + label[1:]
    return f"{PHRASES.get(effect, (plain, plain))[int(value > 0.0)]} ({pounds(value)})"


def _fix(found: Findings) -> Iterator[str]:
    even, likely = found.needed.switching_value.sel(unit=SECTOR).values
    if found.n_draws == 1:
        yield f"In this one draw {pounds(abs(even))} {'is missing' if even > 0.0 else 'is to spare'}."
    elif likely <= 0.0:
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
    """Say why savings are no such sum, what the whole NHS needs, and what deficits come to without surpluses."""
    mean = found.effects.mean_effect
    missing, cover = -mean.sel(effect="efficiency_recurrent").item(), mean.sel(effect="one_off").item()
    if even > 0.0 and missing >= 1.0 and cover >= 1.0:
        yield (
            f"Savings are not the same as money: {pounds(missing)} of recurrent ones are expected to go missing, but "
            f"making them would first replace one-off measures ({pounds(cover)})."
        )
    nhs = found.needed.switching_value.sel(unit=NHS).values
    if found.whole and nhs[0] > 0.0:
        yield f"The whole NHS needs {pounds(nhs[0])} and {pounds(nhs[1])}."
    gross = found.forecast.gross_deficit.mean().item()
    if gross <= -0.5:
        yield f"Surpluses left out, the deficits of trusts come to {pounds(-gross)} on average."


def _how_sure(found: Findings) -> Iterator[str]:
    marks = evidence_marks(found.forecast)
    judged, every = sum(marks[mark] for mark in JUDGED), sum(marks.values())
    assumed = f"{judged} of {every} values are judgement or weakly founded"
    error = NORMAL_95 * mean_error_of_sector(found.forecast)
    if math.isnan(error):
        yield f"One draw has no range. Of what is assumed, {assumed}."
    else:
        yield (
            f"{counted_draws(found.n_draws)} leave the expected year end within ±£{money(error, 1)}m; the doubt is in "
            f"what is assumed: {assumed}."
        )
    yield " ".join(_doubts(found.forecast))


def _doubts(forecast: xr.Dataset) -> Iterator[str]:
    """Say what the forecast has seen, whether it holds doubt about assumptions, and what of its data was filled."""
    yield from evidence_notes(forecast)
    yield from sampling_notes(forecast.attrs)
    if "months_seen" not in forecast:
        yield "Nothing of the year is seen yet."
    if "parameter_set" not in forecast.coords:
        yield "The ranges are of chance; doubt about the assumptions comes on top (drawn from a fit, it is in them)."
    filled = [name for name in WARNED if name in json.loads(forecast.attrs.get("filled", "{}"))]
    if filled:
        yield f"The panel did not give all of {joined([name.replace('_', ' ') for name in filled])}: filled by rule."


def joined(words: list[str]) -> str:
    """Write a list as in a sentence.

    >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last
