"""Posterior: what is known of trusts, and of what they share, once some months of the year have been seen.

`loads` says how trusts depend on factors, `lots` draws and weighs particles of each trust, `laplace` learns the factors
from all of them, and `known` keeps what a forecast needs of it.
"""

from sector_risk.posterior.known import Posterior, learn

__all__ = ["Posterior", "learn"]
