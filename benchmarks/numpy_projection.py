"""The same years in vectorised NumPy: the fold of `project` under the six rules of the regime 2019-20.

The pressures of a year are those of `numpy_model`; the rules are written once more, from the same prepared settings.
A block of draws runs through all years before the next one. `run` takes it tuned (single precision, blocks of 500) and
as usually written (double precision, all draws at once). Systems are added up with `np.add.reduceat`: a matrix product
would be quicker on a quiet machine, but its threads and other work get in each other's way.
"""

from dataclasses import dataclass, field

import numpy as np

import numpy_model
from numpy_model import F32
from sector_risk.kernels.pressure import Plans
from sector_risk.kernels.reduce import BALANCE
from sector_risk.regimes.administration import CENTRAL
from sector_risk.regimes.payment import phi, phi_step
from sector_risk.regimes.recovery import ALLOCATION

SMALLEST = np.finfo(F32).tiny


@dataclass
class Now:
    """A block of draws on its way through the years (T trusts, B draws)."""

    rng: np.random.Generator
    shape: tuple[int, int]
    dtype: type
    control_total: np.ndarray  # (T, B) whether the trust is under control totals
    state: dict[str, np.ndarray]  # what rules remember, nought before the first year
    year: int = 0
    label: str = ""
    turnover: np.ndarray = None  # (T,) GBP m
    opening: np.ndarray = None  # (T, B) as those that follow unless said
    planned_support: np.ndarray = None
    plan: np.ndarray = None
    efficiency_plan: np.ndarray = None
    delivery: np.ndarray = None
    volatility: np.ndarray = None  # (T,)
    made: numpy_model.Outcome = None
    position: np.ndarray = None
    central: np.ndarray = None  # (B,)
    paid: dict[str, np.ndarray] = field(default_factory=dict)

    def pay(self, name, paid):
        self.paid[name] = paid
        self.position += paid

    def normals(self, *shape):
        return self.rng.standard_normal(shape, dtype=self.dtype)


# Before the plan


def count_on_fund(rule, now):
    fund, into_prices = rule.funds[now.year], rule.into_prices[now.year]
    if now.year and into_prices.any():
        now.opening += into_prices[:, None]
    if fund.allocation.any():
        now.planned_support += (fund.allocation * fund.agreed)[:, None] * now.control_total


def save_on_administration(rule, now):
    rise = phi_step(now.label, rule.rule.first_year, rule.rule.years)
    if rise > 0:
        delivered = rise * np.maximum(rule.rule.delivery + rule.rule.delivery_sd * now.normals(now.shape[1]), 0)
        share = (now.turnover / now.turnover.sum()).astype(now.dtype)
        now.opening += np.outer(share, rule.rule.providers * delivered)
        now.state[CENTRAL] += rule.rule.commissioners * delivered


def move_money(rule, now):
    now.opening += (phi_step(now.label, rule.rule.first_year, rule.rule.years) * rule.moved).astype(F32)[:, None]


def bear_turnaround_cost(rule, now):
    now.opening -= rule.cost * now.state["turnaround_chosen"]
    now.opening += rule.cost * now.state["turnaround_before"]


def bear_interest(rule, now):
    now.opening -= now.state["interest_due"] - now.state["interest"]


# Before the year


def offer_recovery(rule, now):
    fund, k = rule.conditions[now.year], now.efficiency_plan
    if not fund.pot:
        return
    gap = -(now.plan + now.planned_support)
    signals = now.control_total & (gap > fund.risk[:, None])
    if fund.extra.any():
        more = fund.extra[:, None] * signals
        k += more
        now.plan += more
        gap -= more
    agreed = now.rng.random(now.shape, dtype=now.dtype) < fund.agreement
    claim = np.maximum(gap, 0, out=gap)
    claim *= signals & agreed & (k >= fund.needed[:, None])
    now.state[ALLOCATION] = allocation = share_out(claim, fund.pot)
    now.planned_support += allocation


