"""How likely every NHS provider trust in England, and the sector, is to end the year in balance, and why.

>>> import sector_risk as sr
>>> forecast = sr.simulate(sr.load_case("england-2018-19"), n_draws=500)
>>> bool(forecast["sector_position"].mean() < 0)
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sector_risk.assumptions import Assumptions, CentralAction, Centre, Evidence, Marginal, Shares
    from sector_risk.backtesting import backtest, backtest_years
    from sector_risk.calibration import Calibration, calibrate, sector_outturn
    from sector_risk.cases import CASES, case_names, load_case
    from sector_risk.conditioning import condition
    from sector_risk.drivers import driver
    from sector_risk.faults import Fault, InputError, InputWarning
    from sector_risk.files import open_forecast, save_forecast
    from sector_risk.history import History, load_history, read_history
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
    from sector_risk.plots import plot_backtest, plot_fan, plot_forecast, plot_league, plot_projection, plot_waterfall
    from sector_risk.projection import project
    from sector_risk.projection_summary import summarise_projection
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
    from sector_risk.settings import ByYear
    from sector_risk.simulation import simulate
    from sector_risk.summary import summarise

_HOMES = {
    "assumptions": ("Assumptions", "CentralAction", "Centre", "Evidence", "Marginal", "Shares"),
    "backtesting": ("backtest", "backtest_years"),
    "calibration": ("Calibration", "calibrate", "sector_outturn"),
    "cases": ("CASES", "case_names", "load_case"),
    "conditioning": ("condition",),
    "drivers": ("driver",),
    "faults": ("Fault", "InputError", "InputWarning"),
    "files": ("open_forecast", "save_forecast"),
    "history": ("History", "load_history", "read_history"),
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
    "plots": ("plot_backtest", "plot_fan", "plot_forecast", "plot_league", "plot_projection", "plot_waterfall"),
    "projection": ("project",),
    "projection_summary": ("summarise_projection",),
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
    "settings": ("ByYear",),
    "simulation": ("simulate",),
    "summary": ("summarise",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"

__all__ = [
    "CASES",
    "LONG_TERM_PLAN",
    "REGIMES",
    "AcceleratedTurnaround",
    "AdministrativeSavings",
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
    "Marginal",
    "Milestone",
    "OversightFramework",
    "PaymentReform",
    "QuarterOneReview",
    "Regime",
    "Rule",
    "Shares",
    "SustainabilityFunding",
    "administer",
    "backtest",
    "backtest_years",
    "by_successor",
    "calibrate",
    "case_names",
    "check_panel",
    "combine",
    "condition",
    "driver",
    "load_case",
    "load_history",
    "make_panel",
    "merge",
    "open_forecast",
    "plot_backtest",
    "plot_fan",
    "plot_forecast",
    "plot_league",
    "plot_projection",
    "plot_waterfall",
    "project",
    "read_accounts",
    "read_history",
    "read_panel",
    "read_return",
    "register",
    "review_list",
    "save_forecast",
    "sector_outturn",
    "simulate",
    "simulate_with_parameters",
    "summarise",
    "summarise_projection",
    "take_over",
    "widths",
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
