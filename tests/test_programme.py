"""Improvement programme: both roads in, progress, exit, escalation, who pays; and a plain slow twin over four years."""

import math

import numpy as np
import pytest

import sector_risk as sr
from blocks import make_block, make_context
from sector_risk.regimes.oversight import OversightFramework
from sector_risk.regimes.programme import ImprovementProgramme
from twin import normal, word

NAN = np.nan
CERTAIN = (1.0,) * 5
NEVER = (0.0,) * 5


def settings(**changes):
    """The programme without chance: capability low, governance sound, no conditions met."""
    usual = {"low_capability": 1.0, "governance_failure": 0.0, "conditions": NEVER}
    return ImprovementProgramme(**usual | changes)


def context_of(n_trusts, **panel):
    return make_context(n_trusts, n_years=8, first_year="2025-26", **panel)


def run(context, rule, n_years, *, segment=4, average=3.0, n_draws=3, state=None, first_draw=0):
    """Blocks of each year, as they are after it; `segment` and `average` are by trust or a list of such by year."""
    prepared, shape, blocks = rule.prepare(context), (len(context.codes), n_draws), []
    state = {name: np.array(values) for name, values in (state or make_block(context, rule, n_draws).state).items()}
    for year in range(n_years):
        state = {name: values.copy() for name, values in state.items()}
        for name, given, dtype in (("segment", segment, np.int8), ("average_score", average, np.float32)):
            values = np.asarray(given[year] if isinstance(given, list) else given, dtype)
            state[name] = np.ascontiguousarray(np.broadcast_to(values.reshape(-1, 1), shape))
        block = make_block(context, rule, n_draws, year=year, first_draw=first_draw, state=state)
        prepared.before_plan(block)
        prepared.before_year(block)
        prepared.after_year(block)
        blocks.append(block)
    return blocks


def statuses(blocks):
    """Status by year and trust, which must be the same in all draws."""
    status = np.array([block.state["programme_status"] for block in blocks])
    assert (status == status[:, :, :1]).all()
    return status[:, :, 0].tolist()


# --- entry ------------------------------------------------------------------------------------------------


def test_worst_scores_enter_first():
    average = np.array([2.7, 2.9, 2.65, 2.9, 2.6])
    assert statuses(run(context_of(5), settings(places=2), 1, average=average)) == [[0, 1, 0, 1, 0]]
    assert statuses(run(context_of(5), settings(places=3), 1, average=average)) == [[1, 1, 0, 1, 0]]


def test_equals_enter_in_the_order_of_the_panel():
    assert statuses(run(context_of(5), settings(places=2), 1)) == [[1, 1, 0, 0, 0]]


def test_governance_failures_enter_before_the_worst_scores():
    flagged = context_of(5, governance_failure=[0, 0, 0, 0, 1])
    segment, average = np.array([4, 4, 4, 4, 1]), np.array([2.7, 3.9, 2.7, 2.9, 1.1])
    assert statuses(run(flagged, settings(places=2), 1, segment=segment, average=average)) == [[0, 1, 0, 0, 1]]
    assert statuses(run(flagged, settings(places=1), 1, segment=segment, average=average)) == [[0, 0, 0, 0, 1]]


def test_among_governance_failures_the_worst_scores_enter_first():
    flagged = context_of(5, governance_failure=[1, 1, 1, 1, NAN])
    average = np.array([1.5, 2.0, 2.2, 2.0, 3.9])
    assert statuses(run(flagged, settings(places=2), 1, average=average)) == [[0, 1, 1, 0, 0]]


def test_both_roads():
    """Low capability alone and segment 4 alone are not enough; failed governance is, whatever the segment."""
    context = context_of(5, capability=[4, 4, 3.4, 3.6, 1], governance_failure=[0, 0, 0, NAN, 1])
    segment = np.array([4, 3, 4, 4, 1])
    assert statuses(run(context, settings(), 1, segment=segment)) == [[1, 0, 0, 1, 1]]
    assert statuses(run(context, settings(entry="segment"), 1, segment=segment)) == [[1, 0, 1, 1, 1]]
    assert statuses(run(context, settings(places=0), 1, segment=segment)) == [[0, 0, 0, 0, 0]]


