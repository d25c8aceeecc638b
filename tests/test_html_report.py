import itertools
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import sector_risk as sr
from sector_risk.html_report import report, write_report
from sector_risk.html_report.page import page_of
from sector_risk.measures import deficit_counts, exceedance, rank_stability

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
        assert f"{100 * position.mean().item() / own.turnover.sum().item():+.1f}%" == tile.share.replace("−", "-")
    assert len({tile.area for tile in page.whose.tiles}) == 7


def test_tables_of_money_are_the_measures(page, forecast):
    nhs, sector = forecast.nhs_position, forecast.sector_position
    balance = rows_by_name(page.how_bad.balance)
    assert math.isclose(balance["Whole NHS, the sum"][1], nhs.mean())
    assert math.isclose(balance["Provider sector, after support"][1], sector.mean())
    parts = sum(row[1] for name, row in balance.items() if name.startswith("Central"))
    assert math.isclose(balance["Provider sector, after support"][1] + parts, nhs.mean(), rel_tol=1e-9)
    assert math.isclose(balance["Whole NHS, the sum"][5], (nhs >= -0.005).mean())
    places = rows_by_name(page.fixes.tables[0])
    assert list(places) == ["Provider sector", "Whole NHS", *np.unique(forecast.region)]
    needed = places["Provider sector"]
    assert (sector + needed[2] >= -0.005).mean() >= 0.5
    assert (sector + needed[4] >= -0.005).mean() >= 0.9


def test_numbers_of_pictures_are_the_measures(page, forecast):
    fan, curve, _, counts = page.how_bad.pictures
    march = [cell.order for cell in fan.numbers.rows[-1]]
    assert march[1] == forecast.sector_plan_ytd[-1]
    np.testing.assert_allclose(march[2:], np.quantile(forecast.sector_ytd[-1], (0.05, 0.25, 0.5, 0.75, 0.95)))
    for limit, chance, _ in curve.numbers.rows:
        assert chance.order == exceedance(forecast, thresholds=[limit.order]).p_exceeding.item()
    measured = deficit_counts(forecast).p_at_least.sel(event="deficit")
    for number, chance, *_ in counts.numbers.rows:
        assert chance.order == measured.sel(count=number.order)
    effects = rows_by_name(page.drivers.pictures[0].numbers)
    plan, *steps, expected = (row[0] for row in effects.values())
    assert math.isclose(plan + sum(steps), expected, rel_tol=1e-9)


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


def test_the_years_ahead_are_the_projection(page, projection):
    by_year, milestones = page.years.tables
    summary = sr.summarise_projection(projection)
    assert [row[0].text for row in by_year.rows] == projection.year.values.tolist()
    assert [row[1].order for row in by_year.rows] == summary.sector_mean.values.tolist()
    assert [row[1].order for row in milestones.rows] == summary.p_milestone.values.tolist()


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
    assert any("227 of 227 trusts, last reports of month 6" in line for line in lead)


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
    monkeypatch.setattr(report, "find_spec", lambda name: None if name == "jinja2" else object())
    with pytest.raises(ImportError, match=r"needs jinja2; install with: pip install 'sector-risk\[report\]'"):
        write_report(forecast, tmp_path / "page.html")
