"""What is printed of a projection, where the command line alone does not lead to it."""

import io
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

import sector_risk as sr
from sector_risk.chances import probability
from sector_risk.projection_text import milestone_lines, projection_report, rule_lines
from sector_risk.regimes import PreparedRule
from sector_risk.schema import VariableSpec


@pytest.fixture(scope="module")
def few(case):
    return case.isel(trust=slice(None, None, 12))


def lines_of(lines, panel, **settings):
    projection = sr.project(panel, **{"years": 2, "n_draws": 100, "regime": "none"} | settings)
    return list(lines(projection, sr.summarise_projection(projection)))


def test_milestones_say_in_how_many_draws(few):
    half = sr.Milestone("met in every second draw", "2018-19", lambda path, year: np.arange(100) % 2 == 0)
    always = sr.Milestone("met always", "2018-19", lambda path, year: np.ones(100, bool))
    far = sr.Milestone("my own, far off", "2040-41", lambda path, year: np.ones(100, bool))
    assert lines_of(milestone_lines, few, milestones=(half, always, far)) == [
        "Met in every second draw: 50% (met in 50 of 100 draws; Monte Carlo error 9.8 points).",
        "Met always: >97% (met in all of 100 draws).",
        "My own, far off: beyond these years.",
    ]


def test_milestones_before_the_years_are_not_asked_for(few):
    lines = lines_of(milestone_lines, few.assign_attrs(year="2025-26"))
    assert lines == ["Left out, because they need years before 2025-26: 4 milestones of the long-term plan."]
    lines = lines_of(milestone_lines, few.assign_attrs(year="2019-20"))
    assert [line.split(":")[0] for line in lines] == [
        "Provider sector in balance in 2020-21",
        "Every trust in balance in 2023-24",
        "Left out, because they need years before 2019-20",
    ]
    assert "ask for 5 years" in lines[1]


def test_without_milestones_there_is_no_heading(few):
    projection = sr.project(few, regime="none", years=1, n_draws=50, milestones=())
    page = projection_report(projection, sr.summarise_projection(projection))
    assert not any("Milestones" in str(part) for part in page)


def test_some_trusts_are_not_the_sector(few):
    projection = sr.project(few, years=2, n_draws=50)
    page = projection_report(projection, sr.summarise_projection(projection))
    assert str(page[0]).startswith("Some NHS providers")
    assert any(str(part) == "Milestones, of these trusts alone" for part in page)


def test_turnaround_says_its_share_of_the_net_deficit(case):
    regime = sr.Regime("turnaround", (sr.AcceleratedTurnaround(trusts=30),))
    projection = sr.project(case, regime=regime, years=2, n_draws=100)
    (line,) = rule_lines(projection, sr.summarise_projection(projection))
    theirs, sector = (projection[name][0].mean().item() for name in ("turnaround_position", "sector_position"))
    assert line == (
        "Accelerated turnaround: the 30 trusts chosen at the end of 2018-19 have deficits of "
        f"{-theirs:,.0f} together, {100 * theirs / sector:.0f}% of the sector's net deficit of {-sector:,.0f}."
    )


def test_two_funds_are_named_one_by_one(few):
    first, second, *_ = lines_of(rule_lines, few, regime="2019-20", years=3)
    assert re.fullmatch(r"Sustainability funding pays [\d,]+ in 2018-19, [\d,]+ in 2019-20, 0 in 2020-21\.", first)
    assert re.fullmatch(r"Financial recovery fund pays 0 in 2018-19, [\d,]+ in 2019-20, [\d,]+ in 2020-21\.", second)


def test_of_many_years_the_first_and_the_last_are_listed(few):
    first, *_ = lines_of(rule_lines, few, regime="2019-20", years=8)
    assert [part[-7:] for part in first.rstrip(".").split(", ")] == [
        *("2018-19", "2019-20", "2020-21", "2021-22", "...", "2025-26")
    ]


def test_nobody_having_left_control_totals_is_not_worth_a_line(few):
    assert not any("left control" in line for line in lines_of(rule_lines, few, regime="2019-20", years=2))
    assert any("left control" in line for line in lines_of(rule_lines, few, regime="2019-20", years=3))


def test_the_trusts_most_likely_in_trouble_are_named(few):
    projection = sr.project(few, regime="2025-26", years=2, n_draws=100)
    oversight, segment, programme, inside = rule_lines(projection, sr.summarise_projection(projection))
    assert oversight.startswith("Oversight: ")
    assert programme.startswith("Improvement programme: ")
    for line, flags in ((segment, projection.segment == 4), (inside, projection.programme_status > 0)):
        p = flags.isel(year=0).mean("draw")
        assert " at the end of 2018-19: " in line
        named = re.findall(r"(SYN\d+) Synthetic trust \d+ \((.*?)\)", line)
        assert len(named) == 5
        np.testing.assert_array_equal(p.sel(trust=[code for code, _ in named]), np.sort(p)[::-1][:5])
        assert named[0][1] == probability(float(p.max()), 100)


