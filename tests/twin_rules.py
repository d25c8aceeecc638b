"""The rules of docs/regimes.md once more, slowly: one draw, a list of numbers by trust, float64.

Written from the document alone and sharing no code with the library. A slow rule is made for one draw and lives
through its years; it acts on `now`, the year of the draw: opening O, planned support, plan P and efficiency plan
K, delivery, volatility, `c` (under control totals or not), then the years that trusts had, and positions. Settings
are read as attributes of the library's rule of the same name.

Wherever a rule asks whether one number passes another, it says by how much it does: `now.doubt` keeps the closest
call of the draw, as a multiple of what rounding can move.
"""

import math

from twin import (
    DEFICIT_BELOW,
    NOT_STATED,
    QUARTERS,
    chance_of_agreeing,
    gate,
    group,
    normal,
    support_paid,
    word,
)

NEAR_MONEY, NEAR_SCORE = 0.002, 1e-4  # what rounding may move over several years, GBP m and points of a score
EXACTLY_NOUGHT = 1e-9
PENNIES = 0.005  # half of what a figure of GBP 0.01m would round away

FIRST_ADDRESS = 0  # year in the address of what is drawn once for a trust and draw


class Doubt:
    """Closest call so far, in multiples of what rounding can move."""

    def __init__(self):
        self.closest = math.inf

    def money(self, amount, threshold):
        """What is nought by construction, such as the position of a trust on a plan for balance, is surely nought."""
        if not (abs(amount) < EXACTLY_NOUGHT and abs(threshold) >= PENNIES):
            self.closest = min(self.closest, abs(amount - threshold) / NEAR_MONEY)

    def score(self, score, threshold):
        self.closest = min(self.closest, abs(score - threshold) / NEAR_SCORE)

    def gate(self, year, q, threshold):
        """Of variance against a threshold: one that is nought is met while one-off cover meets the pressure."""
        m = 3 * q - 1
        if threshold == 0.0:
            self.money(year.pressure[m], year.available[m])
        else:
            self.money(year.variance[m], threshold)


def in_force(table, label):
    """Value of a table by year: it holds from each year named until the next one named."""
    named = [year for year in sorted(table) if year <= label]
    return table[named[-1]] if named else 0.0


def years_since(label, first_year):
    return int(label[:4]) - int(first_year[:4])


def happens(world, stream, t, d, probability, k=0, y=FIRST_ADDRESS):
    return word(world.seed, stream, d, world.trust[t], k, y) < 2**32 * probability


def given(world, name, t):
    """Panel's number of an optional variable, or NaN."""
    return float(getattr(world, name)[t]) if hasattr(world, name) else math.nan


def given_or(world, name, t, default):
    return default if math.isnan(given(world, name, t)) else given(world, name, t)


def members(world, t):
    """Trusts of a trust's system; a trust whose system is not stated is a system of its own."""
    if world.system[t] == NOT_STATED:
        return [t]
    return [j for j in world.trusts if world.system[j] == world.system[t]]


def variance_at(now, t, q):
    """v_q, the year-to-date variance before support at the end of quarter q."""
    return now.years[t].variance[3 * q - 1]


def system_variance(now, t, q):
    return sum(variance_at(now, j, q) for j in members(now.world, t))


def doubt_system_gate(now, t, q, threshold):
    if system_variance(now, t, q) == threshold == 0.0:  # every trust is exactly on plan
        for j in members(now.world, t):
            now.doubt.gate(now.years[j], q, 0.0)
    else:
        now.doubt.money(system_variance(now, t, q), threshold)


def before_support(now, t):
    return now.P[t] + variance_at(now, t, 4)


def scaled_to(pot, amounts):
    """Amounts, scaled down alike if their sum passes the pot."""
    total = sum(amounts)
    return [a * pot / total for a in amounts] if total > pot else list(amounts)


def earned_by_quarter(met, weights):
    """Share of a year's money that is earned, with catch-up: a met gate also earns what was missed since the last."""
    missed, share = 0.0, 0.0
    for q in QUARTERS:
        w = weights[q - 1]
        if met[q - 1]:
            share += w + missed
            missed = 0.0
        else:
            missed += w
    return share


