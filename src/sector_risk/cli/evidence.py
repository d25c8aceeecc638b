"""`sector-risk calibrate` and `backtest`: fit assumptions to history, and hold forecasts against what happened."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sector_risk.cli.files import (
    FILE,
    OF_A_FILE,
    PLACE,
    check_target,
    check_targets,
    draws_of,
    given_in_vain,
    load,
    panel_options,
    print_page,
    read_assumptions,
    read_one_set,
    write,
)
from sector_risk.cli.group import WholeNumber
from sector_risk.cli.progress import progress_bar

if TYPE_CHECKING:
    import xarray as xr


@click.command()
@click.argument("history", required=False, type=FILE)
@click.option("--panel", "panels", multiple=True, type=FILE, help="Trusts' variances to date; may be given again.")
@click.option("--without", metavar="YEAR", multiple=True, help="Leave a year out; may be given again.")
@click.option("--assumptions", type=FILE, help="A TOML file that holds what is not fitted.")
@click.option("--seed", default=0, show_default=True, type=WholeNumber(0), help="The same seed gives the same fit.")
@click.option("--threads", type=WholeNumber(1), help="How many threads; all processors if not given.")
@click.option("-o", "--output", type=PLACE, help="Save the fit: .toml, for --assumptions of a forecast.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def calibrate(history: Path | None, output: Path | None, **asked: Any) -> None:
    """Fit assumptions to history.

    HISTORY is a CSV file with the sector's figures by year and month; without one it is the bundled history of 2014-15
    to 2018-19.

    \b
      sector-risk calibrate -o fitted.toml
      sector-risk calibrate --panel returns-2025-26.csv --without 2018-19 -o fitted.toml
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    import sector_risk as sr

    if output:
        check_target("-o", output, (".toml",))
    past = sr.read_history(history) if history else sr.load_history()
    for panel in asked["panels"]:
        past = past.with_trusts(sr.read_panel(panel))
    for year in asked["without"]:
        if year not in past.years:
            raise click.BadParameter(f"{year} is none of {', '.join(past.years)}.", param_hint="--without")
        past = past.without(year)
    base = read_one_set(asked["assumptions"])
    with progress_bar(shown=not asked["quiet"], rounds=1 + len(past.trusts)) as progress:
        fit = sr.calibrate(past, base, seed=asked["seed"], threads=asked["threads"], progress=progress)
    write((output, lambda path: path.write_text(fit.to_toml(), encoding="utf-8")))
    if not asked["quiet"]:
        click.echo(str(fit))
        if output:
            click.echo(f"Wrote {output}")


@click.command()
@click.option(
    "--from-month",
    "from_months",
    multiple=True,
    type=WholeNumber(0, 11),
    help="Forecast as of this month; may be given again. Months 3 and 6 if not given.",
)
@click.option("--target-month", default=9, show_default=True, type=WholeNumber(1, 12), help="Forecast this month.")
@click.option("--forecast-month", type=WholeNumber(1, 12), help="Month at which PANEL's forecasts were declared.")
@click.option("--assumptions", type=FILE, help="A TOML file; if not given, a fit to history without PANEL's year.")
@click.option("--draws", default=4_000, show_default=True, type=WholeNumber(1), help="How many.")
@click.option("--seed", default=0, show_default=True, type=WholeNumber(0), help="The same seed gives the same scores.")
@click.option("--threads", type=WholeNumber(1), help="How many threads; all processors if not given.")
@click.option("-o", "--output", type=PLACE, help="Save the scores: .nc or .zarr.")
@click.option("--plot", type=PLACE, help="Draw them on one page: .png, .pdf or .svg.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
@panel_options
def backtest(panel: Path | None, case: str | None, output: Path | None, plot: Path | None, **asked: Any) -> None:
    """Hold forecasts against what came, beside simple rivals.

    With a PANEL of trusts' variances to date, forecast a later month of it from earlier ones. Without one, forecast the
    sector's outturn of each bundled year with a fit to the other years.

    \b
      sector-risk backtest oversight-2025-26.csv
      sector-risk backtest
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    targets = check_targets(output, plot)
    result = backtest_of_trusts(load(panel, case, asked), asked) if panel or case else backtest_of_years(asked)

    def draw(path: Path) -> None:
        from sector_risk.plots import plot_backtest

        plot_backtest(result).savefig(path)

    write((output, draws_of(result)), (plot, draw))
    if not asked["quiet"]:
        from sector_risk.backtest_text import backtest_report

        print_page([*backtest_report(result), *(f"Wrote {path}" for path in targets)])


def backtest_of_trusts(trusts: "xr.Dataset", asked: dict[str, Any]) -> "xr.Dataset":
    """Back-test a panel with the assumptions asked for, or with a fit that has not seen its year."""
    import sector_risk as sr

    numbers = {"seed": asked["seed"], "threads": asked["threads"]}
    if asked["assumptions"]:
        assumptions = read_assumptions(asked["assumptions"])
    else:
        with progress_bar(shown=not asked["quiet"]) as progress:
            past = sr.load_history().without(trusts.attrs["year"])
            assumptions = sr.calibrate(past, **numbers, progress=progress)
    with progress_bar(shown=not asked["quiet"]) as progress:
        return sr.backtest(
            trusts,
            assumptions,
            from_months=asked["from_months"] or (3, 6),
            target_month=asked["target_month"],
            forecast_month=asked["forecast_month"],
            n_draws=asked["draws"],
            **numbers,
            progress=progress,
        )


def backtest_of_years(asked: dict[str, Any]) -> "xr.Dataset":
    """Back-test the bundled years of the sector, one left out at a time."""
    import sector_risk as sr

    given_in_vain(("from_months", "target_month", "forecast_month", "assumptions", "draws", *OF_A_FILE), "a PANEL")
    with progress_bar(shown=not asked["quiet"]) as progress:
        return sr.backtest_years(sr.load_history(), seed=asked["seed"], threads=asked["threads"], progress=progress)
