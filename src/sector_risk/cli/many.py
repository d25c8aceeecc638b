"""Forecasts of many draws: a summary of draws that are not kept, or all of them in a Zarr store."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sector_risk.cli.files import note_written
from sector_risk.cli.progress import progress_bar

if TYPE_CHECKING:
    import xarray as xr

    from sector_risk.assumptions import Assumptions

__all__ = ["STORE", "Plain", "check_summary", "numbers_asked"]

SUMMARY, STORE = ".nc", ".zarr"


def check_summary(output: Path | None, report: Path | None, plain: bool) -> None:
    """Refuse what a summary cannot be asked for."""
    if not plain:
        raise click.UsageError("--keep summary does not go with --through-month or with --assumptions that are a fit.")
    if report:
        raise click.UsageError("--report needs the draws: leave out --report or --keep summary.")
    if output and output.suffix != SUMMARY:
        raise click.BadParameter(f"{output}: a summary is one small file; use {SUMMARY}.", param_hint="-o")


@dataclass(frozen=True)
class Plain:
    """A forecast before the year, with one set of assumptions: `simulate` makes it, in memory or beyond."""

    trusts: "xr.Dataset"
    settings: "Assumptions"
    asked: dict[str, Any]

    def simulate(self, **kept: Any) -> "xr.Dataset":
        """Simulate with a bar; `kept` says what is kept of the draws."""
        import sector_risk as sr

        with progress_bar(shown=not self.asked["quiet"]) as progress:
            numbers = numbers_asked(self.asked)
            return sr.simulate(self.trusts, self.settings, self.asked["regime"], **numbers, **kept, progress=progress)

    def store(self, path: Path) -> None:
        """Simulate into a Zarr store, or go on with one; once in place it counts as written, whatever follows."""
        was_there = path.exists()
        try:
            self.simulate(store=path).close()
        finally:
            if path.exists() and not was_there:
                note_written(path)
        if was_there and not self.asked["quiet"]:
            click.echo(f"{path} has these draws already.", err=True)

    def stored_or_summary(self, path: Path) -> "xr.Dataset":
        """Read the draws of a store; where they are more than memory holds, simulate once more for a summary."""
        import sector_risk as sr

        return self.simulate(keep="summary") if self.more_than_memory() else sr.open_forecast(path)

    def check_memory(self, remedy: str) -> None:
        """Refuse more draws than memory holds, where all of them must be there at a time."""
        if too_many := self.more_than_memory():
            raise click.BadParameter(f"{self.asked['draws']:,}: {too_many}. {remedy}", param_hint="--draws")

    def more_than_memory(self) -> str:
        """Say how much memory all draws take, if that is more than there is."""
        from sector_risk.panel import check_panel
        from sector_risk.planned import plan_forecast
        from sector_risk.simulation import memory_faults

        numbers = {"n_draws": self.asked["draws"], "seed": self.asked["seed"]}
        panel, regime = check_panel(self.trusts), self.asked["regime"]
        planned = plan_forecast(panel, self.settings, regime, **numbers, by_quarter=False)
        return "".join(fault.rule for fault in memory_faults(planned.run))


def numbers_asked(asked: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a run by the names that the library has for them."""
    return {"n_draws": asked["draws"], "seed": asked["seed"], "threads": asked["threads"]}
