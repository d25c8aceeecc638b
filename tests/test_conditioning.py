"""Forecasts given the year so far: what they meet, what they leave alone, and draws kept by rejection beside them.

The slow twin draws very many years with `simulate` and keeps those in which the months seen came out as reported. What
is known of the year must be the same either way, within the error of both and a small share of the standard deviation
that the theory owns to.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

import sector_risk as sr
from sector_risk import Assumptions, Shares
from sector_risk.assumptions.dependence import INDEPENDENT
from sector_risk.faults import InputError, InputWarning
from sector_risk.kernels.particles import _within
from sector_risk.posterior.loads import rows_alike
from sector_risk.posterior.lots import resampled
from sector_risk.prepare import label_hashes_of_rows
from sector_risk.regimes import PreparedRule

NAN = np.nan
CODES = ["ZZ1", "ZZ2", "ZZ3"]
TURNOVER = np.array([400.0, 500.0, 200.0])


def trusts(**changes):
    columns = {
        "trust": CODES,
        "region": ["London"] * 3,
        "trust_type": ["Acute", "Acute", "Mental health"],
        "system": ["North", "North", "South"],
        "turnover": TURNOVER,
        "plan": [-8.0, -12.0, 1.0],
        "efficiency_plan": [17.0, 21.0, 8.0],
        "pay_afc": [170.0, 210.0, 110.0],
        "pay_medical": [60.0, 80.0, 20.0],
        "support_allocation": [6.0, 8.0, 3.0],
    }
    return sr.make_panel(pd.DataFrame({**columns, **changes}), year="2018-19")


def see(panel, reports):
    """The panel with reports of its trusts, each a mapping of months to variances."""
    months = sorted({m for report in reports for m in report}) or [1]
    values = np.array([[report.get(m, NAN) for m in months] for report in reports], float)
    return panel.assign(variance_ytd=(("trust", "month"), values)).assign_coords(month=months)


def shared(share=0.3):
    """What one trust reports says much of another."""
    a = Assumptions()
    shares = Shares(sector=share, trust_type=0.0, system=0.0, region=0.0)
    dependence = a.dependence.replace(
        efficiency=shares, deterioration=shares, flexibility=shares, run_rate_sector=share
    )
    return a.replace(dependence=dependence)


def crossed():
    """What the sector shares of one driver it shares of the others too: years that save less drift more."""
    a, c = shared(), 0.8
    matrix = ((1.0, 0.0, -c, c), (0.0, 1.0, 0.0, 0.0), (-c, 0.0, 1.0, -c), (c, 0.0, -c, 1.0))
    return a.replace(dependence=a.dependence.replace(sector_correlation=matrix))


def alone():
    """Nothing is shared."""
    a, none = Assumptions(), INDEPENDENT
    dependence = a.dependence.replace(efficiency=none, deterioration=none, flexibility=none, run_rate_sector=0.0)
    return a.replace(dependence=dependence)


def condition(panel, assumptions=None, regime=None, through_month=12, n_draws=300, **settings):
    settings = {"by_quarter": True} | settings
    return sr.condition(panel, assumptions, regime, through_month=through_month, n_draws=n_draws, **settings)


def simulate(panel, assumptions=None, regime=None, n_draws=300, **settings):
    return sr.simulate(panel, assumptions, regime, n_draws=n_draws, **{"by_quarter": True} | settings)


def assert_same_bits(one, other, but=("created",)):
    one, other = one.copy(), other.copy()
    for forecast in (one, other):
        for name in but:
            forecast.attrs.pop(name)
    xr.testing.assert_identical(one, other)


SEEN = [{3: -1.0, 6: -4.0}, {3: 0.0, 6: 0.0}, {6: 0.5}]


# --- nothing seen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reports", "through_month", "forecast"),
    [(SEEN, 0, [NAN] * 3), (SEEN, 0, [-20.0, -12.0, 1.0])],
)
def test_nothing_seen_is_the_unconditional_forecast_to_the_bit(reports, through_month, forecast):
    panel = see(trusts(), reports).assign(forecast=("trust", forecast))
    assert_same_bits(condition(panel, through_month=through_month, seed=4), simulate(panel, seed=4))


@pytest.mark.parametrize(("reports", "through_month"), [([{}] * 3, 9), (SEEN, 2)])
def test_nothing_reported_is_said_and_is_the_unconditional_forecast_to_the_bit(reports, through_month):
    panel = see(trusts(), reports)
    with pytest.warns(InputWarning, match=f"Nothing was reported up to month {through_month}"):
        given = condition(panel, through_month=through_month, seed=4)
    assert_same_bits(given, simulate(panel, seed=4))


# --- months seen are met ----------------------------------------------------------------------------------


def test_every_draw_meets_what_was_seen():
    reports = [{3: -1.0, 6: -4.0, 9: -6.5}, {3: 0.0, 6: -2.0, 9: 0.0}, {6: 0.5, 9: 1.5}]
    forecast = condition(see(trusts(), reports), shared())
    for i, report in enumerate(reports):
        for month, value in report.items():
            came = forecast["variance_by_quarter"].sel(quarter=month // 3)[i].values
            assert_allclose(came, value, rtol=0, atol=2e-7 * TURNOVER[i])
            assert value != 0.0 or (came == 0.0).all()
    assert forecast["months_seen"].values.tolist() == [9, 9, 9]
    assert forecast["variance"].std("draw").min() > 0.1


def test_the_outturn_may_be_seen():
    reports = [{m: -0.4 * m for m in range(1, 13)}, dict.fromkeys(range(1, 13), 0.0), {12: 2.0}]
    forecast = condition(see(trusts(), reports), n_draws=100)
    assert_allclose(forecast["variance"][0], -4.8, rtol=0, atol=2e-7 * 400)
    assert (forecast["variance"][1] == 0.0).all()
    assert_allclose(forecast["variance"][2], 2.0, rtol=0, atol=2e-7 * 200)
    assert_allclose(forecast["contribution"].sum("driver"), forecast["variance"], atol=1e-4)


def test_an_actual_on_the_plan_path_is_on_plan():
    panel = trusts()
    plan = simulate(panel.isel(trust=[0]), n_draws=1, regime="none")["sector_plan_ytd"].values
    actual = np.full((3, 12), NAN)
    actual[0, :6] = plan[:6] + np.array([0.0, 0.0, -1.0, -1.5, -2.0, -3.0])
    actual[1, 0] = NAN
    with pytest.warns(InputWarning, match="plan to date by formula"):
        forecast = condition(panel.assign(actual=(("trust", "month"), actual)).assign_coords(month=np.arange(1, 13)))
    assert_allclose(forecast["variance_by_quarter"][:2, 0], np.array([[-1.0], [-3.0]]) + np.zeros(300), atol=1e-4)


def test_gates_of_the_months_seen_follow_the_reports():
    reports = [{3: -2.0, 6: -4.0}, {3: 0.0, 6: -4.0}, {3: 0.0, 6: 0.0}]
    forecast = condition(see(trusts(), reports), n_draws=2000)
    by_quarter, paid, allocation = forecast["variance_by_quarter"].values, forecast["support"].values, [6.0, 8.0, 3.0]
    missed = (by_quarter[2:] < 0.0).all(axis=0)
    assert missed[:2].sum(axis=1).min() > 200
    assert (paid[0, missed[0]] == 0.0).all()
    quarter, came = allocation[1] * 0.15, paid[1, missed[1]]
    assert (np.isclose(came, 0.7 * quarter) | np.isclose(came, quarter)).all()  # with access met and without
    assert (paid[2] >= 0.7 * allocation[2] * 0.35 - 1e-5).all()


# --- what may not matter ----------------------------------------------------------------------------------


def test_threads_and_block_size_change_no_bit_and_more_draws_keep_the_first():
    panel = see(trusts(), SEEN).assign(forecast=("trust", [-20.0, NAN, 1.0]))
    one = condition(panel, shared(), n_draws=700, threads=1)
    assert_same_bits(one, condition(panel, shared(), n_draws=700, threads=2, block_size=64))
    few = condition(panel, shared(), n_draws=150, threads=2, block_size=37)
    first = one.isel(draw=slice(150))
    for name in few.data_vars:
        assert_array_equal(few[name], first[name])


def test_later_months_do_not_matter():
    now = see(trusts(), [{3: -1.0}, {3: 0.0}, {}])
    later = see(trusts(), [{3: -1.0, 4: -9.0, 6: -20.0}, {3: 0.0, 9: -3.0}, {12: -5.0}])
    now, later = (condition(panel, shared(), through_month=3) for panel in (now, later))
    assert_same_bits(now, later, but=("created", "panel_hash"))


def test_seeds_give_other_draws():
    panel = see(trusts(), SEEN)
    one, other = (condition(panel, shared(), seed=seed)["variance"].values for seed in (1, 2))
    assert (one != other).mean() > 0.4


def test_what_is_not_shared_says_nothing_of_others():
    panel = see(trusts(), [{6: -9.0}, {}, {}]).assign(forecast=("trust", [-40.0, NAN, NAN]))
    known, before = condition(panel, alone(), "none", seed=3), simulate(panel, alone(), "none", seed=3)
    for name in ("variance", "contribution", "variance_by_quarter"):
        assert_array_equal(known[name].sel(trust=CODES[1:]), before[name].sel(trust=CODES[1:]))
    assert known["variance"][0].mean() < before["variance"][0].mean() - 5.0
    assert known["months_seen"].values.tolist() == [12, 0, 0]
    assert_array_equal(np.isnan(known["particles_worth"]), [False, True, True])


def test_what_is_shared_says_something_of_others():
    bad, good = ([{6: value}, {}, {}] for value in (-9.0, 3.0))
    bad, good = (condition(see(trusts(), reports), shared(), "none", n_draws=2000) for reports in (bad, good))
    spread = simulate(trusts(), shared(), "none", n_draws=2000)["variance"].std("draw")
    moved = (good["variance"].mean("draw") - bad["variance"].mean("draw")) / spread
    assert (moved.values[1:] > 0.3).all()


def test_trusts_that_became_one_are_known_part_by_part():
    reports = [{3: -1.0, 6: -4.0}, {6: 0.0}, {6: 0.5}]
    apart = see(trusts(), reports)
    merged = sr.merge(apart, CODES[:2], into="ZZ1")
    one, two = (condition(panel, alone(), "none", through_month=6, n_draws=400) for panel in (merged, apart))
    parts = two["variance_by_quarter"].values
    assert_allclose(one["variance_by_quarter"][:, 0], parts[:, :2].sum(axis=1), atol=1e-4)
    assert_allclose(one["variance_by_quarter"][:, 1], parts[:, 2], atol=1e-5)
    assert one["months_seen"].values.tolist() == [6, 6]
    assert_allclose(one["particles_worth"].values[0], two["particles_worth"].values[:2].min())


# --- bad settings and surprises ---------------------------------------------------------------------------


@pytest.mark.parametrize("month", [13, -1, "6", 6.0, None, True])
def test_a_month_that_is_none_is_a_fault(month):
    with pytest.raises(InputError, match="through_month: must be a whole number from 0 to 12"):
        condition(see(trusts(), SEEN), through_month=month)


def test_faults_of_settings_come_together():
    with pytest.raises(InputError) as caught:
        condition(see(trusts(), SEEN), through_month=13, n_draws=0, seed=-1)
    assert {fault.variable for fault in caught.value.faults} == {"through_month", "n_draws", "seed"}


def test_a_report_that_is_not_finite_is_a_fault():
    with pytest.raises(InputError, match="trust ZZ1, variance_ytd_m3"):
        condition(see(trusts(), [{3: np.inf}, {}, {}]))


@pytest.mark.parametrize("share", [-0.6, 0.6])
def test_an_absurd_report_names_its_trust_and_is_met_all_the_same(share):
    panel = see(trusts(), [{3: share * 400.0}, {3: 0.0}, {}])
    with pytest.warns(InputWarning, match=r"reports of 1 trust\(s\) surprising.*ZZ1 \(\d+\)"):
        forecast = condition(panel, n_draws=100)
    assert np.isfinite(forecast["variance"]).all()
    assert_allclose(forecast["variance_by_quarter"][0, 0], share * 400.0, rtol=1e-5)
    assert forecast["particles_worth"].values[0] < 8.0 < forecast["particles_worth"].values[1]


@pytest.mark.parametrize("first", [-60.0, 40.0])
def test_an_impossible_report_on_plan_is_met_and_warned_of(first):
    with pytest.warns(InputWarning, match="surprising"):
        forecast = condition(see(trusts(), [{3: first, 6: 0.0}, {}, {}]))
    assert_allclose(forecast["variance_by_quarter"].sel(quarter=[1, 2])[:, 0], [[first] * 300, [0.0] * 300], atol=1e-3)
    assert forecast["particles_worth"][0] < 32


def test_what_is_not_covered_comes_in_one_report_with_the_settings():
    a = Assumptions()
    a = a.replace(
        dependence=a.dependence.replace(tail_dof=4.0, run_rate_sector=1.0),
        deterioration=a.deterioration.replace(shock_sd=0.0),
    )
    with pytest.raises(InputError) as caught:
        condition(see(trusts(), SEEN), a, through_month=13)
    places = ["through_month", "dependence.tail_dof", "dependence.run_rate_sector", "deterioration.shock_sd"]
    assert [fault.variable for fault in caught.value.faults] == places
    assert_same_bits(condition(trusts(), a, through_month=0), simulate(trusts(), a))


def test_a_held_forecast_that_nothing_explains_is_a_surprise():
    a = Assumptions()
    a = a.replace(reporting=a.reporting.replace(forecast_held=0.0, forecast_sd=0.0001))
    panel = see(trusts(), [{9: -60.0}, {9: -75.0}, {9: -30.0}])
    with pytest.warns(InputWarning, match="surprising"):
        forecast = condition(panel.assign(forecast=panel["plan"]), a)
    assert np.isfinite(forecast["position"]).all()


def test_nothing_shared_is_no_reason_to_stop():
    assert np.isfinite(condition(see(trusts(), [{6: -9.0}, {}, {}]), alone(), "none")["position"]).all()


def test_rules_that_change_the_year_are_refused():
    @dataclass(frozen=True)
    class Windfall(sr.Rule):
        name = "windfall"

        def prepare(self, context):
            return Blessing()

    class Blessing(PreparedRule):
        def before_year(self, block):
            block.efficiency_plan *= np.float32(1.3)

    with pytest.raises(InputError, match="must leave the year of all draws alike"):
        condition(see(trusts(), SEEN), regime=sr.Regime("mine", (Windfall(),)))


def test_parts_that_share_random_numbers_count_as_one_trust():
    assert rows_alike(label_hashes_of_rows(["ZZ1", "ZZ2", "ZZ1", "ZZ3"])).tolist() == [2, 1, 2, 1]
    other, seen = trusts(trust=["ZZ7", "ZZ8", "ZZ9"]), see(trusts(), [{6: -9.0}, {6: -7.0}, {6: -3.0}])
    panel = xr.concat([seen, see(other, [{6: NAN}] * 3)], "trust", data_vars="all", combine_attrs="override")
    divided = sr.administer(panel, "ZZ1", {"ZZ2": 0.5, "ZZ3": 0.5})
    whole = [condition(p, shared(), n_draws=2000)["variance"].sel(trust="ZZ7").mean() for p in (panel, divided)]
    assert whole[0] == pytest.approx(whole[1], abs=0.5)


def test_usual_reports_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        condition(see(trusts(), SEEN))


# --- draws kept by rejection ------------------------------------------------------------------------------

N_SEEDS, N_DRAWS = 6, 3000
DRAWS_A_LOT, LOTS = 400_000, (101, 102, 103)
WINDOW = 6e-4  # of turnover, either side
OWNED = 0.02  # of a standard deviation: what few particles among strong factors may miss, by the theory
NARROW = 0.07  # and how much too narrow a trust's draws may be


@cache
def unseen(assumptions):
    """Variances at quarter ends (4, trust, draw) and contributions (driver, trust, draw) of very many years."""
    lots = [simulate(trusts(), assumptions(), "none", n_draws=DRAWS_A_LOT, seed=seed) for seed in LOTS]
    names = ("variance_by_quarter", "contribution")
    return tuple(np.concatenate([lot[name].values for lot in lots], axis=2) for name in names)


def near(variance, value, turnover):
    """Draws that came out as reported, or nearly: on plan there is no nearly."""
    if value == 0.0:
        return variance == 0.0
    return (np.abs(variance - value) < WINDOW * turnover) & (variance != 0.0)


def kept_by_rejection(reports, assumptions=shared):
    """Years that came out as reported, and reports moved to the middle of those kept."""
    by_quarter, contribution = unseen(assumptions)
    keep = np.ones(by_quarter.shape[2], bool)
    for i, report in enumerate(reports):
        for month, value in report.items():
            keep &= near(by_quarter[month // 3 - 1, i], value, TURNOVER[i])

    def middle(i, month):
        return float(by_quarter[month // 3 - 1, i, keep].mean(dtype=float))

    moved = [{month: middle(i, month) for month in report} for i, report in enumerate(reports)]
    return rows(by_quarter[3][:, keep], contribution[:, :, keep]), moved


def rows(variance, contribution):
    """Year ends of the trusts, their sum, and contributions by driver and trust: (4 + 7 * 3, draw)."""
    parts = contribution.reshape(-1, contribution.shape[2])
    return np.concatenate([variance, variance.sum(axis=0, keepdims=True), parts]).astype(float)


def known(panel, assumptions, **settings):
    """The same from `condition`, (seed, row, draw), and the least that a trust's particles are worth."""
    lots = [condition(panel, assumptions, "none", n_draws=N_DRAWS, seed=seed, **settings) for seed in range(N_SEEDS)]
    worth = min(float(lot["particles_worth"].min()) for lot in lots)
    return np.array([rows(lot["variance"].values, lot["contribution"].values) for lot in lots]), worth


