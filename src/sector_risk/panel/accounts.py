"""Published accounts of trusts: the consolidation schedules (TAC) of a financial year.

A file holds every cell of every trust's form, a million rows for the foundation trusts. It is read row by
row, and only the cells of `LINES` are kept. A cell is known by its main code (the form's column; ``CY`` is
the current year) and its sub code (the form's line), never by the number of the table, which changes from
year to year. The codes are those of the forms of 2019-20 to 2023-24.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.faults import Fault, InputWarning, as_sentence, nearest, raise_if_any
from sector_risk.panel.build import year_of
from sector_risk.panel.cells import as_number, unreadable
from sector_risk.panel.check import HIGHEST_MEDIAN_TURNOVER, low_median
from sector_risk.panel.guard import refused, require_readable
from sector_risk.panel.names import plain
from sector_risk.panel.tables import Headings, header_position, named_sheet, opened, with_top
from sector_risk.panel.xlsx import Row, letters_of
from sector_risk.schema import AMOUNT_SIGN, BALANCE_SIGN, MONEY, PANEL, REGION_LABELS, TYPE_LABELS

DATA, PROVIDERS = "All data", "List of Providers"
THOUSAND = 1_000.0
# Below this the file is in GBP million, not thousand: the smallest trusts turn over 30.
LOWEST_MEDIAN_TURNOVER = 1.0

# The lines of the form that are kept: main code and sub code.
LINES: Mapping[str, tuple[str, str]] = {
    "patient_income": ("A02CY01", "SCI0100A"),
    "other_income": ("A02CY01", "SCI0110A"),
    "operating_expenditure": ("A02CY01", "SCI0125A"),
    "absorption": ("A02CY01", "SCI0210"),
    "surplus": ("A02CY01", "SCI0240"),
    "sustainability_funding": ("A07CY01", "INC1310"),
    "impairments": ("A08CY01", "EXP0260"),
    "bank": ("A09CY01", "STA0300"),
    "agency": ("A09CY01", "STA0310"),
    "staff_cost": ("A09CY01", "STA0360"),
    "wte": ("A09CY01", "STA0490"),
    "control_total_basis": ("A28CY01", "OTD0230"),
}
LINE_OF: Mapping[tuple[str, str], str] = {codes: line for line, codes in LINES.items()}
# Every form has these; a file without them has other codes or is something else.
ESSENTIAL = ("patient_income", "operating_expenditure", "surplus", "staff_cost")

HEADERS: Mapping[str, str] = {
    "organisationname": "organisation",
    "maincode": "main_code",
    "subcode": "sub_code",
    "total": "value",
    "valuenumber": "value",
    "fullnameofprovider": "name",
    "nhscode": "trust",
    "region": "region",
    "sector": "sector",
    "comments": "comments",
    "comment": "comments",
}
DATA_COLUMNS = ("organisation", "main_code", "sub_code", "value")
AS_PUBLISHED: Mapping[str, str] = {
    "organisation": "OrganisationName",
    "main_code": "MainCode",
    "sub_code": "SubCode",
    "value": "Total' or 'Value number",
    "name": "Full name of Provider",
    "trust": "NHS code",
}

# Staff in post are paid by Agenda for Change and as doctors in the sector's proportion of 2018-19, GBP billion.
AFC_OF_STAFF = 37.2 / (37.2 + 11.8)

GIVEN_UP = re.compile(r"acquired by|merged (?:into|with)|transfer\w* to|taken over by|joined|succeeded by|part of")
TAKEN_ON = re.compile(r"acqui\w+|merg\w+|took over|formed|created|incorporat\w+|formerly|previously|success\w+")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Variable:
    """What one variable of the accounts is, and how it follows from the lines."""

    long_name: str
    sign: str
    of: Callable[[Lines], Floats]
    units: str = MONEY

    @property
    def attrs(self) -> dict[str, str]:
        """As the variables of a panel have them."""
        return {"long_name": self.long_name, "units": self.units, "sign": self.sign}


@dataclass(frozen=True)
class Lines:
    """The kept cells, one array per line; NaN where a trust's form has none."""

    values: Mapping[str, Floats]
    foundation: NDArray[np.bool_]

    def __getitem__(self, line: str) -> Floats:
        return self.values[line]

    def sum(self, *lines: str) -> Floats:
        """Lines added up; one that is not there counts as nought, none at all as missing."""
        together = np.stack([self.values[line] for line in lines])
        return np.where(np.isnan(together).all(axis=0), np.nan, np.nansum(together, axis=0))

    @property
    def substantive(self) -> Floats:
        """The pay of staff in post: neither bank nor agency."""
        return self["staff_cost"] - np.nan_to_num(self.sum("bank", "agency"))

    @property
    def adjusted(self) -> Floats:
        """The position on the basis of the control total; for foundation trusts an approximation."""
        near = self["surplus"] - np.nan_to_num(self["absorption"]) + np.nan_to_num(self["impairments"])
        return np.where(self.foundation, near, self["control_total_basis"])