def test_the_panels_governance_failures_count_in_the_first_year_only():
    """The second of two has no place in the first year, and none is given to it when the first one leaves."""
    context = context_of(2, governance_failure=[1, 1])
    rule = settings(places=1, patience=1, taskforce_years=0)
    assert statuses(run(context, rule, 4, segment=1)) == [[1, 0], [4, 0], [0, 0], [0, 0]]


def test_governance_fails_at_its_probability():
    rule = settings(governance_failure=0.3, places=1000)
    status = run(context_of(20), rule, 1, segment=1, n_draws=1000)[0].state["programme_status"]
    assert abs((status == 1).mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 20_000)


def test_unrated_capability_is_drawn_once():
    """With conditions certain, whoever entered in the first year is outside for good after the third."""
    rule = settings(low_capability=0.25, conditions=CERTAIN, places=1000)
    blocks = run(context_of(20), rule, 5, n_draws=1000)
    entered = [block.state["programme_status"] == 1 for block in blocks]
    assert abs(entered[0].mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 20_000)
    assert not any(later.any() for later in entered[1:])


def test_places_count_those_taken():
    """Two enter; two more when they leave at the end of the third year."""
    years = statuses(run(context_of(5), settings(places=2, conditions=CERTAIN), 6))
    assert years == [
        [1, 1, 0, 0, 0],
        [2, 2, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 2, 2, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 2],
    ]


def test_more_inside_than_places_leaves_none_free():
    context = context_of(4, segment=[5, 5, NAN, NAN])
    assert statuses(run(context, settings(places=1), 2)) == [[2, 2, 0, 0], [2, 2, 0, 0]]


# --- progress ---------------------------------------------------------------------------------------------


def test_no_condition_is_met_in_the_diagnostic_year():
    blocks = run(context_of(1), settings(conditions=CERTAIN), 3)
    assert statuses(blocks) == [[1], [2], [0]]
    assert (blocks[1].state["programme_conditions"] == 0).all()


def test_conditions_stay_met():
    rule = settings(conditions=(0.5, 0.5, 0.5, 0.5, 0.0), patience=100)
    blocks = run(context_of(3), rule, 5, n_draws=200)
    bits = np.array([block.state["programme_conditions"] for block in blocks])
    assert not (bits[:-1] & ~bits[1:]).any()
    met = np.unpackbits(bits[..., np.newaxis], axis=-1).sum(axis=-1)
    np.testing.assert_allclose(met.mean(axis=(1, 2)), [0, 0, 2, 3, 3.5], atol=0.15)


def test_who_has_met_all_does_not_come_back_by_segment_but_by_governance():
    rule, context = settings(conditions=CERTAIN), context_of(1)
    blocks = run(context, rule, 5)
    assert statuses(blocks) == [[1], [2], [0], [0], [0]]
    assert statuses(run(context, settings(governance_failure=1.0), 1, segment=1, state=blocks[-1].state)) == [[1]]


def test_a_second_stay_begins_anew():
    """Governance fails every year: back in the year of leaving, with a diagnostic and no condition met."""
    blocks = run(context_of(1), settings(conditions=CERTAIN, governance_failure=1.0), 6, segment=1)
    assert statuses(blocks) == [[1], [2], [1], [2], [1], [2]]
    assert blocks[3].state["programme_years"][0, 0] == 1


def test_escalation_to_taskforce_and_administration():
    assert statuses(run(context_of(1), settings(), 8)) == [[1], [2], [2], [3], [4], [0], [0], [0]]
    longer = settings(patience=2, taskforce_years=3)
    assert statuses(run(context_of(1), longer, 8)) == [[1], [2], [3], [3], [3], [4], [0], [0]]
    at_once = settings(patience=1, taskforce_years=0)
    assert statuses(run(context_of(1), at_once, 4)) == [[1], [4], [0], [0]]


