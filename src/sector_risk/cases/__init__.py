"""Bundled cases: synthetic trusts whose totals are the published ones."""

from importlib.resources import as_file, files

import xarray as xr

from sector_risk.faults import Fault, InputError, as_sentence, nearest
from sector_risk.panel import read_panel

CASES = {
    "england-2018-19": (
        "227 synthetic trusts that add up to the published 2018-19 plan: -519 after 2,450 of sustainability funding"
    ),
}
"""Bundled cases: name and one line on each."""


def case_names() -> tuple[str, ...]:
    """Names of the bundled cases.

    Examples
    --------
    >>> case_names()
    ('england-2018-19',)
    """
    return tuple(CASES)


def load_case(name: str) -> xr.Dataset:
    """Load a bundled case as a panel.

    Every trust of a bundled case is synthetic (codes SYN001 and on, attribute `synthetic`); totals, counts by type
    and region and the worst plan are published figures. `scripts/make_england_2018_19.py` made it, with sources.

    Parameters
    ----------
    name : str
        One of `case_names()`.

    Returns
    -------
    Dataset
        A checked panel, GBP million, dimension `trust`.

    Raises
    ------
    InputError
        For an unknown name; names the nearest known one.

    Examples
    --------
    >>> panel = load_case("england-2018-19")
    >>> round(float((panel["plan"] + panel["support_allocation"]).sum()), 2)
    -519.0
    """
    if name not in CASES:
        remedy = as_sentence(nearest(name, list(CASES)) or f"use one of: {', '.join(CASES)}.")
        raise InputError([Fault("cases", "no case of this name", name, remedy)])
    with as_file(files("sector_risk.cases") / f"{name}.csv") as path:
        panel = read_panel(path)
    panel.attrs |= {"case": name, "source": f"bundled case {name}", "synthetic": CASES[name]}
    return panel
