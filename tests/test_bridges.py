"""Bridges from one scenario to another: closed forms, what adds up, how much is run, and faults."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

import sector_risk as sr
from sector_risk.bridges import INTERACTION, SPECS, bridge
from sector_risk.scenarios import Scenario

SECTOR = "Provider sector"
TRUSTS = 10


@pytest.fixture(scope="module")
def panel(case):
    return case.isel(trust=slice(None, None, 25))


@pytest.fixture(scope="module")
def start(panel):
    return Scenario(panel, regime="none")


def of_plan(function):
    """A change that makes a trust's plan from what it was."""
    return lambda scenario: scenario.replace(panel=scenario.panel.assign(plan=function(scenario.panel["plan"])))


def of_rules(name):
    return lambda scenario: scenario.replace(regime=name)


def harder(scenario):
    """Half as much again to be saved."""
    more = scenario.panel["efficiency_plan"] * 1.5
    return scenario.replace(panel=scenario.panel.assign(efficiency_plan=more))


CHANGES = {"fund": of_rules("2018-19"), "harder": harder, "higher plans": of_plan(lambda plan: plan + 2.0)}


@pytest.fixture(scope="module")
def steps(start):
    return bridge(start, CHANGES, n_draws=150, seed=4)


@pytest.fixture
def runs(monkeypatch):
    """How often a scenario is run."""
    made = []
    original = Scenario.forecast

    def forecast(self, **how):
        made.append(how)
        return original(self, **how)

    monkeypatch.setattr(Scenario, "forecast", forecast)
    return made


def positions(scenario, names=(), **how):
    """Positions of trusts and the sector, (unit, draw), with some of the changes made."""
    for name in names:
        scenario = CHANGES[name](scenario)
    forecast = scenario.forecast(n_draws=150, seed=4, **how)
    return np.vstack([forecast["position"].values.astype(float), forecast["sector_position"].values])


def test_effects_are_means_of_paired_differences(start, steps):
    """Every subset of three changes, run one by one and worked out the plain way."""
    at = {names: positions(start, names) for k in range(4) for names in itertools.combinations(CHANGES, k)}
    every = tuple(CHANGES)
    alone = [at[(name,)] - at[()] for name in CHANGES]
    last = [at[every] - at[tuple(n for n in CHANGES if n != name)] for name in CHANGES]
    total = at[every] - at[()]
    found = steps.sel(unit=[*start.panel["trust"].values, SECTOR])
    for name, draws in (("effect", alone), ("effect_last", last)):
        draws = np.array([*draws, total - sum(draws)])
        np.testing.assert_allclose(found[name], draws.mean(axis=2), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[f"{name}_se"], draws.std(axis=2, ddof=1) / np.sqrt(150), rtol=1e-6, atol=1e-9)
    for name, draws in (("total", total), ("start_mean", at[()]), ("end_mean", at[every])):
        np.testing.assert_allclose(found[name], draws.mean(axis=1), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[f"{name}_se"], draws.std(axis=1, ddof=1) / np.sqrt(150), rtol=1e-6, atol=1e-9)