def test_nobody_is_named_for_what_never_happens(few):
    regime = sr.Regime("own", (sr.OversightFramework(), sr.ImprovementProgramme(places=0)))
    assert lines_of(rule_lines, few, regime=regime)[-1].startswith("Improvement programme: 0 trusts inside")


def page_of(projection, **settings):
    console = Console(width=300, file=io.StringIO())
    for part in projection_report(projection, sr.summarise_projection(projection), **settings):
        console.print(part)
    return console.file.getvalue()


def test_the_trusts_most_likely_in_deficit_in_the_last_year_are_in_a_table(few):
    projection = sr.project(few, years=2, n_draws=100)
    table = page_of(projection).split("Most likely in deficit")[1].split("\n\n")[0]
    last = projection.isel(year=-1)
    p = (last.position < -0.005).mean("draw")
    rows = re.findall(r"(SYN\d+) Synthetic trust \d+ +([-\d.,]+) +(\S+)", table)
    assert "at the end of 2019-20" in table
    assert len(rows) == 5
    codes = [code for code, *_ in rows]
    np.testing.assert_array_equal(p.sel(trust=codes), np.sort(p)[::-1][:5])
    assert float(rows[0][1]) == pytest.approx(last.position.sel(trust=codes[0]).mean().item(), abs=0.06)
    assert rows[0][2] == probability(float(p.max()), 100)


def test_what_is_owed_is_explained_where_loans_are_a_rule(few):
    projection = sr.project(few, regime="2019-20", years=2, n_draws=50)
    page = page_of(projection)
    assert "Loans owed: at the year end, with what the panel says was owed before" in page
    owed, interest = (projection[name].isel(year=-1).sum("trust").mean() for name in ("debt", "interest"))
    assert f"{owed:,.0f}" in page
    assert f"({interest:,.0f})" in page
    assert "Loans" not in page_of(sr.project(few, years=2, n_draws=50))


@pytest.mark.parametrize(("years", "held"), [(9, False), (10, True)])
def test_from_ten_years_on_it_is_called_arithmetic(few, years, held):
    assert ("read it as arithmetic" in page_of(sr.project(few, years=years, n_draws=20))) == held


def test_the_error_of_a_chance_follows_from_its_draws(case, few):
    assert "under 1.5 points on its chance of balance" in page_of(sr.project(case, years=1, n_draws=200))
    page = page_of(sr.project(few, years=1, n_draws=1))
    assert "Monte Carlo" not in page
    assert "Only 1 draw: " in page
    assert "none of 1 draw)" in page_of(sr.project(few, years=2, n_draws=1))


def test_deficits_that_are_added_up_alone_are_said_to_be(few):
    assert "their deficits alone, surpluses left out, add up to" in page_of(sr.project(few, n_draws=20, years=1))


def test_what_a_rule_of_ones_own_reports_is_added_up_or_counted(few):
    @dataclass(frozen=True)
    class Levy(sr.Rule):
        """A levy."""

        name: ClassVar[str] = "levy"
        variables: ClassVar[tuple[VariableSpec, ...]] = (
            VariableSpec("levied", ("trust", "draw"), "GBP million", "levy paid"),
            VariableSpec("spared", ("trust", "draw"), "1", "trusts spared the levy", kind="flag"),
            VariableSpec("mood", ("trust", "draw"), "1", "mood", kind="code"),
        )

        def prepare(self, context):
            return Collector()

    class Collector(PreparedRule):
        def after_year(self, block):
            block.state["levied"][:] = 1.0 + block.year
            block.state["spared"][:2] = True

    n = few.sizes["trust"]
    assert lines_of(rule_lines, few, regime=sr.Regime("own", (Levy(),))) == [
        f"Levy paid: {n} in 2018-19 and {2 * n} in 2019-20.",
        "Trusts spared the levy: 2 in 2018-19 and 2 in 2019-20.",
    ]


@pytest.mark.parametrize("regime", list(sr.REGIMES))
def test_every_bundled_regime_fits_a_page_of_80_columns(few, regime):
    projection = sr.project(few, regime=regime, years=3, n_draws=50)
    console = Console(width=80, file=io.StringIO())
    for part in projection_report(projection, sr.summarise_projection(projection)):
        console.print(part)
    page = console.file.getvalue()
    assert "…" not in page
    assert f"Rules: {regime}" in page


def test_turnaround_that_hardly_ever_happens_is_not_spoken_of(few):
    calm = few.assign(plan=0.02 * few["turnover"], control_total=0.02 * few["turnover"])
    regime = sr.Regime("calm", (sr.AcceleratedTurnaround(first_year="2018-19"),))
    lines = lines_of(rule_lines, calm, regime=regime)
    assert not any("the 0 trusts" in line for line in lines)