def worst(candidates, key, places):
    """First `places` of the candidates from the lowest key up; of equals the one earlier in the panel."""
    return sorted(candidates, key=lambda t: (key(t), t))[: max(places, 0)]


def edge(candidates, key, places):
    """Keys of the last one chosen and of the first one left out, if there are both."""
    keys = sorted(key(t) for t in candidates)
    return (keys[places - 1], keys[places]) if 0 < places < len(keys) else None


class SlowRule:
    """One rule in one draw."""

    pays = False

    def __init__(self, rule, world, d):
        self.rule, self.world, self.d = rule, world, d
        self.trusts = world.trusts
        self.begin()

    def begin(self):
        """Set up what is kept from year to year."""

    def before_plan(self, now):
        """Change the opening, planned support, delivery, volatility."""

    def before_year(self, now):
        """Change what was planned."""

    def after_year(self, now):
        """Pay, and change debts and status."""

    def pay(self, now, amounts):
        now.paid[self.rule.name] = list(amounts)
        for t in self.trusts:
            now.position[t] += amounts[t]


class SustainabilityFunding(SlowRule):
    pays = True

    def share(self, now):
        """Share of the panel's allocations that is in the fund."""
        if not len(self.rule.schedule):
            return 1.0
        return in_force(self.rule.schedule, now.label) / (in_force(self.rule.schedule, self.world.year) or 1.0)

    def before_plan(self, now):
        allocation = self.world.support_allocation
        into_prices = self.rule.into_prices.get(now.label, 0.0)
        for t in self.trusts:
            if now.y > 0 and sum(allocation) > 0.0:
                now.O[t] += into_prices * allocation[t] / sum(allocation)
            chance = chance_of_agreeing(self.world, self.rule, t)
            now.planned_support[t] += allocation[t] * self.share(now) * chance * now.c[t]

    def after_year(self, now):
        share = self.share(now)
        paid, agreed, _ = support_paid(self.world, self.rule, self.d, now.years, now.y, share, now.c)
        if share > 0.0:
            self.note_doubts(now, agreed)
        self.pay(now, paid)

    def note_doubts(self, now, agreed):
        for t in self.trusts:
            for q in QUARTERS:
                if agreed[t]:
                    now.doubt.gate(now.years[t], q, gate(self.world, t, q, now.y))


class FinancialRecoveryFund(SlowRule):
    pays = True

    def before_year(self, now):
        self.allocation = [0.0 for _ in self.trusts]
        pot = in_force(self.rule.pots, now.label)
        if pot > 0.0:
            asked = [self.asked(now, t) for t in self.trusts]
            self.allocation = self.smallest_first(now, pot, asked)
        for t in self.trusts:
            now.planned_support[t] += self.allocation[t]

    def asked(self, now, t):
        """Gap that the fund is to close, once the trust has planned more savings; nought where it is not open."""
        rule, T = self.rule, now.T[t]
        d = -(now.P[t] + now.planned_support[t])
        now.doubt.money(d, rule.risk_threshold * T)
        if not (d > rule.risk_threshold * T and now.c[t]):
            return 0.0
        if now.y > 0:
            now.K[t] += rule.extra_efficiency * T
            now.P[t] += rule.extra_efficiency * T
            d -= rule.extra_efficiency * T
        least = (rule.tariff_efficiency + rule.extra_efficiency) * T
        now.doubt.money(now.K[t], least)
        agreed = happens(self.world, "recovery_plan", t, self.d, rule.agreement, y=now.y)
        return max(d, 0.0) if agreed and now.K[t] >= least else 0.0

    def smallest_first(self, now, pot, gaps):
        """Gaps in full from the smallest up while all of one size fit; the others share what is left by their gaps."""
        total, in_full = 0.0, []
        for gap in sorted({gap for gap in gaps if gap > 0.0}):
            of_this_size = sum(g for g in gaps if g == gap)
            now.doubt.money(total + of_this_size, pot)
            if total + of_this_size > pot:
                break
            total += of_this_size
            in_full.append(gap)
        others = [gap for gap in gaps if gap > 0.0 and gap not in in_full]
        if others and in_full:
            now.doubt.money(min(others), in_full[-1])
        share = (pot - total) / sum(others) if others else 0.0
        return [gap if gap in in_full else gap * share for gap in gaps]

    def after_year(self, now):
        self.pay(now, [self.earned(now, t) for t in self.trusts])
        self.leave_control_totals(now)
        now.reported["left_control_totals"] = [float(not c) for c in now.c_next]

    def earned(self, now, t):
        a, weights = self.allocation[t], self.rule.weights
        if a == 0.0:
            return 0.0
        by_system = in_force(self.rule.system_share, now.label)
        own = [variance_at(now, t, q) >= 0.0 for q in QUARTERS]
        system = [system_variance(now, t, q) >= 0.0 for q in QUARTERS]
        for q in QUARTERS:
            now.doubt.gate(now.years[t], q, 0.0)
            if by_system > 0.0:
                doubt_system_gate(now, t, q, 0.0)
        return a * (
            (1.0 - by_system) * earned_by_quarter(own, weights) + by_system * earned_by_quarter(system, weights)
        )

    def leave_control_totals(self, now):
        first = self.rule.ends_control_totals
        if not first or now.label < first:
            return
        for t in self.trusts:
            if now.c[t]:
                now.doubt.gate(now.years[t], 4, 0.0)
                now.doubt.money(before_support(now, t), DEFICIT_BELOW)
            if variance_at(now, t, 4) >= 0.0 and before_support(now, t) >= DEFICIT_BELOW:
                now.c_next[t] = False