def compare(slow, weights, panel, assumptions, **settings):
    """Means, spreads and chances of both, and the errors that their sizes make."""
    weights = weights / weights.sum()
    fast, worth = known(panel, assumptions, **settings)
    count = 1.0 / (weights**2).sum()
    assert count > 1000
    mean = slow @ weights
    sd = np.sqrt((slow - mean[:, None]) ** 2 @ weights)
    error = np.sqrt(1.0 / count + 1.0 / (N_SEEDS * N_DRAWS) + 1.0 / (N_SEEDS * worth))
    every = fast.transpose(1, 0, 2).reshape(len(mean), -1)
    return SimpleNamespace(slow=slow, weights=weights, every=every, mean=mean, sd=sd, error=error)


def correlated(table, weights):
    """Correlations of trusts' recurrent savings, and of their deterioration: what they share shows in these."""
    savings, deterioration = table[4:7], table[16:19]
    return np.array([correlation(of_driver, weights)[np.triu_indices(3, 1)] for of_driver in (savings, deterioration)])


def correlation(table, weights):
    covariance = np.cov(table, aweights=weights)
    return covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))


def assert_agree(both):
    spread = both.sd > 1e-9
    away = np.abs(both.every.mean(axis=1) - both.mean)[spread] / both.sd[spread]
    assert away.max() < 4.5 * both.error + OWNED
    ratio = both.every.std(axis=1)[:4] / both.sd[:4]
    fourth = np.array([stats.kurtosis(row) + 2.0 for row in both.slow[:4]])
    by = 4.5 * both.error * np.sqrt(np.maximum(fourth, 2.0)) / 2.0
    assert (np.abs(ratio - 1.0) < by + NARROW).all()
    together = np.abs(correlated(both.every, np.ones(both.every.shape[1])) - correlated(both.slow, both.weights))
    assert together.max() < 4.5 * both.error + 2.0 * OWNED
    for row, draws in zip(both.slow[:4], both.every[:4], strict=True):
        ordered = np.argsort(row)
        total = np.cumsum(both.weights[ordered])
        for level in (0.1, 0.5, 0.9):
            bound = row[ordered[np.searchsorted(total, level)]]
            chance = both.weights[row <= bound].sum()
            assert abs((draws <= bound).mean() - chance) < 4.5 * both.error * 0.5 + OWNED


