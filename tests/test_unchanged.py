"""Reading a forecast leaves it as it was."""

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk import readings
from sector_risk.answers import five_answers

READERS = {
    "summarise": lambda f, _: sr.summarise(f),
    "exceedance": lambda f, _: sr.exceedance(f),
    "deficit_counts": lambda f, _: sr.deficit_counts(f),
    "rank_stability": lambda f, _: sr.rank_stability(f, 3),
    "waterfall": lambda f, _: sr.waterfall(f),
    "allocate": lambda f, _: sr.allocate(f),
    "tornado": lambda f, _: sr.tornado(f),
    "compare": lambda f, _: sr.compare(f, f.copy(deep=True)),
    "compare, as the second": lambda f, _: sr.compare(f.copy(deep=True), f),
    "switching_value": lambda f, _: sr.switching_value(f),
    "reverse_stress": lambda f, _: sr.reverse_stress(f),
    "value_of_support": lambda f, _: sr.value_of_support(f, 5.0),
    "five_answers": lambda f, _: five_answers(f),
    "write_report": lambda f, folder: sr.write_report(f, folder / "page.html"),
    "quality_pack": lambda f, _: sr.quality_pack(f),
    "worst_total": lambda f, _: readings.worst_total(f, 3),
    "most_at_risk": lambda f, _: readings.most_at_risk(sr.summarise(f)),
    "review_list": lambda f, _: readings.review_list(f),
}


@pytest.fixture(scope="module", params=["one draw", "50 draws", "stored by draw"])
def forecast(request, case):
    some = case.isel(trust=slice(0, None, 9))
    if request.param == "one draw":
        return sr.simulate(some, n_draws=1, seed=4)
    made = sr.simulate(some, n_draws=50, seed=4)
    if request.param == "50 draws":
        return made
    by_draw = np.ascontiguousarray(made.position.transpose("draw", "trust").values)
    return made.assign(position=(("draw", "trust"), by_draw, made.position.attrs))


@pytest.mark.parametrize("name", READERS)
def test_a_forecast_is_the_same_after_it_was_read(name, forecast, tmp_path):
    before = forecast.copy(deep=True)
    orders = {key: variable.dims for key, variable in forecast.variables.items()}
    try:
        READERS[name](forecast, tmp_path)
    except sr.InputError:
        assert forecast.sizes["draw"] == 1
    xr.testing.assert_identical(forecast, before)
    assert {key: variable.dims for key, variable in forecast.variables.items()} == orders
