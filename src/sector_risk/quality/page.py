"""The quality pack as one page of Markdown, for whoever reviews the forecast."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sector_risk.evidence_log import JUDGED
from sector_risk.quality.chance import PROBABILITY, Z95
from sector_risk.quality.decisions import NOT_MODELLED
from sector_risk.quality.pack import QualityPack
from sector_risk.quality.rows import FAILED, NOT_RUN, PASSED, CheckRow, ErrorRow, SettingRow
from sector_risk.readings import effect_label
from sector_risk.settings import CONFIDENCE

HEADING = "# Quality pack: "
"""Marks of figures that are judgement or weak."""
SIGNATURES = "\n".join(f"| {who} | | | |" for who in ("Analyst", "Reviewer", "Owner"))
"""Lines of the page that people sign."""

FILES = {
    "assumptions.csv": "every assumption: value, source, mark, default, changed or not",
    "rules.csv": "every setting of the rules, likewise",
    "data.csv": "where the data come from, and what was done to them",
    "decisions.csv": "choices in force and what is not modelled, with reasons and where to change them",
    "checks.csv": "checks made on the forecast, with figures and limits",
    "errors.csv": "Monte Carlo errors of the headline figures",
    "uncertainty.csv": "each effect's share in the range of outcomes",
    "versions.csv": "versions and digests",
}


def quality_page(pack: QualityPack) -> str:
    """Return the page.

    Parameters
    ----------
    pack : QualityPack

    Returns
    -------
    str
        Markdown: purpose, scope, checks, what is guess, range and errors, limits, and lines to sign.
    """
    sections = (_purpose, _scope, _choices, _checks, _guesses, _range, _errors, _limits, _files, _sign_off)
    blocks = [HEADING + pack.title, *("\n".join(section(pack)) for section in sections)]
    return "\n\n".join(blocks) + "\n"


def outcome(pack: QualityPack) -> str:
    """Say how many checks passed, failed and were not run.

    >>> outcome(QualityPack("", (), (), (), (), (), (), (), ()))
    '0 checks passed, 0 failed, 0 not run'
    """
    counts = Counter(row.result for row in pack.checks)
    return f"{counts[PASSED]} checks passed, {counts[FAILED]} failed, {counts[NOT_RUN]} not run"


def plain_figure(value: object) -> str:
    """Write a figure with four significant digits, and text as it is.

    >>> plain_figure(-1234.5), plain_figure(0.00001234), plain_figure("none"), plain_figure(200.0)
    ('-1,234', '1.234e-05', 'none', '200')
    """
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.4g}"


def _purpose(pack: QualityPack) -> Iterator[str]:
    yield "## Purpose"
    yield ""
    yield (
        "How likely each trust, the provider sector and the whole NHS are to end the year in balance, by how much they "
        "may miss it, and why. Money is GBP million; surplus positive, deficit negative. This page puts together what "
        "a reviewer needs; every table is beside it in full."
    )


def _scope(pack: QualityPack) -> Iterator[str]:
    yield "## Scope and data"
    yield ""
    rows = ((row.item.replace("_", " "), row.value, row.meaning) for row in pack.data)
    yield from table(("What", "In this forecast", "Meaning"), rows)


def _choices(pack: QualityPack) -> Iterator[str]:
    yield "## Choices in force"
    yield ""
    yield from table(
        ("Choice", "In this forecast", "Reason", "Where to change it"),
        (row for row in pack.decisions if row.in_force != NOT_MODELLED),
    )


def _checks(pack: QualityPack) -> Iterator[str]:
    yield "## Checks"
    yield ""
    yield f"{outcome(pack)}. They were made on the draws themselves when this pack was written."
    yield from (f"\n**{row.table}.csv could not be made**: {cell(row.reason)}" for row in pack.not_made)
    yield ""
    in_order = sorted(pack.checks, key=lambda row: (FAILED, NOT_RUN, PASSED).index(row.result))
    yield from table(("Check", "Result", "Figure", "Limit", "Unit", "Note"), map(_check_cells, in_order))


def _check_cells(row: CheckRow) -> tuple[str, ...]:
    result = f"**{row.result}**" if row.result == FAILED else row.result
    return row.check, result, plain_figure(row.figure), plain_figure(row.limit), row.unit, row.note


def _guesses(pack: QualityPack) -> Iterator[str]:
    yield "## What is known and what is guess"
    yield ""
    counts = [Counter(row.confidence for row in rows) for rows in (pack.assumptions, pack.rules)]
    rows = [(f"{mark}: {meaning}", *(str(count[mark]) for count in counts)) for mark, meaning in CONFIDENCE.items()]
    yield from table(("Mark", "Assumptions", "Settings of rules"), rows)
    settings = (*pack.assumptions, *pack.rules)
    guessed = sum(row.confidence in JUDGED for row in settings)
    yield f"\n{guessed} of {len(settings)} values are judgement or weak."
    yield from _changed([row for row in settings if row.changed == "yes"])


def _changed(rows: Sequence[SettingRow]) -> Iterator[str]:
    if not rows:
        yield "Every value is the default."
        return
    yield "Changed from the default:\n"
    yield from table(("Name", "Value", "Default", "Source"), ((r.name, r.value, r.default, r.source) for r in rows))


def _range(pack: QualityPack) -> Iterator[str]:
    yield "## What makes the range"
    yield ""
    yield (
        "Share of each effect in the variance of the year-end position: the shares of a unit add up to one, and one "
        "that makes up for others is negative. Deficit: what the effect adds in the worst 5% of draws, GBP million."
    )
    yield ""
    rows = (
        (
            row.unit,
            effect_label(row.effect),
            f"{row.share:.1%}",
            f"{row.share_error:.1%}",
            plain_figure(row.deficit_in_worst_5_percent),
            plain_figure(row.deficit_in_worst_5_percent_error),
        )
        for row in pack.uncertainty
    )
    yield from table(("Unit", "Effect", "Share", "Standard error", "Deficit", "Standard error"), rows)


def _errors(pack: QualityPack) -> Iterator[str]:
    yield "## How sure the figures are"
    yield ""
    yield (
        "Chance in the draws alone; doubt about the assumptions and the model comes on top. Where parameters are "
        "drawn, these are errors of chance given the sets."
    )
    yield ""
    rows = ((r.figure, _value(r), plain_figure(r.standard_error), r.unit, r.method) for r in pack.errors)
    yield from table(("Figure", "Value", "Standard error", "Unit", "How"), rows)


def _value(row: ErrorRow) -> str:
    """Write a figure; a chance that no draw or every draw shows is not claimed to be nought or one."""
    if row.unit != PROBABILITY or 0.0 < row.value < 1.0:
        return plain_figure(row.value)
    bound = Z95 * row.standard_error
    return f"under {bound:.2g}" if row.value == 0.0 else f"over {1.0 - bound:.4g}"


def _limits(pack: QualityPack) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "Not modelled:"
    yield ""
    yield from (f"- {cell(row.choice)}: {cell(row.reason)}." for row in pack.decisions if row.in_force == NOT_MODELLED)
    yield "\nForecasts are held against what came to pass with `sector-risk backtest`; that is not part of this pack."


def _files(pack: QualityPack) -> Iterator[str]:
    yield "## Files"
    yield ""
    yield from (f"- `{name}`: {what}" for name, what in FILES.items())


def _sign_off(pack: QualityPack) -> Iterator[str]:
    yield "## Sign-off"
    yield ""
    yield from ("| Who | Name | Date | Fit for the purpose above? |", "| --- | --- | --- | --- |", SIGNATURES)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a Markdown table.

    >>> list(table(("A", "B"), [("x", 1)]))
    ['| A | B |', '| --- | --- |', '| x | 1 |']
    """
    for row in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(cell(value) for value in row)} |"


def cell(value: object) -> str:
    """Write a value so that it stays in its cell."""
    return " ".join(str(value).split()).replace("|", "\\|")