VARIABLES: Mapping[str, Variable] = {
    "turnover": Variable("income of the year", AMOUNT_SIGN, lambda all: all.sum("patient_income", "other_income")),
    "operating_expenditure": Variable(
        "operating expenditure of the year", AMOUNT_SIGN, lambda all: np.abs(all["operating_expenditure"])
    ),
    "surplus": Variable("surplus for the year", BALANCE_SIGN, lambda all: all["surplus"]),
    "adjusted_position": Variable(
        "adjusted financial performance; for foundation trusts surplus less absorption transfers plus impairments",
        BALANCE_SIGN,
        lambda all: all.adjusted,
    ),
    "sustainability_funding": Variable(
        "sustainability and recovery funding received", AMOUNT_SIGN, lambda all: all["sustainability_funding"]
    ),
    "impairments": Variable("impairments net of reversals", "cost positive", lambda all: all["impairments"]),
    "staff_cost": Variable("total staff cost", AMOUNT_SIGN, lambda all: all["staff_cost"]),
    "bank": Variable("external bank staff", AMOUNT_SIGN, lambda all: all["bank"]),
    "agency": Variable("agency and contract staff", AMOUNT_SIGN, lambda all: all["agency"]),
    "pay_bank_agency": Variable(PANEL["pay_bank_agency"].long_name, AMOUNT_SIGN, lambda all: all.sum("bank", "agency")),
    "pay_afc": Variable(
        "pay bill of Agenda for Change staff: 37.2/49.0 of staff cost without bank and agency",
        AMOUNT_SIGN,
        lambda all: AFC_OF_STAFF * all.substantive,
    ),
    "pay_medical": Variable(
        "pay bill of medical and dental staff: 11.8/49.0 of staff cost without bank and agency",
        AMOUNT_SIGN,
        lambda all: (1.0 - AFC_OF_STAFF) * all.substantive,
    ),
    "wte": Variable(
        "average number of staff, whole-time equivalents", AMOUNT_SIGN, lambda all: THOUSAND * all["wte"], "1"
    ),
}


