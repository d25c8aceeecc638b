"""A forecast as one page of HTML that stands by itself: no other file and no network is needed to read it."""

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import xarray as xr

from sector_risk.extras import need
from sector_risk.faults import Fault, raise_if_any
from sector_risk.files import check_target, written_beside
from sector_risk.projection_summary import NEEDED as NEEDED_OF_YEARS
from sector_risk.projection_summary import projection_faults
from sector_risk.units import check_forecast

__all__ = ["write_report"]

HERE = Path(__file__).parent
NEEDED = (
    "position",
    "position_before_support",
    "variance",
    "support",
    "contribution",
    "sector_position",
    "sector_position_before_support",
    "sector_ytd",
    "sector_plan_ytd",
    "nhs_position",
    "central_action",
    "central_effect",
    "deficit_count",
    "gross_deficit",
    "plan",
    "planned_support",
    "control_total",
    "efficiency_plan",
    "turnover",
    *("name", "region", "trust_type", "system", "driver", "month", "action"),
)
SAID = ("regime", "filled", "left_out", "not_used_yet")
"""Attributes that say what a forecast or a projection rests on."""


def write_report(forecast: xr.Dataset, path: str | os.PathLike[str], *, projection: xr.Dataset | None = None) -> Path:
    """Write a forecast as one HTML page: five questions answered, what stands behind them, and what it all rests on.

    The page holds its pictures, styles and script itself and can be opened anywhere, without a network, printed, and
    read without pictures. The same forecast gives the same page. It is written whole or not at all.

    Parameters
    ----------
    forecast : xarray.Dataset
        From `simulate`, `condition` or `open_forecast`.
    path : path
        Where to; the ending is `.html`. Missing folders are made.
    projection : xarray.Dataset, optional
        What `project` gave: the page then has the years ahead and the milestones too.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    InputError
        If the forecast or the projection is not what it should be, is of another version, or not whole.
    ValueError, OSError
        The ending is not `.html`, or the place cannot be written to.
    ImportError
        jinja2 or matplotlib is missing; the message says how to install it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import sector_risk as sr
    >>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=200)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_report(forecast, pathlib.Path(folder, "report.html"))
    ...     "How bad can it get?" in path.read_text(encoding="utf-8")
    True
    """
    need("a report", "report", "jinja2", "matplotlib")
    target = check_target(path, (".html",))
    unsaid = _unsaid(forecast, "forecast", ("assumptions", *SAID))
    check_forecast(forecast, NEEDED, "write_report(forecast, path, projection=...)", unsaid)
    if projection is not None:
        faults = projection_faults(projection, (*NEEDED_OF_YEARS, "year"), "the argument forecast")
        raise_if_any([*faults, *_unsaid(projection, "projection", SAID)])
        raise_if_any(_other_faults(forecast, projection))
    page = render(forecast, projection)
    with written_beside(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def render(forecast: xr.Dataset, projection: xr.Dataset | None) -> str:
    """Return the page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from sector_risk.html_report.page import page_of

    style, script = ((HERE / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["unbroken"] = unbroken
    return environment.get_template("page.html").render(
        page=page_of(forecast, projection),
        style=Markup(style),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )


def unbroken(sentence: str) -> str:
    """Keep a line from ending between a minus sign and its pound: a word joiner between them is not seen.

    >>> [f"{ord(letter):x}" for letter in unbroken("−£3m")[:3]]
    ['2212', '2060', 'a3']
    """
    return sentence.replace("\N{MINUS SIGN}£", "\N{MINUS SIGN}\N{WORD JOINER}£")


def _unsaid(result: xr.Dataset, place: str, needed: Iterable[str]) -> Iterator[Fault]:
    """One fault for all attributes that are missing."""
    missing = ", ".join(name for name in needed if name not in result.attrs)
    if missing:
        remedy = "Give what simulate, condition, project or a file of theirs gave, with its attributes."
        yield Fault(place, "made by hand or edited: attributes are missing", missing, remedy)


def _other_faults(forecast: xr.Dataset, projection: xr.Dataset) -> Iterator[Fault]:
    """Faults of a projection that is not of the forecast's trusts and year."""
    remedy = "Project the panel that the forecast was made from."
    if set(forecast["trust"].values) != set(projection["trust"].values):
        came = f"{projection.sizes['trust']} trusts, not the forecast's {forecast.sizes['trust']}"
        yield Fault("projection", "of other trusts than the forecast", came, remedy, variable="trust")
    first, year = str(projection["year"].values[0]), str(forecast.attrs.get("year", ""))
    if year and year != first:
        yield Fault("projection", f"begins in {first}, and the forecast is of", year, remedy, variable="year")
