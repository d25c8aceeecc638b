"""Years on a ladder of sizes, NumPy beside them (`make bench`; `make bench-smoke` runs the smallest once)."""

import os
from dataclasses import replace

import numpy as np
import pytest

import numpy_model
import numpy_projection
import sector_risk as sr
from sector_risk import engine
from sector_risk.panel import check_panel
from sector_risk.planned import plan_run

SMOKE = os.environ.get("SECTOR_RISK_BENCH") == "smoke"
SIZES = (800,) if SMOKE else (1_000, 10_000, 100_000)
PROJECTION_SIZES = (800,) if SMOKE else (1_000, 10_000)
STANDARD_ERRORS = 5
ROUNDING = 1e-5
"""Relative error of a sum of single-precision numbers; where all draws give the same, it is all there is."""


@pytest.fixture(scope="module")
def panel():
    return check_panel(sr.load_case("england-2018-19"))


@pytest.fixture(scope="module")
def year(panel):
    return plan_run(panel, sr.Assumptions(), "2018-19", years=1, n_draws=1, seed=0, by_trust=True)[0]


@pytest.fixture(scope="module")
def five_years(panel):
    return plan_run(panel, sr.Assumptions(), "2019-20", years=5, n_draws=1, seed=0, by_trust=False)[0]


def sums(draws):
    """What both must agree on by name, draws last: sums over trusts, in every year."""
    kept = {
        "sector": draws.sector,
        "support": draws.paid.sum(axis=2, dtype=float),
        "variance by month": draws.sector_variance,
        "contribution": draws.contribution.sum(axis=1, dtype=float),
        "driver_total": draws.driver_total,
        "efficiency_delivered": draws.efficiency_delivered,
        "central": draws.central,
    }
    by_trust = {name: values.ndim == 3 for name, values in draws.state.items()}
    return kept | {
        name: values.sum(axis=1, dtype=float) if by_trust[name] else values.astype(float)
        for name, values in draws.state.items()
    }


def assert_agree(ours, theirs):
    """Means agree within five standard errors of their difference: positions, deficit counts, support and the rest."""
    for (name, a), b in zip(sums(ours).items(), sums(theirs).values(), strict=True):
        error = np.sqrt((a.var(axis=-1) + b.var(axis=-1)) / a.shape[-1])
        allowed = STANDARD_ERRORS * error + ROUNDING * np.abs(a).mean(axis=-1)
        apart = np.abs(a.mean(axis=-1) - b.mean(axis=-1))
        assert (apart <= allowed).all(), f"{name}: {apart} apart, {allowed} allowed"


@pytest.mark.parametrize("n_draws", SIZES)
@pytest.mark.parametrize("threads", [1, 2])
def test_engine(benchmark, year, n_draws, threads):
    benchmark.group = f"year, {n_draws} draws"
    draws = benchmark(engine.run_blocks, replace(year, n_draws=n_draws), threads=threads)
    assert draws.position.shape == (1, 227, n_draws)


@pytest.mark.parametrize("n_draws", SIZES)
def test_numpy(benchmark, year, n_draws):
    """The NumPy model is the same model: it agrees within Monte Carlo error."""
    benchmark.group = f"year, {n_draws} draws"
    theirs = benchmark(numpy_model.run, year, n_draws)
    assert_agree(engine.run_blocks(replace(year, n_draws=n_draws), threads=1), theirs)


@pytest.mark.parametrize("n_draws", PROJECTION_SIZES)
@pytest.mark.parametrize("threads", [1, 2])
def test_projection_engine(benchmark, five_years, n_draws, threads):
    benchmark.group = f"five years, {n_draws} draws"
    draws = benchmark(engine.run_blocks, replace(five_years, n_draws=n_draws), threads=threads)
    assert draws.position.shape == (5, 227, n_draws)


@pytest.mark.parametrize("n_draws", PROJECTION_SIZES)
def test_projection_numpy(benchmark, five_years, n_draws):
    """So is the NumPy projection, with all rules of 2019-20, in every year."""
    benchmark.group = f"five years, {n_draws} draws"
    theirs = benchmark(numpy_projection.run, five_years, n_draws)
    assert_agree(engine.run_blocks(replace(five_years, n_draws=n_draws), threads=1), theirs)


@pytest.mark.parametrize("n_draws", SIZES)
@pytest.mark.parametrize("job", ["simulate", "summarise"])
def test_public(benchmark, panel, n_draws, job):
    benchmark.group = f"public, {n_draws} draws"
    if job == "simulate":
        benchmark(sr.simulate, panel, n_draws=n_draws)
    else:
        benchmark(sr.summarise, sr.simulate(panel, n_draws=n_draws))


@pytest.mark.parametrize("n_draws", PROJECTION_SIZES)
def test_project(benchmark, panel, n_draws):
    benchmark.group = f"public, {n_draws} draws"
    projection = benchmark(sr.project, panel, regime="2019-20", n_draws=n_draws)
    assert projection["position"].shape == (5, 227, n_draws)
