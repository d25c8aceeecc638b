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