def test_segment_5_of_the_panel_begins_inside():
    """Its first year is not a diagnostic, and its plan holds the cost: leaving gives it back."""
    blocks = run(context_of(2, segment=[4.6, 4.4]), settings(conditions=CERTAIN), 3, segment=1)
    assert statuses(blocks) == [[0, 0]] * 3
    np.testing.assert_allclose(blocks[0].delivery[:, 0], [1.08, 1.0])
    assert (blocks[0].opening == 0).all()
    np.testing.assert_allclose([block.opening[:, 0] for block in blocks[1:]], [[1.5, 0], [0, 0]])
    stays = run(context_of(1, segment=[5]), settings(), 5, segment=1)
    assert statuses(stays) == [[2], [2], [3], [4], [0]]
    assert all((block.opening == 0).all() for block in stays)


# --- what it costs and does -------------------------------------------------------------------------------


def test_the_trust_pays_once_for_each_year_inside():
    blocks = run(context_of(1), settings(cost=2.0), 8)
    assert [float(block.opening[0, 0]) for block in blocks] == [0, -2, 0, 0, 0, 0, 2, 0]
    assert all((block.central == 0).all() for block in blocks)


def test_delivery_rises_after_the_diagnostic():
    blocks = run(context_of(1), settings(delivery_effect=0.5), 8)
    assert [float(block.delivery[0, 0]) for block in blocks] == [1, 1, 1.5, 1.5, 1.5, 1.5, 1, 1]


def test_the_predecessor_is_paid_for_by_the_centre():
    before = ImprovementProgramme.predecessor()
    assert (before.places, before.entry, before.paid_by) == (25, "segment", "centre")
    assert before.evidence_of("paid_by").confidence == "V"
    rule = before.replace(conditions=NEVER, governance_failure=0.0)
    blocks = run(context_of(30, segment=[5] + [NAN] * 29, capability=np.ones(30)), rule, 4)
    n_inside = [int((np.array(year) > 0).sum()) for year in statuses(blocks)]
    assert n_inside == [25, 25, 25, 25]
    costs = [block.central.tolist() for block in blocks]
    assert costs == [[-1.5] * 3] + [[-1.5 * 25] * 3] * 3
    assert all((block.opening == 0).all() for block in blocks)


def test_needs_the_framework():
    assert ImprovementProgramme.needs == (OversightFramework.name,)


def test_bad_settings_are_named_together():
    bad = {
        "places": 2.5,
        "entry": "by invitation",
        "paid_by": "nobody",
        "conditions": (0.5, 0.5, 1.5, 0.5, 0.5),
        "patience": 0,
        "low_capability": -0.1,
    }
    with pytest.raises(sr.InputError) as error:
        ImprovementProgramme(**bad)
    assert {fault.variable for fault in error.value.faults} == {f"improvement_programme.{name}" for name in bad}


# --- the slow twin ----------------------------------------------------------------------------------------

N_TRUSTS, N_DRAWS, N_YEARS, FIRST, SEED = 14, 40, 4, 7, 11
PLAN_TABLE = {1: (1, 1, 2, 3), 2: (2, 2, 3, 3), 3: (2, 3, 3, 4), 4: (2, 3, 4, 4)}
SEGMENT_MEAN = {1: 1.90, 2: 2.19, 3: 2.46, 4: 2.80, 5: 2.80}


def figures(seed):
    """Figures of each year in steps of GBP 10,000, so that none is near a threshold (they are 5,000 off)."""
    rng, shape = np.random.default_rng(seed), (N_YEARS, N_TRUSTS, N_DRAWS)
    plan = np.round(rng.normal(-0.6, 1.5, shape), 2) * rng.integers(0, 2, shape)
    support = np.round(rng.uniform(0, 1, shape), 2) * rng.integers(0, 2, shape)
    variance = np.round(rng.normal(-0.5, 0.7, shape), 2) * rng.integers(0, 2, shape)
    paid = support * rng.integers(0, 2, shape)
    return {"plan": plan, "planned_support": support, "position": plan + support + variance, "paid": paid}


