import io
import itertools
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import sector_risk as sr
from sector_risk import plots
from sector_risk.plots.style import BANDS
from sector_risk.readings import most_at_risk


@pytest.fixture(scope="module")
def forecast():
    return sr.simulate(sr.load_case("england-2018-19").isel(trust=slice(24)), n_draws=300)


@pytest.fixture(scope="module")
def summary(forecast):
    return sr.summarise(forecast)


@pytest.fixture(scope="module")
def streamed():
    """What is left of the draws of `forecast` where they are not kept."""
    return sr.simulate(sr.load_case("england-2018-19").isel(trust=slice(24)), n_draws=300, keep="summary")


def test_most_at_risk_fall_furthest_below_plan_and_are_trusts(summary):
    worst = most_at_risk(summary, 5)
    assert set(worst.level.values) == {"trust"}
    below_plan = (summary.plan + summary.tail_value_at_risk.sel(confidence=0.95))[summary.level.values == "trust"]
    found = worst.plan + worst.tail_value_at_risk.sel(confidence=0.95)
    np.testing.assert_array_equal(found, np.sort(below_plan)[::-1][:5])


@pytest.mark.parametrize("name", ["page.png", "page.pdf", "page.svg"])
def test_the_page_is_saved_whole(forecast, summary, name, tmp_path):
    page = plots.plot_forecast(forecast, tmp_path / name, summary=summary)
    assert (tmp_path / name).stat().st_size > 10_000
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert len(page.axes) == 3


def test_the_page_refuses_an_unknown_ending(forecast, summary, tmp_path):
    with pytest.raises(ValueError, match="unknown ending"):
        plots.plot_forecast(forecast, tmp_path / "page.docx", summary=summary)


def test_titles_state_the_finding(forecast, summary):
    expected = f"{forecast.sector_position.mean().item():,.0f}".replace("-", "−")
    assert expected in plots.plot_fan(forecast).get_title(loc="left")
    assert "Largest pressure: " in plots.plot_waterfall(forecast).get_title(loc="left")
    shortfall = (most_at_risk(summary).plan - most_at_risk(summary)["mean"]).sum().item()
    assert f"{shortfall:,.0f}" in plots.plot_league(forecast, summary=summary).get_title(loc="left")


def test_the_fan_shows_median_and_plan(forecast):
    median, plan = (line.get_ydata() for line in plots.plot_fan(forecast).lines[:2])
    np.testing.assert_allclose(median, np.median(forecast.sector_ytd, axis=1))
    np.testing.assert_allclose(plan, forecast.sector_plan_ytd)


def test_the_waterfall_leads_from_plan_to_expected(forecast):
    bars = plots.plot_waterfall(forecast).patches
    assert len(bars) == forecast.sizes["driver"] + 3
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    starts = [bar.get_x() for bar in bars]
    np.testing.assert_allclose(starts[1:-1], ends[:-2])
    np.testing.assert_allclose(ends[-1], forecast.sector_position.mean(), rtol=1e-5)


def test_the_league_lists_the_trusts_worst_on_top(forecast, summary):
    ax = plots.plot_league(forecast, summary=summary, count=4)
    assert len(ax.get_yticks()) == 4
    assert ax.yaxis_inverted()
    np.testing.assert_allclose(ax.lines[0].get_xdata(), most_at_risk(summary, 4)["mean"])


def test_pictures_are_drawn_on_the_axes_given(forecast):
    page = Figure()
    ax = page.subplots()
    assert plots.plot_fan(forecast, ax) is ax
    assert page.axes == [ax]


# Of a summary


