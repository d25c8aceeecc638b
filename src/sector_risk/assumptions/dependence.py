"""Dependence: what trusts share. Shares of variance of the latent Normals, by driver and level."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sector_risk.assumptions.sources import CORRELATIONS, SHARED_YEARS
from sector_risk.faults import Fault
from sector_risk.kernels import quantile
from sector_risk.settings import Settings, assumption

F64 = NDArray[np.float64]
LEVELS = ("sector", "trust_type", "system", "region")
FACTOR_DRIVERS = ("efficiency", "pay_award", "deterioration", "flexibility")


def _share(level: str, default: float, confidence: str) -> float:
    shared: float = assumption(
        default,
        unit="share of latent variance",
        meaning=f"variance that trusts of one {level.replace('_', ' ')} share",
        source=SHARED_YEARS if level in ("sector", "trust_type") else CORRELATIONS,
        confidence=confidence,
        low=0.0,
        high=1.0,
    )
    return shared


@dataclass(frozen=True)
class Shares(Settings):
    """Share of a driver's latent variance that is common to the sector, a type, a system, a region."""

    sector: float = _share("sector", 0.015, "G")
    trust_type: float = _share("trust_type", 0.01, "G")
    system: float = _share("system", 0.05, "G")
    region: float = _share("region", 0.02, "G")

    def loadings(self) -> F64:
        """Loadings on sector, type, system, region and the trust's own Normal; squares add up to one."""
        shares = np.array([self.sector, self.trust_type, self.system, self.region])
        return np.sqrt(np.append(shares, max(1.0 - shares.sum(), 0.0)))

    def _relation_faults(self) -> Iterator[Fault]:
        total = self.sector + self.trust_type + self.system + self.region
        if total > 1.0 + 1e-12:
            rule = "shares of variance add up to more than one"
            yield Fault("assumptions", rule, f"{total:g}", "Lower one of them.", variable="dependence")


INDEPENDENT = Shares(sector=0.0, trust_type=0.0, system=0.0, region=0.0)


@dataclass(frozen=True)
class Dependence(Settings):
    """Factor structure z = a F_sector + b F_type + c F_system + e F_region + rest own, by driver.

    Independence is said, never assumed: `pay_award` is independent between trusts because it is a deviation
    of a trust's own staff mix from the national one.
    """

    efficiency: Shares = assumption(
        Shares(sector=0.08),
        unit="shares of variance",
        meaning="dependence of delivery ratios and slippage",
        source="sd of the sector's delivery over seven years, .026 of plan, against .11 for a trust",
        confidence="D",
    )
    pay_award: Shares = assumption(
        INDEPENDENT,
        unit="shares of variance",
        meaning="dependence of own award costs",
        source="own staff mix, by definition a deviation from the national cost",
        confidence="G",
    )
    deterioration: Shares = assumption(
        Shares(),
        unit="shares of variance",
        meaning="dependence of drifts",
        source=CORRELATIONS,
        confidence="G",
    )
    flexibility: Shares = assumption(
        Shares(),
        unit="shares of variance",
        meaning="dependence of one-off measures",
        source="taken as for the pressures",
        confidence="G",
    )
    run_rate_sector: float = assumption(
        0.015,
        unit="share of variance",
        meaning="share of each month's run-rate shock that is common to the sector",
        source="taken as for the yearly drivers",
        confidence="G",
        low=0.0,
        high=1.0,
    )
    sector_correlation: tuple[tuple[float, ...], ...] = assumption(
        ((1.0, 0.0, -0.3, 0.0), (0.0, 1.0, 0.0, 0.0), (-0.3, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        unit="correlation",
        meaning="correlation of the sector factors of efficiency, pay award, deterioration, flexibility, in this order",
        source="judgement: years of poor delivery are years of high drift",
        confidence="G",
        low=-1.0,
        high=1.0,
    )
    tail_dof: float = assumption(
        0.0,
        unit="degrees of freedom",
        meaning="degrees of freedom of Student t dependence (joint extremes); 0 is Gaussian",
        source="Gaussian unless asked for",
        confidence="G",
        low=0.0,
    )

    def shares(self) -> tuple[Shares, ...]:
        """Shares by driver, in the order of `FACTOR_DRIVERS`."""
        return tuple(getattr(self, driver) for driver in FACTOR_DRIVERS)

    def sector_mixing(self) -> F64:
        """Lower triangle L with L L' the sector correlation; later drivers never change earlier ones."""
        return np.linalg.cholesky(np.array(self.sector_correlation))

    def tail_scale(self, z: F64) -> F64:
        """Scale w = sqrt(nu / chi-square) that turns Normals into Student t; it rises with its own Normal z."""
        grid = quantile.grid()
        half_chi_square = special.gammaincinv(self.tail_dof / 2.0, special.ndtr(-grid))
        return np.interp(z, grid, np.sqrt(self.tail_dof / (2.0 * half_chi_square)))

    def tail_table(self) -> NDArray[np.float32]:
        """Normal score Phi^-1(T_nu(t)) on an even grid of the compressed value t / sqrt(nu + t^2)."""
        x = np.linspace(-1.0, 1.0, quantile.CELLS + 1)
        bound = 1.0 - 0.25 / quantile.CELLS
        x = np.clip(x, -bound, bound)
        t = x * np.sqrt(self.tail_dof / (1.0 - x * x))
        return special.ndtri(special.stdtr(self.tail_dof, t)).astype(np.float32)

    def _relation_faults(self) -> Iterator[Fault]:
        matrix = np.array(self.sector_correlation)
        came, where = str(matrix.tolist()), "dependence.sector_correlation"
        if not np.allclose(matrix, matrix.T) or not np.allclose(np.diag(matrix), 1.0):
            rule = "not symmetric with ones on the diagonal"
            yield Fault("assumptions", rule, came, "Correct the matrix.", variable=where)
        elif np.linalg.eigvalsh(matrix).min() <= 0:
            remedy = "Bring the correlations nearer to zero."
            yield Fault("assumptions", "not positive definite", came, remedy, variable=where)
        if 0 < self.tail_dof <= 2:
            came, where = str(self.tail_dof), "dependence.tail_dof"
            yield Fault("assumptions", "must be 0 or above 2", came, "Use 4 for fat tails.", variable=where)
