"""Forecasts that draw parameters: their groups, their labels, and the two widths apart."""

import json

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.calibration import Calibration, calibrate
from sector_risk.calibration.parameters import NAMES, PRIOR_MEAN, PRIOR_SD, put_values
from sector_risk.faults import InputError, InputWarning
from sector_risk.history import History
from sector_risk.parameter_draws import group_seed, simulate_with_parameters, widths

SETS, DRAWS = 12, 600


def spread(scale):
    """A calibration at the prior's mean whose sd is a share of the prior's."""
    return Calibration(
        fitted=put_values(sr.Assumptions(), PRIOR_MEAN),
        names=NAMES,
        prior_mean=tuple(PRIOR_MEAN.tolist()),
        prior_sd=tuple(PRIOR_SD.tolist()),
        mean=tuple(PRIOR_MEAN.tolist()),
        covariance=tuple(map(tuple, np.diag((scale * PRIOR_SD) ** 2).tolist())),
        years=(),
        emulator_error=(),
        effective=1.0,
    )


@pytest.fixture(scope="module")
def prior():
    return calibrate(History())


@pytest.fixture(scope="module")
def drawn(case, prior):
    return simulate_with_parameters(case, prior, n_draws=DRAWS, parameter_sets=SETS, seed=4)


def made_up(groups):
    """A forecast whose sector, NHS and only trust have the draws given, (G, n)."""
    rows = np.asarray(groups, float)
    flat, of_draw = rows.ravel(), np.repeat(np.arange(len(rows)), rows.shape[1])
    variables = {"position": (("trust", "draw"), flat[None]), "sector_position": ("draw", flat)}
    return xr.Dataset(
        variables | {"nhs_position": ("draw", flat + 100.0)}, {"trust": ["ZZ1"], "parameter_set": ("draw", of_draw)}
    )


# The forecast


def test_each_group_is_the_forecast_of_its_own_draw(case, prior, drawn):
    k, each = 5, DRAWS // SETS
    alone = sr.simulate(case, prior.draw(k, 4), n_draws=each, seed=group_seed(4, k))
    group = drawn.isel(draw=drawn["parameter_set"].values == k)
    for name in alone.data_vars:
        np.testing.assert_array_equal(group[name].values, alone[name].values, err_msg=str(name))
    assert group_seed(4, k) != group_seed(4, k + 1) != group_seed(5, k + 1)


