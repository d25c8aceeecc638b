import itertools
import json
import math
import re
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.chances import probability
from sector_risk.html_report import report, write_report
from sector_risk.html_report.page import page_of
from sector_risk.html_report.tables import Table
from sector_risk.measures import deficit_counts, exceedance, rank_stability
from sector_risk.readings import effect_label
from sector_risk.settings import CONFIDENCE
from sector_risk.units import NHS, SECTOR

SCRIPT = "<script>alert(1)</script>"
NAMES = (
    SCRIPT,
    "$\\frac{1}{2}$ & _x_",
    '"><img src=x onerror=alert(1)>',
    "N" * 300,
    "",
    "Ysbyty Gwynedd 東京",
    "a\nb\x00",
)
SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
MONTHS = ("April", "May", "June", "July", "August", "September", "October", "November", "December")
MONTHS += ("January", "February", "March")
NO = math.nan
VOID = {"meta", "link", "input", "br", "path", "img"}
SECTIONS = ("answers", "how-bad", "whose", "drivers", "fixes", "certainty", "years", "record")


class Tree(HTMLParser):
    """What a page is made of: tags with their attributes in order, and what was left open."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def forecast(case):
    name = case["name"].values.astype(object)
    name[: len(NAMES)] = NAMES
    return sr.simulate(case.assign_coords(name=("trust", name)), n_draws=300, seed=3)


@pytest.fixture(scope="module")
def projection(case):
    return sr.project(case, regime="2019-20", years=6, n_draws=60)


@pytest.fixture(scope="module")
def written(forecast, projection, tmp_path_factory):
    return write_report(forecast, tmp_path_factory.mktemp("report") / "new" / "page.html", projection=projection)


@pytest.fixture(scope="module")
def tree(written):
    return Tree(written.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(forecast, projection):
    return page_of(forecast, projection)


def test_the_page_is_one_small_whole_file(written):
    assert [entry.name for entry in written.parent.iterdir()] == ["page.html"]
    assert written.stat().st_size < 1.5e6


def test_tags_close_and_ids_are_unique(tree):
    assert tree.open == []
    ids = [attrs["id"] for _, attrs in tree.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"][1:] for _, attrs in tree.tags if attrs.get("href", "").startswith("#")]
    labels = [attrs["aria-labelledby"] for _, attrs in tree.tags if "aria-labelledby" in attrs]
    clips = [attrs["clip-path"][5:-1] for _, attrs in tree.tags if "clip-path" in attrs]
    assert len(clips) > 20
    assert set(links + labels + clips) <= set(ids)


def test_sections_are_there_in_order_with_headings_that_skip_no_level(tree):
    assert tuple(attrs["id"] for attrs in tree.of("section")) == SECTIONS
    levels = [int(tag[1]) for tag, _ in tree.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_nothing_is_fetched(written, tree):
    used = [value for _, attrs in tree.tags for key, value in attrs.items() if key in ("src", "href", "srcset", "data")]
    assert all(value.startswith(("#", "data:")) for value in used)
    style = re.search(r"<style>(.*?)</style>", written.read_text(encoding="utf-8"), re.S).group(1)
    assert len(tree.of("style")) == 1
    assert "@import" not in style
    assert "url(" not in style
    policy = next(attrs["content"] for attrs in tree.of("meta") if "http-equiv" in attrs)
    assert "default-src 'none'" in policy


def test_names_are_text_wherever_they_stand(written, tree):
    assert len(tree.of("script")) == 1
    assert not tree.of("img")
    assert not any(key.startswith("on") for _, attrs in tree.tags for key in attrs)
    said = [text.strip() for text in tree.texts]
    assert {SCRIPT, NAMES[1], NAMES[2], NAMES[3]} <= set(said)
    assert "\x00" not in written.read_text(encoding="utf-8")


def test_tables_have_captions_and_scopes(tree):
    assert len(tree.of("caption")) == len(tree.of("table")) > 15
    assert all(attrs.get("scope") in ("col", "row") for attrs in tree.of("th"))


def test_every_picture_is_there_wide_and_narrow_with_words(tree):
    pictures = [attrs for attrs in tree.of("div") if attrs.get("role") == "img"]
    assert len(pictures) == 2 * len(tree.of("figure")) == 18
    assert all(len(attrs["aria-label"]) > 40 for attrs in pictures)
    assert len(tree.of("figcaption")) == len(tree.of("figure"))


def rows_by_name(table):
    return {row[0].text: [cell.order for cell in row[1:]] for row in table.rows}


def test_the_league_is_the_summary_and_the_ranks(page, forecast):
    summary, ranks = sr.summarise(forecast), rank_stability(forecast, 30)
    league = page.whose.league
    assert len(league.rows) == 227
    at = {row[0].code or row[0].text: row for row in league.rows}
    assert set(at) == set(forecast.trust.values)
    for code in forecast.trust.values[[0, 10, 226]]:
        row, trust = [cell.order for cell in at[code]], summary.sel(unit=code)
        low, high = trust.position_quantile.sel(quantile=[0.05, 0.95]).values
        assert row[3:7] == [trust.plan, trust["mean"], low, high]
        assert row[8:] == [trust.p_deficit, trust.p_missing_plan, ranks.p_among_worst.sel(trust=code)]
    often = [row[-1].order for row in league.rows]
    assert often == sorted(often, reverse=True)


def test_bars_share_one_scale(page, forecast):
    summary = sr.summarise(forecast)
    rows = [row for row in page.whose.league.rows if row[0].code or row[0].text]
    low = np.array([summary.position_quantile.sel(unit=r[0].code or r[0].text, quantile=0.05) for r in rows])
    places = np.array([row[7].bar.low for row in rows])
    slope, offset = np.polyfit(low, places, 1)
    np.testing.assert_allclose(slope * low + offset, places, atol=0.02)
    assert all(0 <= row[7].bar.low <= row[7].bar.median <= row[7].bar.high <= 100 for row in rows)
    np.testing.assert_allclose(offset, rows[0][7].bar.zero, atol=0.02)


def test_tiles_are_regions_as_a_share_of_turnover(page, forecast):
    assert page.whose.mapped
    for tile in page.whose.tiles:
        own = forecast.isel(trust=np.flatnonzero(forecast.region.values == tile.name))
        position = own.position.sum("trust", dtype=float)
        mean, p = position.mean().item(), (position <= -0.005).mean().item()
        assert f"{100 * mean / own.turnover.sum().item():+.1f}%" == tile.share.replace("−", "-")
        assert tile.expected == in_pounds(mean)
        assert tile.p_deficit == probability(p, 300)
    assert len({tile.area for tile in page.whose.tiles}) == 7


def test_tables_of_money_are_the_measures(page, forecast):
    nhs, sector = forecast.nhs_position, forecast.sector_position
    balance = rows_by_name(page.how_bad.tables[0])
    assert math.isclose(balance["Whole NHS, the sum"][1], nhs.mean())
    assert math.isclose(balance["The provider sector, after support"][1], sector.mean())
    parts = sum(row[1] for name, row in balance.items() if name.startswith("Central"))
    assert math.isclose(balance["The provider sector, after support"][1] + parts, nhs.mean(), rel_tol=1e-9)
    assert math.isclose(balance["Whole NHS, the sum"][5], (nhs >= -0.005).mean())
    places = rows_by_name(page.fixes.tables[0])
    assert list(places) == ["The provider sector", "Whole NHS", *np.unique(forecast.region)]
    needed = places["The provider sector"]
    assert (sector + needed[2] >= -0.005).mean() >= 0.5
    assert (sector + needed[4] >= -0.005).mean() >= 0.9


def parts_of(part, kind):
    """All tables, or pictures, of a page, wherever they stand."""
    if isinstance(part, kind):
        yield part
    children = [getattr(part, f.name) for f in fields(part)] if is_dataclass(part) else part
    if isinstance(children, list | tuple):
        for child in children:
            yield from parts_of(child, kind)


@dataclass(frozen=True)
class Points:
    """The error of a chance: 1.96 standard errors in points; of one that is sure or impossible, the rule of three."""

    p: float
    n: int

    def check(self, cell):
        size = f"±{196 * math.sqrt(self.p * (1 - self.p) / self.n):.1f}" if 0 < self.p < 1 else f"<{300 / self.n:.1f}"
        assert cell.text.removesuffix(" points") == size


@dataclass(frozen=True)
class Error:
    """A standard error: shown as 1.96 of it."""

    se: float

    def check(self, cell):
        if math.isnan(self.se):
            assert cell.text == "–"
        else:
            assert math.isclose(cell.order, self.se, rel_tol=1e-9, abs_tol=1e-12)
            assert cell.text == f"±{1.96 * self.se:,.{len(cell.text.partition('.')[2])}f}"


@dataclass(frozen=True)
class Value:
    """A figure, or words."""

    value: float | str

    def check(self, cell):
        if isinstance(self.value, str):
            assert cell.text == self.value
        elif math.isnan(self.value):
            assert cell.text == "–"
        else:
            assert math.isclose(cell.order, self.value, rel_tol=1e-9, abs_tol=1e-9)


@dataclass(frozen=True)
class Measured:
    """What the tables are held against: public measures, made again."""

    forecast: object
    projection: object

    @cached_property
    def n(self):
        return self.forecast.sizes["draw"]

    @cached_property
    def summary(self):
        return sr.summarise(self.forecast)

    @cached_property
    def ranks(self):
        return rank_stability(self.forecast, 30)

    @cached_property
    def counts(self):
        return deficit_counts(self.forecast)

    @cached_property
    def years(self):
        return sr.summarise_projection(self.projection)

    def unit(self, name):
        return self.summary.sel(unit=name)


def low_and_high(unit):
    return unit.position_quantile.sel(quantile=[0.05, 0.95]).values.tolist()


def of_months(m, table):
    ytd = m.forecast.sector_ytd
    for name, month in zip(MONTHS, m.forecast.month.values, strict=False):
        yield name, [m.forecast.sector_plan_ytd.sel(month=month), *np.quantile(ytd.sel(month=month), SHOWN)]


def of_curve(m, table):
    for row in table.rows:
        p = exceedance(m.forecast, thresholds=[row[0].order]).p_exceeding.item()
        yield row[0].text, [p, Points(p, m.n)]


def of_counts(m, table):
    events = ("deficit", "missing_plan", "missing_control_total")
    for row in table.rows:
        yield row[0].text, [m.counts.p_at_least.sel(event=event, count=row[0].order) for event in events]


def of_balance(m, table):
    for name, unit in (("The provider sector, after support", SECTOR), ("Whole NHS, the sum", NHS)):
        u, draws = m.unit(unit), m.forecast["sector_position" if unit == SECTOR else "nhs_position"]
        p = (draws >= -0.005).mean().item()
        yield name, [u.plan, draws.mean(), Error(u.mean_se), *low_and_high(u), p, Points(p, m.n)]
    for action, draws in zip(
        m.forecast.action.values, m.forecast.central_action.transpose("action", "draw"), strict=True
    ):
        figures = [draws.mean(), Error(draws.std(ddof=1) / math.sqrt(m.n)), *np.quantile(draws, (0.05, 0.95))]
        yield f"Central: {action}", [NO, *figures, NO, NO]


def of_league(m, table):
    for code in m.forecast.trust.values:
        u = m.unit(code)
        figures = [u.plan, u["mean"], *low_and_high(u), "", u.p_deficit, u.p_missing_plan]
        yield code, [str(u["region"].item()), str(u.trust_type.item()), *figures, m.ranks.p_among_worst.sel(trust=code)]


def of_groups(level):
    def rows(m, table):
        for name, own in m.forecast.groupby(level):
            u, position = m.unit(name), own.position.sum("trust", dtype=float)
            below, short = (position <= -0.005).mean().item(), u.p_missing_plan.item()
            chances = [below, Points(below, m.n), short, Points(short, m.n)]
            plan = (own.plan + own.planned_support).sum()
            yield name, [own.sizes["trust"], plan, position.mean(), Error(u.mean_se), *low_and_high(u), *chances]

    return rows


def of_waterfall(m, table):
    flow = sr.waterfall(m.forecast)
    yield "Plan, after support", [m.forecast.sector_plan_ytd[-1], NO]
    for effect, draws in zip(flow.effect.values, flow.effect_by_draw, strict=True):
        yield effect_label(effect), [draws.mean(), Error(draws.std(ddof=1) / math.sqrt(m.n))]
    yield "Expected", [m.forecast.sector_position.mean(), Error(m.unit(SECTOR).mean_se)]


def of_tornado(m, table):
    bars = sr.tornado(m.forecast)
    for bar in (bars.sel(effect=name) for name in bars.effect.values):
        figures = [bar.low, Error(bar.low_se), bar.high, Error(bar.high_se), bar.swing, Error(bar.swing_se)]
        yield effect_label(bar.effect.item()), figures


def of_shares(m, table):
    flow, shares = sr.waterfall(m.forecast), sr.allocate(m.forecast)
    worst = np.argsort(m.forecast.sector_position.values, kind="stable")[: math.ceil(0.05 * m.n)]
    for at in (shares.sel(effect=name) for name in shares.effect.values):
        name = at.effect.item()
        tail = flow.plan if name == "plan" else flow.effect_by_draw.sel(effect=name).values[worst].mean()
        spread = [
            at.sd_by_effect,
            Error(at.sd_by_effect_se),
            100 * at.sd_by_effect / m.forecast.sector_position.std(ddof=1),
        ]
        yield effect_label(name), [*spread, tail, Error(at.tail_value_at_risk_by_effect_se)]


def of_switching(m, table):
    needed = sr.switching_value(m.forecast, (0.5, 0.9))
    for name in (SECTOR, NHS, *np.unique(m.forecast.region)):
        u, p = needed.sel(unit=name), m.unit(name).p_breakeven.item()
        even, sure = u.sel(probability=0.5), u.sel(probability=0.9)
        sums = [at for u in (even, sure) for at in (u.switching_value, Error(u.switching_value_se))]
        yield "The provider sector" if name == SECTOR else name, [p, Points(p, m.n), *sums]


def of_support(m, table):
    support = sr.value_of_support(m.forecast, 5.0)
    for code in (row[0].code or row[0].text for row in table.rows):
        at = support.sel(trust=code)
        figures = [at.deficit_removed, Error(at.deficit_removed_se), at.pounds_per_pound, Error(at.pounds_per_pound_se)]
        rise = [100 * at.p_breakeven_rise, Error(100 * at.p_breakeven_rise_se)]
        yield (
            code,
            [
                m.unit(code).p_breakeven,
                *rise,
                np.maximum(-m.forecast.position.sel(trust=code).astype(float), 0).mean(),
                *figures,
            ],
        )


def of_errors(m, table):
    for name, unit in (("The provider sector", SECTOR), (NHS, NHS)):
        u = m.unit(unit)
        p, low = u.p_breakeven.item(), u.sel(quantile=0.05)
        yield f"{name}: expected position, £m", [u["mean"], Error(u.mean_se)]
        yield f"{name}: 5% quantile, £m", [low.position_quantile, Error(low.position_quantile_se)]
        yield f"{name}: chance of breakeven", [p, Points(p, m.n)]
    many, overlap = m.counts.sel(event="deficit"), 100 * m.ranks.expected_overlap
    yield (
        "Trusts in deficit, expected",
        [(m.forecast.position <= -0.005).sum("trust").mean(), Error(many.count_mean_se)],
    )
    yield (
        "Trusts among the worst 30 in 80% of draws or more",
        [(m.ranks.p_among_worst >= 0.8).sum(), Error(m.ranks.sure_se)],
    )
    among = "Per cent of the list of 30 that are among the worst of a draw, expected"
    yield among, [overlap, Error(100 * m.ranks.expected_overlap_se)]


def logs_of(m):
    return sr.Assumptions.from_json(m.forecast.attrs["assumptions"]).log(), sr.Regime.from_json(
        m.forecast.attrs["regime"]
    ).log()


def of_marks(m, table):
    for mark, meaning in CONFIDENCE.items():
        yield mark, [meaning, *(sum(row.confidence == mark for row in log) for log in logs_of(m))]


def of_log(which):
    def rows(m, table):
        for shown, row in zip(table.rows, logs_of(m)[which], strict=True):
            mark = f"{row.confidence}: {CONFIDENCE[row.confidence]}"
            yield shown[0].text, [shown[1].text, row.unit or "not given", row.meaning or "not given", row.source, mark]

    return rows


def of_years(m, table):
    n = m.projection.sizes["draw"]
    for year in m.projection.year.values:
        sector, at = m.projection.sector_position.sel(year=year), m.years.sel(year=year)
        p, ends = (sector >= -0.005).mean().item(), at.sector_quantile.sel(quantile=[0.05, 0.95]).values
        deficits = m.projection.deficit_count.sel(year=year).mean()
        rest = [deficits, m.projection.sector_underlying.sel(year=year).mean(), at.support_mean.sum()]
        yield year, [sector.mean(), Error(sector.std(ddof=1) / math.sqrt(n)), *ends, p, Points(p, n), *rest]


def of_counts_by_year(m, table):
    for year in m.projection.year.values:
        at = m.years.sel(year=year)
        yield year, [at.deficit_count_mean, *at.deficit_count_quantile.sel(quantile=at["quantile"])]


def of_milestones(m, table):
    n = m.projection.sizes["draw"]
    for name, p in zip(m.years.milestone.values, m.years.p_milestone.values.tolist(), strict=True):
        yield f"{name[0].upper()}{name[1:]}", [p, Points(p, n)]


TABLES = {
    "The provider sector, year to date after support, £m": of_months,
    "Chance of a worse deficit": of_curve,
    "Chance of so many trusts or more": of_counts,
    "The provider sector and the whole NHS at the year end (±: Monte Carlo error at 95%)": of_balance,
    "All trusts, those most often among the worst first": of_league,
    "Regions (±: Monte Carlo error at 95%)": of_groups("region"),
    "Types (±: Monte Carlo error at 95%)": of_groups("trust_type"),
    "Systems (±: Monte Carlo error at 95%)": of_groups("system"),
    "From plan to expected year end": of_waterfall,
    "Mean position in the worst and best 10% of draws of each effect": of_tornado,
    "Where the spread comes from": of_shares,
    "Money needed for breakeven; below nought: headroom (±: Monte Carlo error at 95%)": of_switching,
    "Where £5m to a trust does most for its breakeven (±: Monte Carlo error at 95%)": of_support,
    "How far chance in the draws may move the main figures": of_errors,
    "How well the assumptions are known": of_marks,
    "Assumptions log": of_log(0),
    "Rules of the regime": of_log(1),
    "All trusts together by year, expected unless said (±: Monte Carlo error at 95%)": of_years,
    "Trusts in deficit by year": of_counts_by_year,
    "Milestones": of_milestones,
}


def richer(forecast, sum_each):
    """The same year with a sum more for each trust, off a driver of its own."""
    first = xr.DataArray(np.arange(forecast.sizes["driver"]) == 0, dims="driver")
    every = sum_each * forecast.sizes["trust"]
    by_trust = {name: forecast[name] + sum_each for name in ("position", "position_before_support", "variance")}
    whole = {name: forecast[name] + every for name in ("sector_position", "sector_ytd", "nhs_position")}
    return forecast.assign(by_trust | whole | {"contribution": forecast.contribution + sum_each * first})


@pytest.fixture(scope="module")
def near(forecast, projection):
    """Near balance, so that no chance of the sector is sure or impossible: forecast, projection, and their page."""
    here, ahead = (each.sector_position.quantile(0.3, "draw", keep_attrs=False) for each in (forecast, projection))
    shifted = {"sector_position": projection.sector_position - ahead}
    shifted["position"] = projection.position - ahead / projection.sizes["trust"]
    made = richer(forecast, -here.item() / forecast.sizes["trust"]), projection.assign(shifted)
    return *made, page_of(*made)


def test_every_table_is_held_against_its_measures(page):
    captions = [t.caption for t in parts_of(page, Table)]
    known = [*TABLES, "Versions, seed and data"]
    assert len(captions) == len(known)
    assert all(sum(caption.startswith(name) for caption in captions) == 1 for name in known)


@pytest.mark.parametrize("caption", TABLES)
def test_every_column_is_its_measure(near, caption):
    forecast, projection, page = near
    (table,) = (t for t in parts_of(page, Table) if t.caption.startswith(caption))
    expected = dict(TABLES[caption](Measured(forecast, projection), table))
    assert sorted(expected) == sorted(row[0].code or row[0].text for row in table.rows)
    assert all(len(row) == len(table.columns) for row in table.rows)
    for row in table.rows:
        for cell, value in zip(row[1:], expected[row[0].code or row[0].text], strict=True):
            (value if isinstance(value, Points | Error) else Value(getattr(value, "item", lambda v=value: v)())).check(
                cell
            )


def said(position):
    return f"a {'deficit' if position < 0 else 'surplus'} of £{abs(position):,.0f}m"


def in_pounds(value):
    return f"{'−' if value < 0 else ''}£{abs(value):,.0f}m"


@pytest.fixture(scope="module", params=[0.0, 15.0], ids=["deficit", "surplus"])
def either(request, forecast):
    """A forecast that ends in deficit in all draws, or in surplus, and the sections' words."""
    made = richer(forecast, request.param)
    assert ((made.sector_position > 0.0) == (request.param > 0.0)).all()
    return made, page_of(made, None)


