"""Goals: what it would take for a unit to break even.

``switching`` says how much money would do it, and needs no further simulation; ``levers`` says what else can be moved,
and ``seek`` looks for the value of a lever that does it.
"""

from sector_risk.goals.levers import LEVERS, Lever
from sector_risk.goals.seek import goal_seek
from sector_risk.goals.switching import switching_value

__all__ = ["LEVERS", "Lever", "goal_seek", "switching_value"]