CASES = {
    "adverse": [{6: -4.0}, {}, {}],
    "on plan": [{6: 0.0}, {}, {}],
    "favourable": [{6: 2.0}, {}, {}],
    "adverse beside on plan": [{6: -4.0}, {6: 0.0}, {}],
    "two months in sequence": [{3: -0.6, 6: -2.5}, {}, {}],
    "at different months": [{3: -0.8}, {}, {9: 1.0}],
    "three quarters on plan": [{3: 0.0, 6: 0.0, 9: 0.0}, {}, {3: 0.0}],
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_known_is_what_rejection_leaves(name):
    slow, middle = kept_by_rejection(CASES[name])
    assert_agree(compare(slow, np.ones(slow.shape[1]), see(trusts(), middle), shared()))


def test_what_drivers_share_with_each_other_is_learnt():
    slow, middle = kept_by_rejection([{6: -4.0}, {}, {}], crossed)
    assert_agree(compare(slow, np.ones(slow.shape[1]), see(trusts(), middle), crossed()))


@cache
def one_trust():
    """Variances of one trust by month (12, draw), from the sector's path where it is the sector."""
    panel, lots = trusts().isel(trust=[0]), []
    for seed in LOTS:
        forecast = simulate(panel, shared(), "none", n_draws=DRAWS_A_LOT, seed=seed, by_quarter=False)
        lots.append((forecast["sector_ytd"] - forecast["sector_plan_ytd"]).transpose("month", "draw").values)
    return np.concatenate(lots, axis=1)


def test_monthly_reports_say_what_rejection_leaves():
    by_month, report = one_trust(), {1: 0.0, 2: 0.0, 3: -0.5, 4: -1.1}
    keep = np.ones(by_month.shape[1], bool)
    for month, value in report.items():
        keep &= (by_month[month - 1] == 0.0) if value == 0.0 else np.abs(by_month[month - 1] - value) < 0.25
    slow = by_month[:, keep]
    middle = {m: float(slow[m - 1].mean()) for m in report}
    assert slow.shape[1] > 5000
    panel = see(trusts().isel(trust=[0]), [middle])
    lots = [condition(panel, shared(), "none", n_draws=N_DRAWS, seed=seed) for seed in range(N_SEEDS)]
    worth = min(float(lot["particles_worth"].min()) for lot in lots)
    fast = np.concatenate([(lot["sector_ytd"] - lot["sector_plan_ytd"]).values for lot in lots], axis=1)
    error = np.sqrt(1.0 / slow.shape[1] + 1.0 / (N_SEEDS * N_DRAWS) + 1.0 / (N_SEEDS * worth))
    for m in range(5, 13):
        one, other = slow[m - 1], fast[m - 1]
        assert abs(other.mean() - one.mean()) / one.std() < 4.5 * error + OWNED
        assert abs((other == 0.0).mean() - (one == 0.0).mean()) < 4.5 * error * 0.5 + OWNED
    assert_allclose(fast[:4], np.array(list(middle.values()))[:, None] + np.zeros(fast.shape[1]), atol=1e-4)


# --- declared forecasts -----------------------------------------------------------------------------------


def explained(variance, declared, turnover, *, held=0.68, sd=0.006, tolerance=0.0002):
    """How well a year end explains a declared forecast (less plan), by the theory; `sd` and the rest of turnover."""
    if abs(declared) <= tolerance * turnover:
        good = special.ndtr((variance / turnover + tolerance) / sd)
        return good + held * (1.0 - good)
    return np.exp(-0.5 * ((declared - variance) / (sd * turnover)) ** 2)


DECLARED = {
    "held": ([{}, {}, {}], [0.0, NAN, NAN]),
    "revised": ([{}, {}, {}], [-6.0, NAN, NAN]),
    "held behind plan": ([{6: -4.0}, {}, {}], [0.0, NAN, NAN]),
    "revised behind plan, held beside": ([{6: -4.0}, {6: 0.0}, {}], [-8.0, 0.0, NAN]),
}


def declare(panel, declared):
    return panel.assign(forecast=("trust", panel["plan"].values + np.array(declared)))


@pytest.mark.parametrize("name", DECLARED)
def test_declared_forecasts_weigh_as_the_theory_says(name):
    reports, declared = DECLARED[name]
    slow, middle = kept_by_rejection(reports)
    weights = np.ones(slow.shape[1])
    for i, value in enumerate(declared):
        if not np.isnan(value):
            weights = weights * explained(slow[i], value, TURNOVER[i])
    assert_agree(compare(slow, weights, declare(see(trusts(), middle), declared), shared()))


def test_a_held_forecast_raises_the_chance_of_ending_on_plan_a_little_and_a_revised_one_leads():
    behind = see(trusts(), [{9: -4.0}, {}, {}])

    def ends(declared):
        panel = declare(behind, [declared, NAN, NAN])
        return np.concatenate([condition(panel, n_draws=1000, seed=seed)["variance"][0].values for seed in range(12)])

    silent, held, revised = ends(NAN), ends(0.0), ends(-10.0)
    assert 0.005 < (held >= 0.0).mean() - (silent >= 0.0).mean() < 0.1
    assert -10.0 < revised.mean() < silent.mean()
    assert revised.std() < silent.std()


def test_the_surer_a_forecaster_the_more_a_revised_forecast_leads():
    a, behind = Assumptions(), declare(see(trusts(), [{9: -4.0}, {}, {}]), [-10.0, NAN, NAN])
    ends = []
    for sd in (0.02, 0.006, 0.001):
        sure = a.replace(reporting=a.reporting.replace(forecast_sd=sd))
        ends.append(condition(behind, sure, n_draws=2000)["variance"][0].values)
    assert np.all(np.diff([abs(end.mean() + 10.0) for end in ends]) < 0.0)
    assert np.all(np.diff([end.std() for end in ends]) < 0.0)
    assert abs(ends[-1].mean() + 10.0) < 0.4


def test_a_held_forecast_that_would_be_held_anyway_says_nothing():
    a = Assumptions()
    a = a.replace(reporting=a.reporting.replace(forecast_held=1.0))
    before = simulate(trusts(), a, "none", n_draws=20_000)["variance"].values
    after = condition(declare(trusts(), [0.0, 0.0, 0.0]), a, "none", n_draws=20_000)
    by = 4.5 * np.sqrt(2.0 / 20_000 + 1.0 / after["particles_worth"].values.min())
    assert (np.abs(after["variance"].values.mean(axis=1) - before.mean(axis=1)) < by * before.std(axis=1)).all()
    assert (np.abs(after["variance"].values.std(axis=1) / before.std(axis=1) - 1.0) < by * 2.0).all()


# --- kernels ----------------------------------------------------------------------------------------------

BOUNDS = [(-1.0, 1.0), (0.0, 0.1), (-40.0, 0.0), (-2.0, 40.0), (1.5, 1.6), (4.0, 40.0), (-9.0, -8.0), (20.0, 21.0)]
BOUNDS += [(-40.0, 40.0), (36.0, 40.0), (-1e-6, 1e-6), (-37.5, -30.0)]


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_normals_within_bounds(low, high):
    shares = (np.arange(4000) + 0.5) / 4000
    drawn = np.array([_within(low, high, share) for share in shares])
    x, expected = drawn[:, 0], stats.truncnorm(low, high)
    assert ((x >= low) & (x <= high)).all()
    assert_allclose(np.sort(x), expected.ppf(shares), rtol=2e-6, atol=2e-7)
    flip = low > 0.0
    a, b = (-high, -low) if flip else (low, high)
    log_p = special.log_ndtr(b) + np.log(-np.expm1(special.log_ndtr(a) - special.log_ndtr(b)))
    assert_allclose(drawn[:, 1], log_p, rtol=1e-9, atol=1e-9)


def test_resampling_keeps_weighted_means():
    rng = np.random.default_rng(2)
    weights, values = rng.gamma(0.3, size=(5, 1000)), np.sort(rng.standard_normal((5, 1000)), axis=1)
    kept = resampled(weights, 4000)
    assert kept.shape == (5, 4000)
    share = weights / weights.sum(axis=1, keepdims=True)
    counts = np.array([np.bincount(row, minlength=1000) for row in kept])
    assert (np.abs(counts - 4000 * share) <= 1.0 + 1e-9).all()
    resampled_means = np.take_along_axis(values, kept, axis=1).mean(axis=1)
    assert_allclose(resampled_means, (share * values).sum(axis=1), atol=2.0 / 4000)