def test_the_verdict_is_the_expected_position_beside_the_plan(either):
    forecast, page = either
    mean, plan = forecast.sector_position.mean().item(), forecast.sector_plan_ytd[-1].item()
    gap = f"£{abs(mean - plan):,.0f}m {'better' if mean > plan else 'worse'} than plan"
    assert page.verdict == f"The provider sector is expected to end the year with {said(mean)}, {gap} ({said(plan)})."


def test_how_bad_leads_with_the_worst_twentieth(either):
    forecast, page = either
    worst = np.sort(forecast.sector_position.values)[:15]
    edge, mean = said(worst[-1]), said(worst.mean())
    assert edge != mean
    expected = f"The provider sector ends the worst twentieth of draws with {edge} or worse, with {mean} on average."
    assert page.how_bad.lead == (expected,)


def test_fixes_lead_with_the_sums_for_even_and_for_likely_breakeven(either):
    forecast, page = either
    best = np.sort(forecast.sector_position.values)[::-1]
    even, likely = (f"£{abs(p):,.0f}m {'more' if p < 0 else 'less'}" for p in (best[149], best[269]))
    chosen = forecast.position.values[sr.value_of_support(forecast, 5.0).chosen.values].astype(float)
    removed = (np.maximum(-chosen, 0) - np.maximum(-chosen - 5, 0)).mean(axis=1).sum()
    assert page.fixes.lead == (
        f"The provider sector would have an even chance of breakeven with {even}, paid whatever happens, and a chance "
        f"of 90% with {likely}.",
        f"£5m at each of the 15 trusts that make most of it, £75m in all, would remove £{removed:,.0f}m of expected "
        "deficits.",
    )


