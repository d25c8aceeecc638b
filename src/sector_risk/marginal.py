"""Marginal distributions as plain values: they compare, print and go to TOML; scipy does the mathematics."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sector_risk.faults import Fault, InputError
from sector_risk.kernels import quantile

SHAPES = {"norm": (), "beta": ("a", "b"), "gamma": ("a",)}
"""Shape parameters of the families that are computed here, without importing scipy.stats (half a second)."""


@dataclass(frozen=True)
class Marginal:
    """A distribution by family and parameters.

    Parameters
    ----------
    family : str
        Name of a continuous distribution in `scipy.stats` ("beta", "gamma", "norm", ...), or "empirical".
    parameters : tuple of (str, value) pairs
        Shape parameters by scipy's names, `loc` and `scale`; for "empirical": `probabilities` and `values`.

    Examples
    --------
    >>> ratio = Marginal.of("beta", a=15.4, b=6.6)
    >>> round(float(ratio.ppf(0.5)), 3)
    0.706
    >>> round(ratio.mean(), 3)
    0.7
    """

    family: str
    parameters: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, family: str, **parameters: Any) -> "Marginal":
        """Marginal from keyword parameters."""
        return cls(family, tuple(sorted((name, _plain(value)) for name, value in parameters.items())))

    @classmethod
    def from_scipy(cls, frozen: Any) -> "Marginal":
        """Marginal from any frozen continuous `scipy.stats` distribution.

        Examples
        --------
        >>> from scipy import stats
        >>> Marginal.from_scipy(stats.gamma(2.0, scale=0.5))
        Marginal(family='gamma', parameters=(('a', 2.0), ('loc', 0.0), ('scale', 0.5)))
        """
        shapes = [name.strip() for name in (frozen.dist.shapes or "").split(",") if name.strip()]
        names = [*shapes, "loc", "scale"]
        given = dict(zip(names, frozen.args, strict=False)) | frozen.kwds
        return cls.of(frozen.dist.name, **({"loc": 0.0, "scale": 1.0} | given))

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Marginal":
        """Marginal from `{"family": ..., parameter: value}`, the form it has in TOML and JSON."""
        rest = {name: value for name, value in values.items() if name != "family"}
        try:
            return cls.of(str(values["family"]), **rest)
        except (TypeError, ValueError):
            remedy = 'Give numbers, for example { family = "gamma", a = 2.0, scale = 0.5 }.'
            raise InputError(
                [Fault("assumptions", "a distribution's parameter is not a number", str(rest), remedy)]
            ) from None

    def as_mapping(self) -> dict[str, Any]:
        """Return the form that `from_mapping` reads."""
        return {"family": self.family} | {name: list(v) if isinstance(v, tuple) else v for name, v in self.parameters}

    def ppf(self, probability: Any) -> NDArray[np.float64]:
        """Quantile at a probability."""
        p = np.asarray(probability, dtype=float)
        given = dict(self.parameters)
        if self.family == "empirical":
            return np.interp(p, given["probabilities"], given["values"])
        loc, scale = given.pop("loc", 0.0), given.pop("scale", 1.0)
        return np.asarray(loc + scale * _standard_ppf(self.family, given, p), dtype=float)

    def mean(self) -> float:
        """Mean, by the trapezium rule over the quantile table."""
        z = quantile.grid()
        weight = np.exp(-0.5 * z * z)
        return float((self._quantiles() * weight).sum() / weight.sum())

    def table(self) -> NDArray[np.float32]:
        """Quantiles at the latent Normal grid of `sector_risk.kernels.quantile`, float32."""
        return self._quantiles().astype(np.float32)

    def mean_and_sd_if_normal(self) -> tuple[float, float]:
        """Mean and sd of a Normal marginal; zeros for any other family."""
        given = dict(self.parameters)
        return (given.get("loc", 0.0), given.get("scale", 1.0)) if self.family == "norm" else (0.0, 0.0)

    def from_normal(self, z: Any) -> NDArray[np.float64]:
        """Values at latent Normals z, read from the table as the simulation does."""
        return np.interp(z, quantile.grid(), self._quantiles())

    def _quantiles(self) -> NDArray[np.float64]:
        return _quantiles_at_grid(self)

    def faults(self) -> str:
        """Say what is wrong with it, or nothing."""
        known = (*SHAPES[self.family], "loc", "scale") if self.family in SHAPES else None
        unknown = [name for name, _ in self.parameters if known and name not in known]
        if unknown:
            return f"{self.family} has no parameter {', '.join(unknown)} (it has {', '.join(known or ())})"
        try:
            table = self.table()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return f"scipy.stats cannot make it: {error}"
        if not np.isfinite(table).all():
            return "its quantiles are not finite (check the parameters)"
        return "" if (np.diff(table) >= 0).all() else "its quantiles do not increase"


@lru_cache(maxsize=64)
def _quantiles_at_grid(marginal: Marginal) -> NDArray[np.float64]:
    """Quantiles at the grid; kept, because they take a millisecond to make and every run asks for them."""
    return marginal.ppf(special.ndtr(quantile.grid()))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(float(v) for v in value)
    return float(value)


def _standard_ppf(family: str, shapes: Mapping[str, float], p: NDArray[np.float64]) -> Any:
    """Quantile with loc 0 and scale 1."""
    if family == "norm":
        return special.ndtri(p)
    if family == "beta":
        return special.betaincinv(shapes["a"], shapes["b"], p)
    if family == "gamma":
        return special.gammaincinv(shapes["a"], p)
    from scipy import stats

    return getattr(stats, family)(**shapes).ppf(p)
