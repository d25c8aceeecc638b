"""Regimes: named, ordered lists of the funding and turnaround rules of the day."""

from sector_risk.regimes.administration import AdministrativeSavings
from sector_risk.regimes.deficit_support import DeficitSupport
from sector_risk.regimes.loans import DistressLoans
from sector_risk.regimes.oversight import OversightFramework
from sector_risk.regimes.payment import PaymentReform
from sector_risk.regimes.programme import ImprovementProgramme
from sector_risk.regimes.recovery import FinancialRecoveryFund
from sector_risk.regimes.regime import BUNDLED, REGIMES, Regime, horizon_faults, regime_for, register
from sector_risk.regimes.review import QuarterOneReview
from sector_risk.regimes.rule import Block, Context, Panel, PreparedRule, Rule
from sector_risk.regimes.sustainability import SustainabilityFunding
from sector_risk.regimes.turnaround import AcceleratedTurnaround

__all__ = [
    "BUNDLED",
    "REGIMES",
    "AcceleratedTurnaround",
    "AdministrativeSavings",
    "Block",
    "Context",
    "DeficitSupport",
    "DistressLoans",
    "FinancialRecoveryFund",
    "ImprovementProgramme",
    "OversightFramework",
    "Panel",
    "PaymentReform",
    "PreparedRule",
    "QuarterOneReview",
    "Regime",
    "Rule",
    "SustainabilityFunding",
    "horizon_faults",
    "regime_for",
    "register",
]
