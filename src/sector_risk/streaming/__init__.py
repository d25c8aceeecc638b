"""Forecasts of which no draws are kept, or few: memory that does not grow with their number."""

from sector_risk.streaming.counts import Counts, add_up, count
from sector_risk.streaming.kept import keep_draws
from sector_risk.streaming.layout import Layout, lay_out
from sector_risk.streaming.settings import Keep, Summary, keep_faults, names_by_draw, settled
from sector_risk.streaming.summarised import summarise_passes, summarise_stream

__all__ = [
    "Counts",
    "Keep",
    "Layout",
    "Summary",
    "add_up",
    "count",
    "keep_draws",
    "keep_faults",
    "lay_out",
    "names_by_draw",
    "settled",
    "summarise_passes",
    "summarise_stream",
]
