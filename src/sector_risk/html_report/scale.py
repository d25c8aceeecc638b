"""The common scale of the bars in a table: GBP million to per cent of a column's width."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.html_report.tables import Bar, Tick, amount

__all__ = ["Scale"]

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """The lowest and the highest value that a column has room for."""

    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[Any]) -> "Scale":
        """The scale that holds all values and nought.

        >>> Scale.of(np.array([-30.0, 10.0]))
        Scale(low=-31.2, high=11.2)
        """
        low, high = min(0.0, float(np.nanmin(values))), max(0.0, float(np.nanmax(values)))
        room = 0.03 * max(high - low, 1.0)
        return cls(low - room, high + room)

    def place(self, value: float) -> float:
        """Where a value stands, in per cent from the left."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def bar(self, low: float, high: float, median: float, plan: float) -> Bar:
        """The range of a row."""
        stands = None if np.isnan(plan) else self.place(plan)
        return Bar(self.place(low), self.place(high), self.place(median), stands, self.place(0.0))

    def ticks(self) -> tuple[Tick, ...]:
        """Three or four round values, nought among them.

        >>> [tick.label for tick in Scale(-105.0, 60.0).ticks()]
        ['−100', '−50', '0', '50']
        """
        least = (self.high - self.low) / 4
        size = 10.0 ** np.floor(np.log10(least))
        step = next(size * s for s in STEPS if size * s >= least * 0.99)
        first, last = np.ceil(self.low / step), np.floor(self.high / step)
        return tuple(Tick(self.place(k * step), amount(k * step).text) for k in np.arange(first, last + 1))
