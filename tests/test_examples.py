import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def output_of(capsys):
    """What an example prints when it is run as a script."""

    def run(name):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def figures(text, label):
    """Numbers of the line that begins with the label."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(label)]
    return [float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*\.?\d*", line.split(label)[1])]


def test_what_flu_costs_is_met_by_measures_or_left_on_the_bottom_line(output_of):
    out = output_of("own_driver.py")
    lines = ("what it costs", "met by one-off measures", "met from slack in budgets", "left on the bottom line")
    cost, *rest = (figures(out, line)[0] for line in lines)
    assert cost > 0
    assert sum(rest) == pytest.approx(cost, abs=2)  # each is rounded
    assert figures(out, "Acute")[1] > 0
    assert figures(out, "Mental health")[1:3] == [0, pytest.approx(-9, abs=5)]  # gains support, bears no cost


def test_a_rule_of_ones_own_pays_its_pot_and_reads_from_a_file(output_of):
    out = output_of("own_rule.py")
    assert 'rule = "winter_fund"' in out
    assert figures(out, "paid, GBP million") == [300]
    (without,), (with_fund,) = (figures(out, f"trusts in deficit {how} it") for how in ("without", "with"))
    assert with_fund < without


def test_september_2018_adds_up_from_the_plan_to_the_whole_nhs(output_of):
    out = output_of("september_2018.py")
    assert "-519 after 2,450 of sustainability funding" in out
    assert "synthetic" in out
    lines = out.split("Why, GBP million")[1].splitlines()[1:]
    means = [float(line[40:48].replace(",", "")) for line in lines[:12]]
    plan_and_drivers, sector, central, nhs = means[:8], means[8], means[9:11], means[11]
    assert sum(plan_and_drivers) == pytest.approx(sector, abs=5)  # each is rounded
    assert sector + sum(central) == pytest.approx(nhs, abs=2)
    assert "The provider sector" in out
    assert "in balance in under 1%" in out
