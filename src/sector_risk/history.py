"""What is known of past years: published figures of the sector, and panels of trusts with their variances."""

import csv
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import as_file, files
from itertools import zip_longest
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.faults import Fault, InputError, as_sentence, nearest, raise_if_any
from sector_risk.panel.cells import as_number
from sector_risk.schema import is_year_label
from sector_risk.settings import CONFIDENCE

F64 = NDArray[np.float64]
Row = dict[str, str]
QUARTER_ENDS = (3, 6, 9, 12)
MEASURES = {
    "plan_ytd": "planned position after support, year to date",
    "actual_ytd": "position after support, year to date; the outturn at month 12",
    "forecast": "year-end position that was declared at this point",
    "turnover": "turnover of the year",
    "efficiency_plan": "savings planned, year to date",
    "efficiency_delivered": "savings delivered, year to date",
    "efficiency_one_off": "savings delivered that do not recur, year to date",
    "share_below_plan": "share of trusts whose position to date is below plan (or control total); not money",
}
RANGES = {
    "turnover": (0.0, math.inf),
    "efficiency_plan": (0.0, math.inf),
    "efficiency_delivered": (0.0, math.inf),
    "share_below_plan": (-1e-12, 1.0),
}
"""Measures that must lie above the first and not above the second."""
COLUMNS = ("year", "month", "measure", "value", "source", "confidence")
BUNDLED = "sector-history.csv"


@dataclass(frozen=True)
class Figure:
    """One published figure of the sector, GBP million or a share, with its source and how far to trust it."""

    year: str
    month: int
    measure: str
    value: float
    source: str
    confidence: str


@dataclass(frozen=True, eq=False)
class History:
    """Figures of past years.

    Parameters
    ----------
    figures : tuple of Figure
        Of the provider sector at quarter ends; `MEASURES` names what is known.
    trusts : tuple of Dataset
        Panels, as from `read_panel`, each of a year of its own (attribute `year`), with `variance_ytd(trust, month)`
        or `actual` and `plan_ytd`.

    Raises
    ------
    InputError
        With every fault of figures and panels.

    Examples
    --------
    >>> history = load_history()
    >>> history.years
    ('2014-15', '2015-16', '2016-17', '2017-18', '2018-19')
    >>> history.without("2016-17").years
    ('2014-15', '2015-16', '2017-18', '2018-19')
    >>> round(float(history.sector["variance"].sel(year="2018-19", month=9)))
    -267
    """

    figures: tuple[Figure, ...] = ()
    trusts: tuple[xr.Dataset, ...] = ()

    def __post_init__(self) -> None:
        """Check every figure and panel; all faults in one `InputError`."""
        faults = [fault for f in self.figures for fault in figure_faults("history", f)]
        raise_if_any([*faults, *repeat_faults("history", self.figures), *panel_faults(self.trusts)])

    @property
    def years(self) -> tuple[str, ...]:
        """Years of which anything is known, in order."""
        return tuple(sorted({f.year for f in self.figures} | {panel.attrs["year"] for panel in self.trusts}))

    def without(self, year: str) -> "History":
        """Return the history as if a year had never been: no figure and no panel of it is left.

        Raises
        ------
        InputError
            If it is not written as a financial year, such as "2018-19": then nothing would be left out.
        """
        if not is_year_label(str(year)):
            remedy = 'Write it as "2018-19".'
            raise InputError([Fault("history", "not a financial year", str(year), remedy, variable="without")])
        figures = tuple(f for f in self.figures if f.year != year)
        return replace(self, figures=figures, trusts=tuple(p for p in self.trusts if p.attrs["year"] != year))

    def with_trusts(self, panel: xr.Dataset) -> "History":
        """Return the history with another panel of trusts' variances, of a year that has none yet."""
        return replace(self, trusts=(*self.trusts, panel))

    def marked(self, marks: str) -> "History":
        """Return the history with those figures alone whose confidence is one of the marks ("VD")."""
        return replace(self, figures=tuple(f for f in self.figures if f.confidence in marks))

    @cached_property
    def sector(self) -> xr.Dataset:
        """Figures of the sector on (year, month), missing where not known.

        GBP million; `turnover` on (year); `variance` is `actual_ytd` less `plan_ytd`, and `variance_share` that in per
        cent of the year's turnover.
        """
        years = sorted({f.year for f in self.figures})
        table = {name: np.full((len(years), len(QUARTER_ENDS)), np.nan) for name in MEASURES}
        for f in self.figures:
            table[f.measure][years.index(f.year), QUARTER_ENDS.index(f.month)] = f.value
        labels = {"year": np.array(years, dtype=object), "month": np.array(QUARTER_ENDS)}
        sector = xr.Dataset({name: (("year", "month"), values) for name, values in table.items()}, labels)
        sector["turnover"] = sector["turnover"].sel(month=12, drop=True)
        sector["variance"] = sector["actual_ytd"] - sector["plan_ytd"]
        return sector.assign(variance_share=100.0 * sector["variance"] / sector["turnover"])


