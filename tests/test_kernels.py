"""Kernels are plain Python: without the compiler they give the same bits, and the compile cache follows the sources."""

import os
import subprocess
import sys

import numpy as np
import pytest

import sector_risk as sr
from sector_risk.kernels import _jit

RUN = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")  # without the compiler, numpy warns where unsigned words wrap round
import sector_risk as sr
panel = sr.load_case("england-2018-19").isel(trust=slice(None, None, 40))
a = sr.Assumptions()
for tail_dof in (0.0, 4.0):
    made = sr.simulate(panel, a.replace(dependence=a.dependence.replace(tail_dof=tail_dof)), n_draws=9, threads=1)
    kept = made[["contribution", "position", "support", "sector_position"]]
    kept.to_dataframe().to_pickle(f"{sys.argv[1]}-{tail_dof}")
"""


def drawn(folder, name, **environment):
    target = folder / name
    subprocess.run(
        [sys.executable, "-c", RUN, str(target)], check=True, env=os.environ | environment, capture_output=True
    )
    import pandas as pd

    return [pd.read_pickle(f"{target}-{dof}") for dof in (0.0, 4.0)]


def test_the_compiler_changes_no_bit(tmp_path):
    compiled, plain = drawn(tmp_path, "compiled"), drawn(tmp_path, "plain", NUMBA_DISABLE_JIT="1")
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(one.to_numpy(), other.to_numpy())


def test_the_cache_folder_follows_every_kernel_source(monkeypatch, tmp_path):
    kept = _jit._cache_folder()
    assert _jit._cache_folder() == kept
    for path in tmp_path, tmp_path / "kernels":
        path.mkdir(exist_ok=True)
    for source in _jit.Path(_jit.__file__).parent.glob("*.py"):
        (tmp_path / "kernels" / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(_jit, "__file__", str(tmp_path / "kernels" / "_jit.py"))
    assert _jit._cache_folder() == kept
    quantile = tmp_path / "kernels" / "quantile.py"
    quantile.write_text(quantile.read_text().replace("Z_MAX = 6.0", "Z_MAX = 5.0"))
    assert _jit._cache_folder() != kept


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 17])
def test_moments_of_short_rows(n):
    from sector_risk.kernels.moments import BELOW, MEAN, SD, moments

    rows = np.random.default_rng(n).normal(size=(3, n)).astype(np.float32)
    out = np.empty((3, 3))
    moments(rows, np.zeros(3, np.float32), out)
    np.testing.assert_allclose(out[:, MEAN], rows.mean(axis=1, dtype=float), rtol=1e-12)
    np.testing.assert_array_equal(out[:, BELOW], (rows < 0).mean(axis=1))
    if n > 1:
        np.testing.assert_allclose(out[:, SD], rows.std(axis=1, ddof=1, dtype=float), rtol=1e-9)


def test_one_draw_can_be_summarised(case):
    summary = sr.summarise(sr.simulate(case, n_draws=1))
    assert bool(np.isfinite(summary["mean"]).all())
    assert float(summary["sd"].max()) == 0


@pytest.mark.parametrize("environment", [{"HOME": "/nonexistent", "XDG_CACHE_HOME": ""}, {"NUMBA_CACHE_DIR": "given"}])
def test_compiled_code_never_lands_beside_the_sources(environment, tmp_path, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value) if value == "given" else value)
    folder = _jit.Path(_jit._cache_folder())
    assert folder.name == _jit._digest()
    assert _jit.Path(_jit.__file__).parent not in folder.parents
