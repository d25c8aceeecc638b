"""What several kernels do to a row of draws."""

from typing import Any

from sector_risk.kernels._jit import step


@step
def add_to(total: Any, row: Any) -> None:
    """Add a row to a running total."""
    for j in range(row.size):
        total[j] += row[j]
