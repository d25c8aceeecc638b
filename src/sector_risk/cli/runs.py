"""`sector-risk forecast` and `project`: run the model on a panel or a case."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sector_risk.cli.files import (
    FILE,
    PLACE,
    check_targets,
    draws_of,
    given_in_vain,
    load,
    panel_options,
    print_page,
    read_assumptions,
    read_one_set,
    report_of,
    write,
    written,
)
from sector_risk.cli.group import WholeNumber
from sector_risk.cli.many import STORE, Plain, check_summary, numbers_asked
from sector_risk.cli.progress import progress_bar
from sector_risk.faults import InputWarning

if TYPE_CHECKING:
    import xarray as xr

    from sector_risk.assumptions import Assumptions
    from sector_risk.calibration import Calibration

Places = tuple[Path | None, Path | None, Path | None]
"""Where draws, a picture and a report are to go."""


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what every run is asked: for whom, by which rules, how many draws."""
    options = (
        click.option(
            "--regime",
            metavar="NAME|FILE",
            help="Rules by name, see `sector-risk regimes`, or a .toml file; if not given, those of the panel's "
            "year where it has support allocations, else none.",
        ),
        click.option("--draws", default=10_000, show_default=True, type=WholeNumber(1), help="How many."),
        click.option(
            "--seed", default=0, show_default=True, type=WholeNumber(0), help="The same seed gives the same draws."
        ),
        click.option("--assumptions", type=FILE, help="A TOML file; see the page on assumptions."),
        click.option("--threads", type=WholeNumber(1), help="How many threads; all processors if not given."),
        click.option("-o", "--output", type=PLACE, help="Save the draws: .nc or .zarr."),
        click.option("--plot", type=PLACE, help="Draw them on one page: .png, .pdf or .svg."),
        click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    )
    for option in reversed(options):
        command = option(command)
    return panel_options(command)


@click.command()
@click.option(
    "--through-month",
    type=WholeNumber(0, 12),
    help="Forecast given what PANEL reports of the months up to this one (variances to date, declared forecasts).",
)
@click.option(
    "--parameter-sets",
    default=40,
    show_default=True,
    type=WholeNumber(2),
    help="Joint draws of the parameters, where --assumptions is a fit (see `sector-risk calibrate`).",
)
@click.option(
    "--keep",
    default="draws",
    show_default=True,
    type=click.Choice(["draws", "summary"]),
    help="With summary, draws are counted and forgotten: memory holds any number of them.",
)
@click.option("--report", type=PLACE, help="Write the answers to five questions on one page: .html.")
@run_options
def forecast(
    panel: Path | None, case: str | None, output: Path | None, plot: Path | None, report: Path | None, **asked: Any
) -> None:
    """Forecast the year end of all trusts.

    PANEL is a CSV, Excel or Parquet file with one row per trust; --case takes a bundled one instead. Draws go to a
    .zarr folder part by part: given again, a command that was stopped goes on where it was.

    \b
      sector-risk forecast --case england-2018-19
      sector-risk forecast plans.csv -o out/forecast.nc --plot out/forecast.png
      sector-risk forecast returns.csv --through-month 6 --assumptions fitted.toml
      sector-risk forecast plans.csv --draws 1000000 -o out/forecast.zarr
      sector-risk forecast plans.csv --draws 10000000 --keep summary
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    check_targets(output, plot, report)
    settings = read_assumptions(asked["assumptions"])
    one_set = one_set_before_the_year(settings, asked["through_month"])
    if asked["keep"] == "summary":
        check_summary(output, report, plain=one_set is not None)
    trusts, places = load(panel, case, asked), (output, plot, report)
    warn_of_months(trusts, asked["through_month"])
    if one_set is None:
        show_forecast(run_with_evidence(trusts, settings, asked), places, asked)
    else:
        run_plain(Plain(trusts, one_set, asked), places)


@click.command()
@click.option(
    "--years", default=5, show_default=True, type=WholeNumber(1, 30), help="How many, the panel's own included."
)
@run_options
def project(panel: Path | None, case: str | None, output: Path | None, plot: Path | None, **asked: Any) -> None:
    """Project all trusts over several years.

    PANEL is a CSV, Excel or Parquet file with one row per trust; --case takes a bundled one instead. Where
    --assumptions is a fit, its middle is taken.

    \b
      sector-risk project --case england-2018-19 --regime 2019-20 --years 6
      sector-risk project plans.csv --years 3 -o out/path.nc --plot out/path.png
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    targets = check_targets(output, plot)
    result, summary = run_projection(load(panel, case, asked), asked)

    def draw(path: Path) -> None:
        from sector_risk.plots import plot_projection

        plot_projection(result).savefig(path)

    write((output, draws_of(result)), (plot, draw))
    if not asked["quiet"]:
        from sector_risk.projection_text import projection_report

        print_page(projection_report(result, summary, targets, regime_asked=asked["regime"] is not None))


