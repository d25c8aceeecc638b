"""The quality pack as one page of Markdown, for whoever reviews the forecast."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sector_risk.chances import NORMAL_95
from sector_risk.evidence_log import JUDGED
from sector_risk.quality.figures import PROBABILITY
from sector_risk.quality.pack import TABLES, QualityPack
from sector_risk.quality.rows import FAILED, NOT_RUN, PASSED, CheckRow, ErrorRow, SettingRow, ShareRow
from sector_risk.readings import effect_label
from sector_risk.settings import CONFIDENCE

HEADING = "# Quality pack: "
SIGNATURES = "\n".join(f"| {who} | | | |" for who in ("Analyst", "Reviewer", "Owner"))
"""Lines of the page that people sign."""
PURPOSE = (
    "How likely each trust, the provider sector and the whole NHS are to end the year in balance, by how much they may "
    "miss it, and why. Money is GBP million; surplus positive, deficit negative. This page puts together what a "
    "reviewer needs; every table is beside it in full."
)
LIMITS = """\
Of every forecast; the documentation has more ("Conventions", "Theory"):

- A deficit is GBP 5,000 or more below nought. "Expected" is the mean of the draws.
- One cause explains variances: pressure less one-off cover; what is better than plan is kept in part.
- Decisions in answer to the forecast are not modelled: compare another panel or other rules on the same draws.
- Cash, capital, activity, workforce and waiting times enter only as drift, or as a driver of one's own.
- Commissioners enter as totals, as central actions, independent of providers and of each other.
- Plans, turnover and reports are taken as given.
- Events without a like in the years behind the assumptions are not among the draws.

`sector-risk backtest` holds forecasts against what came to pass; `sector-risk project` has the years after."""


def quality_page(pack: QualityPack) -> str:
    """Return the page in Markdown: purpose, scope, checks, what is guess, range and errors, limits, lines to sign."""
    sections = {
        "Purpose": [PURPOSE],
        "Scope and data": _scope(pack),
        "Choices in force": table(
            ("Choice", "In this forecast", "Reason", "Where to change it"), pack.tables["decisions"]
        ),
        "Checks": _checks(pack),
        "What is known and what is guess": _guesses(pack),
        "What makes the range": _range(pack),
        "How sure the figures are": _errors(pack),
        "Limits": [LIMITS],
        "Files": (f"- `{name}.csv`: {what.words}" for name, what in TABLES.items()),
        "Sign-off": ["| Who | Name | Date | Fit for the purpose above? |", "| --- | --- | --- | --- |", SIGNATURES],
    }
    blocks = ("\n".join((f"## {heading}", "", *lines)) for heading, lines in sections.items())
    return "\n\n".join([HEADING + pack.title, *blocks]) + "\n"


def outcome(pack: QualityPack) -> str:
    """Say how many checks passed, failed and were not run.

    >>> outcome(QualityPack("", {"checks": ()}))
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


def _scope(pack: QualityPack) -> Iterator[str]:
    rows = ((row.item.replace("_", " "), row.value, row.meaning) for row in pack.tables["data"])
    yield from table(("What", "In this forecast", "Meaning"), rows)


def _checks(pack: QualityPack) -> Iterator[str]:
    yield f"{outcome(pack)}. They were made on the draws themselves when this pack was written."
    yield from (f"\n**{row.table}.csv could not be made**: {cell(row.reason)}" for row in pack.not_made)
    yield ""
    in_order = sorted(pack.checks, key=lambda row: (FAILED, NOT_RUN, PASSED).index(row.result))
    yield from table(("Check", "Result", "Figure", "Limit", "Unit", "Note"), map(_check_cells, in_order))


def _check_cells(row: CheckRow) -> tuple[str, ...]:
    result = f"**{row.result}**" if row.result == FAILED else row.result
    return row.check, result, plain_figure(row.figure), plain_figure(row.limit), row.unit, row.note


def _guesses(pack: QualityPack) -> Iterator[str]:
    logs = [pack.tables["assumptions"], pack.tables["rules"]]
    counts = [Counter(row.confidence for row in log) for log in logs]
    rows = [(f"{mark}: {meaning}", *(str(count[mark]) for count in counts)) for mark, meaning in CONFIDENCE.items()]
    yield from table(("Mark", "Assumptions", "Settings of rules"), rows)
    guessed = sum(count[mark] for count in counts for mark in JUDGED)
    yield f"\n{guessed} of {sum(map(len, logs))} values are judgement or weak."
    yield from _changed([row for log in logs for row in log if row.changed == "yes"])


def _changed(rows: Sequence[SettingRow]) -> Iterator[str]:
    if not rows:
        yield "Every value is the default."
        return
    yield "Changed from the default:\n"
    yield from table(("Name", "Value", "Default", "Source"), ((r.name, r.value, r.default, r.source) for r in rows))


def _range(pack: QualityPack) -> Iterator[str]:
    yield (
        "Share of each effect in the variance of the year-end position: the shares of a unit add up to one, and one "
        "that makes up for others is negative. Deficit: what the effect adds in the worst 5% of draws, GBP million."
    )
    yield ""
    headings = ("Unit", "Effect", "Share", "Standard error", "Deficit", "Standard error")
    yield from table(headings, map(_share_cells, pack.tables["uncertainty"]))


def _share_cells(row: ShareRow) -> tuple[str, ...]:
    deficit, error = row.deficit_in_worst_5_percent, row.deficit_in_worst_5_percent_error
    shares = f"{row.share:.1%}", f"{row.share_error:.1%}"
    return row.unit, effect_label(row.effect), *shares, plain_figure(deficit), plain_figure(error)


def _errors(pack: QualityPack) -> Iterator[str]:
    yield (
        "Chance in the draws alone; doubt about the assumptions and the model comes on top. Errors, here and above, "
        "take draws as independent. They are too small where draws come in parameter sets, or months were seen: such "
        "draws share what is not known. The check of the sector's mean allows for it."
    )
    yield ""
    rows = ((r.figure, _value(r), plain_figure(r.standard_error), r.unit, r.method) for r in pack.tables["errors"])
    yield from table(("Figure", "Value", "Standard error", "Unit", "How"), rows)


def _value(row: ErrorRow) -> str:
    """Write a figure; a chance that no draw or every draw shows is not claimed to be nought or one."""
    if row.unit != PROBABILITY or 0.0 < row.value < 1.0:
        return plain_figure(row.value)
    bound = NORMAL_95 * row.standard_error
    return f"under {bound:.2g}" if row.value == 0.0 else f"over {1.0 - bound:.4g}"


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
