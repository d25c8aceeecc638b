"""Draw docs/backtest.png: each year of the sector left out of the fit in turn, and forecast from its own quarters.

Run it with ``python scripts/plot_backtest.py`` from anywhere, in a minute or two; it prints the page that goes with it.
"""

from pathlib import Path

from rich.console import Console

from sector_risk.backtest_text import backtest_report
from sector_risk.backtesting import backtest_years
from sector_risk.history import load_history
from sector_risk.plots import plot_backtest

ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    result = backtest_years(load_history(), progress=True)
    plot_backtest(result, ROOT / "docs" / "backtest.png")
    Console(width=80).print(*backtest_report(result), sep="\n")
