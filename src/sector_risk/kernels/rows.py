"""What several kernels do to a row of draws."""

from typing import Any

from sector_risk.kernels._jit import step

LANES = 32
"""Running sums of a row: enough for an addition not to wait for the last (eight take three times as long)."""


@step
def add_to(total: Any, row: Any) -> None:
    """Add a row to a running total."""
    for j in range(row.size):
        total[j] += row[j]


@step
def two_sums(row: Any, centre: Any, per_scale: Any, lanes: Any) -> None:
    """Sums of y and of its squares in lanes, y the distance from the centre in the row's scale."""
    lanes[:] = 0.0
    n = row.size // LANES * LANES
    for j in range(0, n, LANES):
        for k in range(LANES):
            y = (row[j + k] - centre) * per_scale
            lanes[0, k] += y
            lanes[1, k] += y * y
    for j in range(n, row.size):
        y = (row[j] - centre) * per_scale
        lanes[0, 0] += y
        lanes[1, 0] += y * y
