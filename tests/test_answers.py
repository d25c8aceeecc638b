"""The five answers, word for word, of forecasts whose figures are known."""

import numpy as np
import pytest

import sector_risk as sr
from hand_made import hand_made
from sector_risk.answers import joined
from sector_risk.chances import mean_error_of_sector

QUESTIONS = (
    "How bad can it get?",
    "Whose risk is it?",
    "What drives it?",
    "What would fix it?",
    "How sure are you?",
)
ASSUMED = "32 of 52 values are judgement or weakly founded"
UNSEEN = (
    "Nothing of the year is seen yet. The ranges are of chance; doubt about the assumptions comes on top (drawn from a "
    "fit, it is in them)."
)


def answered(contribution, plan, drivers=("efficiency_recurrent", "one_off"), **more):
    """Answers of a forecast made by hand, by question: headline and detail."""
    forecast = hand_made(contribution, plan=plan, drivers=list(drivers), **more)
    position = forecast["position"]
    forecast = forecast.assign(
        gross_deficit=position.clip(max=0.0).sum("trust", dtype=float), deficit_count=(position < -0.005).sum("trust")
    )
    forecast.attrs = {
        "assumptions": sr.Assumptions().to_json(),
        "regime": sr.REGIMES["none"].to_json(),
        "filled": "{}",
        "sector_share": 0.1,
    }
    return {a.question: (a.headline, a.detail) for a in sr.five_answers(forecast)}


def spread(values, n=100):
    """Contributions of the first driver that differ evenly from draw to draw, one row a trust; none of the second."""
    steps = np.linspace(-1.0, 1.0, n)
    first = np.array([mean + width * steps for mean, width in values])
    return np.stack([first, np.zeros_like(first)])


def test_a_deficit_is_told_in_full():
    said = answered(spread([(-30.0, 10.0), (-4.0, 0.0), (6.0, 0.0)]), [-20.0, 0.0, 10.0])
    assert tuple(said) == QUESTIONS
    # positions: -50 +- 10, -4 and +16
    assert said[QUESTIONS[0]] == (
        "The sum of these trusts is expected to end the year with a deficit of £38m; one year in twenty ends with a "
        "deficit of £47m or worse, and those years average a deficit of £48m.",
        "Its chance of breakeven is <3%. Of 3 trusts 2.0 are expected in deficit; 2 or more with a chance of >97%.",
    )
    assert said[QUESTIONS[1]] == (
        "2 of 3 trusts are in deficit on average in the worst twentieth of years, −£64m in all.",
        "Trusts in surplus bring that to a deficit of £48m. By region most falls on North (−£48m).",
    )
    assert said[QUESTIONS[2]] == (
        "From a plan of −£10m, what weighs most is recurrent savings not made (−£28m).",
        "What tells bad years from good is recurrent savings: in its worst tenth of years the year end averages −£47m, "
        "in its best −£29m.",
    )
    assert said[QUESTIONS[3]] == (
        "£38m more at the year end would give an even chance of breakeven, £46m more nine chances in ten.",
        "Surpluses left out, the deficits of trusts come to £54m on average.",
    )
    error = 1.96 * np.std(10.0 * np.linspace(-1.0, 1.0, 100), ddof=1) / 10.0
    assert said[QUESTIONS[4]] == (
        f"100 draws leave the expected year end within ±£{error:.1f}m; the doubt is in what is assumed: {ASSUMED}.",
        UNSEEN,
    )


def test_a_surplus_has_no_risk_and_misses_nothing():
    said = answered(spread([(5.0, 2.0), (3.0, 1.0)]), [10.0, 10.0])
    assert said[QUESTIONS[0]][0].startswith(
        "The sum of these trusts is expected to end the year with a surplus of £28m"
    )
    assert said[QUESTIONS[0]][1].endswith("Of 2 trusts 0.0 are expected in deficit.")
    assert said[QUESTIONS[1]] == (
        "No trust is in deficit on average, even in the worst twentieth of years: together they end with a surplus of "
        "£25m.",
        "",
    )
    assert said[QUESTIONS[2]][0] == "From a plan of £20m, what helps most is recurrent savings beyond plan (£8m)."
    assert said[QUESTIONS[3]] == (
        "Nothing is missing: with £26m less, breakeven would still have nine chances in ten.",
        "",
    )


