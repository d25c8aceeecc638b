import re
import runpy
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest

import sector_risk as sr

EXAMPLES = Path(__file__).parents[1] / "examples"


@cache
def output_of(name, *arguments):
    """What an example prints when it is run as a script."""
    with redirect_stdout(StringIO()) as out, patch.object(sys, "argv", [name, *map(str, arguments)]):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return out.getvalue()


def numbers(text):
    return [float(n.replace(",", "")) for n in re.findall(r"[-+]?\d[\d,]*\.?\d*", text)]


def figures(text, label):
    """Numbers of the line that begins with the label."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(label)]
    return numbers(line.split(label)[1])


def table(text, head):
    """Lines below the one that begins with a heading, up to the next blank one."""
    return text.split(f"\n{head}")[1].split("\n\n")[0].splitlines()[1:]


def test_every_example_is_run_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'output_of("{path.name}"' not in source] == []


def test_what_flu_costs_is_met_by_measures_or_left_on_the_bottom_line():
    out = output_of("own_driver.py")
    lines = ("what it costs", "met by one-off measures", "met from slack in budgets", "left on the bottom line")
    cost, *rest = (figures(out, line)[0] for line in lines)
    assert cost > 0
    assert sum(rest) == pytest.approx(cost, abs=2)  # each is rounded
    assert figures(out, "Acute")[1] > 0
    assert figures(out, "Mental health")[1:3] == [0, pytest.approx(-9, abs=5)]  # gains support, bears no cost


def test_a_rule_of_ones_own_pays_its_pot_and_reads_from_a_file():
    out = output_of("own_rule.py")
    assert 'rule = "winter_fund"' in out
    assert figures(out, "paid, GBP million") == [300]
    (without,), (with_fund,) = (figures(out, f"trusts in deficit {how} it") for how in ("without", "with"))
    assert with_fund < without


def test_september_2018_answers_and_adds_up_from_the_plan_to_the_whole_nhs():
    out = output_of("september_2018.py")
    assert "-519 after 2,450 of sustainability funding" in out
    assert "synthetic" in out
    assert len(re.findall(r"^\w.*\?$", out, re.MULTILINE)) == 5
    rows = [line[42:] for line in table(out, "From plan to year end")[:12]]
    *trusts, sector, centre, nhs = (numbers(row)[0] for row in rows)
    assert len(trusts) == 9
    assert trusts[0] == -519
    assert sum(trusts) == pytest.approx(sector, abs=5)  # each is rounded
    assert sector + centre == pytest.approx(nhs, abs=2)
    assert f"{-sector:,.0f}m" in out  # the answers speak of the same year end
    effects = [*rows[1:9], rows[10]]
    assert sum(numbers(row)[-1] for row in effects) == pytest.approx(100, abs=5)
    assert sum(figures(out, "The centre was to add")[2:]) == pytest.approx(centre, abs=1)


def test_january_2019_fewer_trusts_are_in_deficit_with_the_fund_and_more_than_it_pays_is_gained():
    out = output_of("january_2019.py")
    assert "synthetic" in out
    assert "107 to 53" in out
    assert "830 to 910" in out
    years = [numbers(line[12:]) for line in table(out, "All rules")]
    assert len(years) == 6
    first, second = years[:2]
    assert first[:5] != second[:5]
    assert second[4] < first[4]  # fewer trusts in deficit
    assert second[0] < first[0] < 0  # and a larger deficit
    assert all(low < mean < high for mean, _, low, high, *_ in years)
    fund = [numbers(line[24:]) for line in table(out, "What the fund adds")]
    for year, (gain, error, count, _) in zip(years[1:], fund[:-1], strict=True):
        assert gain > year[5] > 0  # more than it pays
        assert gain > 100 * error
        assert count < 0
    assert fund[-1][0] == pytest.approx(sum(year[0] for year in fund[:-1]), abs=3)


def test_january_2019_turnaround_costs_at_first_and_pays_later_and_promises_are_far():
    out = output_of("january_2019.py")
    gains = [numbers(line[24:])[0] for line in table(out, "What turnaround adds")]
    *years, total = gains
    assert years[0] < 0
    assert all(now < later for now, later in pairwise(years))
    assert total == pytest.approx(sum(years), abs=3)
    halved, grew, *later = (re.split(r"\s{2,}", line.strip()) for line in table(out, "Chance of"))
    p, without_fund = int(halved[1].rstrip("%")), halved[2]
    assert int(grew[1].rstrip("%")) <= p < 100
    assert without_fund == "under 1%"
    assert [row[1:] for row in later] == 2 * [4 * ["under 1%"]]


def lists_of(out):
    """The three lists of fifteen, each as codes and figures."""
    rows = [re.findall(r"(\w+) +([\d.]+) \(error", line) for line in table(out, "Most for the money: fall")[1:16]]
    return [[(code, float(figure)) for code, figure in column] for column in zip(*rows, strict=True)]


def check_lists(out):
    """Lists are whole and in order, and the overlaps said are those of the codes."""
    lists = lists_of(out)
    codes = [{code for code, _ in chosen} for chosen in lists]
    assert [len(chosen) for chosen in codes] == [15, 15, 15]
    for chosen in lists:
        assert all(one >= other for (_, one), (_, other) in pairwise(chosen))
    said = [int(n) for n in re.findall(r"^On both lists, .*: (\d+)$", out, re.MULTILINE)]
    assert said == [len(codes[0] & codes[1]), len(codes[0] & codes[2]), len(codes[1] & codes[2])]
    for name, chosen in zip(("Lowest segment", "Worst deficits"), lists, strict=False):
        sure = int(re.search(rf"^  {name}: (\d+)% of it", out, re.MULTILINE)[1])
        assert sure == pytest.approx(100 * sum(p for _, p in chosen) / 15, abs=1)
    return lists


def check_trials(out):
    """Help costs the same on each list, and a list chosen by what help does beats the lowest segment."""
    trials = {
        name: figures(out.split("before its cost:")[1], name) for name in ("Lowest segment", "Most for the money")
    }
    (cost, segment, error, own), (other_cost, money, *_) = trials.values()
    assert cost == other_cost == 22.5  # fifteen times 1.5
    assert money - segment > 5 * error > 0
    assert -own < segment
    given, removed = figures(out, "Support of that sum   ")
    assert given == cost >= -removed > 0


def test_fifteen_trusts_2025_stand_on_published_totals_and_are_said_to_be_synthetic():
    out = output_of("fifteen_trusts_2025.py")
    assert out.startswith("THESE TRUSTS ARE SYNTHETIC")
    assert figures(out, "Planned:") == [-2200, 2200, 0]
    mean, paid, _, low, high, count = figures(out, "Expected:")
    assert low < mean < high < 0
    assert 0 < paid < 2200
    assert 0 < count < 227
    lists = check_lists(out)
    assert {code[:3] for chosen in lists for code, _ in chosen} == {"SYN"}
    check_trials(out)


@pytest.mark.needs_shared_data
def test_fifteen_trusts_2025_takes_a_published_file_and_says_what_was_filled(shared_data):
    with pytest.warns(sr.InputWarning) as caught:
        out = output_of("fifteen_trusts_2025.py", shared_data / "panel_2025-26_m9.csv")
    assert any("turnover is missing" in str(warning.message) for warning in caught)
    assert out.startswith("186 trusts: panel_2025-26_m9.csv")
    assert "Filled: turnover, by type median" in out
    assert "Left out, 16 in all" in out
    check_lists(out)
    check_trials(out)


def test_fifteen_trusts_2025_carries_the_case_to_the_plans_of_that_year():
    panel = runpy.run_path(str(EXAMPLES / "fifteen_trusts_2025.py"))["synthetic_panel"]()
    case = sr.load_case("england-2018-19")
    assert panel["plan"].sum().item() == pytest.approx(-2200)
    assert (panel["efficiency_plan"] / panel["turnover"]).values == pytest.approx(0.071)
    planned = (panel["plan"] < -0.005).groupby("trust_type").mean()
    assert planned.sel(trust_type="Acute").item() == pytest.approx(0.67, abs=0.01)
    assert planned.sel(trust_type="Mental health").item() == pytest.approx(0.20, abs=0.02)
    assert panel["trust"].values.tolist() == case["trust"].values.tolist()


def test_fifteen_trusts_2025_puts_the_trusts_asked_for_into_the_programme_and_no_others():
    forecast_with = runpy.run_path(str(EXAMPLES / "fifteen_trusts_2025.py"))["forecast_with"]
    panel = sr.load_case("england-2018-19")[["turnover", "plan", "efficiency_plan"]].isel(trust=slice(20))
    panel = sr.check_panel(panel.assign_attrs(year="2025-26"))
    given = panel.assign(segment=("trust", [5.0, *[2.0] * 19]))
    bare, nobody, second = forecast_with(panel, []), forecast_with(given, []), forecast_with(given, ["SYN002"])
    assert (nobody["position"] == bare["position"]).all()  # who is inside in the file is not inside here
    better = (second["contribution"] - nobody["contribution"]).sel(driver="efficiency_recurrent").mean("draw")
    assert better.sel(trust="SYN002") > 0
    assert (better.drop_sel(trust="SYN002") == 0).all()
