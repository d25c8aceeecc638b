"""Choosing the worst few, and accelerated turnaround: cases worked by hand, plain sorts and a plain slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.kernels.select import sum_of_chosen, worst_block
from sector_risk.regimes.turnaround import AcceleratedTurnaround

INF = np.inf


def worst(key, places):
    """Who is chosen, by the kernel."""
    key = np.asarray(key, np.float32)
    chosen = np.ones(key.shape, bool)
    worst_block(key, np.broadcast_to(places, key.shape[1]).astype(np.int64), chosen)
    return chosen


def sorted_worst(key, places):
    """Who is chosen, by a plain sort of each draw."""
    chosen = np.zeros(key.shape, bool)
    for j in range(key.shape[1]):
        candidates = [i for i in range(len(key)) if key[i, j] < INF]
        chosen[sorted(candidates, key=lambda i: key[i, j])[: max(places[j], 0)], j] = True
    return chosen


def test_chosen_by_hand():
    """Draw 0 has a tie at the last place, draw 1 fewer candidates than places, draw 2 no place, draw 3 no candidate."""
    key = np.array([[-1, INF, -9, INF], [-3, 7, -9, INF], [-1, INF, -9, INF], [-1, -2, -9, INF]])
    expected = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]], bool)
    np.testing.assert_array_equal(worst(key, [2, 3, 0, 2]), expected)


def test_noughts_of_either_sign_are_equal_and_infinities_are_in_order():
    key = np.array([[0.0, 5.0], [-0.0, -INF], [0.0, -INF], [1.0, np.finfo(np.float32).max]])
    np.testing.assert_array_equal(worst(key, [1, 2]), np.array([[1, 0], [0, 1], [0, 1], [0, 0]], bool))
    np.testing.assert_array_equal(worst(key, 9), np.ones((4, 2), bool))


@pytest.mark.parametrize("places", [1, 2])
def test_what_is_not_a_number_is_never_chosen(places):
    key = np.array([[np.nan], [-np.nan], [3.0]])
    np.testing.assert_array_equal(worst(key, places), [[False], [False], [True]])


KEYS = st.one_of(
    st.floats(width=32, allow_nan=False),
    st.sampled_from([-INF, -2.0, -1.0, -0.0, 0.0, 1.0, INF, float(np.float32(1e-45))]),
)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), n_trusts=st.integers(1, 12), n_draws=st.integers(1, 5))
def test_chosen_are_those_of_a_plain_sort(data, n_trusts, n_draws):
    values = data.draw(st.lists(KEYS, min_size=n_trusts * n_draws, max_size=n_trusts * n_draws))
    key = np.array(values, np.float32).reshape(n_trusts, n_draws)
    places = np.array(data.draw(st.lists(st.integers(-1, n_trusts + 2), min_size=n_draws, max_size=n_draws)))
    np.testing.assert_array_equal(worst(key, places), sorted_worst(key, places))


@pytest.mark.parametrize("n_draws", [31, 32, 33, 70])
@pytest.mark.parametrize("decimals", [0, 6])
def test_chosen_of_many(n_draws, decimals):
    """As many trusts as there are, for numbers of draws around whole tiles, with and without ties."""
    random = np.random.default_rng(n_draws)
    key = random.normal(0.0, 3.0, (230, n_draws)).round(decimals).astype(np.float32)
    key[random.random(key.shape) < 0.3] = INF
    places = random.integers(0, 240, n_draws)
    np.testing.assert_array_equal(worst(key, places), sorted_worst(key, places))


def test_arrays_may_be_parts_of_larger_ones():
    wide = np.random.default_rng(1).normal(size=(20, 90)).astype(np.float32)
    chosen, total = np.zeros((20, 90), bool), np.zeros(90)
    worst_block(wide[:, 10:60], np.full(50, 7), chosen[:, 10:60])
    sum_of_chosen(wide[:, 10:60], chosen[:, 10:60], total[10:60])
    np.testing.assert_array_equal(chosen[:, 10:60], sorted_worst(wide[:, 10:60], np.full(50, 7)))
    assert not chosen[:, :10].any()
    assert not chosen[:, 60:].any()
    np.testing.assert_allclose(total[10:60], np.sort(wide[:, 10:60], axis=0)[:7].sum(axis=0), rtol=1e-5)


def run(rule, context, years, **arrays):
    """Blocks of consecutive years, each given a mapping of arrays, after the rule has acted in all of them."""
    prepared, state, blocks = rule.prepare(context), {}, []
    for year, given_arrays in enumerate(years):
        block = make_block(context, rule, year=year, state=state, **arrays, **given_arrays)
        for act in (prepared.before_plan, prepared.before_year, prepared.after_year):
            act(block)
        state = {name: values.copy() for name, values in block.state.items()}
        blocks.append(block)
    return blocks


def test_worked_by_hand():
    """Two places; five trusts. Position in three years, one draw."""
    rule = AcceleratedTurnaround(trusts=2, first_year="", delivery_effect=0.1, cost=2.0, months_to_work=3.0)
    positions = np.array([[-4, -6, 1, -2, 3], [-4, 1, -0.004, -0.5, 2], [-1, -2, -3, -4, -5]], float)
    years = [{"position": p[:, None], "n_draws": 1} for p in positions]
    first, second, third = run(rule, make_context(5), years, opening=10.0)
    # At the end of the first year ZZ2 and ZZ1 are chosen; nobody was in turnaround before.
    assert first.state["turnaround_chosen"][:, 0].tolist() == [True, True, False, False, False]
    assert first.state["turnaround_position"].tolist() == [-10.0]
    assert (first.opening == 10.0).all()
    assert (first.delivery == 1.0).all()
    # They pay 2 each and deliver 7.5% more. Then ZZ1 is chosen again, and ZZ4; ZZ3 is within 5,000 of balance.
    np.testing.assert_allclose(second.opening[:, 0], [8, 8, 10, 10, 10])
    np.testing.assert_allclose(second.delivery[:, 0], [1.075, 1.075, 1, 1, 1], rtol=1e-6)
    assert second.state["turnaround_chosen"][:, 0].tolist() == [True, False, False, True, False]
    assert second.state["turnaround_position"].tolist() == [-4.5]
    # ZZ1's cost is in last year's already; ZZ2 gets its cost back; ZZ4 pays. ZZ1 is in its second year: 10% in full.
    np.testing.assert_allclose(third.opening[:, 0], [10, 12, 10, 8, 10])
    np.testing.assert_allclose(third.delivery[:, 0], [1.1, 1, 1, 1.075, 1], rtol=1e-6)
    assert third.state["turnaround_chosen"][:, 0].tolist() == [False, False, False, True, True]


def test_only_deficits_are_chosen_and_of_equals_the_first():
    context = make_context(4)
    position = np.array([[5.0, -1.0], [0.0, -1.0], [-0.005, -2.0], [-0.25, -1.0]])
    (block,) = run(AcceleratedTurnaround(trusts=2), context, [{"position": position, "n_draws": 2}])
    expected = np.array([[0, 1], [0, 0], [0, 1], [1, 0]], bool)
    np.testing.assert_array_equal(block.state["turnaround_chosen"], expected)
    np.testing.assert_allclose(block.state["turnaround_position"], [-0.25, -3.0])


def test_every_deficit_is_chosen_where_there_are_places():
    """The default of thirty in a panel of three; the sum is then the gross deficit."""
    position = np.random.default_rng(3).normal(0, 5, (3, 200)).astype(np.float32)
    (block,) = run(AcceleratedTurnaround(), make_context(3), [{"position": position, "n_draws": 200}])
    np.testing.assert_array_equal(block.state["turnaround_chosen"], position < -0.005)
    np.testing.assert_allclose(block.state["turnaround_position"], np.minimum(position, 0).sum(axis=0), atol=0.02)


def test_years_in_which_it_acts():
    rule = AcceleratedTurnaround(first_year="2019-20")
    assert [rule.acts_in(f"{y}-{y - 1999}") for y in (2016, 2017, 2018, 2019, 2025)] == [False] * 2 + [True] * 3
    assert AcceleratedTurnaround(first_year="2000-01").acts_in("1999-00")
    assert AcceleratedTurnaround(first_year="").acts_in("1990-91")


def slow_year(rule, inside, before, position):
    """One draw of one year with plain loops: costs, delivery factors, who is chosen, the sum of their positions."""
    costs, factors = [], []
    for now, last in zip(inside, before, strict=True):
        costs.append((rule.cost if now else 0.0) - (rule.cost if last else 0.0))
        tau = 0.0
        if now:
            tau = 1.0 if last else 1.0 - rule.months_to_work / 12.0
        factors.append(1.0 + rule.delivery_effect * tau)
    chosen = [False] * len(position)
    for _ in range(rule.trusts):
        left = [i for i, p in enumerate(position) if p < -0.005 and not chosen[i]]
        if left:
            chosen[min(left, key=lambda i: (position[i], i))] = True
    return costs, factors, chosen, sum(p for p, c in zip(position, chosen, strict=True) if c)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    places=st.integers(0, 12),
    effect=st.floats(-1, 2),
    cost=st.floats(0, 9),
    months=st.floats(0, 12),
    decimals=st.integers(0, 3),
)
def test_twin_over_three_years(seed, places, effect, cost, months, decimals):
    rule = AcceleratedTurnaround(trusts=places, first_year="", delivery_effect=effect, cost=cost, months_to_work=months)
    random, shape = np.random.default_rng(seed), (9, 6)
    years = [
        {
            "position": random.normal(-1, 2, shape).round(decimals).astype(np.float32),
            "opening": random.normal(0, 5, shape).astype(np.float32),
            "delivery": random.uniform(0.5, 1.5, shape).astype(np.float32),
            "n_draws": shape[1],
        }
        for _ in range(3)
    ]
    blocks = run(rule, make_context(shape[0]), years)
    for j in range(shape[1]):
        inside = before = [False] * shape[0]
        for arrays, block in zip(years, blocks, strict=True):
            position = [float(p) for p in arrays["position"][:, j]]
            costs, factors, chosen, total = slow_year(rule, inside, before, position)
            np.testing.assert_allclose(block.opening[:, j], arrays["opening"][:, j] - costs, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(block.delivery[:, j], arrays["delivery"][:, j] * factors, rtol=1e-5, atol=1e-6)
            assert block.state["turnaround_chosen"][:, j].tolist() == chosen
            assert float(block.state["turnaround_position"][j]) == pytest.approx(total, rel=1e-5, abs=1e-5)
            inside, before = chosen, inside


def test_settings_are_refused_in_one_report():
    with pytest.raises(sr.InputError) as report:
        AcceleratedTurnaround(trusts=2.5, first_year="2019", delivery_effect=-2.0, cost=-1.0, months_to_work=13.0)
    variables = {fault.variable for fault in report.value.faults}
    fields = ("trusts", "first_year", "delivery_effect", "cost", "months_to_work")
    assert variables == {f"accelerated_turnaround.{name}" for name in fields}


def test_variables_fit_what_is_written():
    chosen, position = AcceleratedTurnaround.variables
    assert (chosen.name, chosen.kind, chosen.dims) == ("turnaround_chosen", "flag", ("trust", "draw"))
    assert (position.name, position.unit, position.dims) == ("turnaround_position", "GBP million", ("draw",))