def slow_finance_score(P, support, p, T):
    plan, variance = 100 * (P + 0.005) / T, 100 * (p - P - support + 0.005) / T
    plan_points = 1 if plan >= 0 else 2 if plan >= -1 else 3 if plan >= -2 else 4
    variance_points = 1 if variance >= 0 else 2 if variance >= -0.5 else 3 if variance > -1 else 4
    return PLAN_TABLE[plan_points][variance_points - 1]


def slow_oversight(rule, context, i, draw, year, given):
    """Finance score, average score and segment of one trust in one draw."""
    P, support, p, paid = (float(given[name][year, i, draw - FIRST]) for name in given)
    f = slow_finance_score(P, support, p, context.turnover[year, i])
    known = float(context.panel["segment"][i])
    mean, sd = (
        (rule.other_mean, rule.other_sd) if math.isnan(known) else (SEGMENT_MEAN[round(known)], rule.other_sd / 2)
    )
    o = mean + sd * normal(context.seed, "oversight_other", draw, context.codes[i], 0)
    average = rule.finance_weight * f + (1 - rule.finance_weight) * o
    segment = 1 + sum(average >= cut for cut in rule.cut_points)
    if P < -0.005 or p < -0.005 or paid > 0:
        segment = max(segment, 3)
    return f, average, segment


class SlowTrust:
    """One trust in one draw."""

    def __init__(self, rule, context, i, draw):
        self.rule, self.context, self.i, self.draw = rule, context, i, draw
        starts_inside = round(np.nan_to_num(context.panel["segment"][i])) == 5
        self.status, self.years, self.conditions, self.met_before = 2 if starts_inside else 0, 0, set(), False
        self.charged = rule.cost if starts_inside else 0.0

    def chance(self, stream, item, year, probability):
        code, seed = self.context.codes[self.i], self.context.seed
        return word(seed, stream, self.draw, code, item, year) < probability * 2**32

    def open(self, year):
        """Change of the opening, of delivery, and of the centre."""
        cost = self.rule.cost if self.status > 0 else 0.0
        change, self.charged = (cost - self.charged, cost) if year > 0 else (0.0, self.charged)
        trust_pays = self.rule.paid_by == "trust"
        delivery = 1 + self.rule.delivery_effect if self.status >= 2 else 1.0
        return -change if trust_pays else 0.0, delivery, 0.0 if trust_pays else -cost

    def progress(self, year):
        if self.status == 0:
            return
        if self.status > 1:
            chances = enumerate(self.rule.conditions)
            self.conditions |= {k for k, p in chances if self.chance("programme_conditions", k, year, p)}
        self.years += 1
        if self.status == 4 or len(self.conditions) == 5:
            self.status, self.met_before = 0, True
        elif self.years >= self.rule.patience + self.rule.taskforce_years:
            self.status = 4
        else:
            self.status = 3 if self.years >= self.rule.patience else 2

    def governance_fails(self, year):
        flagged = self.context.panel["governance_failure"][self.i] == 1
        return (year == 0 and flagged) or self.chance("governance", 0, year, self.rule.governance_failure)

    def may_enter_by_segment(self, segment):
        rating = float(self.context.panel["capability"][self.i])
        drawn = self.chance("capability", 0, 0, self.rule.low_capability)
        is_low = drawn if math.isnan(rating) else rating > 3.5
        return segment == 4 and (is_low or self.rule.entry == "segment") and not self.met_before

    def enter(self):
        self.status, self.years, self.conditions = 1, 0, set()


def slow_entries(trusts, year, scores, places):
    """Who enters in one draw: failed governance first, then the worst average, then the panel's order."""
    queue = []
    for trust, (_, average, segment) in zip(trusts, scores, strict=True):
        fails = trust.governance_fails(year)
        if trust.status == 0 and (fails or trust.may_enter_by_segment(segment)):
            queue.append((not fails, -average, trust.i, trust))
    free = max(places - sum(trust.status > 0 for trust in trusts), 0)
    return [entry[-1] for entry in sorted(queue)[:free]]


