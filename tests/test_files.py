import os

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk import files
from sector_risk.files import check_target, open_forecast, save_forecast, written_beside

FORMATS = ["forecast.nc", "forecast.zarr"]


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def forecast():
    made = sr.simulate(sr.load_case("england-2018-19").isel(trust=slice(6)), n_draws=20)
    made["agreed"] = "trust", made.plan.values > -10
    made["long_code"] = "trust", np.array(["ZZ1", "G6V2S", "a", "b", "c", "£ – ŵ"], dtype=object)
    made.position.attrs = {"units": "GBP million", "long_name": "year-end position"}
    return made.assign_attrs(share=0.25)


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip_keeps_values_types_and_attributes(forecast, name, tmp_path):
    opened = open_forecast(save_forecast(forecast, tmp_path / name))
    xr.testing.assert_identical(opened, forecast)
    assert opened.position.dtype == np.float32
    assert opened.agreed.dtype == bool
    assert {key: type(value) for key, value in opened.attrs.items()} == {
        key: type(value) for key, value in forecast.attrs.items()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_an_opened_forecast_can_be_saved_again_over_the_old_one(forecast, name, tmp_path):
    path = save_forecast(forecast, tmp_path / "deep" / "down" / name)
    save_forecast(open_forecast(path).assign_attrs(seed=7), path)
    assert open_forecast(path).attrs["seed"] == 7
    assert names_in(path.parent) == [name]


@pytest.mark.parametrize("name", FORMATS)
def test_an_interrupt_leaves_the_old_file_whole_and_nothing_else(forecast, name, tmp_path, monkeypatch):
    path = save_forecast(forecast, tmp_path / name)

    write = files.write_forecast

    def interrupted(dataset, temporary):
        write(dataset, temporary)
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_forecast", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_forecast(forecast.isel(draw=slice(3)), path)
    assert names_in(tmp_path) == [name]
    xr.testing.assert_identical(open_forecast(path), forecast)


def test_an_interrupt_leaves_no_new_file(tmp_path):
    def interrupted():
        with written_beside(tmp_path / "new.png") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names_in(tmp_path) == []


def projections():
    """One without funds and with all milestones, one with flags, one with small whole numbers and no milestone."""
    few = sr.load_case("england-2018-19").isel(trust=slice(6))
    return [
        sr.project(few, regime=regime, years=years, n_draws=20)
        for regime, years in (("none", 6), ("2019-20", 3), ("2025-26", 1))
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_projections_survive_the_round_trip(name, tmp_path):
    for i, projection in enumerate(projections()):
        opened = open_forecast(save_forecast(projection, tmp_path / str(i) / name))
        xr.testing.assert_identical(opened, projection)
        assert opened.attrs == projection.attrs
        for variable in projection.variables:
            kept, given = opened[variable].dtype, projection[variable].dtype
            assert kept == given or {kept.kind, given.kind} <= set("OU"), variable
        again = open_forecast(save_forecast(opened, tmp_path / str(i) / f"again-{name}"))
        xr.testing.assert_identical(again, projection)
        xr.testing.assert_identical(sr.summarise_projection(opened), sr.summarise_projection(projection))


def test_flags_codes_and_empty_lists_are_among_them():
    none, loans, oversight = projections()
    assert none.sizes["fund"] == 0
    assert none.attrs["milestones_beyond"] == ""
    assert loans["left_control_totals"].dtype == bool
    assert oversight["segment"].dtype == np.int8
    assert "milestone" not in oversight.dims


@pytest.mark.parametrize("name", FORMATS)
def test_summaries_of_projections_survive_it_too(name, tmp_path):
    for projection in projections():
        summary = sr.summarise_projection(projection)
        xr.testing.assert_identical(open_forecast(save_forecast(summary, tmp_path / name)), summary)


def test_unknown_ending_names_the_known_ones(forecast, tmp_path):
    with pytest.raises(ValueError, match=r"unknown ending '.csv'; use .nc or .zarr"):
        save_forecast(forecast, tmp_path / "forecast.csv")


def test_a_folder_that_is_not_a_store_is_never_replaced(tmp_path):
    for name in FORMATS:
        (tmp_path / name).mkdir()
        with pytest.raises(IsADirectoryError):
            check_target(tmp_path / name)


def test_a_file_is_never_replaced_by_a_store(tmp_path):
    (tmp_path / "forecast.zarr").write_text("mine")
    with pytest.raises(FileExistsError):
        check_target(tmp_path / "forecast.zarr")


def test_a_place_that_cannot_be_written_is_found_early(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        check_target(tmp_path / "file" / "forecast.nc")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_closed_folder_is_found_early(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        check_target(tmp_path / "forecast.nc")


def test_checking_leaves_nothing_behind(tmp_path):
    check_target(tmp_path / "new" / "forecast.nc")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_extra_says_what_to_install(forecast, name, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'sector-risk\[files\]'"):
        save_forecast(forecast, tmp_path / name)


def test_opening_nothing_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no forecast at"):
        open_forecast(tmp_path / "none.nc")