class AcceleratedTurnaround(SlowRule):
    def begin(self):
        self.chosen = [False for _ in self.trusts]  # at the end of last year
        self.inside = [False for _ in self.trusts]  # in the year that runs

    def before_plan(self, now):
        rule, before = self.rule, self.inside
        self.inside = list(self.chosen)
        for t in self.trusts:
            now.O[t] += rule.cost * before[t] - rule.cost * self.inside[t]
            if self.inside[t]:
                tau = 1.0 if before[t] else 1.0 - rule.months_to_work / 12.0
                now.delivery[t] *= 1.0 + rule.delivery_effect * tau

    def after_year(self, now):
        self.chosen = [False for _ in self.trusts]
        if years_since(now.label, self.rule.first_year) >= -1:
            self.choose(now)
        now.reported["turnaround_chosen"] = [float(flag) for flag in self.chosen]
        now.reported["turnaround_position"] = sum(now.position[t] for t in self.trusts if self.chosen[t])

    def choose(self, now):
        in_deficit = [t for t in self.trusts if now.position[t] < DEFICIT_BELOW]
        for t in self.trusts:
            now.doubt.money(now.position[t], DEFICIT_BELOW)
        for t in worst(in_deficit, lambda t: now.position[t], self.rule.trusts):
            self.chosen[t] = True
        at_edge = edge(in_deficit, lambda t: now.position[t], self.rule.trusts)
        if at_edge:
            now.doubt.money(*at_edge)


class DistressLoans(SlowRule):
    def begin(self):
        self.L = [given_or(self.world, "debt", t, 0.0) for t in self.trusts]
        rate = [given_or(self.world, "loan_rate", t, self.rule.standard_rate) for t in self.trusts]
        self.I = [L * i for L, i in zip(self.L, rate, strict=True)]
        self.I_before = list(self.I)

    def before_plan(self, now):
        for t in self.trusts:
            if now.y > 0:
                now.O[t] -= self.I[t] - self.I_before[t]

    def after_year(self, now):
        now.reported["interest"] = list(self.I)
        self.I_before = list(self.I)
        for t in self.trusts:
            self.borrow(now, t)
        now.reported["debt"] = list(self.L)

    def borrow(self, now, t):
        p, L = now.position[t], self.L[t]
        n = max(-p, 0.0)
        r = min(L, self.rule.repayment * max(p, 0.0))
        repaid = r / L if L > 0.0 else 0.0
        self.I[t] = self.I[t] * (1.0 - repaid) + self.rate(now, t) * n
        self.L[t] = L - r + n

    def rate(self, now, t):
        rule, p, distressed = self.rule, now.position[t], -self.rule.distressed_below * now.T[t]
        if p < 0.0:
            now.doubt.money(p, distressed)
            now.doubt.gate(now.years[t], 4, 0.0)
        if p < distressed:
            return rule.distressed_rate
        return rule.reward_rate if variance_at(now, t, 4) >= 0.0 else rule.standard_rate


