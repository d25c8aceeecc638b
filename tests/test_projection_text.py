"""What is printed of a projection, where the command line alone does not lead to it."""

import io
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

import sector_risk as sr
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
    assert re.fullmatch(r"Sustainability funding pays, year by year: [\d,]+, [\d,]+, 0\.", first)
    assert re.fullmatch(r"Financial recovery fund pays, year by year: 0, [\d,]+, [\d,]+\.", second)


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
