"""What a section of the page shows."""

from dataclasses import dataclass

from sector_risk.html_report.pictures import Picture
from sector_risk.html_report.tables import Table

__all__ = ["Section"]


@dataclass(frozen=True)
class Section:
    """Sentences, pictures with a table that may stand beside them, tables below, and notes on the data."""

    lead: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    beside: Table | None = None
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
