"""What a rule is: frozen settings that prepare themselves for a panel and then act on blocks of draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sector_risk.faults import Fault, InputError

Panel = Mapping[str, NDArray[np.float64]]
"""The panel's numbers by name, each of shape (trust,)."""


@dataclass(frozen=True)
class Block:
    """A block of draws as rules see it (T trusts, B draws of N); rules write `support`."""

    first_draw: int
    quarter_variance: NDArray[np.float32]  # (4, T, B) year-to-date variance before support at quarter ends
    position_before_support: NDArray[np.float32]  # (T, N): all draws, the block's start at first_draw
    support: NDArray[np.float32]  # (T, N): the same; zero before the first rule


class PreparedRule(Protocol):
    """A rule that knows its panel."""

    def apply(self, block: Block) -> None:
        """Act on one block of draws."""


class Rule(Protocol):
    """Frozen settings of one rule of a regime."""

    @property
    def name(self) -> str:
        """Name in provenance and messages."""

    def planned_path(self) -> NDArray[np.float64]:
        """Cumulative share, by month, of the support that plans expect."""

    def prepare(self, codes: list[str], panel: Panel, seed: int) -> PreparedRule:
        """Bind the settings to a panel and a seed."""

    def settings(self) -> Mapping[str, object]:
        """Settings as plain values."""


def settings_faults(name: str, checks: Mapping[str, bool]) -> None:
    """Raise one `InputError` that lists every rule of `checks` that does not hold."""
    broken = [rule for rule, holds in checks.items() if not holds]
    if broken:
        raise InputError([Fault("regime", f"must hold: {rule}", "", "Correct it.", variable=name) for rule in broken])