class DeficitSupport(SlowRule):
    pays = True

    def begin(self):
        given = [given_or(self.world, "support_allocation", t, 0.0) for t in self.trusts]
        offered = [max(-P, 0.0) for P in self.world.plan]
        if any(a > 0.0 for a in given):
            offered = [min(a, deficit) for a, deficit in zip(given, offered, strict=True)]
        self.base = scaled_to(self.rule.pot, offered)

    def before_plan(self, now):
        tapers = now.y > 0 and len(self.rule.taper) > 0
        factor = in_force(self.rule.taper, now.label) if tapers else 1.0
        self.allocation = [a * factor for a in self.base]
        for t in self.trusts:
            now.planned_support[t] += self.allocation[t]

    def after_year(self, now):
        self.pay(now, [sum(self.paid_in(now, t, q) for q in QUARTERS) for t in self.trusts])

    def paid_in(self, now, t, q):
        in_full = self.allocation[t] * self.rule.weights[q - 1]
        if self.allocation[t] == 0.0 or q < self.rule.first_review:
            return in_full
        threshold = -self.rule.tolerance * sum(now.T[j] for j in members(self.world, t)) * q / 4.0
        doubt_system_gate(now, t, q, threshold)
        off_plan = system_variance(now, t, q) < threshold
        return 0.0 if off_plan else in_full


# Finance score by the score of the plan (down) and of the variance (across).
TOGETHER = ((1, 1, 2, 3), (2, 2, 3, 3), (2, 3, 3, 4), (2, 3, 4, 4))
PLAN_AT_LEAST = (0.0, -1.0, -2.0)  # per cent of turnover
VARIANCE_AT_LEAST = (0.0, -0.5, -1.0)


class OversightFramework(SlowRule):
    def after_year(self, now):
        finance = [self.finance_score(now, t) for t in self.trusts]
        average = [self.average_score(finance[t], t) for t in self.trusts]
        now.reported["finance_score"] = [float(f) for f in finance]
        now.reported["average_score"] = average
        now.reported["segment"] = [self.segment(now, average[t], t) for t in self.trusts]

    def finance_score(self, now, t):
        """From plan before support, and variance including support."""
        variance = now.position[t] - now.P[t] - now.planned_support[t]
        by_plan = self.score(now, now.P[t], PLAN_AT_LEAST, now.T[t])
        by_variance = self.score(now, variance, VARIANCE_AT_LEAST, now.T[t])
        return TOGETHER[by_plan - 1][by_variance - 1]

    def score(self, now, amount, thresholds, T):
        """1 to 4; amounts within GBP 5,000 of a threshold count as on its favourable side."""
        lowest = [percent / 100.0 * T - PENNIES for percent in thresholds]
        for threshold in lowest:
            now.doubt.money(amount, threshold)
        return 1 + sum(amount < threshold for threshold in lowest)

    def average_score(self, finance, t):
        rule = self.rule
        mean, sd = rule.other_mean, rule.other_sd
        segment = given(self.world, "segment", t)
        if not math.isnan(segment):
            mean, sd = rule.segment_means[round(segment) - 1], rule.other_sd * rule.segment_sd_share
        z = normal(self.world.seed, "oversight_other", self.d, self.world.trust[t], 0, FIRST_ADDRESS)
        other = mean + sd * z
        return rule.finance_weight * finance + (1.0 - rule.finance_weight) * other

    def segment(self, now, average, t):
        for cut in self.rule.cut_points:
            now.doubt.score(average, cut)
        unadjusted = 1 + sum(average >= cut for cut in self.rule.cut_points)
        received = now.paid.get("deficit_support", [0.0 for _ in self.trusts])[t]
        if not received > 0.0:
            now.doubt.money(now.P[t], DEFICIT_BELOW)
            now.doubt.money(now.position[t], DEFICIT_BELOW)
        overridden = now.P[t] < DEFICIT_BELOW or now.position[t] < DEFICIT_BELOW or received > 0.0
        return float(max(unadjusted, 3) if overridden else unadjusted)