def one_set_before_the_year(settings: "Assumptions | Calibration", through_month: int | None) -> "Assumptions | None":
    """Return the assumptions, unless the forecast is given months of the year or draws its parameters from a fit."""
    import sector_risk as sr

    if isinstance(settings, sr.Calibration):
        return None
    given_in_vain(["parameter_sets"], "--assumptions that are a fit")
    return settings if through_month is None else None


def warn_of_months(trusts: "xr.Dataset", through_month: int | None) -> None:
    """Warn of months of the year that nobody asked for."""
    if through_month is None and ("variance_ytd" in trusts or "actual" in trusts):
        message = "PANEL reports months of the year; give --through-month to forecast in their light."
        warnings.warn(message, InputWarning, stacklevel=2)


def run_with_evidence(
    trusts: "xr.Dataset", settings: "Assumptions | Calibration", asked: dict[str, Any]
) -> "xr.Dataset":
    """Forecast given the months seen, with parameters drawn from a fit, or both."""
    import sector_risk as sr

    month, sets = asked["through_month"], asked["parameter_sets"]
    given: dict[str, Any] = numbers_asked(asked) | ({} if month is None else {"through_month": month})
    if not isinstance(settings, sr.Calibration):
        with progress_bar(shown=not asked["quiet"]) as progress:
            return sr.condition(trusts, settings, asked["regime"], **given, progress=progress)
    given |= {"parameter_sets": sets, "forecaster": sr.simulate if month is None else sr.condition}
    with progress_bar(shown=not asked["quiet"], rounds=sets) as progress:
        return sr.simulate_with_parameters(trusts, settings, asked["regime"], **given, progress=progress)


def run_plain(plain: Plain, places: Places) -> None:
    """Forecast, and keep what was asked for: a summary, draws in a store, or draws in memory."""
    output, plot, report = places
    if plain.asked["keep"] == "summary":
        result = plain.simulate(keep="summary")
    elif output and output.suffix == STORE:
        if report:
            plain.check_memory("--report needs them all there: leave it out.")
        plain.store(output)
        if plain.asked["quiet"] and not (plot or report):
            return
        result, output = plain.stored_or_summary(output), None
    else:
        plain.check_memory(f"Use --keep summary, or -o FILE{STORE}.")
        result = plain.simulate()
    show_forecast(result, (output, plot, report), plain.asked)


def show_forecast(result: "xr.Dataset", places: Places, asked: dict[str, Any]) -> None:
    """Write a forecast or a summary, its picture and its report where they are to go, and print the page."""
    import sector_risk as sr
    from sector_risk.measures import is_summary

    summary = result if is_summary(result) else sr.summarise(result)

    def draw(path: Path) -> None:
        from sector_risk.plots import plot_forecast

        plot_forecast(result, summary=summary).savefig(path)

    write(*zip(places, (draws_of(result), draw, report_of(result)), strict=True))
    if not asked["quiet"]:
        from sector_risk import report_text

        print_page(report_text.report(result, summary, written(), regime_asked=asked["regime"] is not None))


def run_projection(trusts: "xr.Dataset", asked: dict[str, Any]) -> "tuple[xr.Dataset, xr.Dataset]":
    """Project with what was asked and summarise it; of a fit the middle is taken."""
    import sector_risk as sr

    settings = read_one_set(asked["assumptions"])
    with progress_bar(shown=not asked["quiet"]) as progress:
        result = sr.project(
            trusts, settings, asked["regime"], years=asked["years"], **numbers_asked(asked), progress=progress
        )
    return result, sr.summarise_projection(result)