def test_between_an_even_chance_and_a_likely_one():
    said = answered(spread([(1.0, 10.0)]), [0.0])
    assert said[QUESTIONS[3]][0] == "An even chance of breakeven is there; for nine chances in ten £7m is missing."
    assert said[QUESTIONS[1]][0] == "One trust is in deficit on average in the worst twentieth of years, −£9m in all."


def test_ten_trusts_of_many():
    said = answered(spread([(-10.0, 1.0)] * 10 + [(-5.0, 0.0)] * 10 + [(20.0, 0.0)]), np.zeros(21))
    assert said[QUESTIONS[1]][0] == (
        "Ten trusts make 69% of the risk: −£110m of the −£160m that trusts in deficit average in the worst twentieth "
        "of years."
    )


def test_savings_that_would_replace_cover_are_said_to():
    contribution = spread([(-30.0, 5.0)])
    contribution[1] = 12.0
    said = answered(contribution, [0.0])
    assert said[QUESTIONS[2]][0] == (
        "From a plan of £0m, what weighs most is recurrent savings not made (−£30m); against it, one-off cover in year "
        "(£12m)."
    )
    assert said[QUESTIONS[3]][1].startswith(
        "Savings are not the same as money: £30m of recurrent ones are expected to go missing, but making them would "
        "first replace one-off measures (£12m)."
    )


def test_nothing_moves_and_nothing_is_told_apart():
    said = answered(np.zeros((2, 2, 50)), [-1.0, -2.0])
    assert said[QUESTIONS[2]] == ("From a plan of −£3m, nothing moves it.", "No effect tells bad years from good.")


def test_many_small_effects_name_the_largest():
    rows = np.full((12, 1, 50), -1.0)
    rows[7] = -1.5
    said = answered(rows, [0.0], drivers=["efficiency_recurrent", "one_off", *(f"own_{i}" for i in range(10))])
    assert said[QUESTIONS[2]][0] == "From a plan of £0m, what weighs most is own 5 (−£2m)."


def test_one_draw_has_no_range():
    said = answered(spread([(-30.0, 0.0), (4.0, 0.0)], n=1), [0.0, 0.0])
    assert said[QUESTIONS[0]] == (
        "The sum of these trusts ends the year with a deficit of £26m in this one draw; how far it may move takes more "
        "of them.",
        "Of 2 trusts 1.0 are in deficit.",
    )
    assert said[QUESTIONS[3]][0] == "In this one draw £26m is missing."
    assert said[QUESTIONS[4]][0] == f"One draw has no range. Of what is assumed, {ASSUMED}."


def test_sets_of_parameters_are_what_is_independent():
    forecast = hand_made(spread([(-30.0, 10.0)]), plan=[0.0])
    assert mean_error_of_sector(forecast) == pytest.approx(forecast["sector_position"].std(ddof=1).item() / 10.0)
    sets = forecast.assign_coords(parameter_set=("draw", np.repeat(np.arange(4), 25)))
    means = sets["sector_position"].values.reshape(4, 25).mean(axis=1)
    assert mean_error_of_sector(sets) == pytest.approx(means.std(ddof=1) / 2.0)


def test_the_bundled_case_speaks_of_the_sector_and_the_nhs():
    said = {
        a.question: f"{a.headline} {a.detail}" for a in sr.five_answers(sr.simulate(sr.load_case("england-2018-19")))
    }
    assert "The provider sector is expected to end the year with a deficit of £921m" in said[QUESTIONS[0]]
    assert "that of the whole NHS 12%" in said[QUESTIONS[0]]
    assert "The whole NHS needs £450m and £797m." in said[QUESTIONS[3]]


def test_gaps_that_were_filled_are_said_beside_the_answers():
    panel = sr.load_case("england-2018-19").drop_vars("efficiency_plan")
    with pytest.warns(sr.InputWarning, match="efficiency_plan"):
        forecast = sr.simulate(panel, n_draws=50)
    assert sr.five_answers(forecast)[4].detail.endswith(
        "The panel did not give all of efficiency plan: filled by rule."
    )


def test_lists_read_as_in_a_sentence():
    assert joined(["a", "b", "c"]) == "a, b and c"


def test_what_all_draws_rest_on_adds_to_the_error_where_months_were_seen():
    forecast = hand_made(spread([(-30.0, 10.0)]), plan=[0.0])
    sd = forecast["sector_position"].std(ddof=1).item()
    seen = forecast.assign(months_seen=("trust", [6]))
    assert mean_error_of_sector(seen) == pytest.approx(np.hypot(sd / 10.0, 0.06 * sd))
