"""`sector-risk report` and `qa`: what is made of a saved forecast, a report and a quality pack."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sector_risk.cli.files import PLACE, check_report, print_page, readable, report_of, write

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import RenderableType

    from sector_risk.quality import QualityPack
    from sector_risk.quality.rows import CheckRow

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What readers of files raise at one that they cannot read."""
FAILED = 1


@click.command()
@click.argument("forecast", type=PLACE)
@click.option("-o", "--output", type=PLACE, help="Where to: .html. Beside FORECAST, if not given.")
@click.option("--projection", type=PLACE, help="A saved projection, to show the years after too.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def report(forecast: Path, output: Path | None, projection: Path | None, quiet: bool) -> None:
    """Make a report of a saved forecast.

    How bad can it get, whose risk is it, what drives it, what would fix it, how sure is it: one page for a browser.

    \b
      sector-risk report out/forecast.nc
      sector-risk report out/forecast.nc -o answers.html --projection out/path.nc
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    place = output or forecast.with_suffix(".html")
    check_report("-o", place)
    write((place, report_of(open_one_year(forecast), open_years(projection) if projection else None)))
    if not quiet:
        click.echo(f"Wrote {place}")


@click.command()
@click.argument("forecast", type=PLACE)
@click.option("-o", "--output", type=PLACE, help="A folder. FORECAST-qa beside FORECAST, if not given.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@click.pass_context
def qa(context: click.Context, forecast: Path, output: Path | None, quiet: bool) -> None:
    """Check a saved forecast and write its quality pack.

    Logs of assumptions, rules, data and decisions; checks made now; errors; what makes the range; and a page to sign.
    The exit status is 1 if a check fails.

    \b
      sector-risk qa out/forecast.nc
      sector-risk qa out/forecast.nc -o review
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    place = output or forecast.with_name(f"{forecast.stem}-qa")
    check_folder(place)
    from sector_risk.quality import quality_pack, write_quality_pack

    pack = quality_pack(open_saved(forecast, "FORECAST"), file=forecast)
    write((place.resolve(), partial(write_quality_pack, pack)))
    if not quiet:
        print_page(outcome_page(pack, place))
    if pack.failed:
        context.exit(FAILED)


def check_folder(place: Path) -> None:
    """Find out whether a quality pack can be written."""
    from sector_risk.quality import folder

    try:
        folder.check_folder(place)
    except OSError as error:
        raise click.BadParameter(f"cannot write {place}: {readable(error)}", param_hint="-o") from None


def open_saved(path: Path, argument: str) -> "xr.Dataset":
    """Open a saved forecast or projection, if memory holds it."""
    from sector_risk import open_forecast
    from sector_risk.simulation import memory

    try:
        with open_forecast(path, lazy=True) as stored:
            too_large = stored.nbytes > memory()
        if not too_large:
            return open_forecast(path)
    except UNREADABLE as error:
        reason = readable(error) if isinstance(error, OSError) else str(error)
        raise click.BadParameter(f"{path} cannot be read: {reason}", param_hint=argument) from None
    raise click.BadParameter(f"{path} holds more draws than memory does.", param_hint=argument)


def open_one_year(path: Path) -> "xr.Dataset":
    """Open a saved forecast that this version can read."""
    from sector_risk.faults import raise_if_any
    from sector_risk.units import forecast_faults

    opened = open_saved(path, "FORECAST")
    if "year" in opened.dims:
        message = f"{path} is a projection. Give a forecast, and the projection with --projection."
        raise click.BadParameter(message, param_hint="FORECAST")
    raise_if_any(forecast_faults(opened, ("position",), ""))
    return opened


def open_years(path: Path) -> "xr.Dataset":
    """Open a saved projection."""
    opened = open_saved(path, "--projection")
    if not {"year", "draw"} <= set(opened.dims):
        message = f"{path} is no projection: `sector-risk project` makes one."
        raise click.BadParameter(message, param_hint="--projection")
    return opened


def outcome_page(pack: "QualityPack", written: Path) -> "list[RenderableType]":
    """Say what came of the checks, check by check, more of those that failed, and what was written."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from sector_risk.quality.page import outcome

    table = Table("Check", "Result", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in pack.checks:
        table.add_row(Text(row.check), row.result, style="bold" if row in pack.failed else None)
    details = (f"Failed: {row.check}. {what_failed(row)}" for row in pack.failed)
    gaps = (f"{gap.table}.csv could not be made: {gap.reason}" for gap in pack.not_made)
    words = (f"{outcome(pack)}.", *details, *gaps, f"Wrote {written}")
    return [Text(pack.title, style="bold"), "", table, "", *map(Text, words)]


def what_failed(row: "CheckRow") -> str:
    """Give the figure of a check that failed, its limit, and what else is known of it."""
    from sector_risk.quality.page import plain_figure

    figure = f"{plain_figure(row.figure)} {row.unit}".strip()
    held = f"{figure}, limit {plain_figure(row.limit)}." if figure else ""
    return f"{held} {row.note}".strip()