def test_whose_leads_with_the_worst_thirty(either):
    forecast, page = either
    together = np.sort(forecast.position.values.astype(float), axis=0)[:30].sum(axis=0).mean()
    sure = (rank_stability(forecast, 30).p_among_worst.values >= 0.8).sum()
    assert page.whose.lead == (
        f"The 30 worst trusts of a draw end with {said(together)} together, on average. {sure} trusts are among them "
        "in 80% of draws or more; who the others are differs from draw to draw.",
    )


def test_the_note_on_the_league_has_its_largest_errors(page, forecast):
    n, position = forecast.sizes["draw"], forecast.position.astype(float)
    mean = 1.96 * position.std("draw", ddof=1).max() / math.sqrt(n)
    p = (position <= -0.005).mean("draw")
    chance = 196 * np.sqrt(p * (1 - p) / n).max()
    errors = f"at most ±{mean:.2f} on an expected position and {chance:.1f} points on a chance."
    assert page.whose.league_note.endswith(errors)


def test_some_trusts_are_nowhere_called_the_provider_sector(case):
    page = page_of(sr.simulate(case.isel(trust=slice(24)), n_draws=40), None)
    sections = (page.how_bad, page.fixes, page.certainty, page.whose, page.drivers)
    told = [page.verdict, *(line for s in sections for line in s.lead)]
    told += [words for t in parts_of(sections, Table) for words in (t.caption, *(row[0].text for row in t.rows))]
    assert not [words for words in told if "provider sector" in words.lower()]
    assert page.verdict.startswith("The sum of these trusts is expected to")
    assert page.how_bad.lead[0].startswith("The sum of these trusts ends")
    assert page.fixes.lead[0].startswith("The sum of these trusts would")


