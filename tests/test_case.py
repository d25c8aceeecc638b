"""The bundled case: synthetic trusts, published totals by construction, made by the script in the repository."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sector_risk as sr

ROOT = Path(__file__).parents[1]
CSV = ROOT / "src" / "sector_risk" / "cases" / "england-2018-19.csv"


@pytest.mark.parametrize(
    ("variable", "total"),
    [
        ("turnover", 87_800),
        ("plan", -519 - 2_450),
        ("support_allocation", 2_450),
        ("efficiency_plan", 3_600),
        ("pay_afc", 37_200),
        ("pay_medical", 11_800),
    ],
)
def test_totals_are_the_published_ones(case, variable, total):
    assert float(case[variable].sum()) == pytest.approx(total, abs=0.005)


def test_counts_by_type_and_region(case):
    subtypes = dict(zip(*np.unique(case["trust_subtype"].values.astype(str), return_counts=True), strict=True))
    assert subtypes == {
        "Acute - Large": 27,
        "Acute - Medium": 32,
        "Acute - Multi-Service": 4,
        "Acute - Small": 33,
        "Acute - Specialist": 17,
        "Acute - Teaching": 36,
        "Ambulance": 10,
        "Care trust": 5,
        "Community": 16,
        "Mental health": 47,
    }
    regions = dict(zip(*np.unique(case["region"].values.astype(str), return_counts=True), strict=True))
    assert regions == {
        "East of England": 25,
        "London": 36,
        "Midlands": 41,
        "North East and Yorkshire": 35,
        "North West": 35,
        "South East": 30,
        "South West": 25,
    }


def test_refusers_and_the_worst_plan(case):
    agreed = case["control_total_agreed"].values.astype(bool)
    assert (~agreed).sum() == 32
    ask = case["efficiency_plan"].values / case["turnover"].values
    refused = case["efficiency_plan"].values[~agreed].sum() / case["turnover"].values[~agreed].sum()
    assert refused == pytest.approx(0.064, abs=1e-4)
    assert ask.min() > 0.01
    assert ask.max() < 0.15
    own_plan = case["plan"] + case["support_allocation"] * agreed
    assert float(own_plan.min()) == pytest.approx(-146, abs=0.05)


def test_no_real_trust_is_in_it(case):
    assert all(code.startswith("SYN") for code in case["trust"].values)
    assert all(name.startswith("Synthetic trust") for name in case["name"].values)
    assert "synthetic" in case.attrs["synthetic"]


def test_the_script_makes_exactly_this_file(tmp_path):
    script = (ROOT / "scripts" / "make_england_2018_19.py").read_text(encoding="utf-8")
    target = tmp_path / "made.csv"
    run = script.replace(
        'Path(__file__).parents[1] / "src" / "sector_risk" / "cases" / "england-2018-19.csv"', f"Path({str(target)!r})"
    )
    subprocess.run([sys.executable, "-c", run], check=True, capture_output=True)
    assert target.read_text(encoding="utf-8") == CSV.read_text(encoding="utf-8")


def test_unknown_case_names_the_nearest():
    with pytest.raises(sr.InputError, match="england-2018-19"):
        sr.load_case("england-2018-9")
