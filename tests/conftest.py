import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads that wait for a busy core cost more

import pytest

import sector_risk as sr


@pytest.fixture(scope="session")
def case():
    """The bundled case of synthetic trusts."""
    return sr.load_case("england-2018-19")


@pytest.fixture(scope="session")
def forecast(case):
    return sr.simulate(case, n_draws=2000, seed=5)


@pytest.fixture(scope="session")
def shared_data():
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("published files are not beside the project")
    return folder
