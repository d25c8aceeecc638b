"""What a command reads and writes: files are checked before the work, and all of them are written or none."""

import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sector_risk.cli.interrupt import INTERRUPT
from sector_risk.extras import need
from sector_risk.faults import InputError, InputWarning

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import RenderableType

    from sector_risk.assumptions import Assumptions
    from sector_risk.calibration import Calibration

SUGGESTED_CASE = "england-2018-19"
FORECASTS = (".nc", ".zarr")
PICTURES = (".png", ".pdf", ".svg")
PAGES = (".html",)
WRITTEN = "sector_risk.written"
"""Where a command notes the files it has written."""

Writer = Callable[[Path], object]
"""What writes one result under the name it is given."""

OF_A_FILE = ("year", "sheet", "mapping", "accounts")
"""Options that say how a panel's file is read."""

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PLACE = click.Path(path_type=Path)


def panel_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what its panel is read from."""
    options = (
        click.argument("panel", required=False, type=FILE),
        click.option("--case", metavar="NAME", help="A bundled case instead of a panel; see `sector-risk cases`."),
        click.option(
            "--year", metavar="YEAR", help="Financial year of PANEL, such as 2018-19, if its name does not say."
        ),
        click.option("--sheet", metavar="NAME", help="Sheet of a workbook, if several could be meant."),
        click.option(
            "--mapping", type=FILE, help="PANEL is a monthly return, and this TOML file says what its columns are."
        ),
        click.option(
            "--accounts",
            multiple=True,
            type=FILE,
            help="Published accounts that complete PANEL: turnover, pay. May be given again.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load(panel: Path | None, case: str | None, asked: dict[str, Any]) -> "xr.Dataset":
    """Read the panel or the bundled case: one of them, not two and not none."""
    if panel and case:
        raise click.UsageError("Give a PANEL file or --case, not both.")
    of_a_file = [name for name in OF_A_FILE if asked[name]]
    if case and of_a_file:
        raise click.UsageError(f"A bundled case is complete: give --{of_a_file[0]} with a PANEL file only.")
    import sector_risk as sr

    if case:
        return sr.load_case(case)
    if panel:
        return completed(read(panel, asked), asked["accounts"])
    raise click.UsageError(f"Give a PANEL file or a bundled case, such as --case {SUGGESTED_CASE}")


def read(panel: Path, asked: dict[str, Any]) -> "xr.Dataset":
    """Read a panel, or a monthly return where there is a mapping."""
    import sector_risk as sr

    if asked["mapping"]:
        return sr.read_return(panel, mapping=asked["mapping"], year=asked["year"], sheet=asked["sheet"])
    return sr.read_panel(panel, year=asked["year"], sheet=asked["sheet"])


def completed(panel: "xr.Dataset", accounts: tuple[Path, ...]) -> "xr.Dataset":
    """Complete a panel from published accounts, if there are any."""
    import sector_risk as sr

    if not accounts:
        return panel
    whole, report = sr.combine(panel, *(sr.read_accounts(path) for path in accounts))
    for source in report.sources:
        if not source.matched:
            warnings.warn(f"{source.source} has none of the panel's trusts.", InputWarning, stacklevel=2)
    return whole


def given_in_vain(names: Iterable[str], needed: str) -> None:
    """Refuse options that say something only together with what is not there."""
    context = click.get_current_context()
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} says something only with {needed}.")


def check_targets(output: Path | None, plot: Path | None, report: Path | None = None) -> list[Path]:
    """Find out before the simulation whether its results can be written."""
    if output:
        check_target("-o", output, FORECASTS)
    if plot:
        check_target("--plot", plot, PICTURES)
        need("--plot", "plots", "matplotlib")
    if report:
        check_report("--report", report)
    return [path for path in (output, plot, report) if path]


def check_report(option: str, path: Path) -> None:
    """Find out whether a report can be made and written."""
    check_target(option, path, PAGES)
    need("a report", "report", "jinja2", "matplotlib")


def check_target(option: str, path: Path, suffixes: tuple[str, ...]) -> None:
    """Find out whether one file can be written."""
    from sector_risk.files import check_target

    try:
        check_target(path, suffixes)
    except InputError as error:
        (fault,) = error.faults
        raise click.BadParameter(f"{path}: {fault}", param_hint=option) from None
    except OSError as error:
        raise click.BadParameter(f"cannot write {path}: {readable(error)}", param_hint=option) from None


def read_assumptions(path: Path | None) -> "Assumptions | Calibration":
    """Read assumptions, or a fit where the file has a section [fit]; the defaults where there is no file."""
    import sector_risk as sr
    from sector_risk.settings import read_toml

    if path is None:
        return sr.Assumptions()
    try:
        is_fit = "fit" in read_toml(path, "assumptions")
        return sr.Calibration.from_toml(path) if is_fit else sr.Assumptions.from_toml(path)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--assumptions") from None


def read_one_set(path: Path | None) -> "Assumptions":
    """Read assumptions as `read_assumptions` does; of a fit, its middle."""
    import sector_risk as sr

    given = read_assumptions(path)
    return given if isinstance(given, sr.Assumptions) else given.assumptions()


def write(*results: tuple[Path | None, Writer]) -> None:
    """Write all that have a place under temporary names and rename them together at the end: all or nothing."""
    from sector_risk.files import written_beside

    wanted = [(path, writer) for path, writer in results if path]
    with ExitStack() as renames:
        for path, writer in wanted:
            writer(renames.enter_context(written_beside(path)))
        with INTERRUPT.kept_for_later():
            renames.close()
            note_written(*(path for path, _ in wanted))


def note_written(*paths: Path) -> None:
    """Note files that are in place, to be named if the command fails after that."""
    click.get_current_context().meta.setdefault(WRITTEN, []).extend(paths)


def written() -> list[Path]:
    """Files that are in place."""
    return list(click.get_current_context().meta.get(WRITTEN, ()))


def draws_of(result: "xr.Dataset") -> Writer:
    """Return what writes the draws of a result."""

    def save(path: Path) -> None:
        from sector_risk.files import write_forecast

        write_forecast(result, path)

    return save


def report_of(forecast: "xr.Dataset", projection: "xr.Dataset | None" = None) -> Writer:
    """Return what writes the report of a forecast."""

    def save(path: Path) -> None:
        from sector_risk.html_report import write_report

        write_report(forecast, path, projection=projection)

    return save


def print_page(parts: "list[RenderableType]") -> None:
    """Print a page, part by part."""
    from rich.console import Console

    console = Console(highlight=False)
    for part in parts:
        console.print(part)


def readable(error: OSError) -> str:
    """Say what went wrong and where, without an error number."""
    if not error.strerror:
        return str(error)
    return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