def read_accounts(path: str | Path, *, providers: str | Path | None = None, year: str | None = None) -> xr.Dataset:
    r"""Read the published accounts of a year.

    NHS trusts and foundation trusts are published apart, year by year: read each file by a call of its own,
    for a file's year and status belong to all of it, and give them to `combine` together.

    Parameters
    ----------
    path : str or Path
        A workbook as published, with the sheets "All data" and "List of Providers"; or the first of these as
        ``.csv`` or ``.parquet``. GBP thousand.
    providers : str or Path, optional
        The second sheet as a file of its own.
    year : str, optional
        The financial year, ``"2023-24"``. By default it is looked for in the file's name.

    Returns
    -------
    xarray.Dataset
        On ``trust``, in the order of the list of providers; GBP million. ``turnover``,
        ``operating_expenditure`` (positive), ``surplus``, ``adjusted_position`` (on the basis of the control
        total), ``sustainability_funding``, ``impairments``, ``staff_cost``, ``bank``, ``agency``,
        ``pay_bank_agency``, ``pay_afc`` and ``pay_medical`` (by the sector's proportion) and ``wte``. A line
        that a trust's form does not have is missing, and counts as nought in a sum. Coordinates ``name``,
        ``region``, ``trust_type`` (where the sector says it), ``sector`` as published, ``foundation_trust``,
        ``comments``, and ``successor`` where a comment says that another trust of the file took this one on.
        It has no plans, so it is no panel yet: see `combine`.

    Raises
    ------
    InputError
        With every fault: sheet, row, column, what came and the remedy.

    Warns
    -----
    InputWarning
        If a trust of one sheet is not on the other.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> data, listed = Path(folder.name, "tac_2023-24.csv"), Path(folder.name, "providers.csv")
    >>> _ = data.write_text(
    ...     "OrganisationName,WorkSheetName,TableID,MainCode,RowNumber,SubCode,Total\n"
    ...     "Anytown NHS Trust,TAC02 SoCI,1,A02CY01,10,SCI0100A,400000\n"
    ...     "Anytown NHS Trust,TAC02 SoCI,1,A02PY01,10,SCI0100A,390000\n"
    ...     "Anytown NHS Trust,TAC02 SoCI,1,A02CY01,11,SCI0110A,50000\n"
    ...     "Anytown NHS Trust,TAC02 SoCI,1,A02CY01,12,SCI0125A,-460000\n"
    ...     "Anytown NHS Trust,TAC02 SoCI,1,A02CY01,25,SCI0240,(12500)\n"
    ...     "Anytown NHS Trust,TAC09 Staff,2,A09CY01,25,STA0360,290000\n"
    ... )
    >>> _ = listed.write_text("Full name of Provider,NHS code,Region,Sector\nAnytown NHS Trust,ZZ1,London,Acute\n")
    >>> accounts = read_accounts(data, providers=listed)
    >>> float(accounts["turnover"].sel(trust="ZZ1")), float(accounts["surplus"].sel(trust="ZZ1"))
    (450.0, -12.5)
    >>> accounts.attrs["year"]
    '2023-24'
    >>> folder.cleanup()
    """
    path, listed_in = Path(path), Path(path if providers is None else providers)
    require_readable(path)
    if path == listed_in and path.suffix.lower() in (".csv", ".parquet"):
        remedy = f"Give the sheet '{PROVIDERS}' as a file too: providers='providers.csv'."
        raise refused(path.name, "a file without sheets has no list of providers", "", remedy)
    with _sheet(path, DATA) as (rows, sheet):
        kept = _kept(rows, path.name, sheet)
    with _sheet(listed_in, PROVIDERS) as (rows, sheet):
        listed, faults = _providers(rows, listed_in.name, sheet)
    raise_if_any([*kept.faults, *_absent_lines(kept, path.name), *faults])
    accounts = _dataset(kept, listed)
    raise_if_any(_off_scale(accounts, path.name))
    for message in _unmatched(kept, listed):
        warnings.warn(f"{path.name}: {message}", InputWarning, stacklevel=2)
    return accounts.assign_attrs(year=year_of(year, path.name), source=path.name)


@dataclass(frozen=True)
class Provider:
    """One row of the list of providers."""

    row: int
    trust: str
    name: str
    region: str
    sector: str
    comments: str