def test_more_sets_keep_the_first_ones(case, prior, drawn):
    half = simulate_with_parameters(case, prior, n_draws=DRAWS // 2, parameter_sets=SETS // 2, seed=4)
    np.testing.assert_array_equal(half["position"].values, drawn["position"].values[:, : DRAWS // 2])


def test_labels_and_provenance(case, prior, drawn):
    plain = sr.simulate(case, n_draws=50)
    assert set(drawn.data_vars) == set(plain.data_vars)
    assert {name: drawn[name].dims for name in drawn.data_vars} == {n: plain[n].dims for n in plain.data_vars}
    assert {name: drawn[name].dtype for name in drawn.data_vars} == {n: plain[n].dtype for n in plain.data_vars}
    np.testing.assert_array_equal(drawn["draw"], np.arange(DRAWS))
    np.testing.assert_array_equal(np.bincount(drawn["parameter_set"]), [DRAWS // SETS] * SETS)
    assert drawn.attrs["n_draws"] == DRAWS
    assert drawn.attrs["seed"] == "4"
    assert Calibration.from_toml(drawn.attrs["calibration"]) == prior
    assert sr.Assumptions.from_json(drawn.attrs["assumptions"]) == prior.assumptions()
    assert json.loads(drawn.attrs["versions"])["sector-risk"] == sr.__version__


def test_it_is_a_forecast_like_any_other(drawn, tmp_path):
    summary = sr.summarise(drawn)
    assert float(summary["sd"].sel(unit="Provider sector")) == pytest.approx(
        float(drawn["sector_position"].std(ddof=1))
    )
    path = sr.save_forecast(drawn, tmp_path / "drawn.nc")
    np.testing.assert_array_equal(sr.open_forecast(path)["parameter_set"], drawn["parameter_set"])


def test_another_forecaster_gets_the_checked_panel_and_the_settings(case, prior):
    asked = []

    def forecaster(panel, assumptions, regime, *, n_draws, seed, through_month, by_quarter=False):
        asked.append((assumptions, regime, n_draws, seed, through_month, by_quarter))
        return sr.simulate(panel, assumptions, regime, n_draws=n_draws, seed=seed)

    simulate_with_parameters(
        case, prior, "none", n_draws=40, parameter_sets=2, forecaster=forecaster, through_month=6, by_quarter=True
    )
    assert asked == [(prior.draw(k), "none", 20, group_seed(0, k), 6, True) for k in range(2)]


def test_faults_of_numbers_at_once(case, prior):
    with pytest.raises(sr.InputError) as error:
        simulate_with_parameters(case, prior, n_draws=100, parameter_sets=40, seed=-1)
    assert [f.variable for f in error.value.faults] == ["n_draws", "seed"]
    assert "Use 80." in str(error.value)
    with pytest.raises(sr.InputError, match="two or more"):
        simulate_with_parameters(case, prior, n_draws=100, parameter_sets=1)


# The widths


def test_widths_of_known_parts():
    """Groups with sd 3 between and 4 within: 200 groups of 50, each part within four of its own errors."""
    rng = np.random.default_rng(1)
    found = widths(made_up(3.0 * rng.standard_normal((200, 1)) + 4.0 * rng.standard_normal((200, 50))))
    expected = {"all": 5.0, "chance": 4.0, "parameters": 3.0}
    for part, sd in expected.items():
        one = found.sel(part=part, unit="ZZ1")
        assert abs(float(one["sd"]) - sd) < 4 * float(one["sd_se"])
        assert 0 < float(one["sd_se"]) < 0.1 * sd
        assert abs(float(one["width"]) - 2 * 1.645 * sd) < 4 * float(one["width_se"]) + 0.05 * sd
        assert 0 < float(one["width_se"]) < 0.1 * float(one["width"])


def test_errors_are_as_large_as_the_estimates_scatter():
    """Errors of 60 made-up forecasts against the scatter of their estimates: within a third."""
    rng = np.random.default_rng(2)
    runs = [
        widths(made_up(2.0 * rng.standard_normal((40, 1)) + 4.0 * rng.standard_normal((40, 100)))).sel(unit="ZZ1")
        for _ in range(60)
    ]
    for name in ("sd", "width"):
        scatter = np.std([run[name].values for run in runs], axis=0, ddof=1)
        said = np.mean([run[f"{name}_se"].values for run in runs], axis=0)
        assert (np.abs(said / scatter - 1) < 1 / 3).all(), (name, said, scatter)


def test_variances_add_up(drawn):
    sd = widths(drawn)["sd"]
    parts = sd.sel(part="chance") ** 2 + sd.sel(part="parameters") ** 2
    wide = sd.sel(part="parameters") > 0
    np.testing.assert_allclose((sd.sel(part="all") ** 2)[wide], parts[wide])
    total = drawn["sector_position"].std(ddof=1)
    assert float(sd.sel(part="all", unit="Provider sector")) == pytest.approx(float(total), rel=0.1)


def test_one_set_of_parameters_repeated_has_no_width_of_its_own(case):
    """Sd a millionth of the prior's: the variance due to parameters is nought within errors, the rest is chance."""
    forecast = simulate_with_parameters(case, spread(1e-6), n_draws=2000, parameter_sets=20, seed=1)
    found = widths(forecast)
    sd, more = (found[name].sel(part="parameters") for name in ("sd", "sd_se"))
    variance, error = sd**2, (sd + more) ** 2 - sd**2  # one error more in the variance, or somewhat above
    assert float((variance > 2 * error).mean()) < 0.1
    for unit in ("Provider sector", "Whole NHS"):
        assert float(variance.sel(unit=unit)) < 3 * float(error.sel(unit=unit))
    plain = sr.simulate(case, spread(0.0001).assumptions(), n_draws=2000, seed=9)["sector_position"].std()
    assert float(found["sd"].sel(part="chance", unit="Provider sector")) == pytest.approx(float(plain), rel=0.1)


def test_without_chance_all_width_is_of_parameters():
    rng = np.random.default_rng(3)
    found = widths(made_up(np.repeat(rng.standard_normal((30, 1)), 10, axis=1))).sel(unit="Provider sector")
    assert float(found["sd"].sel(part="chance")) < 1e-12
    assert float(found["sd"].sel(part="parameters")) == pytest.approx(float(found["sd"].sel(part="all")), rel=1e-12)
    assert float(found["sd"].sel(part="all")) > 0.5


def test_wider_parameters_wider_forecast(case):
    narrow, wide = (
        widths(simulate_with_parameters(case, spread(scale), n_draws=1000, parameter_sets=20, seed=1))
        for scale in (0.1, 1.0)
    )
    sector = {"part": "parameters", "unit": "Provider sector"}
    assert float(wide["sd"].sel(sector)) > 3 * float(narrow["sd"].sel(sector))


def test_a_plain_forecast_has_no_such_widths(forecast):
    with pytest.raises(sr.InputError, match="does not draw parameters"):
        widths(forecast)


def test_a_central_action_widens_the_nhs_by_chance_alone(drawn):
    found = widths(drawn)
    nhs, sector = (found.sel(unit=unit) for unit in ("Whole NHS", "Provider sector"))
    assert float(nhs["sd"].sel(part="chance")) > float(sector["sd"].sel(part="chance"))


def test_widths_go_by_the_parameter_set_and_not_by_place(drawn):
    mixed = drawn.isel(draw=np.random.default_rng(0).permutation(DRAWS))
    xr.testing.assert_allclose(widths(mixed), widths(drawn))


def test_widths_need_whole_groups(drawn):
    with pytest.raises(InputError, match="as many of all"):
        widths(drawn.isel(draw=slice(75)))


def test_groups_warn_once_of_what_they_all_warn_of(case, prior):
    with pytest.warns(InputWarning, match="3 parameter sets give such a warning") as caught:
        simulate_with_parameters(case, prior, n_draws=6, parameter_sets=3, forecaster=sr.condition, through_month=6)
    assert len(caught) == 1