def test_the_page_of_a_summary_shows_what_that_of_its_draws_does(forecast, streamed, tmp_path):
    page = plots.plot_forecast(streamed, tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000
    titles, of_draws = ([ax.get_title(loc="left") for ax in one.axes] for one in (page, plots.plot_forecast(forecast)))
    assert titles == of_draws
    assert "24 trusts, 300 draws, seed 0." in page.texts[0].get_text()


def test_the_fan_of_a_summary_is_that_of_its_draws(forecast, streamed):
    ax = plots.plot_fan(streamed)
    median, plan = (line.get_ydata() for line in ax.lines[:2])
    ranked = np.sort(forecast.sector_ytd, axis=1)
    bound = streamed.sector_ytd_quantile_bound.sel(quantile=0.5)
    assert (abs(median - ranked[:, 149]) <= bound + 1e-9).all()
    np.testing.assert_allclose(plan, forecast.sector_plan_ytd)
    wide, narrow = (band.get_paths()[0].vertices for band in ax.collections[:2])
    at_end = wide[wide[:, 0] == 12, 1]
    np.testing.assert_allclose([at_end.min(), at_end.max()], ranked[-1, [14, 284]], atol=bound.max().item())
    assert np.ptp(narrow[:, 1]) < np.ptp(wide[:, 1])
    labels, of_draws = ([text.get_text() for text in one.texts] for one in (ax, plots.plot_fan(forecast)))
    assert [label.split()[0] for label in labels] == [label.split()[0] for label in of_draws]


def test_the_waterfall_of_a_summary_is_that_of_its_draws(forecast, streamed):
    bars, of_draws = (plots.plot_waterfall(one).patches for one in (streamed, forecast))
    for end in ("get_x", "get_width", "get_y"):
        found, expected = ([getattr(bar, end)() for bar in some] for some in (bars, of_draws))
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_league_of_a_summary_is_that_of_its_draws(forecast, streamed):
    of_summary, of_draws = (plots.plot_league(one, count=5) for one in (streamed, forecast))
    for label, expected in zip(of_summary.get_yticklabels(), of_draws.get_yticklabels(), strict=True):
        assert label.get_text() == expected.get_text()
    for line, expected in zip(of_summary.lines[:2], of_draws.lines[:2], strict=True):
        np.testing.assert_allclose(line.get_xdata(), expected.get_xdata(), atol=1e-5)


def test_measures_that_a_summary_holds_are_drawn_of_it(forecast, streamed):
    counts, of_draws = plots.plot_deficit_counts(streamed), plots.plot_deficit_counts(sr.deficit_counts(forecast))
    assert counts.get_title(loc="left") == of_draws.get_title(loc="left")
    np.testing.assert_array_equal(counts.lines[0].get_data(), of_draws.lines[0].get_data())
    shares, of_draws = plots.plot_shares(streamed), plots.plot_shares(sr.allocate(forecast))
    widths, expected = ([bar.get_width() for bar in ax.patches] for ax in (shares, of_draws))
    np.testing.assert_allclose(widths, expected, atol=0.01)
    assert any("Provider sector." in text.get_text() for text in shares.texts)
    curve = plots.plot_exceedance(sr.exceedance(streamed))
    assert "has a chance of" in curve.get_title(loc="left")


def test_the_histogram_of_a_summary_is_plotted_over_money(forecast, streamed):
    sector = streamed["histogram"].sel(unit="Provider sector")
    ax = Figure().subplots()
    (line,) = sector.plot(x="bin_middle", ax=ax)
    middle, count = line.get_data()
    width = streamed["bin_width"].sel(unit="Provider sector").item()
    assert abs((middle * count).sum() / 300 - forecast.sector_position.mean()) < width / 2
    np.testing.assert_allclose(np.diff(middle), width)
    assert "year-end position" in ax.get_xlabel()
    assert "GBP" in ax.get_xlabel()


@pytest.mark.parametrize("plot", [plots.plot_forecast, plots.plot_fan, plots.plot_league, plots.plot_deficit_counts])
def test_bands_that_a_summary_does_not_have_are_not_drawn(plot, streamed):
    with pytest.raises(sr.InputError, match=r"some that are shown are missing .* Ask for quantiles=\(0.05, "):
        plot(streamed.isel(quantile=[1, 2]))


@pytest.mark.parametrize("plot", [plots.plot_forecast, plots.plot_league])
def test_bands_that_the_summary_of_draws_does_not_have_are_not_drawn(plot, forecast):
    with pytest.raises(sr.InputError, match="some that are shown are missing"):
        plot(forecast, summary=sr.summarise(forecast, quantiles=(0.1, 0.5, 0.9)))


def test_the_league_says_how_large_its_tail_is(streamed):
    ax = plots.plot_league(streamed.sel(confidence=[0.99]))
    assert any(text.get_text().startswith("By the worst 1% of draws.") for text in ax.texts)


def test_what_a_summary_does_not_show_is_refused(streamed):
    with pytest.raises(sr.InputError, match="a summary, which has no draws"):
        plots.plot_balance(streamed)
    for plot in (plots.plot_exceedance, plots.plot_tornado):
        with pytest.raises(sr.InputError, match=r"variable is missing .* Give what \w+ gave"):
            plot(streamed)
    for plot in (plots.plot_fan, plots.plot_waterfall, plots.plot_shares):
        with pytest.raises(sr.InputError, match="no unit has this name"):
            plot(streamed.sel(unit=["London"]))
    with pytest.raises(sr.InputError, match=r"must be on \(unit\)"):
        plots.plot_waterfall(streamed.sel(unit="Provider sector"))


@pytest.fixture(scope="module")
def projection():
    return sr.project(sr.load_case("england-2018-19").isel(trust=slice(24)), years=3, n_draws=300)


@pytest.mark.parametrize("name", ["path.png", "path.pdf", "path.svg"])
def test_the_page_of_a_projection_is_saved_whole(projection, name, tmp_path):
    page = plots.plot_projection(projection, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 10_000
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert len(page.axes) == 2


def test_the_page_of_a_projection_refuses_an_unknown_ending(projection, tmp_path):
    with pytest.raises(ValueError, match="unknown ending"):
        plots.plot_projection(projection, tmp_path / "page.docx")


def test_a_projection_shows_medians_and_what_lies_underneath(projection):
    position, count = plots.plot_projection(projection).axes
    median, underlying = (line.get_ydata() for line in position.lines[:2])
    ranks = np.sort(projection.sector_position, axis=1)
    np.testing.assert_allclose(median, ranks[:, 149])
    np.testing.assert_allclose(underlying, projection.sector_underlying.mean("draw"))
    np.testing.assert_allclose(count.lines[0].get_ydata(), np.sort(projection.deficit_count, axis=1)[:, 149])
    assert [label.get_text() for label in position.get_xticklabels()] == projection.year.values.tolist()
    assert count.get_ylim()[0] == 0


def test_titles_of_a_projection_name_both_ends(projection):
    position, count = (ax.get_title(loc="left") for ax in plots.plot_projection(projection).axes)
    for value, year in zip(
        projection.sector_position.mean("draw").values[[0, -1]], ("2018-19", "2020-21"), strict=True
    ):
        assert f"{value:,.0f}".replace("-", "−") + f" in {year}" in position
    assert "of 24 in 2018-19" in count


@pytest.mark.parametrize("years", [1, 14])
def test_one_year_and_many_can_be_drawn(years):
    few = sr.load_case("england-2018-19").isel(trust=slice(8))
    position, _ = plots.plot_projection(sr.project(few, years=years, n_draws=20)).axes
    assert 1 <= len(position.get_xticks()) <= 12
    assert len({text.get_position()[0] for text in position.texts if text.get_text().startswith("median")}) == 1


@pytest.mark.parametrize("plot", [plots.plot_forecast, plots.plot_fan, plots.plot_waterfall, plots.plot_league])
def test_pictures_of_a_forecast_refuse_anything_else(plot, projection, summary):
    with pytest.raises(sr.InputError, match=r"several years\. Use plot_projection"):
        plot(projection)
    with pytest.raises(sr.InputError, match="a summary, which has no draws"):
        plot(summary)
    with pytest.raises(sr.InputError, match=r"variable is missing .* Give a forecast made by simulate"):
        plot(projection.isel(year=0))


def test_a_picture_of_a_projection_refuses_anything_else(forecast, projection):
    with pytest.raises(sr.InputError, match=r"a forecast of one year\. Use plot_forecast"):
        plots.plot_projection(forecast)
    with pytest.raises(sr.InputError, match="Select years as a list"):
        plots.plot_projection(projection.isel(year=0))
    with pytest.raises(sr.InputError, match="variable is missing"):
        plots.plot_projection(sr.summarise_projection(projection))


@pytest.mark.parametrize("plot", [plots.plot_forecast, plots.plot_league])
def test_pictures_refuse_the_summary_of_a_projection(plot, forecast, projection):
    with pytest.raises(sr.InputError, match="not the summary of a forecast"):
        plot(forecast, summary=sr.summarise_projection(projection))


def test_what_is_expected_and_what_is_drawn_are_told_apart(forecast, projection):
    axes = [plots.plot_fan(forecast), *plots.plot_projection(projection).axes]
    assert all(any("Expected: the mean; line: the median." in text.get_text() for text in ax.texts) for ax in axes)


def test_footers_name_the_regime(forecast, projection):
    for page in (plots.plot_forecast(forecast), plots.plot_projection(projection)):
        assert "Rules: 2018-19. 24 trusts, 300 draws, seed 0." in page.texts[0].get_text()


HOSTILE = ("$\\frac{1}{2}$ <b>", "x_1 & $y", "L" * 200, "two\nlines\x00", "")


def words_of(svg):
    root = ElementTree.fromstring(svg)
    return [part.text for part in root.iter() if part.tag.endswith("}text") and part.text]


def as_svg(ax):
    """The picture as SVG whose text is text; every warning is an error in these tests."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        ax.figure.savefig(file, format="svg")
    return file.getvalue()


def test_names_of_trusts_are_never_formulas(forecast):
    names = forecast["name"].values.astype(object)
    names[:] = [HOSTILE[i % len(HOSTILE)] for i in range(len(names))]
    named = sr.summarise(forecast.assign_coords(name=("trust", names)))
    said = words_of(as_svg(plots.plot_league(forecast, summary=named, count=24)))
    assert HOSTILE[0] in said
    assert HOSTILE[1] in said
    assert "two lines" in said
    assert any(len(word) == 26 and word.endswith("…") for word in said)


def test_names_of_drivers_are_never_formulas(forecast):
    own = forecast.assign_coords(driver=[*forecast.driver.values[:-3], "$a^{b$", "$c$", "d"])
    for ax in (
        plots.plot_waterfall(own),
        plots.plot_tornado(sr.tornado(own)),
        plots.plot_shares(sr.allocate(own)),
    ):
        assert {"$a^{b$", "$c$"} <= {word.casefold() for word in words_of(as_svg(ax))}


def test_the_curve_is_the_measure_and_its_title_a_point_of_it(forecast):
    curve = sr.exceedance(forecast, ["Provider sector", "Whole NHS"])
    ax = plots.plot_exceedance(curve)
    assert len(ax.lines) == 2 + (curve.threshold[0] < 0 < curve.threshold[-1])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 100 * curve.p_exceeding[0])
    assert ax.get_legend() is not None
    limit, chance = re.search(r"beyond £([\d,]+)m has a chance of (\d+)%", ax.get_title(loc="left")).groups()
    p = curve.p_exceeding.sel(unit="Provider sector", threshold=float(limit.replace(",", "")))
    assert round(100 * p.item()) == int(chance) >= 5


def test_counts_of_deficits_fall_from_sure_to_impossible(forecast):
    counts = sr.deficit_counts(forecast)
    ax = plots.plot_deficit_counts(counts)
    number, p = ax.lines[0].get_data()
    np.testing.assert_allclose(p, 100 * counts.p_at_least.sel(event="deficit", count=number))
    assert p[0] == 100
    assert p[-1] == 0
    assert f"{np.sort(forecast.deficit_count)[149]:.0f} trusts in deficit" in ax.get_title(loc="left")


def test_what_makes_the_whole_nhs_is_drawn_with_its_sum(forecast):
    ax = plots.plot_balance(forecast)
    mean = ax.lines[0].get_xdata()
    np.testing.assert_allclose(mean[:-1].sum(), mean[-1])
    np.testing.assert_allclose(mean[0], forecast.sector_position.mean())
    assert ax.get_yticklabels()[0].get_text() == "Provider sector"


def test_the_tornado_reaches_from_worst_to_best_about_what_is_expected(forecast):
    bars = sr.tornado(forecast)
    ax = plots.plot_tornado(bars)
    moving = bars.isel(effect=bars.swing.values != 0)
    ends = [bar.get_x() + bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(ends, np.concatenate([moving.low, moving.high]), rtol=1e-6)
    assert {bar.get_x() for bar in ax.patches} == {bars.base.item()}
    assert ax.yaxis_inverted()


def test_shares_of_the_spread_add_up_to_all_of_it(forecast):
    bars = plots.plot_shares(sr.allocate(forecast)).patches
    widths = [bar.get_width() for bar in bars]
    assert np.isclose(sum(widths), 100)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    "plot", [plots.plot_exceedance, plots.plot_deficit_counts, plots.plot_tornado, plots.plot_shares]
)
def test_pictures_of_measures_refuse_anything_else(plot, summary):
    with pytest.raises(sr.InputError, match=r"variable is missing .* Give what \w+ gave"):
        plot(summary)


def test_words_are_taken_off_a_picture_once(forecast):
    ax = plots.plot_fan(forecast)
    title = ax.get_title(loc="left")
    assert plots.take_words(ax) == (title, "Expected: the mean; line: the median. " + BANDS)
    assert plots.take_words(ax) == ("", "")


def test_labels_at_the_ends_of_lines_do_not_overlap(forecast):
    page = Figure(figsize=(4.2, 3.9))
    ax = plots.plot_fan(forecast, page.subplots())
    page.draw_without_rendering()
    labels = sorted((text.get_window_extent() for text in ax.texts if text.get_gid() != "note"), key=lambda box: box.y0)
    assert all(above.y0 >= below.y1 - 1 for below, above in itertools.pairwise(labels))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Jun", "Sep", "Dec", "Mar"]