@dataclass
class Kept:
    """The cells that were kept, by the trusts' plain names; and what was found on the way."""

    place: str
    sheet: str
    cells: dict[str, dict[str, float]] = field(default_factory=dict)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    near: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    def put(self, number: int, cells: Mapping[str, str], letter: str) -> None:
        """Take a row's cell if it is wanted; remember the others of the same column of the form."""
        key = (cells["main_code"].upper(), cells["sub_code"].upper())
        trust = self._trust(cells["organisation"])
        line = LINE_OF.get(key)
        if line is None:
            self.near.update({key[1]} if key[0] == LINES["surplus"][0] else ())
            return
        try:
            value = as_number(cells["value"]) / THOUSAND
        except ValueError:
            rule, remedy = unreadable(cells["value"], "text in a number", "Type a number.")
            self._fault(number, trust, line, rule, cells["value"], remedy, letter)
            value = np.nan
        first = self.rows.setdefault((trust, line), number)
        if first != number:
            rule = f"a code twice for one trust (also in row {first})"
            self._fault(number, trust, line, rule, " ".join(key), "Keep one of them.", letter)
        self.cells[trust][line] = value

    def _trust(self, name: str) -> str:
        if name not in self.names:
            self.names[name] = plain(name)
            self.cells.setdefault(self.names[name], {})
        return self.names[name]

    def _fault(self, row: int, trust: str, line: str, rule: str, value: str, remedy: str, letter: str) -> None:
        name = next(name for name, key in self.names.items() if key == trust)
        self.faults.append(Fault(self.place, rule, value, remedy, name, line, row, self.sheet, letter))


@contextmanager
def _sheet(path: Path, wanted: str) -> Iterator[tuple[Iterator[Row], str]]:
    require_readable(path)
    with opened(path) as sheets:
        name = "" if list(sheets) == [""] else named_sheet(path, sheets, wanted)
        with closing(sheets[name]()) as rows:
            yield rows, name


def _laid_out(
    rows: Iterator[Row], needed: Iterable[str], place: str, sheet: str
) -> tuple[dict[str, int], Iterator[Row]]:
    """Which column is which, and the rows below their names."""
    above, below = with_top(rows)
    if not above:
        raise refused(place, "no rows", "", "Give the sheet as published.", sheet)
    position = header_position(above, Headings(_heading))
    number, header = above[position]
    columns = {_heading(name): column for column, name in reversed(list(enumerate(header)))}
    absent = [AS_PUBLISHED[name] for name in needed if name not in columns]
    raise_if_any(
        Fault(
            place,
            "required column missing",
            "",
            f"Name it '{name}', as published. {as_sentence(nearest(name, header))}".strip(),
            row=number,
            sheet=sheet,
        )
        for name in absent
    )
    return columns, chain(above[position + 1 :], below)


def _heading(name: str) -> str:
    return HEADERS.get(plain(name).replace(" ", ""), "")


def _cells(row: list[str], columns: Mapping[str, int]) -> dict[str, str]:
    return {name: row[position] if position < len(row) else "" for name, position in columns.items()}


def _kept(rows: Iterator[Row], place: str, sheet: str) -> Kept:
    kept = Kept(place, sheet)
    columns, body = _laid_out(rows, DATA_COLUMNS, place, sheet)
    letter = letters_of(columns["value"]) if sheet else ""
    for number, row in body:
        kept.put(number, _cells(row, columns), letter)
    return kept


def _providers(rows: Iterator[Row], place: str, sheet: str) -> tuple[list[Provider], list[Fault]]:
    columns, body = _laid_out(rows, ("name", "trust"), place, sheet)
    listed: dict[str, Provider] = {}
    faults = []
    for number, row in body:
        cells = _cells(row, columns)
        said = [cells.get(name, "") for name in ("trust", "name", "region", "sector", "comments")]
        if not said[0] or not said[1]:
            continue  # a note below the list
        provider = Provider(number, *said)
        first = listed.setdefault(provider.trust.casefold(), provider)
        if first is not provider:
            rule = f"duplicate trust code (also in row {first.row})"
            remedy, letter = "Keep one row for each trust.", letters_of(columns["trust"]) if sheet else ""
            faults.append(Fault(place, rule, provider.trust, remedy, provider.trust, "trust", number, sheet, letter))
    return list(listed.values()), faults