def test_support_is_listed_where_it_does_most_for_breakeven(page, forecast):
    rows = page.fixes.tables[1].rows
    assert len(rows) == 15
    for row in (rows[0], rows[-1]):
        position = forecast.position.sel(trust=row[0].code or row[0].text).values.astype(float)
        rise = (position + 5 >= -0.005).mean() - (position >= -0.005).mean()
        assert math.isclose(row[2].order, 100 * rise, abs_tol=1e-9)
        deficit, less = (np.maximum(-position - paid, 0).mean() for paid in (0, 5))
        assert math.isclose(row[5].order, deficit - less, rel_tol=1e-9)
    rises = [row[2].order for row in rows]
    assert rises == sorted(rises, reverse=True)


def test_the_log_has_every_assumption_and_setting(page, forecast):
    known = sr.Assumptions.from_json(forecast.attrs["assumptions"]).log()
    rules = sr.Regime.from_json(forecast.attrs["regime"]).log()
    assert len(page.record.assumptions.rows) == len(known)
    assert len(page.record.rules.rows) == len(rules)
    marks = page.certainty.tables[-1]
    assert sum(row[2].order for row in marks.rows) == len(known)
    assert [cell.text for cell in page.record.assumptions.rows[0]][4] == known[0].source


def test_rules_that_are_not_registered_here_are_listed_as_the_forecast_has_them(forecast):
    regime = json.loads(forecast.attrs["regime"])
    entry = {"rule": "levy_of_others", "rate": {"value": 0.01, "source": "example", "confidence": "U"}}
    other = forecast.assign_attrs(regime=json.dumps(regime | {"rules": [entry]}))
    rows = report_rows(other)
    assert [cell.text for cell in rows[0]][:2] == ["Levy of others: rate", "0.01"]


