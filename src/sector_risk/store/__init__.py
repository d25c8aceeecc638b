"""Forecasts larger than memory: simulated region by region into a Zarr store, and continued where a run was stopped."""

from sector_risk.store.writing import write_draws

__all__ = ["write_draws"]
