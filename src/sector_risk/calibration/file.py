"""A fit as one TOML file: the assumptions in their own layout, and [fit] with the joint distribution."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sector_risk.assumptions import Assumptions
from sector_risk.calibration.parameters import NAMES
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.settings import read_toml, toml_inline, unknown_key

if TYPE_CHECKING:
    from sector_risk.calibration.result import Calibration

PLACE = "calibration"
VECTORS = ("prior_mean", "prior_sd", "mean")
FIELDS = ("names", *VECTORS, "covariance", "years", "emulator_error", "effective")


def to_toml(calibration: "Calibration") -> str:
    """Write a fit; numbers are written in full, so that reading gives the same to the bit."""
    lines = [f"{name} = {toml_inline(plain(getattr(calibration, name)))}" for name in FIELDS]
    return "\n".join([calibration.fitted.to_toml(), "[fit]", *lines, ""])


def from_toml(source: str | Path) -> dict[str, Any]:
    """Read the fields of a fit; all faults in one `InputError`."""
    mapping = read_toml(source, PLACE)
    section = mapping.pop("fit", None)
    faults = [*fit_faults(section)]
    try:
        fitted = Assumptions.from_json(json.dumps(mapping))
    except InputError as error:
        faults.extend(error.faults)
    raise_if_any(faults)
    return {"fitted": fitted} | {name: frozen(section[name]) for name in FIELDS}


def plain(value: Any) -> Any:
    """Tuples as lists."""
    return [plain(v) for v in value] if isinstance(value, tuple) else value


def frozen(value: Any) -> Any:
    """Lists as tuples."""
    return tuple(frozen(v) for v in value) if isinstance(value, list) else value


def fit_faults(section: Any) -> Iterator[Fault]:
    """Faults of the section [fit]."""
    if not isinstance(section, Mapping):
        remedy = "Give what Calibration.to_toml wrote; Assumptions.from_toml reads assumptions alone."
        yield Fault(PLACE, "the section [fit] is missing", "", remedy, variable="fit")
        return
    yield from (unknown_key("fit", key, FIELDS, PLACE) for key in section if key not in FIELDS)
    missing = [name for name in FIELDS if name not in section]
    yield from (Fault(PLACE, "is missing", name, "Fit again.", variable=f"fit.{name}") for name in missing)
    if not missing:
        yield from value_faults(section)


def value_faults(section: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults of what [fit] holds."""
    size = len(NAMES)
    if tuple(section["names"]) != NAMES:
        remedy = f"This version fits {', '.join(NAMES)}; fit again."
        yield Fault(PLACE, "not the parameters that are fitted", str(section["names"]), remedy, variable="fit.names")
    for name in VECTORS:
        if not is_array(section[name], (size,)):
            yield Fault(PLACE, f"must be {size} numbers", str(section[name]), "Fit again.", variable=f"fit.{name}")
    if not is_covariance(section["covariance"], size):
        rule = f"must be a covariance of {size} parameters"
        yield Fault(PLACE, rule, str(section["covariance"]), "Fit again.", variable="fit.covariance")


def is_array(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether a value is an array of finite numbers of a shape."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        return False
    return array.shape == shape and bool(np.isfinite(array).all())


def is_covariance(value: Any, size: int) -> bool:
    """Whether a value is a symmetric and positive definite matrix."""
    if not is_array(value, (size, size)):
        return False
    matrix = np.array(value)
    return np.allclose(matrix, matrix.T) and bool(np.linalg.eigvalsh(matrix).min() > 0.0)