def report_rows(forecast):
    from sector_risk.html_report.record import _log_table, rule_rows

    return _log_table("", rule_rows(forecast.attrs)).rows


def test_the_same_forecast_gives_the_same_page(forecast, projection, written):
    assert report.render(forecast, projection) == written.read_text(encoding="utf-8")


def test_a_page_without_years_says_nothing_of_them(forecast, tmp_path):
    text = write_report(forecast, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="years"' not in text
    assert "#years" not in text


@pytest.mark.parametrize("trusts", [1, 5, 24])
def test_some_trusts_make_a_page_without_the_whole_nhs(case, trusts, tmp_path):
    some = sr.simulate(case.isel(trust=slice(trusts)), n_draws=40)
    tree = Tree(write_report(some, tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not any("Whole NHS" in text for text in tree.texts)
    assert any("Some NHS providers" in text for text in tree.texts)


def test_one_draw_makes_a_page(case, tmp_path):
    text = write_report(sr.simulate(case, n_draws=1), tmp_path / "page.html").read_text(encoding="utf-8")
    assert "nan" not in " ".join(Tree(text).texts).lower().split()


def test_what_is_seen_of_the_year_is_said(case):
    reported = np.full((227, 1), -1.0)
    panel = case.assign(variance_ytd=(("trust", "month"), reported)).assign_coords(month=[6])
    lead = page_of(sr.condition(panel, through_month=6, n_draws=40), None).certainty.lead
    assert any("227 of 227 trusts have reported, the last month 6" in line for line in lead)


def test_parameter_sets_are_said(forecast):
    sets = forecast.assign_coords(parameter_set=("draw", np.repeat(np.arange(10), 30)))
    lead = page_of(sets.assign_attrs(parameter_sets=10), None).certainty.lead
    assert any(line.startswith("Parameters are drawn 10 times") for line in lead)


def test_some_regions_are_listed_without_a_map(case):
    some = case.isel(trust=np.flatnonzero(np.isin(case.region.values, ["London", "Midlands"])))
    whose = page_of(sr.simulate(some, n_draws=40), None).whose
    assert not whose.mapped
    assert [tile.name for tile in whose.tiles] == ["London", "Midlands"]


def test_what_is_no_forecast_is_refused(forecast, projection, tmp_path):
    path = tmp_path / "page.html"
    with pytest.raises(sr.InputError, match=r"projection="):
        write_report(projection, path)
    with pytest.raises(sr.InputError, match="variable is missing"):
        write_report(forecast.drop_vars("contribution"), path)
    with pytest.raises(sr.InputError, match="a forecast of one year"):
        write_report(forecast, path, projection=forecast)
    broken = forecast.assign(sector_position=forecast.sector_position * np.nan)
    with pytest.raises(sr.InputError, match="not finite"):
        write_report(broken, path)
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_read_is_asked_for(case, tmp_path, monkeypatch):
    """Whatever is taken away, a forecast is refused as such or its page is made: nothing else is raised."""
    monkeypatch.setattr("sector_risk.html_report.pictures.draw_svg", lambda *_: ("", "", ""))
    small = sr.simulate(case.isel(trust=slice(5)), n_draws=2)
    refused = set()
    for name in {*small.variables, *small.attrs}:
        less = small.drop_vars(name, errors="ignore")
        less.attrs = {key: value for key, value in small.attrs.items() if key != name}
        try:
            write_report(less, tmp_path / "page.html")
        except sr.InputError:
            refused.add(name)
    assert refused == {*report.NEEDED, "assumptions", *report.SAID, "format"}


def test_attributes_that_are_missing_are_one_fault(forecast, projection, tmp_path):
    rest = {"filled": forecast.attrs["filled"]}
    with pytest.raises(sr.InputError) as raised:
        write_report(forecast.copy().drop_attrs().assign_attrs(rest), tmp_path / "page.html")
    (fault,) = raised.value.faults
    assert (fault.place, fault.rule) == ("forecast", "made by hand or edited: attributes are missing")
    assert fault.value == "assumptions, regime, left_out, not_used_yet"
    with pytest.raises(sr.InputError) as raised:
        write_report(forecast, tmp_path / "page.html", projection=projection.copy().drop_attrs())
    assert [(fault.place, fault.value) for fault in raised.value.faults] == [("projection", ", ".join(report.SAID))]


def test_another_ending_is_refused(forecast, tmp_path):
    with pytest.raises(ValueError, match="unknown ending"):
        write_report(forecast, tmp_path / "page.pdf")


def test_a_page_that_fails_leaves_an_earlier_one(forecast, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("earlier")
    monkeypatch.setattr(report, "render", lambda *_: "\udc00")
    with pytest.raises(UnicodeEncodeError):
        write_report(forecast, path)
    assert path.read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_a_missing_library_is_named(forecast, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jinja2" else object())
    with pytest.raises(ImportError, match=r"needs jinja2; install with: pip install 'sector-risk\[report\]'"):
        write_report(forecast, tmp_path / "page.html")


def test_a_projection_of_other_trusts_or_another_year_is_refused(forecast, projection, tmp_path):
    fewer, later = projection.isel(trust=slice(3)), projection.isel(year=slice(1, None))
    for other, message in ((fewer, "of other trusts than the forecast"), (later, "begins in 2019-20")):
        with pytest.raises(sr.InputError, match=message):
            sr.write_report(forecast, tmp_path / "report.html", projection=other)
    assert not list(tmp_path.iterdir())


def test_regions_of_a_part_of_the_country_stand_side_by_side(tmp_path):
    panel = sr.load_case("england-2018-19")
    part = panel.isel(trust=np.isin(panel["region"].values, ["London", "Midlands"]))
    page = sr.write_report(sr.simulate(part, n_draws=50), tmp_path / "report.html").read_text(encoding="utf-8")
    tiles = page[page.index('<ul class="tiles') :].split("</ul>")[0]
    assert "London" in tiles
    assert "Midlands" in tiles
    assert "grid-area" not in tiles
    assert 'style="grid-area' in sr.write_report(sr.simulate(panel, n_draws=50), tmp_path / "whole.html").read_text(
        encoding="utf-8"
    )


def test_what_plans_leave_out_is_said(page):
    assert any("leave out £391m of support" in note for note in page.certainty.notes)


def test_errors_are_said_to_be_too_small_where_draws_are_alike(forecast):
    sets = forecast.assign_coords(parameter_set=("draw", np.arange(forecast.sizes["draw"]) % 20))
    sets.attrs["parameter_sets"] = 20
    assert any("Errors in the tables take draws as independent" in line for line in page_of(sets, None).certainty.lead)