def share_out(gaps, pot):
    """Pay the smallest gaps in full while their running total is within the pot; the others share what is left."""
    ordered = np.sort(gaps, axis=0)
    running = np.cumsum(ordered, axis=0, dtype=float)
    limit = np.where(running > pot, ordered, np.inf).min(axis=0)
    paid_in_full = gaps < limit
    spent = (gaps * paid_in_full).sum(axis=0, dtype=float)
    rate = (pot - spent) / np.maximum(running[-1] - spent, numpy_model.TINY)
    return np.where(paid_in_full, gaps, rate.astype(gaps.dtype) * gaps)


def damp_shocks(rule, now):
    left = (1 - rule.rule.population_share * phi(now.label, rule.rule.first_year, rule.rule.years)) ** 2
    now.volatility *= np.sqrt(1 - rule.activity_part * (1 - left)).astype(F32)


def deliver_more(rule, now):
    factor = np.where(now.state["turnaround_before"], rule.delivery_if_settled, rule.delivery_if_new)
    np.multiply(now.delivery, factor, out=now.delivery, where=now.state["turnaround_chosen"])


# After the year


def pay_sustainability(rule, now):
    fund = rule.funds[now.year]
    if fund.allocation.any():
        now.pay("sustainability_funding", numpy_model.support(fund, now.control_total, now.made.quarters, now.rng))


def earned_share(variance, cumulative):
    """Share of the year that rows (4, R, B) earn: the quarters up to the last one at or above nought."""
    share = np.zeros_like(variance[0])
    for q in range(4):
        np.copyto(share, cumulative[q], where=variance[q] >= 0)
    return share


def by_system(rows, system):
    """Sums of trusts' rows (4, T, B) by system, (4, S, B)."""
    order = np.argsort(system, kind="stable")
    starts = np.searchsorted(system[order], np.arange(system.max() + 1))
    return np.add.reduceat(rows[:, order], starts, axis=1)


def recovery_earned(rule, variance, label):
    """Share of its allocation that each trust earns on its own variance and on its system's."""
    cumulative, part = rule.rule.cumulative_weights(), F32(rule.rule.system_share.at(label))
    share = earned_share(variance, cumulative)
    if part:
        share *= 1 - part
        share += part * earned_share(by_system(variance, rule.system), cumulative)[rule.system]
    return share


def pay_recovery(rule, now):
    variance = now.made.quarters
    if rule.conditions[now.year].pot:
        earned = recovery_earned(rule, variance, now.label)
        now.pay("financial_recovery_fund", now.state[ALLOCATION] * earned)
    if rule.rule.may_leave(now.label):
        now.control_total &= ~((variance[3] >= 0) & (now.made.before >= -BALANCE))
        now.state["left_control_totals"] = ~now.control_total


def give_centre_savings(rule, now):
    now.central += now.state[CENTRAL]


def choose_worst(rule, now):
    key = np.where(now.position < -BALANCE, now.position, np.inf)
    worst = np.argpartition(key, rule.places - 1, axis=0)[: rule.places]
    chosen = np.zeros(now.shape, bool)
    np.put_along_axis(chosen, worst, True, axis=0)
    chosen &= np.isfinite(key)
    now.state["turnaround_before"], now.state["turnaround_chosen"] = now.state["turnaround_chosen"], chosen
    now.state["turnaround_position"] = (now.position * chosen).sum(axis=0, dtype=float)


def finance(rule, now):
    terms, state, position = rule.terms, now.state, now.position
    if now.year == 0:
        state["debt"] = np.repeat(rule.first_debt.astype(now.dtype)[:, None], now.shape[1], axis=1)
        state["interest_due"] = np.repeat(rule.first_bill.astype(now.dtype)[:, None], now.shape[1], axis=1)
    distress = (-rule.distressed_below * now.turnover).astype(F32)[:, None]
    on_plan = np.where(now.made.quarters[3] >= 0, terms.reward, terms.standard)
    bill = np.where(position < distress, terms.distressed, on_plan) * np.maximum(-position, 0)
    kept = state["debt"] - np.minimum(state["debt"], terms.repayment * np.maximum(position, 0))
    bill += state["interest_due"] * (kept / np.maximum(state["debt"], SMALLEST))
    state["interest"], state["interest_due"] = state["interest_due"], bill
    state["debt"] = kept + np.maximum(-position, 0)


