"""Pictures of a forecast, of what is asked of it, of a projection and of a back-test.

Each `plot_*` function draws on the axes it is given, or makes its own, and gives them back. Titles say what
was found. Nothing here touches matplotlib's global state: pictures can be made on any thread or server.
"""

from sector_risk.plots.answers import plot_balance, plot_deficit_counts, plot_exceedance, plot_shares, plot_tornado
from sector_risk.plots.backtest import plot_backtest
from sector_risk.plots.forecast import plot_fan, plot_forecast, plot_league, plot_waterfall
from sector_risk.plots.projection import plot_count_by_year, plot_position_by_year, plot_projection
from sector_risk.plots.style import take_words

__all__ = [
    "plot_backtest",
    "plot_balance",
    "plot_count_by_year",
    "plot_deficit_counts",
    "plot_exceedance",
    "plot_fan",
    "plot_forecast",
    "plot_league",
    "plot_position_by_year",
    "plot_projection",
    "plot_shares",
    "plot_tornado",
    "plot_waterfall",
    "take_words",
]
