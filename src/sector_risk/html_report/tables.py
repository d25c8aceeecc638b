"""Tables of the page: cells with the text to read and the value to sort by."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sector_risk.chances import NORMAL_95, chance_error, probability
from sector_risk.readings import NO_FIGURE, money

__all__ = [
    "Bar",
    "Cell",
    "Column",
    "Table",
    "Tick",
    "amount",
    "chance",
    "error",
    "named",
    "points",
    "table",
    "text",
    "words",
]

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Bar:
    """A range with its median, the plan and nought, in per cent of the width of a column."""

    low: float
    high: float
    median: float
    plan: float | None
    zero: float


@dataclass(frozen=True)
class Tick:
    """A value on the axis of a column of bars, and where it stands in per cent of the width."""

    at: float
    label: str


@dataclass(frozen=True)
class Cell:
    """What a cell says, what it is sorted by, and what stands small before it."""

    text: str
    order: float | str = ""
    code: str = ""
    bar: Bar | None = None


@dataclass(frozen=True)
class Column:
    """A column's heading; `kind` is "text", "number" or "bar"."""

    label: str
    kind: str = "number"
    axis: tuple[Tick, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def text(value: object, order: float | str | None = None, code: str = "") -> Cell:
    """Words in a cell; what cannot be printed becomes a space.

    >>> text("Two" + chr(10) + "lines").text
    'Two lines'
    """
    said = words(value)
    return Cell(said, said.casefold() if order is None else order, words(code))


def named(code: object, name: object) -> Cell:
    """Code and name of a trust, once where they are the same.

    >>> named("ZZ1", "A trust"), named("ZZ2", "").text
    (Cell(text='A trust', order='a trust', code='ZZ1', bar=None), 'ZZ2')
    """
    label = words(name).strip()
    return text(code) if label in ("", words(code)) else text(label, code=words(code))


def words(value: object) -> str:
    """Text on one line, without characters that a page cannot show.

    >>> words("a" + chr(0) + "b")
    'a b'
    """
    return "".join(c if c.isprintable() else " " for c in str(value))


def amount(value: float, decimals: int = 0) -> Cell:
    """A figure, most often GBP million; nought has no sign, and what is not there is a dash.

    >>> amount(-1234.5).text, amount(float("nan")).order
    ('−1,234', '')
    """
    return Cell(money(value, decimals).replace("-", MINUS), _order(value))


def error(value: float, decimals: int = 1) -> Cell:
    """How far chance in the draws may move a figure, at 95%: 1.96 standard errors.

    >>> error(1.0).text
    '±2.0'
    """
    return Cell(NO_FIGURE if math.isnan(value) else f"±{money(NORMAL_95 * value, decimals)}", _order(value))


def chance(share: float, n_draws: int) -> Cell:
    """A share of draws as a chance.

    >>> chance(0.0, 2000).text
    '<1%'
    """
    return Cell(probability(share, n_draws), _order(share))


def points(share: float, n_draws: int) -> Cell:
    """Monte Carlo error of a chance, at 95%, in points.

    >>> points(0.25, 10_000).text, points(0.0, 2000).text
    ('±0.8', '<0.2')
    """
    said = NO_FIGURE if math.isnan(share) else f"±{chance_error(share, n_draws).removesuffix(' points')}"
    return Cell(said.replace("±under ", "<"))


def table(caption: str, columns: Sequence[Column | str], rows: Iterable[Sequence[Cell]]) -> Table:
    """A table; columns that are given as words hold numbers, the first one text."""
    first, *others = (c if isinstance(c, Column) else Column(c) for c in columns)
    return Table(caption, (Column(first.label, "text"), *others), tuple(tuple(row) for row in rows))


def _order(value: float) -> float | str:
    return "" if math.isnan(value) else float(value)
