"""The year on a ladder of sizes, NumPy beside it (`make bench`; `make bench-smoke` runs the smallest once)."""

import os

import pytest

import numpy_model
import sector_risk as sr
from sector_risk import engine, prepare

SIZES = (800,) if os.environ.get("SECTOR_RISK_BENCH") == "smoke" else (1_000, 10_000, 100_000)


@pytest.fixture(scope="module")
def panel():
    return sr.load_case("england-2018-19")


@pytest.fixture(scope="module")
def year(panel):
    prepared = prepare.prepare(panel, sr.Assumptions(), 0)
    return prepared, sr.REGIMES["2018-19"].rules[0].prepare(prepared.codes, prepared.panel, 0)


@pytest.mark.parametrize("n_draws", SIZES)
@pytest.mark.parametrize("threads", [1, 2])
def test_engine(benchmark, year, n_draws, threads):
    benchmark.group = f"year, {n_draws} draws"
    draws = benchmark(engine.run_blocks, year[0], (year[1],), n_draws, threads=threads)
    assert draws.position.shape == (227, n_draws)


@pytest.mark.parametrize("n_draws", SIZES)
def test_numpy(benchmark, year, n_draws):
    """The NumPy model is the same model: its sector mean agrees within Monte Carlo error."""
    benchmark.group = f"year, {n_draws} draws"
    sector = benchmark(numpy_model.run, year[0], year[1].fund, n_draws)[4]
    ours = engine.run_blocks(year[0], (year[1],), n_draws, threads=1).sector
    error = ours[1].std() * (2 / n_draws) ** 0.5
    assert sector[1].mean() == pytest.approx(ours[1].mean(), abs=5 * error)
    assert sector[2].mean() == pytest.approx(ours[2].mean(), abs=5 * ours[2].std() * (2 / n_draws) ** 0.5)


@pytest.mark.parametrize("n_draws", SIZES)
@pytest.mark.parametrize("job", ["simulate", "summarise"])
def test_public(benchmark, panel, n_draws, job):
    benchmark.group = f"public, {n_draws} draws"
    if job == "simulate":
        benchmark(sr.simulate, panel, n_draws=n_draws)
    else:
        benchmark(sr.summarise, sr.simulate(panel, n_draws=n_draws))
