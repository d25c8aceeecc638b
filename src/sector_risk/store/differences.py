"""In what a stored forecast, whole or unfinished, differs from the one that is asked for."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from sector_risk.faults import Fault
from sector_risk.planned import Planned

__all__ = ["manifest", "other_draws", "other_forecast", "other_store"]

FORMAT = 1
DELETE = "Give another path, or delete the folder if you do not need it."
BEGIN_ANEW = "Ask for the same forecast, give another path, or delete the folder to begin anew."


def manifest(planned: Planned, length: int) -> dict[str, Any]:
    """What a store follows from, all of which must be the same for a run to continue; `created` alone may differ."""
    run = planned.run
    what = {"draws": [run.draws.start, run.draws.stop], "by_quarter": run.by_quarter, "draws_of_a_region": length}
    return {"manifest_format": FORMAT} | plain(what | {"attrs": planned.provenance()})


def other_store(planned: Planned, target: Path) -> Iterator[Fault]:
    """Yield a fault for each thing in which a finished store differs from the forecast that is asked for."""
    there = stored_attrs(target)
    if "format" not in there:
        yield Fault(str(target), "the store holds something else than a forecast", "", DELETE)
        return
    yield from unlike(target, "the store holds another forecast", DELETE, plain(planned.provenance()), there)
    names = {path.parent.name for path in target.glob("*/.zarray")} ^ set(map(str, planned.pattern().variables))
    if names:
        rule = "one of the stored forecast and the one asked for has these, the other has not"
        yield Fault(str(target), rule, shown(", ".join(sorted(names))), DELETE, variable="variables")


def other_forecast(folder: Path, wanted: dict[str, Any], found: dict[str, Any]) -> Iterator[Fault]:
    """Yield a fault for each thing in which an unfinished forecast differs from the one that is asked for."""
    return unlike(folder, "the folder holds draws of another forecast", BEGIN_ANEW, wanted, found)


def other_draws(folder: Path, again: xr.Dataset, there: xr.Dataset, has_draws: bool) -> Iterator[Fault]:
    """Yield a fault for each variable whose stored values do not come out the same again in some draws.

    This sees what the manifest cannot: functions of a user's drivers and rules, or a computer that rounds otherwise.
    """
    for name, variable in again.variables.items():
        known = has_draws or "draw" not in variable.dims
        if name not in there.variables or (known and not same(variable, there.variables[name])):
            rule = "the draws in the folder do not come out the same again"
            yield Fault(str(folder), rule, "", BEGIN_ANEW, variable=str(name))


def same(variable: xr.Variable, other: xr.Variable) -> bool:
    """Tell whether two variables have the same dimensions and values."""
    return bool(variable.equals(other))  # type: ignore[no-untyped-call]


def unlike(place: Path, rule: str, remedy: str, wanted: Any, found: Any) -> Iterator[Fault]:
    """Yield a fault for each single value, but the time of the start, that is not the same."""
    asked, there = dict(leaves("", wanted)), dict(leaves("", found))
    for name in sorted(asked.keys() | there.keys()):
        if name != "created" and asked.get(name) != there.get(name):
            came = f"{shown(there.get(name))} there, {shown(asked.get(name))} asked for"
            yield Fault(str(place), rule, came, remedy, variable=name)


def shown(leaf: str | None) -> str:
    """Return a value short enough for a message.

    >>> shown("1"), shown(None), shown("x" * 60)
    ('1', 'nothing', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...')
    """
    if leaf is None:
        return "nothing"
    return leaf if len(leaf) <= 40 else f"{leaf[:37]}..."


def leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every single value of nested tables under its full name; text that is JSON is looked into.

    >>> dict(leaves("", {"attrs": {"seed": "1", "regime": '{"name": "none"}'}}))
    {'seed': '1', 'regime.name': 'none'}
    """
    inner = read_json(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
    if isinstance(inner, list):
        inner = dict(enumerate(inner))
    if not isinstance(inner, dict):
        yield name, str(value)
        return
    for key, part in inner.items():
        yield from leaves(f"{name}.{key}" if name not in ("", "attrs") else str(key), part)


def stored_attrs(target: Path) -> dict[str, Any]:
    """Read the attributes of the store at the target; none where there is no store, or one of format 3."""
    described = target / ".zattrs"
    found = read_json(described.read_text(encoding="utf-8")) if described.exists() else {}
    return found if isinstance(found, dict) else {}


def read_json(text: str) -> Any:
    """Return what a text holds, or the text where it only looks like JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as Zarr stores them: NumPy's numbers and arrays as Python's own."""
    made: dict[str, Any] = json.loads(json.dumps(values, default=lambda value: value.tolist()))
    return made