OUTSIDE, DIAGNOSTIC, IN_PROGRAMME, TASKFORCE, ADMINISTRATION = range(5)
CONDITIONS = range(5)
LEVEL_OF_PROGRAMME = 5  # a panel's segment


class ImprovementProgramme(SlowRule):
    def begin(self):
        started = [given(self.world, "segment", t) == LEVEL_OF_PROGRAMME for t in self.trusts]
        self.status = [IN_PROGRAMME if inside else OUTSIDE for inside in started]
        self.met = [[False for _ in CONDITIONS] for _ in self.trusts]
        self.years_inside = [0 for _ in self.trusts]
        self.cost_before = [self.cost(t) for t in self.trusts]

    def cost(self, t):
        return self.rule.cost if self.status[t] != OUTSIDE else 0.0

    def before_plan(self, now):
        costs = [self.cost(t) for t in self.trusts]
        if self.rule.paid_by == "centre":
            now.central_effect -= sum(costs)
        for t in self.trusts:
            if self.rule.paid_by == "trust":
                now.O[t] -= costs[t] - self.cost_before[t]
            if self.status[t] >= IN_PROGRAMME:
                now.delivery[t] *= 1.0 + self.rule.delivery_effect
        self.cost_before = costs

    def after_year(self, now):
        for t in self.trusts:
            if self.status[t] != OUTSIDE:
                self.progress(now, t)
        self.enter(now)
        now.reported["programme_status"] = [float(status) for status in self.status]

    def progress(self, now, t):
        rule = self.rule
        if self.status[t] != DIAGNOSTIC:
            for k in CONDITIONS:
                now_met = happens(self.world, "programme_conditions", t, self.d, rule.conditions[k], k, now.y)
                self.met[t][k] = self.met[t][k] or now_met
        self.years_inside[t] += 1
        if self.status[t] == ADMINISTRATION:
            self.met[t] = [True for _ in CONDITIONS]
        if all(self.met[t]):
            self.status[t] = OUTSIDE
        elif self.years_inside[t] >= rule.patience + rule.taskforce_years:
            self.status[t] = ADMINISTRATION
        else:
            self.status[t] = TASKFORCE if self.years_inside[t] >= rule.patience else IN_PROGRAMME

    def enter(self, now):
        average = now.reported["average_score"]
        failed = [self.governance_fails(now, t) for t in self.trusts]
        by_segment = [self.segment_road(now, t) for t in self.trusts]
        outside = [t for t in self.trusts if self.status[t] == OUTSIDE]
        candidates = [t for t in outside if failed[t] or by_segment[t]]
        places = self.rule.places - (len(self.trusts) - len(outside))

        def order(t):
            return (not failed[t], -average[t])

        for t in worst(candidates, order, places):
            self.status[t], self.years_inside[t] = DIAGNOSTIC, 0
            self.met[t] = [False for _ in CONDITIONS]
        at_edge = edge(candidates, order, places)
        if at_edge and at_edge[0][0] == at_edge[1][0]:
            now.doubt.score(at_edge[0][1], at_edge[1][1])

    def governance_fails(self, now, t):
        """Flagged by the panel in its own year, or drawn in any."""
        flagged = now.y == 0 and given_or(self.world, "governance_failure", t, 0.0) > 0.5
        drawn = happens(self.world, "governance", t, self.d, self.rule.governance_failure, y=now.y)
        return flagged or drawn

    def segment_road(self, now, t):
        in_segment = now.reported["segment"][t] == 4.0 and not all(self.met[t])
        return in_segment and (self.rule.entry == "segment" or self.has_low_capability(t))

    def has_low_capability(self, t):
        rating = given(self.world, "capability", t)
        if math.isnan(rating):
            return happens(self.world, "capability", t, self.d, self.rule.low_capability)
        return rating > 3.5


