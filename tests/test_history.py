"""Figures of past years: what is bundled, how a file is read, what is refused, and that a year can be left out."""

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.history import Figure, History, load_history, read_history, trust_variances

HEADER = "year,month,measure,value,source,confidence\n"


def panel(year="2018-19", **variables):
    data = xr.Dataset(coords={"trust": ["ZZ1", "ZZ2"], "month": [6, 9]}, attrs={"year": year})
    return data.assign({name: (("trust", "month"), values) for name, values in variables.items()})


@pytest.fixture(scope="module")
def history():
    return load_history()


@pytest.mark.parametrize(
    ("year", "month", "variance"),
    [
        ("2014-15", 6, -254),
        ("2015-16", 9, -622),
        ("2016-17", 3, 5),
        ("2016-17", 6, -22),
        ("2016-17", 9, -202),
        ("2017-18", 3, -30),
        ("2018-19", 3, 22),
        ("2018-19", 6, -119),
        ("2018-19", 9, -267),
        ("2018-19", 12, -308),
    ],
)
def test_bundled_variances_are_the_published_ones(history, year, month, variance):
    assert float(history.sector["variance"].sel(year=year, month=month)) == variance


def test_year_end_variances_in_per_cent_of_turnover(history):
    """-.49 on average, sd .17 in published form, where 2014-15 was set against a smaller turnover."""
    share = history.sector["variance_share"].sel(month=12).values
    np.testing.assert_allclose(share, [-0.553, -0.607, -0.264, -0.553, -0.351], atol=0.001)


def test_every_bundled_figure_has_a_source_and_a_mark(history):
    assert all(f.source and f.confidence in "VDG" for f in history.figures)


def test_what_is_not_known_is_missing(history):
    assert np.isnan(float(history.sector["variance"].sel(year="2015-16", month=6)))


def test_without_a_year_nothing_of_it_is_left(history):
    both = History(history.figures, (panel("2016-17", variance_ytd=np.zeros((2, 2))), panel(variance_ytd=[[1, 2]] * 2)))
    rest = both.without("2016-17")
    assert "2016-17" not in rest.years
    assert [p.attrs["year"] for p in rest.trusts] == ["2018-19"]
    assert len(rest.figures) == sum(f.year != "2016-17" for f in history.figures)
    assert both.years == history.years


def test_marked_keeps_only_figures_so_marked(history):
    assert {f.confidence for f in history.marked("VD").figures} == {"V", "D"}
    assert len(history.marked("VD").figures) == len(history.figures) - sum(f.confidence == "G" for f in history.figures)


def test_a_file_is_read(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "\ufeff" + HEADER + '2020-21,12,turnover,"1,000",books,V\n\n'
        "2020-21,12,plan_ytd,(10),books,V\n2020-21,12,actual_ytd,-30,books,V\n",
        encoding="utf-8",
    )
    found = read_history(path)
    assert float(found.sector["variance_share"].sel(year="2020-21", month=12)) == pytest.approx(-2.0)
    assert found.figures[1] == Figure("2020-21", 12, "plan_ytd", -10.0, "books", "V")


def test_all_faults_of_a_file_at_once(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        HEADER + "2020,12,turnover,5,books,V\n"
        "2020-21,5,plan_ytd,-10,books,V\n"
        "2020-21,6,plan_yt,-10,books,V\n"
        "2020-21,6,plan_ytd,tbc,books,V\n"
        "2020-21,6,share_below_plan,40,books,V\n"
        "2020-21,3,turnover,40,books,X\n"
        "2020-21,9,actual_ytd,-1,books,V\n"
        "2020-21,9,actual_ytd,-2,books,V\n",
        encoding="utf-8",
    )
    with pytest.raises(sr.InputError) as error:
        read_history(path)
    found = {(f.row, f.variable) for f in error.value.faults}
    assert found == {
        (2, "year"),
        (3, "month"),
        (4, "measure"),
        (5, "value"),
        (6, "value"),
        (7, "month"),
        (7, "confidence"),
        (None, "actual_ytd"),  # twice
    }
    assert "Did you mean 'plan_ytd'?" in str(error.value)
    assert {f.place for f in error.value.faults} == {"own.csv"}


def test_positions_need_a_turnover():
    with pytest.raises(sr.InputError, match="no turnover"):
        History((Figure("2020-21", 12, "actual_ytd", -1.0, "books", "V"),))


@pytest.mark.parametrize("text", ["year,month,measure,value,source\n", "year,month,measure,amount,source,confidence\n"])
def test_columns_are_checked(tmp_path, text):
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(sr.InputError, match="column"):
        read_history(path)


def test_a_file_that_is_not_there():
    with pytest.raises(sr.InputError, match="cannot be read"):
        read_history("nowhere.csv")


def test_faults_of_panels_at_once():
    nothing, no_year = panel("2019-20"), panel("", variance_ytd=np.zeros((2, 2)))
    twice = panel(variance_ytd=np.zeros((2, 2)))
    with pytest.raises(sr.InputError) as error:
        History((), (nothing, no_year, twice, twice))
    rules = [f.rule for f in error.value.faults]
    assert rules == ["a panel has no variances", "a panel does not state its year", "two panels of one year"]


def test_variances_of_trusts_as_given_or_from_actual_and_plan():
    given = panel(variance_ytd=[[1.0, 2.0], [3.0, np.nan]])
    made = panel(actual=[[0.0, 5.0], [1.0, np.nan]], plan_ytd=[[-1.0, 3.0], [-2.0, 7.0]])
    expected = [[np.nan, np.nan], [1.0, 3.0], [2.0, np.nan]]
    np.testing.assert_array_equal(trust_variances(given), expected)
    np.testing.assert_array_equal(trust_variances(made), expected)


@pytest.mark.parametrize("year", ["2018/19", 2018, "last"])
def test_a_year_that_is_none_cannot_be_left_out(year):
    with pytest.raises(sr.InputError, match="not a financial year"):
        load_history().without(year)
