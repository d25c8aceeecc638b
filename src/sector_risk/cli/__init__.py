"""The command line: forecasts and projections, what is made of them, fits and back-tests, and what helps before a run.

Everything heavy is imported inside the command that needs it. Every mistake that a user can make ends in one
readable message on standard error: status 2 for what was asked or given, 1 for what the machine could not
do, 130 for an interrupt.
"""

import os
import sys
from contextlib import suppress
from typing import Any

try:
    import click
except ModuleNotFoundError:  # the extra is not installed
    raise SystemExit("The command line needs two small packages: pip install 'sector-risk[cli]'") from None

from sector_risk.cli.answers import qa, report
from sector_risk.cli.evidence import backtest, calibrate
from sector_risk.cli.group import INTERRUPTED, Commands
from sector_risk.cli.interrupt import listen
from sector_risk.cli.lists import cases, check, regimes, warmup
from sector_risk.cli.runs import forecast, project

__all__ = ["commands", "main"]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sector-risk")
def commands() -> None:
    """How likely every NHS provider trust in England, and the sector, is to end the year in balance."""


for command in (forecast, project, report, qa, calibrate, backtest, check, cases, regimes, warmup):
    commands.add_command(command)


def main() -> None:
    """Run the command line; this is what `sector-risk` calls.

    Examples
    --------
    >>> from click.testing import CliRunner
    >>> print(CliRunner().invoke(commands, ["forecast"]).exit_code)
    2
    """
    listen()
    status: Any = INTERRUPTED
    with suppress(KeyboardInterrupt):  # one that comes before a command has begun
        try:
            commands(prog_name="sector-risk")
        except SystemExit as end:
            status = end.code
    with suppress(BrokenPipeError, KeyboardInterrupt):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status or 0)  # all is written; an orderly end of the compiler would cost a third of a second