class QuarterOneReview(SlowRule):
    def after_year(self, now):
        reviewed = [False for _ in self.trusts]
        for region in sorted(set(self.world.region)):
            for t in self.called(now, region):
                reviewed[t] = True
        now.reported["reviewed"] = [float(flag) for flag in reviewed]
        now.reported["reset_plan"] = [
            now.P[t] + (self.rule.recognised * 4.0 * variance_at(now, t, 1) if reviewed[t] else 0.0)
            for t in self.trusts
        ]

    def called(self, now, region):
        below = []
        for t in (t for t in self.trusts if self.world.region[t] == region):
            threshold = -self.rule.threshold * now.T[t]
            now.doubt.gate(now.years[t], 1, threshold)
            if variance_at(now, t, 1) < threshold:
                below.append(t)

        def share(t):
            return variance_at(now, t, 1) / now.T[t]

        at_edge = edge(below, share, self.rule.per_region)
        if at_edge:
            smallest = min(now.T[t] for t in below)
            now.doubt.money(at_edge[0] * smallest, at_edge[1] * smallest)
        return worst(below, share, self.rule.per_region)


class AdministrativeSavings(SlowRule):
    def begin(self):
        self.delivered = 0.0  # sum of delta over the years so far

    def before_plan(self, now):
        rule = self.rule
        k = years_since(now.label, rule.first_year) + 1
        if 1 <= k <= rule.years:
            F = normal(self.world.seed, "administrative_savings", self.d, group("sector"), 0, now.y)
            delta = max(rule.delivery + rule.delivery_sd * F, 0.0)
            self.delivered += delta
            for t in self.trusts:
                now.O[t] += rule.providers / rule.years * delta * now.T[t] / sum(now.T)

    def after_year(self, now):
        central = self.rule.commissioners / self.rule.years * self.delivered
        now.central_effect += central
        now.reported["administrative_savings_central"] = central


class PaymentReform(SlowRule):
    def begin(self):
        T = self.world.turnover
        self.transfer = [m + e for m, e in zip(self.market_forces(T), self.inequality(T), strict=True)]
        self.phi_before = 0.0

    def market_forces(self, T):
        change = [given_or(self.world, "mff_change", t, 0.0) for t in self.trusts]
        mean = sum(T[t] * change[t] for t in self.trusts) / sum(T)
        return [T[t] * (change[t] - mean) for t in self.trusts]

    def inequality(self, T):
        index = [given(self.world, "inequality_index", t) for t in self.trusts]
        known = [t for t in self.trusts if not math.isnan(index[t])]
        if not known:
            return [0.0 for _ in self.trusts]
        mean = sum(T[t] * index[t] for t in known) / sum(T[t] for t in known)
        index = [mean if math.isnan(x) else x for x in index]
        w = [max(x - mean, 0.0) for x in index]
        total = sum(T[t] * w[t] for t in self.trusts)
        if total == 0.0:
            return [0.0 for _ in self.trusts]
        return [self.rule.inequality_pot * (T[t] * w[t] / total - T[t] / sum(T)) for t in self.trusts]

    def phi(self, label):
        """Share of the reform reached."""
        k = years_since(label, self.rule.first_year) + 1
        return min(max(k, 0), self.rule.years) / self.rule.years

    def before_plan(self, now):
        phi = self.phi(now.label)
        for t in self.trusts:
            if now.y > 0:
                now.O[t] += (phi - self.phi_before) * self.transfer[t]
            now.volatility[t] *= self.calmer(t, phi)
        self.phi_before = phi

    def calmer(self, t, phi):
        s = given_or(self.world, "activity_income_share", t, self.rule.activity_share)
        kept = 1.0 - self.rule.population_share * phi
        return math.sqrt(1.0 - self.rule.activity_part * s * (1.0 - kept**2))


SLOW_RULES = {
    "sustainability_funding": SustainabilityFunding,
    "financial_recovery_fund": FinancialRecoveryFund,
    "accelerated_turnaround": AcceleratedTurnaround,
    "distress_loans": DistressLoans,
    "deficit_support": DeficitSupport,
    "oversight_framework": OversightFramework,
    "improvement_programme": ImprovementProgramme,
    "quarter_one_review": QuarterOneReview,
    "administrative_savings": AdministrativeSavings,
    "payment_reform": PaymentReform,
}


def slow_rules(regime, world, d):
    """The regime's rules in their order, new for one draw."""
    return [SLOW_RULES[rule.name](rule, world, d) for rule in regime.rules]
