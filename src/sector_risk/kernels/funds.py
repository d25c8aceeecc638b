"""What funds have in common: who agrees, what systems add up to, and pots that are not passed."""

from typing import Any

import numpy as np

from sector_risk.kernels._jit import step
from sector_risk.kernels.random import philox
from sector_risk.kernels.rows import add_to

WHOLE = 1.0 - 2.0**-23
"""Short pots are shared out to a ten-millionth less than they hold: rounding to float32 then never passes them."""

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@step
def draw_flag(key: Any, label: Any, item_group: Any, first_draw: Any, probability: Any, flag: Any) -> None:
    """Write 1 where word 0 of an address is below 2**32 times a probability, else 0; what is certain is not drawn."""
    if probability == _ZERO or probability == _ONE:
        flag[:] = probability
        return
    k0, k1, h0, h1, group = key[0], key[1], label[0], label[1], np.uint32(item_group)
    limit = np.float64(probability) * 4294967296.0
    for j in range(flag.size):
        word, _, _, _ = philox(np.uint32(first_draw + j), h0, h1, group, k0, k1)
        flag[j] = _ONE if np.float64(word) < limit else _ZERO


@step
def add_by_system(variance: Any, system: Any, total: Any) -> None:
    """Add trusts' rows (4, T, B) to those of their systems (4, S, B)."""
    for i in range(system.size):
        for q in range(4):
            add_to(total[q, system[i]], variance[q, i])
