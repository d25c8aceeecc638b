"""Blocks and contexts made by hand, for tests of single rules."""

import numpy as np

from sector_risk.regimes.rule import Block, Context
from sector_risk.schema import year_labels

CODES = ["ZZ1", "ZZ2", "ZZ3", "ZZ4", "ZZ5"]


def make_context(n_trusts=3, *, n_years=5, first_year="2018-19", seed=0, system=None, region=None, **panel):
    """A context of `n_trusts` trusts of turnover 100; numbers of the panel are given by name."""
    codes = [f"ZZ{i + 1}" for i in range(n_trusts)]
    base = {"turnover": np.full(n_trusts, 100.0), "plan": np.zeros(n_trusts), "support_allocation": np.zeros(n_trusts)}
    numbers = base | {name: np.asarray(values, float) for name, values in panel.items()}
    numbers.setdefault("control_total", numbers["plan"])
    numbers.setdefault("control_total_agreed", (numbers["support_allocation"] > 0).astype(float))
    numbers.setdefault("ask", np.full(n_trusts, 4.0))
    numbers.setdefault("sector_ask", np.full(n_trusts, 4.0))
    return Context(
        codes=codes,
        panel=numbers,
        seed=seed,
        years=year_labels(first_year, n_years),
        turnover=np.tile(numbers["turnover"], (n_years, 1)),
        system=np.arange(n_trusts) if system is None else np.asarray(system),
        region=np.zeros(n_trusts, np.int64) if region is None else np.asarray(region),
    )


def make_block(context, rule, n_draws=4, *, year=0, first_draw=0, **given):
    """A block of a year; arrays not given are noughts (`delivery`, `volatility` and `control_total` ones).

    Given arrays may be of any shape that broadcasts to that of the block's array.
    """
    n_trusts = len(context.codes)
    shape = (n_trusts, n_draws)

    def room(name, default=0.0, dims=shape, dtype=np.float32):
        return np.array(np.broadcast_to(given.get(name, default), dims), dtype)

    kinds = {"float": np.float32, "flag": np.bool_, "code": np.int8}
    state = {v.name: np.zeros(shape if v.dims[0] == "trust" else n_draws, kinds[v.kind]) for v in rule.variables}
    state |= {name: np.zeros(shape, dtype) for name, dtype in rule.private.items()}
    before = room("position_before_support")
    return Block(
        first_draw=first_draw,
        year=year,
        label=context.years[year],
        turnover=context.turnover[year],
        opening=room("opening"),
        planned_support=room("planned_support"),
        plan=room("plan"),
        efficiency_plan=room("efficiency_plan"),
        delivery=room("delivery", 1.0),
        volatility=room("volatility", 1.0, (n_trusts,)),
        control_total=room("control_total", 1.0),
        quarter_variance=room("quarter_variance", 0.0, (4, *shape)),
        position_before_support=before,
        position=room("position", before),
        central=np.zeros(n_draws),
        paid={rule.name: np.zeros(shape, np.float32)} if rule.pays else {},
        state=state | {name: np.asarray(values) for name, values in given.get("state", {}).items()},
    )
