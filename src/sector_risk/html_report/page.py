"""The page as a whole: the answers on top, a section for each question, and what it rests on."""

from dataclasses import dataclass

import xarray as xr

from sector_risk.answers import Answer, five_answers
from sector_risk.findings import Findings, find
from sector_risk.html_report.certainty import certainty
from sector_risk.html_report.drivers import drivers
from sector_risk.html_report.fixes import fixes
from sector_risk.html_report.how_bad import how_bad
from sector_risk.html_report.record import Record, record
from sector_risk.html_report.section import Section
from sector_risk.html_report.tables import words
from sector_risk.html_report.whose import Whose, whose
from sector_risk.html_report.years import years
from sector_risk.readings import balance, counted_draws, pounds, rules_in_force

__all__ = ["Link", "Page", "page_of"]

SECTIONS = ("how-bad", "whose", "drivers", "fixes", "certainty")
"""Where each of the five answers leads, in their order."""
AFTERWARDS = (("years", "The years ahead"), ("record", "What it rests on"))


@dataclass(frozen=True)
class Link:
    """A line of the contents, or of an answer, and where it leads."""

    id: str
    label: str


@dataclass(frozen=True)
class Page:
    """All that the template fills in."""

    title: str
    verdict: str
    about: str
    answers: tuple[tuple[Answer, str], ...]
    contents: tuple[Link, ...]
    how_bad: Section
    whose: Whose
    drivers: Section
    fixes: Section
    certainty: Section
    years: Section | None
    record: Record


def page_of(forecast: xr.Dataset, projection: xr.Dataset | None) -> Page:
    """Measure a forecast and say what the page shows of it."""
    found = find(forecast)
    ahead = None if projection is None else years(projection)
    answers = tuple(zip(five_answers(forecast, found), SECTIONS, strict=True))
    links = [Link(section, answer.question) for answer, section in answers]
    links += [Link(section, label) for section, label in AFTERWARDS if section != "years" or ahead]
    return Page(
        title=_title(found),
        verdict=_verdict(found),
        about=_about(found),
        answers=answers,
        contents=tuple(links),
        how_bad=how_bad(found),
        whose=whose(found),
        drivers=drivers(found),
        fixes=fixes(found),
        certainty=certainty(found),
        years=ahead,
        record=record(found),
    )


def _title(found: Findings) -> str:
    year = words(found.forecast.attrs.get("year", "not stated"))
    who = "NHS providers in England" if found.whole else "Some NHS providers in England"
    return f"{who}, {'financial year not stated' if year == 'not stated' else year}: year-end position"


def _verdict(found: Findings) -> str:
    """What is expected, beside the plan."""
    sector = found.one("sector")
    expected, plan = sector["mean"].item(), sector.plan.item()
    against = f"{pounds(abs(expected - plan))} {'worse' if expected < plan else 'better'} than plan"
    return f"{found.who} is expected to end the year with {balance(expected)}, {against} ({balance(plan)})."


def _about(found: Findings) -> str:
    """How many trusts and draws, which rules, how to read signs, and whether trusts are real."""
    forecast = found.forecast
    trusts = f"{forecast.sizes['trust']} {'synthetic ' if forecast.attrs.get('synthetic') else ''}trusts"
    synthetic = (
        ", which together match published totals; none is a real trust" if forecast.attrs.get("synthetic") else ""
    )
    return words(
        f"{trusts}{synthetic}. {counted_draws(found.n_draws)}. Rules: {rules_in_force(forecast.attrs)}. "
        "GBP million after support unless said; surplus positive, deficit negative."
    )
