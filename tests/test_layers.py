"""The street has one direction: a module imports only from the layers before its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sector_risk

PACKAGE = Path(sector_risk.__file__).parent

# A module may import from its own part and from every earlier line; never from its own line or a later one.
LAYERS = (
    ("schema", "faults", "extras", "kernels", "progress"),
    ("marginal",),
    ("settings",),
    ("panel", "assumptions", "regimes"),
    ("drivers", "cases"),
    ("history",),
    ("prepare",),
    ("unfinished",),
    ("factors", "reports", "files"),
    ("posterior", "user_pressure", "slopes"),
    ("run",),
    ("part_rows",),
    ("fold",),
    ("engine",),
    ("results", "milestones", "units"),
    ("planned", "summary", "pairs"),
    ("measures", "effects"),
    ("allocation",),
    ("streaming", "store"),
    ("simulation",),
    ("projection", "projection_summary", "conditioning"),
    ("scenarios", "sensitivity", "stopping", "distributed", "controls"),
    ("swings", "comparison", "bridges", "stress", "goals", "interventions"),
    ("calibration",),
    ("parameter_draws", "scores", "rivals"),
    ("backtesting",),
    ("readings",),
    ("chances",),
    ("findings", "evidence_log"),
    ("answers", "quality"),
    ("plots", "report_text"),
    ("projection_text", "backtest_text", "html_report"),
    ("cli",),
)
LAYER = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path):
    """The first name below the package: `kernels` for `kernels/random.py`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path):
    """Full names that a file imports, wherever in the file; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(path):
    own = (name.split(".") for name in imported_modules(path) if name.startswith("sector_risk."))
    return {names[1] for names in own if names[1] in LAYER} - {part_of(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    part = part_of(path)
    assert part in LAYER, f"give {part} its place in LAYERS"
    wrong = {name for name in parts_imported(path) if LAYER[name] >= LAYER[part]}
    assert not wrong, f"{part} must not import {wrong}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "kernels").glob("*.py")), ids=lambda path: path.name)
def test_kernels_import_only_numpy_and_numba(path):
    allowed = {"numpy", "numba", "sector_risk"} | sys.stdlib_module_names
    assert {name.split(".")[0] for name in imported_modules(path)} <= allowed
    assert not parts_imported(path)


@pytest.mark.parametrize("module", ["sector_risk", "sector_risk.cli"])
def test_importing_it_imports_nothing_heavy(module):
    heavy = {"xarray", "numba", "numpy", "scipy", "pandas", "rich", "matplotlib"}
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())
