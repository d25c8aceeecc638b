"""The notebook that reads results with other tools runs, and prints what is stored in it.

``python tests/test_notebook.py`` runs it and stores it anew, without traces of the machine.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "consume_results.ipynb"
NEEDED = ("nbclient", "ipykernel", "arviz", "scoringrules", "h5netcdf", "matplotlib")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MADE_IN = 1  # the code cell that makes the files, and the only one that needs sector_risk

missing = [name for name in NEEDED if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (extra 'notebook')")


def stored():
    """The notebook as it is stored."""
    import nbformat

    return nbformat.read(NOTEBOOK, as_version=4)


def executed():
    """The notebook run anew, without what a run leaves behind of the machine."""
    from nbclient import NotebookClient

    notebook = stored()
    NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False, coalesce_streams=True).execute()
    notebook.metadata = METADATA
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell, stream="stdout"):
    return "".join(output.text for output in cell.outputs if output.get("name") == stream)


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


@pytest.fixture(scope="module")
def run():
    return executed()


def test_it_runs_and_prints_what_is_stored(run):
    for cell, before in zip(code_cells(run), code_cells(stored()), strict=True):
        assert printed(cell) == printed(before), cell.id
        assert pictures(cell) == pictures(before), cell.id
    assert sum(pictures(cell) for cell in code_cells(run)) == 2


def test_it_runs_without_a_warning(run):
    assert [printed(cell, "stderr") for cell in code_cells(run) if printed(cell, "stderr")] == []


def test_its_figures_are_those_of_the_library(run):
    import sector_risk as sr

    summary = sr.summarise(sr.simulate(sr.load_case("england-2018-19"), n_draws=2_000, seed=1))
    said = "".join(printed(cell) for cell in code_cells(run))
    balanced = round(2_000 * (1 - summary["p_deficit"].sel(unit="Whole NHS").item()))
    assert f"nhs_position: mean {summary['mean'].sel(unit='Whole NHS'):.0f}, breakeven in {balanced} of 2,000" in said
    trust = summary.sel(unit="SYN008")
    assert f"SYN008: mean {trust['mean']:.1f}" in said
    assert f"breakeven: {1 - trust['p_deficit']:.1%} of 2,000 draws" in said


def test_only_the_first_step_needs_the_library():
    using = [i for i, cell in enumerate(code_cells(stored()), start=1) if "sector_risk" in cell.source]
    assert using == [MADE_IN]


def test_it_is_small_and_holds_nothing_of_the_machine_that_ran_it():
    notebook, text = stored(), NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert notebook.metadata == METADATA
    assert [cell.metadata for cell in notebook.cells if cell.metadata] == []
    assert all(cell.execution_count for cell in code_cells(notebook))  # in order, from a fresh start
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert [
        path for path in ("/tmp", "/home", "/root", "/usr", "site-packages", str(NOTEBOOK.parents[1])) if path in text
    ] == []


if __name__ == "__main__":
    import nbformat

    nbformat.write(executed(), NOTEBOOK)