def test_both_readings_add_up_to_the_total_for_every_unit(steps):
    assert steps["unit"].values[-1] == "Whole NHS"
    assert (np.abs(steps["total"]) > 1).sum() > 5
    for name in ("effect", "effect_last"):
        np.testing.assert_allclose(steps[name].sum("step"), steps["total"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(steps["end_mean"] - steps["start_mean"], steps["total"], rtol=1e-9, atol=1e-12)


@dataclass(frozen=True, eq=False)
class Toy(Scenario):
    """Positions that floats hold exactly, and functions that are made of them."""

    made: tuple = ()

    def forecast(self, n_draws, seed, **how):
        position = np.round(np.random.default_rng(seed).normal(size=(2, n_draws)) * 8) / 8
        for function in self.made:
            position = function(position)
        groups = {name: ("trust", ["A", "A"]) for name in ("region", "trust_type", "system")}
        return xr.Dataset(
            {"position": (("trust", "draw"), position.astype(np.float32))}
            | {name: ("draw", position.sum(axis=0)) for name in ("sector_position", "nhs_position")},
            {"trust": ["ZZ1", "ZZ2"], **groups},
        )


def then(function):
    return lambda toy: toy.replace(made=(*toy.made, function))


RAISED, DOUBLED = then(lambda position: position + 1.0), then(lambda position: position * 2.0)


def test_two_changes_of_known_interaction():
    """Positions x raised by 1 and then doubled: 1 and x alone, x + 2 together; the interaction is 1 a trust."""
    found = bridge(Toy(None), {"raised": RAISED, "doubled": DOUBLED}, n_draws=64)
    for unit, trusts in (("ZZ1", 1), (SECTOR, 2)):
        one = found.sel(unit=unit)
        x, error = float(one["start_mean"]), float(one["start_mean_se"])
        assert one["effect"].values.tolist() == [trusts, x, trusts]
        assert one["effect_last"].values.tolist() == [2 * trusts, x + trusts, -trusts]
        assert one["effect_se"].values.tolist() == [0.0, error, 0.0]
        assert float(one["total"]) == x + 2 * trusts


def test_changes_are_made_in_the_order_given():
    """Doubled first and raised then, the interaction is gone."""
    found = bridge(Toy(None), {"doubled": DOUBLED, "raised": RAISED}, n_draws=64)
    assert not found["effect"].sel(step=INTERACTION).any()
    assert found["step"].values.tolist() == ["doubled", "raised", INTERACTION]


def test_the_interaction_of_three_is_what_no_single_one_does():
    """Doubled three times: 7 x in all, 3 x alone, 4 x each last."""
    found = bridge(Toy(None), dict.fromkeys("abc", DOUBLED), n_draws=64).sel(unit=SECTOR)
    x = float(found["start_mean"])
    assert found["effect"].values.tolist() == [x, x, x, 4 * x]
    assert found["effect_last"].values.tolist() == [4 * x, 4 * x, 4 * x, -5 * x]


def test_a_single_change_has_no_interaction(start):
    found = bridge(start, {"fund": of_rules("2018-19")}, n_draws=100)
    for name in ("effect", "effect_last"):
        assert not found[name].sel(step=INTERACTION).any()
        assert not found[f"{name}_se"].sel(step=INTERACTION).any()
        np.testing.assert_array_equal(found[name].sel(step="fund"), found["total"])
    assert float(found["total"].sel(unit=SECTOR)) > 0


def test_what_is_first_of_two_leaves_the_other_last(start):
    two = {name: CHANGES[name] for name in ("fund", "harder")}
    found = bridge(start, two, n_draws=100)
    for one, other in (("fund", "harder"), ("harder", "fund")):
        rest = found["total"] - found["effect"].sel(step=other)
        np.testing.assert_allclose(found["effect_last"].sel(step=one), rest, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("k", "wanted"), [(1, 2), (2, 4), (3, 8)])
def test_no_forecast_is_made_twice(start, runs, k, wanted):
    bridge(start, dict(list(CHANGES.items())[:k]), n_draws=4, seed=7, threads=1)
    assert len(runs) == wanted
    assert all(how == {"n_draws": 4, "seed": 7, "threads": 1, "progress": False} for how in runs)


def test_months_seen_are_seen_in_every_run(panel):
    seen = panel.assign_coords(month=[6]).assign(variance_ytd=(("trust", "month"), np.full((TRUSTS, 1), -2.0)))
    start = Scenario(seen, regime="none", through_month=6)
    found = bridge(start, {"higher plans": CHANGES["higher plans"]}, n_draws=50)
    assert found.attrs["through_month"] == 6
    higher = seen.assign(plan=seen["plan"] + 2.0)
    for name, one in (("start_mean", seen), ("end_mean", higher)):
        plain = sr.condition(one, regime="none", through_month=6, n_draws=50)["sector_position"].mean()
        assert float(found[name].sel(unit=SECTOR)) == pytest.approx(float(plain), rel=1e-9)


def test_trusts_may_be_put_in_another_order(start):
    def turned(scenario):
        return scenario.replace(panel=CHANGES["higher plans"](scenario).panel.isel(trust=slice(None, None, -1)))

    found = bridge(start, {"turned": turned}, n_draws=50)
    expected = bridge(start, {"turned": CHANGES["higher plans"]}, n_draws=50)
    xr.testing.assert_allclose(found, expected, rtol=1e-12)


def test_errors_are_what_repetition_shows():
    """Two hundred seeds: the sd of each step against the errors stated, within 5 sd of a sample sd."""
    squared = then(np.square)
    found = [bridge(Toy(None), {"squared": squared, "doubled": DOUBLED}, n_draws=100, seed=s) for s in range(200)]
    for name in ("effect", "effect_last", "total", "start_mean", "end_mean"):
        values, stated = (np.array([run[n].sel(unit=SECTOR).values for run in found]) for n in (name, f"{name}_se"))
        ratio = values.std(axis=0, ddof=1) / stated.mean(axis=0)
        wobble = stated.std(axis=0) / stated.mean(axis=0) / np.sqrt(200)
        assert (np.abs(ratio - 1) < 5 * np.hypot(1 / np.sqrt(400), wobble)).all(), name


def test_it_says_what_it_is(start, steps):
    assert set(steps.variables) == set(SPECS)
    for name, variable in steps.variables.items():
        assert variable.attrs == SPECS[name].attrs, name
    assert steps.attrs["seed"] == "4"
    assert '"none"' in steps.attrs["regime"]
    assert '"2018-19"' in steps.attrs["end_regime"]
    summary = sr.summarise(start.forecast(n_draws=150, seed=4))
    np.testing.assert_array_equal(steps["unit"], summary["unit"])
    np.testing.assert_array_equal(steps["level"], summary["level"])
    np.testing.assert_allclose(steps["start_mean"], summary["mean"], rtol=1e-9)


def test_what_does_nothing_is_told(start):
    with pytest.warns(sr.InputWarning, match="the change 'idle' moves no draw"):
        found = bridge(start, {"idle": lambda scenario: scenario, "fund": CHANGES["fund"]}, n_draws=20)
    assert not found["effect"].sel(step="idle").any()


def test_what_does_something_only_after_another_is_not_idle(start):
    """Support that is allocated is paid only where there is a fund."""

    def allocate(scenario):
        more = scenario.panel["support_allocation"] * 2.0
        return scenario.replace(panel=scenario.panel.assign(support_allocation=more))

    found = bridge(start, {"fund": CHANGES["fund"], "allocate": allocate}, n_draws=20).sel(unit=SECTOR)
    assert not found["effect"].sel(step="allocate")
    assert found["effect_last"].sel(step="allocate") > 0
    assert float(found["effect"].sel(step=INTERACTION)) == float(found["effect_last"].sel(step="allocate"))


def test_all_faults_of_changes_come_together(start, panel, runs):
    with pytest.raises(sr.InputError) as report:
        bridge(panel, {"": CHANGES["fund"], INTERACTION: CHANGES["fund"], "rules": "2018-19", 3: 4})
    assert [fault.variable for fault in report.value.faults] == ["start"] + ["changes"] * 5
    for changes in ({}, [CHANGES["fund"]], None):
        with pytest.raises(sr.InputError, match="must be changes by name"):
            bridge(start, changes)
    with pytest.raises(sr.InputError, match=r"'forgot' returns no scenario \('NoneType'\)"):
        bridge(start, {"fund": CHANGES["fund"], "forgot": lambda scenario: None})
    assert not runs


def test_a_change_of_trusts_is_named(start):
    def closed(scenario):
        return scenario.replace(panel=scenario.panel.isel(trust=slice(1, None)))

    with pytest.raises(sr.InputError, match=r"in forecast with closed and fund:.*\n.*are missing.*SYN001"):
        bridge(start, {"fund": CHANGES["fund"], "closed": closed}, n_draws=5)
