"""How likely every NHS provider trust in England, and the sector, is to end the year in balance, and why.

>>> import sector_risk as sr
>>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=500)
>>> bool(forecast["sector_position"].mean() < 0)
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sector_risk.allocation import allocate
    from sector_risk.answers import Answer, five_answers
    from sector_risk.assumptions import Assumptions, CentralAction, Centre, Evidence, Marginal, Shares
    from sector_risk.backtesting import backtest, backtest_years
    from sector_risk.bridges import bridge
    from sector_risk.calibration import Calibration, calibrate, sector_outturn
    from sector_risk.cases import CASES, case_names, load_case
    from sector_risk.comparison import compare
    from sector_risk.conditioning import condition
    from sector_risk.controls import controlled
    from sector_risk.drivers import driver
    from sector_risk.effects import waterfall
    from sector_risk.faults import Fault, InputError, InputWarning
    from sector_risk.files import open_forecast, save_forecast
    from sector_risk.goals import LEVERS, Lever, goal_seek, switching_value
    from sector_risk.history import History, load_history, read_history
    from sector_risk.html_report import write_report
    from sector_risk.interventions import value_of_intervention, value_of_support
    from sector_risk.measures import deficit_counts, exceedance, rank_stability
    from sector_risk.milestones import LONG_TERM_PLAN, Milestone
    from sector_risk.panel import (
        CombineReport,
        administer,
        by_successor,
        check_panel,
        combine,
        make_panel,
        merge,
        read_accounts,
        read_panel,
        read_return,
        take_over,
    )
    from sector_risk.parameter_draws import simulate_with_parameters, widths
    from sector_risk.plots import (
        plot_backtest,
        plot_balance,
        plot_deficit_counts,
        plot_exceedance,
        plot_fan,
        plot_forecast,
        plot_league,
        plot_projection,
        plot_shares,
        plot_tornado,
        plot_waterfall,
    )
    from sector_risk.projection import project
    from sector_risk.projection_summary import summarise_projection
    from sector_risk.quality import QualityPack, quality_pack, write_quality_pack
    from sector_risk.readings import review_list
    from sector_risk.regimes import (
        REGIMES,
        AcceleratedTurnaround,
        AdministrativeSavings,
        DeficitSupport,
        DistressLoans,
        FinancialRecoveryFund,
        ImprovementProgramme,
        OversightFramework,
        PaymentReform,
        QuarterOneReview,
        Regime,
        Rule,
        SustainabilityFunding,
        register,
    )
    from sector_risk.scenarios import Scenario
    from sector_risk.sensitivity import sensitivity_indices
    from sector_risk.settings import ByYear
    from sector_risk.simulation import simulate
    from sector_risk.stopping import Target, simulate_until
    from sector_risk.streaming import Summary
    from sector_risk.stress import reverse_stress
    from sector_risk.summary import summarise
    from sector_risk.swings import tornado

_HOMES = {
    "allocation": ("allocate",),
    "answers": ("Answer", "five_answers"),
    "assumptions": ("Assumptions", "CentralAction", "Centre", "Evidence", "Marginal", "Shares"),
    "backtesting": ("backtest", "backtest_years"),
    "bridges": ("bridge",),
    "calibration": ("Calibration", "calibrate", "sector_outturn"),
    "cases": ("CASES", "case_names", "load_case"),
    "comparison": ("compare",),
    "conditioning": ("condition",),
    "controls": ("controlled",),
    "drivers": ("driver",),
    "effects": ("waterfall",),
    "faults": ("Fault", "InputError", "InputWarning"),
    "files": ("open_forecast", "save_forecast"),
    "goals": ("LEVERS", "Lever", "goal_seek", "switching_value"),
    "history": ("History", "load_history", "read_history"),
    "html_report": ("write_report",),
    "interventions": ("value_of_intervention", "value_of_support"),
    "measures": ("deficit_counts", "exceedance", "rank_stability"),
    "milestones": ("LONG_TERM_PLAN", "Milestone"),
    "panel": (
        "CombineReport",
        "administer",
        "by_successor",
        "check_panel",
        "combine",
        "make_panel",
        "merge",
        "read_accounts",
        "read_panel",
        "read_return",
        "take_over",
    ),
    "parameter_draws": ("simulate_with_parameters", "widths"),
    "plots": (
        "plot_backtest",
        "plot_balance",
        "plot_deficit_counts",
        "plot_exceedance",
        "plot_fan",
        "plot_forecast",
        "plot_league",
        "plot_projection",
        "plot_shares",
        "plot_tornado",
        "plot_waterfall",
    ),
    "projection": ("project",),
    "projection_summary": ("summarise_projection",),
    "quality": ("QualityPack", "quality_pack", "write_quality_pack"),
    "readings": ("review_list",),
    "regimes": (
        "REGIMES",
        "AcceleratedTurnaround",
        "AdministrativeSavings",
        "DeficitSupport",
        "DistressLoans",
        "FinancialRecoveryFund",
        "ImprovementProgramme",
        "OversightFramework",
        "PaymentReform",
        "QuarterOneReview",
        "Regime",
        "Rule",
        "SustainabilityFunding",
        "register",
    ),
    "scenarios": ("Scenario",),
    "sensitivity": ("sensitivity_indices",),
    "settings": ("ByYear",),
    "simulation": ("simulate",),
    "stopping": ("Target", "simulate_until"),
    "streaming": ("Summary",),
    "stress": ("reverse_stress",),
    "summary": ("summarise",),
    "swings": ("tornado",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"

__all__ = [
    "CASES",
    "LEVERS",
    "LONG_TERM_PLAN",
    "REGIMES",
    "AcceleratedTurnaround",
    "AdministrativeSavings",
    "Answer",
    "Assumptions",
    "ByYear",
    "Calibration",
    "CentralAction",
    "Centre",
    "CombineReport",
    "DeficitSupport",
    "DistressLoans",
    "Evidence",
    "Fault",
    "FinancialRecoveryFund",
    "History",
    "ImprovementProgramme",
    "InputError",
    "InputWarning",
    "Lever",
    "Marginal",
    "Milestone",
    "OversightFramework",
    "PaymentReform",
    "QualityPack",
    "QuarterOneReview",
    "Regime",
    "Rule",
    "Scenario",
    "Shares",
    "Summary",
    "SustainabilityFunding",
    "Target",
    "administer",
    "allocate",
    "backtest",
    "backtest_years",
    "bridge",
    "by_successor",
    "calibrate",
    "case_names",
    "check_panel",
    "combine",
    "compare",
    "condition",
    "controlled",
    "deficit_counts",
    "driver",
    "exceedance",
    "five_answers",
    "goal_seek",
    "load_case",
    "load_history",
    "make_panel",
    "merge",
    "open_forecast",
    "plot_backtest",
    "plot_balance",
    "plot_deficit_counts",
    "plot_exceedance",
    "plot_fan",
    "plot_forecast",
    "plot_league",
    "plot_projection",
    "plot_shares",
    "plot_tornado",
    "plot_waterfall",
    "project",
    "quality_pack",
    "rank_stability",
    "read_accounts",
    "read_history",
    "read_panel",
    "read_return",
    "register",
    "reverse_stress",
    "review_list",
    "save_forecast",
    "sector_outturn",
    "sensitivity_indices",
    "simulate",
    "simulate_until",
    "simulate_with_parameters",
    "summarise",
    "summarise_projection",
    "switching_value",
    "take_over",
    "tornado",
    "value_of_intervention",
    "value_of_support",
    "waterfall",
    "widths",
    "write_quality_pack",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that importing the package stays quick."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sector_risk' has no attribute {name!r}")
    value = getattr(import_module(f"sector_risk.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
