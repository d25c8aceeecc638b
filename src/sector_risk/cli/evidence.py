"""`sector-risk calibrate` and `backtest`: fit assumptions to history, and hold forecasts against what happened."""

from pathlib import Path
from typing import Any

import click

from sector_risk.cli.files import FILE, PLACE, WRITTEN, check_target
from sector_risk.cli.group import WholeNumber
from sector_risk.cli.interrupt import INTERRUPT
from sector_risk.cli.progress import progress_bar


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
        past = past.without(year)
    base = sr.Assumptions.from_toml(asked["assumptions"]) if asked["assumptions"] else None
    with progress_bar(shown=not asked["quiet"], rounds=1 + len(past.trusts)) as progress:
        fit = sr.calibrate(past, base, seed=asked["seed"], threads=asked["threads"], progress=progress)
    if output:
        save_text(fit.to_toml(), output)
    if not asked["quiet"]:
        click.echo(str(fit))
        if output:
            click.echo(f"Wrote {output}")


def save_text(text: str, path: Path) -> None:
    """Write a text file under a temporary name and rename it when it is complete."""
    from sector_risk.files import written_beside

    written = click.get_current_context().meta.setdefault(WRITTEN, [])
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")
        INTERRUPT.check()
    written.append(path)
