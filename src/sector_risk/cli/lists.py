"""`sector-risk check`, `cases`, `regimes` and `warmup`: look before you run."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sector_risk.cli.files import SUGGESTED_CASE, load, panel_options


@click.command()
@panel_options
def check(panel: Path | None, case: str | None, **asked: Any) -> None:
    """Check a panel and say what was made of it."""
    from sector_risk.panel import CombineReport
    from sector_risk.readings import data_notes

    trusts = load(panel, case, asked)
    click.echo(f"{panel or case}: no faults; {trusts.sizes['trust']} trusts, {trusts.attrs['year']}.")
    for line in data_notes(trusts.attrs):
        click.echo(line)
    if "combined" in trusts.attrs:
        click.echo(str(CombineReport.from_json(trusts.attrs["combined"])))


@click.command()
def cases() -> None:
    """List the bundled cases."""
    from sector_risk import CASES

    for name, description in CASES.items():
        click.echo(f"{name}: {description}")


@click.command()
@click.argument("name", required=False)
def regimes(name: str | None) -> None:
    """List the bundled regimes and their rules, or write one down.

    With the NAME of a regime, print it as TOML, with all settings and their sources, to start a file of your own.

    \b
      sector-risk regimes
      sector-risk regimes 2019-20 > mine.toml
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    from sector_risk.regimes import regime_for

    if name:
        click.echo(regime_for(name, 0.0).to_toml(), nl=False)
        return
    for line in regime_lines():
        click.echo(line)


@click.command()
def warmup() -> None:
    """Compile once, so that forecasts and projections start quickly."""
    import sector_risk as sr

    started = time.perf_counter()
    trusts = sr.load_case(SUGGESTED_CASE).isel(trust=slice(8))
    sr.summarise(sr.simulate(trusts, n_draws=16))
    for regime in sr.REGIMES:
        sr.summarise_projection(sr.project(trusts, regime=regime, years=3, n_draws=16))
    click.echo(f"Ready: compiled and ran in {time.perf_counter() - started:.1f} s.")


def regime_lines() -> Iterator[str]:
    """The bundled regimes with their rules, the rules in none of them, and the names that a file may use."""
    from textwrap import wrap

    from sector_risk.readings import rule_words
    from sector_risk.regimes.regime import BUNDLED, REGIMES

    for name, regime in REGIMES.items():
        yield f"{name}:" if regime.rules else f"{name}: no rules"
        yield from (f"  {rule_words(rule)}" for rule in regime.rules)
    used = {rule.name for regime in REGIMES.values() for rule in regime.rules}
    yield "in none of these:"
    yield from (f"  {rule_words(rule())}" for name, rule in BUNDLED.items() if name not in used)
    yield "names of rules in a file:"
    yield from wrap(", ".join(BUNDLED), 80, initial_indent="  ", subsequent_indent="  ")
    yield "to start a file: sector-risk regimes 2019-20 > mine.toml"
