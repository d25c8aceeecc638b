import numpy as np
import pytest

import sector_risk as sr
from sector_risk import plots
from sector_risk.readings import most_at_risk, sector_effects, sector_plan


@pytest.fixture(scope="module")
def forecast():
    return sr.simulate(sr.load_case("england-2018-19").isel(trust=slice(24)), n_draws=300)


@pytest.fixture(scope="module")
def summary(forecast):
    return sr.summarise(forecast)


def test_effects_add_up_to_the_sector_draw_by_draw(forecast):
    moved = forecast.sector_position - sector_plan(forecast)
    np.testing.assert_allclose(sector_effects(forecast).sum("effect"), moved, atol=1e-3)


def test_most_at_risk_fall_furthest_below_plan_and_are_trusts(summary):
    worst = most_at_risk(summary, 5)
    assert set(worst.level.values) == {"trust"}
    below_plan = (summary.plan - summary.expected_shortfall).values[summary.level.values == "trust"]
    np.testing.assert_array_equal(worst.plan - worst.expected_shortfall, np.sort(below_plan)[::-1][:5])


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
    page = plots.Figure()
    ax = page.subplots()
    assert plots.plot_fan(forecast, ax) is ax
    assert page.axes == [ax]


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
    for other in (summary, projection.isel(year=0)):
        with pytest.raises(sr.InputError, match=r"variable is missing .* Give a forecast made by simulate"):
            plot(other)


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
