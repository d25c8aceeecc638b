"""What is fitted: each parameter's place in the assumptions, its scale, and what is thought of it beforehand.

On the scale u = logit((value - low) / (high - low)) every parameter is Normal beforehand, with the prior value in the
middle. Priors rest on judgement and on years other than those of the bundled history, and not on trusts in 2025-26.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sector_risk.assumptions import Assumptions, Evidence, Marginal, Shares

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """One parameter: `name` is group.field, `put` turns the field's old value and a number into its new value."""

    name: str
    low: float
    high: float
    prior: float
    prior_sd: float  # on the scale u
    source: str
    put: Callable[[Any, float], Any]
    also: tuple[str, ...] = ()  # further fields of the same group that take the number itself

    @property
    def group(self) -> str:
        """Group of assumptions."""
        return self.name.split(".")[0]

    @property
    def field(self) -> str:
        """Field of the group."""
        return self.name.split(".")[1]

    @property
    def prior_mean(self) -> float:
        """Prior mean on the scale u."""
        return float(special.logit((self.prior - self.low) / (self.high - self.low)))

    def value(self, u: Any) -> Any:
        """Return the value at u."""
        return self.low + (self.high - self.low) * special.expit(u)


def itself(_old: Any, value: float) -> float:
    """Return the number: the field is one."""
    return value


def beta_mean(old: Marginal, mean: float) -> Marginal:
    """Return the Beta of the same concentration a + b with another mean."""
    given = dict(old.parameters)
    concentration = given["a"] + given["b"]
    return Marginal.of("beta", **given | {"a": concentration * mean, "b": concentration * (1.0 - mean)})


def gamma_mean(old: Marginal, mean: float) -> Marginal:
    """Return the Gamma of the same shape with another mean."""
    given = dict(old.parameters)
    return Marginal.of("gamma", **given | {"scale": mean / given["a"]})


def sector_share(old: Shares, share: float) -> Shares:
    """Return the shares of variance with another one for the sector."""
    return old.replace(sector=share)


PARAMETERS = (
    Parameter(
        "efficiency.recurrent_ratio",
        0.0,
        1.0,
        prior=0.73,
        prior_sd=0.5,
        source="recurrent savings over all savings planned: .79 in 2010-11 (HSJ 5030847), .78 in 2013-14 (HFMA, June"
        " 2014), about .54 in 2024-25 (NHS England, 29 May 2025), over .91, less for an ask of 4%",
        put=beta_mean,
    ),
    Parameter(
        "deterioration.headroom",
        0.0,
        0.1,
        prior=0.01,
        prior_sd=0.5,
        source="judgement: a contingency of about 1% of turnover",
        put=itself,
    ),
    Parameter(
        "deterioration.drift_per_planned_deficit",
        0.0,
        2.0,
        prior=0.4,
        prior_sd=0.5,
        source="judgement: trusts that plan deficits drift further from plan",
        put=itself,
    ),
    Parameter(
        "deterioration.shock_sd",
        0.0,
        0.05,
        prior=0.0008,
        prior_sd=0.5,
        source="judgement: monthly shocks of .04 to .12% of turnover",
        put=itself,
    ),
    Parameter(
        "deterioration.persistence",
        0.0,
        0.99,
        prior=0.85,
        prior_sd=0.8,
        source="judgement: a shock to the run rate loses half its force in two to nine months",
        put=itself,
    ),
    Parameter(
        "flexibility.amount",
        0.0,
        0.3,
        prior=0.028,
        prior_sd=0.5,
        source="judgement: one-off savings, other one-off income and year-end measures of 2 to 4% of turnover",
        put=gamma_mean,
    ),
    Parameter(
        "flexibility.keep_favourable",
        0.0,
        1.0,
        prior=0.36,
        prior_sd=0.6,
        source="judgement: most of what is left over is spent",
        put=itself,
    ),
    Parameter(
        "dependence.efficiency",
        0.0,
        0.5,
        prior=0.07,
        prior_sd=0.6,
        source="judgement: .05 to .10 of the variance of delivery is the sector's",
        put=sector_share,
    ),
    Parameter(
        "dependence.deterioration",
        0.0,
        0.5,
        prior=0.03,
        prior_sd=0.9,
        source="judgement: .01 to .10 of the variance of drifts and of monthly shocks is the sector's",
        put=sector_share,
        also=("run_rate_sector",),
    ),
)
NAMES = tuple(p.name for p in PARAMETERS)
PRIOR_MEAN = np.array([p.prior_mean for p in PARAMETERS])
PRIOR_SD = np.array([p.prior_sd for p in PARAMETERS])


def values_of(u: Iterable[float]) -> tuple[float, ...]:
    """Values of all parameters at a point of the scale u."""
    return tuple(float(p.value(x)) for p, x in zip(PARAMETERS, u, strict=True))


def put_values(assumptions: Assumptions, u: Iterable[float], evidence: Iterable[Evidence] | None = None) -> Assumptions:
    """Return the assumptions with all parameters at a point of the scale u, and with evidence for each."""
    given = list(evidence) if evidence is not None else [None] * len(PARAMETERS)
    changes: dict[str, dict[str, Any]] = {}
    for p, value, said in zip(PARAMETERS, values_of(u), given, strict=True):
        group = changes.setdefault(p.group, {"evidence": ()})
        group[p.field] = p.put(getattr(getattr(assumptions, p.group), p.field), value)
        group |= dict.fromkeys(p.also, value)
        group["evidence"] += tuple((name, said) for name in (p.field, *p.also) if said)
    return assumptions.replace(**{name: getattr(assumptions, name).replace(**new) for name, new in changes.items()})