def load_history() -> History:
    """Return the bundled figures of the English provider sector, 2014-15 to 2018-19.

    Positions are after support. The outturn of 2018-19 leaves out the technical adjustment of 256; its variances at
    months 6 and 9 are against plans that had been reset.

    Examples
    --------
    >>> load_history().sector["variance"].sel(month=12).values.tolist()
    [-398.0, -461.0, -211.0, -464.0, -308.0]
    """
    with as_file(files("sector_risk.cases") / BUNDLED) as path:
        return read_history(path)


def read_history(path: str | Path) -> History:
    """Read figures of the sector from a file with one figure a row.

    Parameters
    ----------
    path : str or Path
        A CSV file (UTF-8) with the columns year, month, measure, value, source, confidence. Money is GBP million,
        year to date; `month` is 3, 6, 9 or 12 (12 for turnover); `measure` is a key of `MEASURES`.

    Returns
    -------
    History

    Raises
    ------
    InputError
        With every fault of the file, by row.
    """
    place = Path(path).name
    header, rows = read_rows(Path(path))
    raise_if_any(column_faults(place, header))
    faults = [fault for number, row in rows for fault in cell_faults(place, row, number)]
    figures = [(number, as_figure(row)) for number, row in rows if not [*cell_faults(place, row, number)]]
    faults += [fault for number, f in figures for fault in figure_faults(place, f, number)]
    raise_if_any([*faults, *repeat_faults(place, tuple(f for _, f in figures))])
    return History(tuple(f for _, f in figures))


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    """Header of a CSV file, and its rows with the numbers that a spreadsheet shows; blank rows are left out."""
    try:
        lines = [*csv.reader(path.read_text(encoding="utf-8-sig").splitlines())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError([Fault(str(path), "cannot be read", str(error), "Give a CSV file (UTF-8).")]) from None
    header = [cell.strip() for cell in lines[0]] if lines else []
    cells = [(number, [cell.strip() for cell in line]) for number, line in enumerate(lines[1:], 2) if any(line)]
    return header, [(number, dict(zip_longest(header, line, fillvalue=""))) for number, line in cells]


def as_figure(row: Row) -> Figure:
    """Return the figure of a row whose cells can be read."""
    month = int(as_number(row["month"]))
    return Figure(row["year"], month, row["measure"], as_number(row["value"]), row["source"], row["confidence"])


def column_faults(place: str, header: list[str]) -> Iterator[Fault]:
    """Faults of the header: a column that is missing or not known."""
    known = f"The columns are {', '.join(COLUMNS)}."
    for name in COLUMNS:
        if name not in header:
            yield Fault(place, "a column is missing", name, known)
    for name in header:
        if name not in COLUMNS:
            yield Fault(place, "unknown column", name, as_sentence(nearest(name, COLUMNS)) or known)


def cell_faults(place: str, row: Row, number: int) -> Iterator[Fault]:
    """Faults of cells that must be numbers."""
    for name, kind in (("month", "month"), ("value", "number")):
        try:
            if math.isfinite(as_number(row[name])):
                continue
        except ValueError:
            pass
        yield Fault(
            place, f"not a {kind}", row[name], f"Type a {kind} or leave the row out.", variable=name, row=number
        )


def figure_faults(place: str, f: Figure, row: int | None = None) -> Iterator[Fault]:
    """Faults of one figure."""

    def fault(variable: str, rule: str, came: object, remedy: str) -> Fault:
        return Fault(place, rule, str(came), remedy, variable=variable, row=row)

    if not is_year_label(f.year):
        yield fault("year", "must be a financial year", f.year, "Write it as 2018-19.")
    if f.month not in QUARTER_ENDS:
        yield fault("month", "must be the end of a quarter", f.month, "Use 3, 6, 9 or 12 (March).")
    if f.measure not in MEASURES:
        remedy = as_sentence(nearest(f.measure, MEASURES)) or f"Use one of {', '.join(MEASURES)}."
        yield fault("measure", "unknown measure", f.measure, remedy)
    if f.measure == "turnover" and f.month != 12:
        yield fault("month", "turnover is for the year", f.month, "Give it at month 12.")
    low, high = RANGES.get(f.measure, (-math.inf, math.inf))
    if not (math.isfinite(f.value) and low < f.value <= high):
        yield fault("value", "cannot be a figure of this measure", f.value, "Correct it; shares are from 0 to 1.")
    if f.confidence not in CONFIDENCE:
        yield fault("confidence", "not a known mark", f.confidence, f"Use one of {', '.join(CONFIDENCE)}.")


def repeat_faults(place: str, figures: tuple[Figure, ...]) -> Iterator[Fault]:
    """Faults of figures that are given more than once, and of variances without a turnover to set them against."""
    count = Counter((f.year, f.month, f.measure) for f in figures)
    for (year, month, measure), times in count.items():
        if times > 1:
            came = f"{year} month {month}"
            yield Fault(place, "given more than once", came, "Keep one of them and name its basis.", variable=measure)
    has_turnover = {f.year for f in figures if f.measure == "turnover"}
    for year in sorted({f.year for f in figures if f.measure == "actual_ytd"} - has_turnover):
        yield Fault(place, "a year has positions and no turnover", year, "Add its turnover.", variable="turnover")


def panel_faults(panels: tuple[xr.Dataset, ...]) -> Iterator[Fault]:
    """Faults of panels: no year, the same year twice, no variances."""
    years = [str(panel.attrs.get("year", "")) for panel in panels]
    for year, panel in zip(years, panels, strict=True):
        if not is_year_label(year):
            remedy = 'Say which year it is: read_panel(path, year="2018-19").'
            yield Fault("history", "a panel does not state its year", year, remedy, variable="trusts")
        if "variance_ytd" not in panel and not {"actual", "plan_ytd"} <= set(panel):
            remedy = "Give variance_ytd, or actual and plan_ytd, by month."
            yield Fault("history", "a panel has no variances", year, remedy, variable="trusts")
    for year, times in Counter(years).items():
        if times > 1:
            yield Fault("history", "two panels of one year", year, "Give one panel a year.", variable="trusts")


def trust_variances(panel: xr.Dataset) -> F64:
    """Year-to-date variances of a panel at months 3, 6 and 9, (3, trust), GBP m; NaN where not known."""
    variance = panel["variance_ytd"] if "variance_ytd" in panel else panel["actual"] - panel["plan_ytd"]
    variance = variance.transpose("month", "trust").reindex(month=list(QUARTER_ENDS[:3]))
    return np.asarray(variance.values, dtype=float)
