"""The page and the picture of a back-test: figures as they came, bars in words."""

import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import sector_risk as sr
from sector_risk import plots
from sector_risk.backtest_text import backtest_report, verdicts
from sector_risk.backtesting import backtest, backtest_years, in_money
from sector_risk.history import load_history


@pytest.fixture(scope="module")
def trusts():
    case = sr.load_case("england-2018-19").isel(trust=slice(0, 200, 5))
    came = sr.simulate(case, n_draws=1, seed=9, by_quarter=True)["variance_by_quarter"].isel(draw=0)
    panel = case.assign(variance_ytd=(("month", "trust"), came.values)).assign_coords(month=[3, 6, 9, 12])
    return backtest(panel, n_draws=300)


@pytest.fixture(scope="module")
def years():
    return backtest_years(load_history(), points=128, fit_draws=32, n_draws=640, parameter_sets=20)


def printed(result, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(*backtest_report(result), sep="\n")
    return console.export_text()


def at_bars(trusts, **figures):
    """The back-test with other figures at the origins."""
    changed = trusts.copy(deep=True)
    for name, value in figures.items():
        changed[name] = xr.full_like(changed[name], value)
    return changed


def test_the_page_has_scores_rivals_coverage_and_misses(trusts):
    page = printed(trusts)
    at = trusts.sel(origin=6, score="crps")
    for text in (f"{float(at['mean_score']):.3f}", "straight run rate", "In the 80% interval", "Outcomes by tenth"):
        assert text in page
    worst = at["forecast_score"].isel(unit=slice(-1)).idxmax().item()
    assert str(worst) in page
    assert "declared forecast" in page
    assert "–" in page  # of which nothing is known


def test_the_page_gives_the_histogram_as_it_came(trusts):
    line = next(line for line in printed(trusts).split("Outcomes by tenth")[1].splitlines() if "From month 6" in line)
    counts = [float(cell.rstrip("*")) for cell in line.split("6", 1)[1].split()]
    np.testing.assert_allclose(counts, trusts["pit_count"].sel(origin=6), atol=0.0501)


def test_the_page_fits_eighty_columns(trusts, years):
    assert "…" not in printed(years, 80)
    tables = printed(trusts, 80)
    assert "…" not in tables.split("Furthest off")[0].replace("Furthest", "")
    assert max(map(len, tables.splitlines())) <= 80


def test_it_says_which_assumptions_had_the_year_in_view(trusts):
    assert "Not a clean test" not in printed(trusts.assign_attrs(set_with_this_year_in_view=""))
    page = printed(trusts.assign_attrs(set_with_this_year_in_view="deterioration.shock_sd"))
    assert "Not a clean test: set with 2018-19 in view were deterioration.shock_sd." in page


@pytest.mark.parametrize(
    ("figures", "met"),
    [
        ({"skill": 0.2, "coverage": 0.8, "pit_p_value": 0.3}, [True, True, True]),
        ({"skill": -0.01, "coverage": 0.8, "pit_p_value": 0.3}, [False, True, True]),
        ({"skill": 0.2, "coverage": 0.69, "pit_p_value": 0.3}, [True, False, True]),
        ({"skill": 0.2, "coverage": 0.91, "pit_p_value": 0.009}, [True, False, False]),
    ],
)
def test_bars_of_trusts(trusts, figures, met):
    assert [v.met for v in verdicts(at_bars(trusts, **figures))] == met * 2
    words = [str(v).split(":")[0] for v in verdicts(at_bars(trusts, **figures))]
    assert words == ["Met" if m else "MISSED" for m in met] * 2


def test_bars_of_years(years):
    money = in_money(years).sel(score="crps")
    inside = years["covered"].sel(interval=0.95).all("year").values.tolist()
    declared = money["rival_score"].sel(rival="declared_forecast")
    better = (money["forecast_score"].where(declared.notnull()).mean("year") < declared.mean("year")).values.tolist()
    assert [v.met for v in verdicts(years)] == [inside[0], better[0], inside[1], better[1]]
    missed = next(str(v) for v in verdicts(years) if not v.met)
    assert "outside: 2015-16" in missed


def test_quarter_one_is_not_held_to_the_interval():
    result = backtest_years(
        load_history(), from_quarter=1, points=128, fit_draws=32, n_draws=640, parameter_sets=20
    ).sel(origin=[3])
    assert [v.bar for v in verdicts(result)] == ["month 3: mean CRPS below the declared forecast's mean error"]


def test_the_page_of_years_has_every_year_in_money(years):
    page = printed(years)
    for year, outturn in zip(load_history().years, (-398, -461, -211, -464, -308), strict=True):
        assert any(year in line and f" {outturn} " in line for line in page.splitlines())


@pytest.mark.parametrize("kind", ["trusts", "years"])
def test_the_picture_shows_the_figures(kind, request, tmp_path):
    result = request.getfixturevalue(kind)
    figure = plots.plot_backtest(result, tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000
    pit, coverage, crps = figure.axes[3:6]
    at = result.isel(origin=1)
    np.testing.assert_allclose([bar.get_height() for bar in pit.patches[-10:]], at["pit_count"])
    np.testing.assert_allclose([bar.get_width() for bar in coverage.patches], 100 * at["coverage"])
    assert crps.patches[0].get_width() == pytest.approx(float(at["mean_score"].sel(score="crps")))
    assert f"{float(at['skill'].sel(score='crps')):.2f}" in crps.get_title(loc="left")


def test_the_picture_refuses_what_is_no_back_test(trusts):
    with pytest.raises(sr.InputError, match="not a back-test"):
        plots.plot_backtest(trusts.drop_vars("pit_count"))


def test_a_back_test_is_saved_and_read_again(trusts, tmp_path):
    trusts.to_netcdf(tmp_path / "page.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "page.nc", engine="h5netcdf") as again:
        np.testing.assert_array_equal(again["forecast_score"], trusts["forecast_score"])
        assert again.attrs["fit"] == "fixed"