def _absent_lines(kept: Kept, place: str) -> Iterator[Fault]:
    there = {line for cells in kept.cells.values() for line in cells}
    for line in ESSENTIAL:
        if line not in there:
            main, sub = LINES[line]
            asked = as_sentence(nearest(sub, kept.near, 0.8))
            remedy = f"Give the file of published accounts with its current-year codes. {asked}".strip()
            yield Fault(place, "no trust has this line", f"{main} {sub}", remedy, variable=line, sheet=kept.sheet)


def _unmatched(kept: Kept, listed: Iterable[Provider]) -> Iterator[str]:
    known = {plain(provider.name) for provider in listed}
    without_code = [name for name, key in kept.names.items() if key not in known]
    if without_code:
        yield f"left out, for they are not on the list of providers: {', '.join(without_code)}."
    without_figures = [provider.name for provider in listed if plain(provider.name) not in kept.cells]
    if without_figures:
        yield f"left out, for the file has no figures of theirs: {', '.join(without_figures)}."


def _dataset(kept: Kept, listed: Iterable[Provider]) -> xr.Dataset:
    there = [provider for provider in listed if plain(provider.name) in kept.cells]
    forms = [kept.cells[plain(provider.name)] for provider in there]
    values = {line: np.array([form.get(line, np.nan) for form in forms], dtype=np.float64) for line in LINES}
    names = np.array([provider.name for provider in there], dtype=str)
    foundation = np.array(["foundation trust" in plain(name) for name in names], dtype=bool)
    lines = Lines(values, foundation)
    return xr.Dataset(
        {name: ("trust", variable.of(lines), variable.attrs) for name, variable in VARIABLES.items()},
        coords={
            "trust": ("trust", np.array([provider.trust for provider in there], dtype=str), PANEL["trust"].attrs),
            "name": ("trust", names, PANEL["name"].attrs),
            "region": ("trust", _labels(REGION_LABELS.get(p.region.casefold(), p.region) for p in there)),
            "trust_type": ("trust", _labels(_type(p.sector) for p in there), PANEL["trust_type"].attrs),
            "sector": ("trust", _labels(p.sector for p in there), {"long_name": "sector, as published"}),
            "foundation_trust": ("trust", foundation, {"long_name": "whether it is a foundation trust"}),
            "comments": ("trust", _labels(p.comments for p in there), {"long_name": "comments, as published"}),
            "successor": ("trust", _labels(_successors(there)), PANEL["successor"].attrs),
        },
    )


def _labels(texts: Iterable[str]) -> NDArray[np.str_]:
    return np.array(list(texts), dtype=str)


def _type(sector: str) -> str:
    known = {**TYPE_LABELS, "specialist": TYPE_LABELS["acute specialist trusts"]}
    return known.get(sector.casefold().strip(), ("", ""))[0]


def _successors(listed: list[Provider]) -> list[str]:
    """The code of the trust that took each one on, as comments say; its own where none does."""
    successors = {provider.trust: provider.trust for provider in listed}
    for provider in listed:
        comment = plain(provider.comments)
        named = [other for other in listed if other is not provider and plain(other.name) in comment]
        if named and GIVEN_UP.search(comment):
            successors[provider.trust] = named[0].trust
        elif TAKEN_ON.search(comment):
            successors.update({other.trust: provider.trust for other in named})
    return list(successors.values())


def _off_scale(accounts: xr.Dataset, place: str) -> Iterator[Fault]:
    median = low_median(accounts["turnover"].values)
    if not LOWEST_MEDIAN_TURNOVER <= median <= HIGHEST_MEDIAN_TURNOVER:
        remedy = "Give the file as published, in GBP thousand."
        rule = "the figures are not in GBP thousand: the median turnover would be"
        yield Fault(place, rule, f"{median:,.4g} million", remedy, variable="turnover")