BEFORE_PLAN = {
    "sustainability_funding": count_on_fund,
    "administrative_savings": save_on_administration,
    "payment_reform": move_money,
    "accelerated_turnaround": bear_turnaround_cost,
    "distress_loans": bear_interest,
}
BEFORE_YEAR = {
    "financial_recovery_fund": offer_recovery,
    "payment_reform": damp_shocks,
    "accelerated_turnaround": deliver_more,
}
AFTER_YEAR = {
    "sustainability_funding": pay_sustainability,
    "financial_recovery_fund": pay_recovery,
    "administrative_savings": give_centre_savings,
    "accelerated_turnaround": choose_worst,
    "distress_loans": finance,
}


def act(moment, run, now):
    """Let the rules act, in the regime's order, that do anything at a moment of the year."""
    for rule, prepared in run.acting_in(now.label):
        if rule.name in moment:
            moment[rule.name](prepared, now)


# The fold


def start(run, n, rng, dtype):
    """A block before its first year."""
    shape = len(run.prepared.codes), n
    by_trust = {"debt": dtype, "interest": dtype, "interest_due": dtype, ALLOCATION: dtype}
    by_trust |= dict.fromkeys(("left_control_totals", "turnaround_chosen", "turnaround_before"), bool)
    state = {name: np.zeros(shape, kind) for name, kind in by_trust.items()}
    state |= {name: np.zeros(n, dtype) for name in (CENTRAL, "turnaround_position")}
    return Now(rng, shape, dtype, np.ones(shape, bool), state)


def open_year(prepared, now, y):
    """Open a year from the underlying position of the last one."""
    now.year, now.label, now.turnover = y, prepared.context.years[y], prepared.context.turnover[y]
    now.planned_support, now.opening = np.zeros(now.shape, now.dtype), np.zeros(now.shape, now.dtype)
    now.delivery, now.volatility = np.ones(now.shape, now.dtype), np.ones(now.shape[0], F32)
    now.central, now.paid = np.zeros(now.shape[1]), {}
    if y:
        grown = prepared.years[y].growth
        now.opening = now.normals(*now.shape)
        now.opening *= grown.own_scale[:, None]
        now.opening += grown.sector_scale[:, None] * now.normals(now.shape[1])
        now.opening += now.made.underlying
        now.opening += grown.growth[:, None]


def make_plans(prepared, now):
    """Plans of the first year are the panel's; later ones bring trusts to balance after support, within limits."""
    if now.year == 0:
        now.plan = np.repeat(prepared.plan.astype(now.dtype)[:, None], now.shape[1], axis=1)
        now.efficiency_plan = np.repeat(prepared.efficiency_plan.astype(now.dtype)[:, None], now.shape[1], axis=1)
        return
    other, least, most = (limit[:, None] for limit in prepared.years[now.year].planning)
    now.plan = now.opening + other
    now.efficiency_plan = np.clip(-now.plan - now.planned_support, least, most)
    now.plan += now.efficiency_plan


def run_year(run, now, y):
    """Take a block through one year."""
    prepared = run.prepared
    open_year(prepared, now, y)
    act(BEFORE_PLAN, run, now)
    make_plans(prepared, now)
    act(BEFORE_YEAR, run, now)
    plans = Plans(now.plan, now.efficiency_plan, now.delivery)
    trusts = prepared.years[y].trusts
    how = now.volatility, now.rng, now.shape[1], now.dtype
    now.made = numpy_model.year(prepared, trusts, plans, *how, by_month=False)
    now.position = now.made.before.copy()
    act(AFTER_YEAR, run, now)


def run(run, n_draws, seed=0, block=500, dtype=F32):
    """Return the same arrays as the fast path does for a run of any years and any of the six rules."""
    rng, out = np.random.default_rng(seed), numpy_model.room(run, n_draws, dtype)
    for first in range(0, n_draws, block):
        draws = slice(first, min(first + block, n_draws))
        now = start(run, draws.stop - first, rng, dtype)
        for y in range(len(run.prepared.years)):
            run_year(run, now, y)
            numpy_model.keep(out, y, draws, now.made, [now.paid.get(name, 0) for name in run.funds], now.position)
            out.driver_total[y, :, draws] = now.made.contribution.sum(axis=1, dtype=float)
            out.central[y, draws] = now.central
            for name, kept in out.state.items():
                kept[y, ..., draws] = now.state[name]
    return out
