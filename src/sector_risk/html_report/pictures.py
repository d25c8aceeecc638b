"""Pictures of the page: each drawn wide and narrow, with what it shows as caption, in words and in numbers."""

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from sector_risk.html_report.svg import draw_svg
from sector_risk.html_report.tables import Table

__all__ = ["Picture", "picture"]

WIDE, NARROW = 6.4, 4.2  # inches: at 9.5 points, text of 11 pixels and more on the screens that each is for


@dataclass(frozen=True)
class Picture:
    """A picture in two widths, its caption, and its numbers."""

    name: str
    heading: str
    note: str
    wide: Markup
    narrow: Markup
    numbers: Table | None

    @property
    def spoken(self) -> str:
        """What is said to those who do not see the picture."""
        where = "a table that follows" if self.numbers else "a table of this section"
        return f"Chart. {self.heading}. {self.note} Its numbers are in {where}."


def picture(
    name: str, draw: Callable[[Axes], Axes], numbers: Table | None, heights: tuple[float, float] = (3.9, 3.9)
) -> Picture:
    """Draw a picture wide and narrow; `heights` are in inches. Without `numbers` they are in the section's tables."""
    wide, heading, note = draw_svg(draw, (WIDE, heights[0]), f"{name}-wide")
    narrow, _, _ = draw_svg(draw, (NARROW, heights[1]), f"{name}-narrow")
    return Picture(name, heading, note, wide, narrow, numbers)
