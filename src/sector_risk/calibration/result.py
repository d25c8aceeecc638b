"""A fit: assumptions with a joint distribution of the parameters that were fitted."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions
from sector_risk.calibration import file
from sector_risk.calibration.parameters import PARAMETERS, Parameter, put_values
from sector_risk.kernels.random import label_hashes, normals_block, stream_key

F64 = NDArray[np.float64]
IDENTIFIED = 0.7
"""A parameter is identified if history takes its sd to this share of the prior's, which halves its variance."""
TOGETHER = 0.5
NORMAL_95 = 1.6448536269514722


class FittedParameter(NamedTuple):
    """One parameter before and after: middle, 5% and 95% points, and how much history narrowed it."""

    name: str
    prior: tuple[float, float, float]
    posterior: tuple[float, float, float]
    sd_ratio: float
    identified: bool


@dataclass(frozen=True)
class Calibration:
    """Assumptions fitted to history, and the joint distribution of the fitted parameters.

    Parameters are jointly Normal on the scale u = logit((value - low) / (high - low)).

    Attributes
    ----------
    fitted : Assumptions
        At the mean on that scale, with the evidence for each.
    names : tuple of str
        The parameters, group.field.
    prior_mean, prior_sd : tuple of float
        Before, on the scale u; independent.
    mean : tuple of float
        After, on the scale u.
    covariance : tuple of tuples of float
        After, on the scale u.
    years : tuple of str
        The years that were used.
    emulator_error : tuple of (statistic, error)
        Root mean square error of the stand-in for the simulation, in the units of each statistic.
    effective : float
        How many independent samples the fit rests on.
    """

    fitted: Assumptions
    names: tuple[str, ...]
    prior_mean: tuple[float, ...]
    prior_sd: tuple[float, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    years: tuple[str, ...]
    emulator_error: tuple[tuple[str, float], ...]
    effective: float

    def assumptions(self) -> Assumptions:
        """Assumptions at the middle of the joint distribution; their log says what was fitted."""
        return self.fitted

    def draw(self, k: int, seed: int = 0) -> Assumptions:
        """Assumptions under joint draw k; it depends on seed, k and the fit alone."""
        return put_values(self.fitted, self.draws(k, 1, seed)[0])

    def draws(self, first: int, n: int, seed: int = 0) -> F64:
        """Joint draws on the scale u, (n, parameter): mean + L x, L L' the covariance, x Normals by address."""
        out = np.empty((len(self.names), 4, n), np.float32)
        normals_block(stream_key(seed, "parameters"), label_hashes(list(self.names)), 0, first, out)
        return np.array(self.mean) + out[:, 0].T.astype(float) @ np.linalg.cholesky(np.array(self.covariance)).T

    @property
    def parameters(self) -> tuple[FittedParameter, ...]:
        """Each parameter before and after."""
        sd = np.sqrt(np.diag(np.array(self.covariance)))
        rows = zip(PARAMETERS, self.prior_mean, self.prior_sd, self.mean, sd.tolist(), strict=True)
        return tuple(
            FittedParameter(p.name, span(p, before, wide), span(p, after, narrow), narrow / wide, is_identified)
            for p, before, wide, after, narrow in rows
            for is_identified in [narrow / wide <= IDENTIFIED]
        )

    def __str__(self) -> str:
        """Return a table of the parameters, and what goes with it."""
        used = f"{self.years[0]} to {self.years[-1]} ({len(self.years)} years)" if self.years else "no history"
        head = f"{'':<41}{'prior':>7} {'(90%)':<20}{'fitted':>7} {'(90%)':<20}{'sd':>5}"
        rows = [self._row(p) for p in self.parameters]
        return "\n".join([f"Fitted to {used}.", head, *rows, *self._notes()])

    def to_toml(self) -> str:
        """Return the assumptions in their own layout and a section [fit] with the joint distribution."""
        return file.to_toml(self)

    @classmethod
    def from_toml(cls, source: str | Path) -> Self:
        """Read what `to_toml` wrote, from a file or text.

        Raises
        ------
        InputError
            With every fault of the assumptions and of [fit].
        """
        return cls(**file.from_toml(source))

    def _row(self, p: FittedParameter) -> str:
        mark = "identified" if p.identified else "not identified"
        return f"{p.name:<41}{figures(p.prior)}{figures(p.posterior)}{p.sd_ratio:5.2f} {mark}"

    def _notes(self) -> list[str]:
        notes = [f"sd: over the prior's, both on the logit scale; identified at {IDENTIFIED:g} or less."]
        together = [f"{a} and {b} ({r:+.2f})" for a, b, r in self._pairs() if abs(r) >= TOGETHER]
        if together:
            notes.append(f"Known better together than apart (correlation): {'; '.join(together)}.")
        return notes

    def _pairs(self) -> list[tuple[str, str, float]]:
        cov = np.array(self.covariance)
        r = cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
        return [(self.names[i], self.names[j], float(r[i, j])) for i, j in combinations(range(len(r)), 2)]


def span(p: Parameter, mean: float, sd: float) -> tuple[float, float, float]:
    """Middle, 5% and 95% points of a parameter's values."""
    middle, low, high = p.value(mean + sd * NORMAL_95 * np.array([0.0, -1.0, 1.0]))
    return float(middle), float(low), float(high)


def figures(values: tuple[float, float, float]) -> str:
    """Middle and range of a parameter, in columns."""
    middle, low, high = values
    return f"{middle:7.3g} {f'({low:.2g} to {high:.2g})':<20}"
