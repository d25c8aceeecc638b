"""The centre: actions that offset the provider position without belonging to a trust."""

from collections.abc import Iterator
from dataclasses import dataclass

from sector_risk.faults import Fault, InputError
from sector_risk.marginal import Marginal
from sector_risk.settings import Evidence, Settings, assumption


@dataclass(frozen=True)
class CentralAction(Settings):
    """One offset: amount = planned * delivery, GBP m."""

    name: str = ""
    planned: float = assumption(
        0.0,
        unit="GBP m",
        meaning="planned contribution to the whole NHS position",
        source="set by the user",
        confidence="U",
    )
    delivery: Marginal = assumption(
        Marginal.of("norm", loc=1.0, scale=0.25),
        unit="fraction of planned",
        meaning="share of the plan that is delivered",
        source="judgement",
        confidence="G",
    )

    def _relation_faults(self) -> Iterator[Fault]:
        if not self.name:
            remedy = "Name it, for example 'risk reserve'."
            yield Fault("assumptions", "an action needs a name", "", remedy, variable="centre.actions")


JOINT_PAPER = "joint paper of September 2018: wilmingtonhealthcare, HSJ 7023466"

IMPROVEMENT_TARGET = CentralAction(
    "provider improvement target",
    254.0,
    Marginal.of("beta", a=2.0, b=3.0),
    evidence=(
        ("planned", Evidence(JOINT_PAPER, "V")),
        (
            "delivery",
            Evidence("judgement: outturns were worse than plan in all five years, so under half is delivered", "G"),
        ),
    ),
)
COMMISSIONER_UNDERSPEND = CentralAction(
    "commissioner underspend",
    265.0,
    Marginal.of("gamma", a=1.8, scale=1.57 / 1.8),
    evidence=(
        ("planned", Evidence(JOINT_PAPER, "V")),
        (
            "delivery",
            Evidence(
                "five years' underspends without risk reserves, 250, 500, 103, 315, 916, have mean 417 and sd 310:"
                " HSJ 7018808, HFMA 18 Jul 2017, HFMA 5 Jun 2018, HSJ 7024322",
                "D",
            ),
        ),
    ),
)


@dataclass(frozen=True)
class Centre:
    """Central actions of the year; others (medicines, deferral of programmes, a risk reserve) are added by the user.

    Examples
    --------
    >>> reserve = CentralAction("risk reserve", 640.0, Marginal.of("norm", loc=1.0, scale=0.01))
    >>> [action.name for action in Centre((*Centre().actions, reserve)).actions]
    ['provider improvement target', 'commissioner underspend', 'risk reserve']
    """

    actions: tuple[CentralAction, ...] = (IMPROVEMENT_TARGET, COMMISSIONER_UNDERSPEND)

    def __post_init__(self) -> None:
        """Refuse two actions of one name: they would share one stream."""
        names = [action.name for action in self.actions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            remedy = "Give each action its own name."
            raise InputError(
                [Fault("assumptions", "a name occurs twice", n, remedy, variable="centre.actions") for n in twice]
            )
