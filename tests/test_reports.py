"""What a panel says of the year so far, and the page of text that a forecast makes, of draws or of a summary."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

import sector_risk as sr
from sector_risk import Assumptions
from sector_risk.kernels.particles import ADVERSE, FAVOURABLE, HELD, ON_PLAN, REVISED
from sector_risk.panel import check_panel
from sector_risk.prepare import prepare
from sector_risk.report_text import headline, report
from sector_risk.reports import last_month, reports_of, walk

NAN, NONE = np.nan, -1
PLAN = [-8.0, -12.0, 1.0, 0.0]


def trusts(**changes):
    """Four trusts of turnover 400, 500, 200 and 100."""
    columns = {
        "trust": ["ZZ1", "ZZ2", "ZZ3", "ZZ4"],
        "region": ["London", "London", "London", "Midlands"],
        "trust_type": ["Acute", "Acute", "Mental health", "Acute"],
        "system": ["North", "North", "South", "East"],
        "turnover": [400.0, 500.0, 200.0, 100.0],
        "plan": PLAN,
        "efficiency_plan": [17.0, 21.0, 8.0, 4.0],
        "pay_afc": [170.0, 210.0, 110.0, 40.0],
        "pay_medical": [60.0, 80.0, 20.0, 15.0],
    }
    return sr.make_panel(pd.DataFrame({**columns, **changes}), year="2018-19")


def seen(reports, months, name="variance_ytd", **more):
    panel = trusts().assign({name: (("trust", "month"), np.array(reports, float))}).assign_coords(month=months)
    return check_panel(panel.assign({key: ("trust", np.array(values, float)) for key, values in more.items()}))


def read(panel, through_month=12, **reporting):
    a = Assumptions()
    a = a.replace(reporting=a.reporting.replace(**reporting))
    return reports_of(panel, prepare(panel, a, seed=0), a, through_month)


def said(reports, r):
    """Months, kinds and values of one of the trusts seen."""
    n = reports.reported[r]
    return [(int(m) + 1, int(k), float(v)) for m, k, v in zip(*(x[r, :n] for x in reports[2:5]), strict=True)]


def test_reports_are_those_up_to_the_month_in_their_order():
    panel = seen([[-1.0, NAN, -3.0, -4.0], [NAN, 0.0, 2.0, NAN], [NAN] * 4, [NAN, NAN, NAN, -5.0]], [2, 3, 6, 9])
    reports = read(panel, 8)
    assert reports.trust.tolist() == [0, 1]
    assert said(reports, 0) == [(2, ADVERSE, -1.0), (6, ADVERSE, -3.0)]
    assert said(reports, 1) == [(3, ON_PLAN, 0.0), (6, FAVOURABLE, 2.0)]
    assert last_month(reports).tolist() == [6, 6]


def test_months_in_any_order_say_the_same():
    months, values = [9, 2, 6], np.array([[-4.0, -1.0, -3.0], [NAN, 0.0, 2.0], [NAN] * 3, [-5.0, NAN, NAN]])
    mixed, sorted_ = read(seen(values, months)), read(seen(values[:, [1, 2, 0]], [2, 6, 9]))
    for one, other in zip(mixed, sorted_, strict=True):
        assert_array_equal(one, other)


def test_an_actual_is_compared_with_the_plan_to_date():
    path = prepare(trusts(), Assumptions(), seed=0).plan_path
    actual = path[:, :6] + np.array([[-2.0], [0.0], [1.5], [NAN]])
    reports = read(seen(actual, np.arange(1, 7), "actual"))
    assert reports.trust.tolist() == [0, 1, 2]
    assert_allclose(reports.value[0, :6], -2.0, rtol=1e-12)
    assert reports.kind[:, :6].tolist() == [[ADVERSE] * 6, [ON_PLAN] * 6, [FAVOURABLE] * 6]


def test_a_variance_counts_before_the_actual_of_its_month():
    panel = seen([[-1.0, NAN], [NAN] * 2, [NAN] * 2, [NAN] * 2], [3, 6])
    path = prepare(panel, Assumptions(), seed=0).plan_path
    actual = np.where(np.isin(np.arange(1, 13), [3, 6]), path - 7.0, NAN)
    panel = panel.assign(actual=(("trust", "month"), actual))
    reports = read(panel)
    assert [value for _, _, value in said(reports, 0)] == [-1.0, pytest.approx(-7.0)]
    assert [value for _, _, value in said(reports, 1)] == [pytest.approx(-7.0), pytest.approx(-7.0)]


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_near_plan_is_on_plan_by_turnover_to_date(sign):
    at_3 = 0.0002 * 400.0 * 3 / 12
    inside, outside = sign * at_3 * 0.999, sign * at_3 * 1.001
    reports = read(seen([[inside, inside], [NAN] * 2, [NAN] * 2, [NAN] * 2], [3, 6]))
    assert reports.kind[0, :2].tolist() == [ON_PLAN, ON_PLAN]
    reports = read(seen([[outside, outside], [NAN] * 2, [NAN] * 2, [NAN] * 2], [3, 6]))
    assert reports.kind[0, :2].tolist() == [FAVOURABLE if sign > 0 else ADVERSE, ON_PLAN]


def test_a_declared_forecast_is_held_or_revised_and_is_the_last_report():
    within, beyond = PLAN[1] + 0.99 * 0.0002 * 500, PLAN[2] - 1.01 * 0.0002 * 200
    panel = seen([[-3.0], [NAN], [NAN], [NAN]], [6], forecast=[PLAN[0] - 9.0, within, beyond, NAN])
    reports = read(panel, 6)
    assert reports.trust.tolist() == [0, 1, 2]
    assert said(reports, 0) == [(6, ADVERSE, -3.0), (12, REVISED, -9.0)]
    assert said(reports, 1)[0][:2] == (12, HELD)
    assert said(reports, 2)[0][:2] == (12, REVISED)
    assert last_month(reports).tolist() == [12, 12, 12]
    assert_allclose(reports.tolerance, 0.0002 * np.array([400, 500, 200]))
    assert_allclose(reports.forecast_sd, 0.006 * np.array([400, 500, 200]))


def test_a_declared_forecast_says_nothing_once_the_outturn_is_known_nor_before_any_month():
    panel = seen([[-3.0], [NAN], [NAN], [NAN]], [12], forecast=[PLAN[0] - 9.0, NAN, NAN, NAN])
    assert said(read(panel, 12), 0) == [(12, ADVERSE, -3.0)]
    assert said(read(panel, 11), 0) == [(12, REVISED, -9.0)]
    assert read(panel, 0).trust.tolist() == []


def test_where_nothing_favourable_is_kept_it_is_a_report_on_plan():
    panel, a = seen([[2.0], [-2.0], [NAN], [NAN]], [6]), Assumptions()
    a = a.replace(flexibility=a.flexibility.replace(keep_favourable=0.0))
    assert reports_of(panel, prepare(panel, a, seed=0), a, 6).kind[:, 0].tolist() == [ON_PLAN, ADVERSE]


@pytest.mark.parametrize("persistence", [0.0, 0.5, 0.93])
@pytest.mark.parametrize("months", [(0,), (2, 5), (0, 1, 2, 3), (3, 11), tuple(range(12))])
def test_walk_has_the_covariance_of_running_totals_of_persistent_shocks(months, persistence):
    n, rng, chosen = 40_000, np.random.default_rng(3), list(months)
    shocks = rng.standard_normal((12, n))
    rate, total, walked = np.zeros(n), np.zeros(n), []
    for shock in shocks:
        rate = persistence * rate + shock
        total = total + rate
        walked.append(total)
    cholesky, back = walk(months, persistence)
    size = len(months)
    exact = (cholesky @ cholesky.T)[:size, :size]
    scale = np.sqrt(np.diag(exact))
    by = 5.0 / np.sqrt(n) * np.outer(scale, scale) * np.sqrt(2.0)
    assert (np.abs(np.cov(np.array(walked)[chosen]).reshape(size, size) - exact) < by).all()
    assert_allclose((cholesky @ back.T @ shocks)[:size], np.array(walked)[chosen], atol=1e-9)
    assert not cholesky[size:].any()
    assert not back[:, size:].any()
    assert not back[max(months) + 1 :].any()  # months after the last report are not its cause


# The page of text


@pytest.fixture(scope="module")
def streamed(case):
    """What is left of the draws of `forecast` where they are not kept."""
    return sr.simulate(case, n_draws=2000, seed=5, keep="summary")


def lines_of(parts):
    console = Console(width=100, record=True, file=io.StringIO())
    for part in parts:
        console.print(part, markup=False, highlight=False)
    return [line.rstrip() for line in console.export_text().splitlines()]


def figures_of(line):
    """The numbers of a line."""
    return [float(part.replace(",", "")) for part in re.findall(r"-?[\d,]*\d(?:\.\d+)?", line)]


def test_the_page_of_a_summary_says_what_that_of_its_draws_does(forecast, streamed):
    """Line by line, to the last digit shown; less what only draws can say."""
    page, of_draws = lines_of(report(streamed, streamed)), lines_of(report(forecast, sr.summarise(forecast)))
    only_draws = [i for i, line in enumerate(of_draws) if line.startswith("Exactly on plan")]
    assert len(only_draws) == 1
    assert len(page) <= len(of_draws)
    for start in (
        "Provider sector: plan",
        "Whole NHS: ",
        "London ",
        "South West ",
        "Expected ",
        "SYN019",
        "227 trusts",
    ):
        (found,), (expected,) = ([line for line in some if line.startswith(start)] for some in (page, of_draws))
        np.testing.assert_allclose(figures_of(found), figures_of(expected), atol=1.0)
    assert page[:4] == of_draws[:4]
    assert page[-4:] == of_draws[-4:]


def test_the_page_of_a_summary_leads_from_plan_to_expected_and_leaves_ranges_of_effects_open(forecast, streamed):
    page = lines_of(report(streamed, streamed))
    (savings,) = (line for line in page if line.startswith("  Recurrent savings"))
    mean = forecast["contribution"].sel(driver="efficiency_recurrent").sum("trust").mean().item()
    assert savings.split()[2:] == [f"{mean:,.0f}", "–", "–"]
    start = page.index(next(line for line in page if line.startswith("Plan, after support")))
    steps = [figures_of(line)[0] for line in page[start : start + 9]]
    expected = figures_of(next(line for line in page if line.startswith("Expected ")))[0]
    assert abs(sum(steps) - expected) <= 5  # nine figures, each rounded


def test_the_headline_of_a_summary_counts_trusts_and_claims_no_more(forecast, streamed):
    said = headline(streamed, streamed)
    assert len(said) == 3
    assert said[-1].endswith(").")
    of_draws = headline(forecast, sr.summarise(forecast))[2]
    assert of_draws.startswith(said[-1].removesuffix("."))


def test_the_page_of_a_summary_of_few_draws_says_so(case):
    few = sr.simulate(case.isel(trust=slice(5)), n_draws=300, keep="summary")
    page = lines_of(report(few, few))
    assert "Only 300 draws: too few for ranges and chances; ask for 1,000 or more." in page
    assert not any(line.startswith("Whole NHS") for line in page)


def test_the_page_refuses_a_summary_that_lacks_what_it_shows(streamed):
    with pytest.raises(sr.InputError, match=r"Ask for quantiles=\(0.05, 0.95\)"):
        report(streamed.isel(quantile=[1, 2]), streamed)
    with pytest.raises(sr.InputError, match="variable is missing"):
        report(streamed.drop_vars("contribution_mean"), streamed)
