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
)
from sector_risk.cli.group import WholeNumber
from sector_risk.cli.progress import progress_bar
from sector_risk.faults import InputWarning

if TYPE_CHECKING:
    import xarray as xr


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
@click.option("--report", type=PLACE, help="Write the answers to five questions on one page: .html.")
@run_options
def forecast(
    panel: Path | None, case: str | None, output: Path | None, plot: Path | None, report: Path | None, **asked: Any
) -> None:
    """Forecast the year end of all trusts.

    PANEL is a CSV, Excel or Parquet file with one row per trust; --case takes a bundled one instead.

    \b
      sector-risk forecast --case england-2018-19
      sector-risk forecast plans.csv -o out/forecast.nc --plot out/forecast.png
      sector-risk forecast returns.csv --through-month 6 --assumptions fitted.toml
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    targets = check_targets(output, plot, report)
    result, summary = run_forecast(load(panel, case, asked), asked)

    def draw(path: Path) -> None:
        from sector_risk.plots import plot_forecast

        plot_forecast(result, summary=summary).savefig(path)

    write((output, draws_of(result)), (plot, draw), (report, report_of(result)))
    if not asked["quiet"]:
        from sector_risk import report_text

        print_page(report_text.report(result, summary, targets, regime_asked=asked["regime"] is not None))


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


def run_forecast(trusts: "xr.Dataset", asked: dict[str, Any]) -> "tuple[xr.Dataset, xr.Dataset]":
    """Forecast with what was asked and summarise it: given the months seen, and with parameters drawn from a fit."""
    import sector_risk as sr

    given: dict[str, Any] = {}
    if asked["through_month"] is not None:
        given = {"through_month": asked["through_month"]}
    elif "variance_ytd" in trusts or "actual" in trusts:
        message = "PANEL reports months of the year; give --through-month to forecast in their light."
        warnings.warn(message, InputWarning, stacklevel=2)
    forecaster = sr.condition if given else sr.simulate
    settings, sets = read_assumptions(asked["assumptions"]), asked["parameter_sets"]
    if isinstance(settings, sr.Calibration):
        with progress_bar(shown=not asked["quiet"], rounds=sets) as progress:
            result = sr.simulate_with_parameters(
                trusts,
                settings,
                asked["regime"],
                parameter_sets=sets,
                forecaster=forecaster,
                **numbers_asked(asked),
                **given,
                progress=progress,
            )
    else:
        given_in_vain(["parameter_sets"], "--assumptions that are a fit")
        with progress_bar(shown=not asked["quiet"]) as progress:
            result = forecaster(trusts, settings, asked["regime"], **numbers_asked(asked), **given, progress=progress)
    return result, sr.summarise(result)


def run_projection(trusts: "xr.Dataset", asked: dict[str, Any]) -> "tuple[xr.Dataset, xr.Dataset]":
    """Project with what was asked and summarise it; of a fit the middle is taken."""
    import sector_risk as sr

    settings = read_one_set(asked["assumptions"])
    with progress_bar(shown=not asked["quiet"]) as progress:
        result = sr.project(
            trusts, settings, asked["regime"], years=asked["years"], **numbers_asked(asked), progress=progress
        )
    return result, sr.summarise_projection(result)


def numbers_asked(asked: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a run by the names that the library has for them."""
    return {"n_draws": asked["draws"], "seed": asked["seed"], "threads": asked["threads"]}