def slow_twin(framework, rule, context, given):
    """All that both rules do, by name: lists by draw, year and trust (the centre: by draw and year)."""
    names = ("finance_score", "average_score", "segment", "programme_status", "opening", "delivery")
    out = {name: np.zeros((N_DRAWS, N_YEARS, N_TRUSTS)) for name in names} | {"central": np.zeros((N_DRAWS, N_YEARS))}
    for d in range(N_DRAWS):
        trusts = [SlowTrust(rule, context, i, FIRST + d) for i in range(N_TRUSTS)]
        for year in range(N_YEARS):
            out["opening"][d, year], out["delivery"][d, year], central = zip(
                *(t.open(year) for t in trusts), strict=True
            )
            out["central"][d, year] = sum(central)
            scores = [slow_oversight(framework, context, t.i, FIRST + d, year, given) for t in trusts]
            for trust in trusts:
                trust.progress(year)
            for trust in slow_entries(trusts, year, scores, rule.places):
                trust.enter()
            for name, values in zip(names[:3], zip(*scores, strict=True), strict=True):
                out[name][d, year] = values
            out["programme_status"][d, year] = [t.status for t in trusts]
    return out


def fast(framework, rule, context, given):
    """The same by the prepared rules."""
    scores, prepared = framework.prepare(context), rule.prepare(context)
    state = make_block(context, framework, N_DRAWS).state | make_block(context, rule, N_DRAWS).state
    out = {"central": np.zeros((N_DRAWS, N_YEARS))}
    for year in range(N_YEARS):
        amounts = {name: values[year] for name, values in given.items() if name != "paid"}
        block = make_block(context, rule, N_DRAWS, year=year, first_draw=FIRST, state=state, **amounts)
        block.paid["deficit_support"] = given["paid"][year].astype(np.float32)
        prepared.before_plan(block)
        prepared.before_year(block)
        scores.after_year(block)
        prepared.after_year(block)
        results = {"opening": block.opening, "delivery": block.delivery} | block.state
        for name, values in results.items():
            out.setdefault(name, np.zeros((N_DRAWS, N_YEARS, N_TRUSTS)))[:, year] = values.T
        out["central"][:, year] = block.central
    return out


def random_panel(seed):
    rng = np.random.default_rng(seed)
    return {
        "turnover": rng.choice([100.0, 200.0], N_TRUSTS),
        "segment": rng.choice([NAN, NAN, 1, 2, 3, 4, 5], N_TRUSTS),
        "capability": rng.choice([NAN, NAN, 2, 4, 3.5, 3.6], N_TRUSTS),
        "governance_failure": rng.choice([NAN, 0, 1], N_TRUSTS, p=[0.4, 0.45, 0.15]),
    }


@pytest.mark.parametrize(
    "rule",
    [
        ImprovementProgramme(places=4, governance_failure=0.05),
        ImprovementProgramme(places=4, conditions=(0.9, 0.8, 0.95, 0.9, 0.7), low_capability=0.7, cost=2.25),
        ImprovementProgramme(places=3, patience=1, taskforce_years=1, governance_failure=0.2, delivery_effect=-0.25),
        ImprovementProgramme.predecessor().replace(places=6, patience=2, taskforce_years=0),
    ],
    ids=["few places", "quick progress", "quick escalation", "predecessor"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_twin(rule, seed):
    context = make_context(N_TRUSTS, n_years=N_YEARS, first_year="2025-26", seed=SEED, **random_panel(seed))
    framework, given = OversightFramework(finance_weight=0.4), figures(seed)
    expected, got = slow_twin(framework, rule, context, given), fast(framework, rule, context, given)
    for name in ("finance_score", "segment", "programme_status"):
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
    for name in ("average_score", "opening", "delivery", "central"):
        np.testing.assert_allclose(got[name], expected[name], atol=1e-5, err_msg=name)
    inside = (expected["programme_status"] > 0).sum(axis=2)
    assert inside.max() == max(rule.places, (np.nan_to_num(context.panel["segment"]) == 5).sum())
    assert len(np.unique(expected["programme_status"])) >= 4
