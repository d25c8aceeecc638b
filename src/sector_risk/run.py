"""What is to be run, and room for what comes of it."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import pressure
from sector_risk.kernels.controls import CONTROLS, Slopes
from sector_risk.posterior import Posterior
from sector_risk.prepare import Prepared
from sector_risk.regimes import PreparedRule, Rule
from sector_risk.schema import VariableSpec

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
DTYPES = {"float": np.float32, "flag": np.bool_, "code": np.int8}


@dataclass(frozen=True)
class Run:
    """What is to be run: as many years as were prepared, under the rules of a regime."""

    prepared: Prepared
    rules: tuple[Rule, ...]
    acting: tuple[PreparedRule, ...]
    n_draws: int
    by_trust: bool  # keep contributions by trust and the sector by month (a single year), not only yearly sums
    summed: bool = False  # keep no more than positions by trust and draw, and sums over draws of contributions
    by_quarter: bool = False  # keep the first year's variances of trusts at quarter ends
    posterior: Posterior | None = None  # what is known of the first year, where months of it were seen
    first_draw: int = 0
    controls: Slopes | None = None  # keep control variates of the first year

    def part(self, draws: range) -> "Run":
        """Return the run of some of the draws, by their numbers."""
        return replace(self, first_draw=draws.start, n_draws=len(draws))

    @property
    def contributions_by_draw(self) -> bool:
        """Whether contributions are kept by trust and draw."""
        return self.by_trust and not self.summed

    @property
    def contributions_summed(self) -> bool:
        """Whether contributions are kept by trust, but only their sums over draws."""
        return self.by_trust and self.summed

    @property
    def draws(self) -> range:
        """Numbers of the draws."""
        return range(self.first_draw, self.first_draw + self.n_draws)

    def acting_in(self, label: str) -> list[tuple[Rule, PreparedRule]]:
        """Rules that do anything in a year, with their settings."""
        pairs = zip(self.rules, self.acting, strict=True)
        return [(settings, rule) for settings, rule in pairs if settings.acts_in(label)]

    @property
    def variables(self) -> tuple[VariableSpec, ...]:
        """What the rules report."""
        return tuple(v for rule in self.rules for v in rule.variables)

    @property
    def funds(self) -> tuple[str, ...]:
        """Names of the rules that pay."""
        return tuple(rule.name for rule in self.rules if rule.pays)

    @property
    def n_contributions(self) -> int:
        """Drivers, then one_off and favourable_spent."""
        return pressure.N_DRIVERS + len(self.prepared.drivers) + 2


@dataclass(frozen=True)
class Draws:
    """Arrays of a whole run (Y years, T trusts, N draws), filled block by block."""

    contribution: F32  # (driver..., one_off, favourable_spent; T; N); no trusts where they are not kept
    contribution_sums: F64  # (driver..., one_off, favourable_spent; T; 2) over draws, of squares too; else no rows
    driver_total: F64  # (Y; driver..., one_off, favourable_spent; N); no rows where contributions are kept
    position: F32  # (Y, T, N)
    position_before_support: F32  # (Y, T, N)
    variance: F32  # (Y, T, N) at the year end, before support; no trusts of this and the like where all is summed
    underlying: F32  # (Y, T, N)
    quarter_variance: F32  # (4, T, N) of the first year; no quarters where they are not kept
    paid: F32  # (Y, fund, T, N)
    state: dict[str, NDArray[np.generic]]  # (Y, T, N) or (Y, N) by name of what rules report
    sector: F64  # (Y, 5, N): before support, position, deficit count, gross deficit, underlying
    sector_variance: F64  # (Y, 12, N) year to date, before support; no months where contributions are not kept
    efficiency_delivered: F64  # (Y, N)
    central: F64  # (Y, N) what rules save the centre
    control: F64  # (control, N); no rows where controls are not kept

    @classmethod
    def bytes_for_one(cls, run: Run) -> int:
        """Bytes that each draw of a run takes."""
        one = cls.empty(run.part(run.draws[:1]))
        arrays = [getattr(one, field.name) for field in fields(cls) if field.name != "state"]
        return sum(array.nbytes for array in (*arrays, *one.state.values()))

    @classmethod
    def empty(cls, run: Run) -> "Draws":
        """Room for a run; pages are touched only when a block writes them."""
        years, trusts, n = len(run.prepared.years), len(run.prepared.codes), run.n_draws
        kept, shape, details = run.n_contributions, (years, trusts, n), (years, 0 if run.summed else trusts, n)

        def room(shape: tuple[int, ...]) -> F32:
            return np.empty(shape, np.float32)

        return cls(
            contribution=np.empty((kept, trusts if run.contributions_by_draw else 0, n), np.float32),
            contribution_sums=np.zeros((kept if run.contributions_summed else 0, trusts, 2)),
            driver_total=np.zeros((years, 0 if run.contributions_by_draw else kept, n)),
            position=room(shape),
            position_before_support=room(shape),
            variance=room(details),
            underlying=room(details),
            quarter_variance=np.empty((4 if run.by_quarter else 0, trusts, n), np.float32),
            paid=np.zeros((years, len(run.funds), *details[1:]), np.float32),
            state={
                v.name: np.empty(shape if v.dims[0] == "trust" else (years, n), DTYPES[v.kind])
                for v in (() if run.summed else run.variables)
            },
            sector=np.zeros((years, 5, n)),
            sector_variance=np.zeros((years, 12 if run.by_trust else 0, n)),
            efficiency_delivered=np.zeros((years, n)),
            central=np.zeros((years, n)),
            control=np.zeros((len(CONTROLS) if run.controls else 0, n)),
        )
