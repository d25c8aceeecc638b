"""The command line: `sector-risk forecast`, `project`, `check`, `cases`, `regimes` and `warmup`.

Everything heavy is imported inside the command that needs it. Every mistake that a user can make ends in one
readable message on standard error: status 2 for what was asked or given, 1 for what the machine could not
do, 130 for an interrupt.
"""

import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

try:
    import click
except ModuleNotFoundError:  # the extra is not installed
    raise SystemExit("The command line needs two small packages: pip install 'sector-risk[cli]'") from None

from sector_risk.faults import InputError, InputWarning

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from rich.console import RenderableType
    from rich.progress import Progress

__all__ = ["commands", "main"]

SUGGESTED_CASE = "england-2018-19"
PICTURES = (".png", ".pdf", ".svg")
BAD_INPUT, CANNOT, INTERRUPTED = 2, 1, 130

WRITTEN = f"{__name__}.written"  # under which a command notes its files

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PLACE = click.Path(path_type=Path)


class _Interrupt:
    """Remembers that an interrupt came.

    Python drops one that comes while it tidies up (in the callback of a weak reference, or in a library's own); so
    whoever works for long asks, and nothing is put in place without asking.
    """

    def __init__(self) -> None:
        self._came = self._held = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take note of the signal, and stop at once where that is safe."""
        self._came = True
        if not self._held:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Stop if an interrupt came."""
        if self._came:
            raise KeyboardInterrupt

    @contextmanager
    def kept_for_later(self) -> Iterator[None]:
        """Stop before the block, or when somebody next asks after it: not within."""
        self._held = True
        try:
            self.check()
            yield
        finally:
            self._held = False

    @contextmanager
    def foremost(self) -> Iterator[None]:
        """Take any error for an interrupt that came: an import or a library may have made it something else."""
        try:
            yield
        except Exception:
            self.check()
            raise
        self.check()


_INTERRUPT = _Interrupt()


class _Commands(click.Group):
    """A group that turns expected errors into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _plain_warnings(), _INTERRUPT.foremost():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            written = ctx.meta.get(WRITTEN, ())
            verb = "were" if len(written) > 1 else "was"
            _fail(ctx, f"Interrupted; {' and '.join(map(str, written)) or 'nothing'} {verb} written.", INTERRUPTED)
        except InputError as error:
            _fail(ctx, str(error), BAD_INPUT)
        except ImportError as error:
            _fail(ctx, f"error: {error}", CANNOT)
        except BrokenPipeError:  # the reader of a pipe has seen enough; click closes quietly
            raise
        except MemoryError:
            remedy = "Ask for fewer draws: 10,000 draws of 230 trusts need about 100 MB a year."
            _fail(ctx, f"error: not enough memory. {remedy}", CANNOT)
        except OSError as error:
            _fail(ctx, f"error: {_readable(error)}", CANNOT)


class _WholeNumber(click.IntRange):
    """A whole number in a range, called so where something else came."""

    name = "whole number"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sector-risk")
def commands() -> None:
    """How likely every NHS provider trust in England, and the sector, is to end the year in balance."""


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what every run is asked: for whom, by which rules, how many draws."""
    options = (
        click.argument("panel", required=False, type=FILE),
        click.option("--case", metavar="NAME", help="A bundled case instead of a panel; see `sector-risk cases`."),
        click.option(
            "--year", metavar="YEAR", help="Financial year of PANEL, such as 2018-19, if its name does not say."
        ),
        click.option(
            "--regime",
            metavar="NAME|FILE",
            help="Rules by name, see `sector-risk regimes`, or a .toml file; if not given, those of the panel's "
            "year where it has support allocations, else none.",
        ),
        click.option("--draws", default=10_000, show_default=True, type=_WholeNumber(1), help="How many."),
        click.option(
            "--seed", default=0, show_default=True, type=_WholeNumber(0), help="The same seed gives the same draws."
        ),
        click.option("--assumptions", type=FILE, help="A TOML file; see the page on assumptions."),
        click.option("--threads", type=_WholeNumber(1), help="How many threads; all processors if not given."),
        click.option("-o", "--output", type=PLACE, help="Save the draws: .nc or .zarr."),
        click.option("--plot", type=PLACE, help="Draw them on one page: .png, .pdf or .svg."),
        click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@commands.command()
@_run_options
def forecast(panel: Path | None, case: str | None, output: Path | None, plot: Path | None, **asked: Any) -> None:
    """Forecast the year end of all trusts.

    PANEL is a CSV, Excel or Parquet file with one row per trust; --case takes a bundled one instead.

    \b
      sector-risk forecast --case england-2018-19
      sector-risk forecast plans.csv -o out/forecast.nc --plot out/forecast.png
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    targets = _check_targets(output, plot)
    result, summary = _run("simulate", "summarise", _load(panel, case, asked["year"]), asked)

    def page() -> "Figure":
        from sector_risk.plots import plot_forecast

        return plot_forecast(result, summary=summary)

    _write(result, page, output, plot)
    if not asked["quiet"]:
        from sector_risk.report_text import report

        _print(report(result, summary, targets, regime_asked=asked["regime"] is not None))


@commands.command()
@click.option(
    "--years", default=5, show_default=True, type=_WholeNumber(1, 30), help="How many, the panel's own included."
)
@_run_options
def project(panel: Path | None, case: str | None, output: Path | None, plot: Path | None, **asked: Any) -> None:
    """Project all trusts over several years.

    PANEL is a CSV, Excel or Parquet file with one row per trust; --case takes a bundled one instead.

    \b
      sector-risk project --case england-2018-19 --regime 2019-20 --years 6
      sector-risk project plans.csv --years 3 -o out/path.nc --plot out/path.png
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    targets = _check_targets(output, plot)
    result, summary = _run(
        "project", "summarise_projection", _load(panel, case, asked["year"]), asked, years=asked["years"]
    )

    def page() -> "Figure":
        from sector_risk.plots import plot_projection

        return plot_projection(result)

    _write(result, page, output, plot)
    if not asked["quiet"]:
        from sector_risk.projection_text import projection_report

        _print(projection_report(result, summary, targets, regime_asked=asked["regime"] is not None))


@commands.command()
@click.argument("panel", type=FILE)
def check(panel: Path) -> None:
    """Check a panel and say what was made of it."""
    from sector_risk import read_panel
    from sector_risk.readings import data_notes

    trusts = read_panel(panel)
    click.echo(f"{panel}: no faults; {trusts.sizes['trust']} trusts, {trusts.attrs['year']}.")
    for line in data_notes(trusts.attrs):
        click.echo(line)


@commands.command()
def cases() -> None:
    """List the bundled cases."""
    from sector_risk import CASES

    for name, description in CASES.items():
        click.echo(f"{name}: {description}")


@commands.command()
@click.argument("name", required=False)
def regimes(name: str | None) -> None:
    """List the bundled regimes and their rules, or write one down.

    With the NAME of a regime, print it as TOML, with all settings and their sources, to start a file of your own.

    \b
      sector-risk regimes
      sector-risk regimes 2019-20 > mine.toml
    """  # noqa: D301 (the escape is click's mark for lines to be left alone)
    from sector_risk.regimes import regime_for

    if name:
        click.echo(regime_for(name, 0.0).to_toml(), nl=False)
        return
    for line in _regime_lines():
        click.echo(line)


@commands.command()
def warmup() -> None:
    """Compile once, so that forecasts and projections start quickly."""
    import sector_risk as sr

    started = time.perf_counter()
    trusts = sr.load_case(SUGGESTED_CASE).isel(trust=slice(8))
    sr.summarise(sr.simulate(trusts, n_draws=16))
    for regime in sr.REGIMES:
        sr.summarise_projection(sr.project(trusts, regime=regime, years=3, n_draws=16))
    click.echo(f"Ready: compiled and ran in {time.perf_counter() - started:.1f} s.")


def main() -> None:
    """Run the command line; this is what `sector-risk` calls.

    Examples
    --------
    >>> from click.testing import CliRunner
    >>> print(CliRunner().invoke(commands, ["forecast"]).exit_code)
    2
    """
    _listen()
    status: Any = INTERRUPTED
    with suppress(KeyboardInterrupt):  # one that comes before a command has begun
        try:
            commands(prog_name="sector-risk")
        except SystemExit as end:
            status = end.code
    with suppress(BrokenPipeError, KeyboardInterrupt):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status or 0)  # all is written; an orderly end of the compiler would cost a third of a second


def _listen() -> None:
    """Have interrupts remembered, and say nothing of those that Python drops: they are asked for later."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody wants none
        signal.signal(signal.SIGINT, _INTERRUPT)
    usual = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else usual(lost)


def _regime_lines() -> Iterator[str]:
    """The bundled regimes with their rules, the rules in none of them, and the names that a file may use."""
    from textwrap import wrap

    from sector_risk.readings import rule_words
    from sector_risk.regimes.regime import BUNDLED, REGIMES

    for name, regime in REGIMES.items():
        yield f"{name}:" if regime.rules else f"{name}: no rules"
        yield from (f"  {rule_words(rule)}" for rule in regime.rules)
    used = {rule.name for regime in REGIMES.values() for rule in regime.rules}
    yield "in none of these:"
    yield from (f"  {rule_words(rule())}" for name, rule in BUNDLED.items() if name not in used)
    yield "names of rules in a file:"
    yield from wrap(", ".join(BUNDLED), 80, initial_indent="  ", subsequent_indent="  ")
    yield "to start a file: sector-risk regimes 2019-20 > mine.toml"


def _load(panel: Path | None, case: str | None, year: str | None) -> "xr.Dataset":
    """Read the panel or the bundled case: one of them, not two and not none."""
    if panel and case:
        raise click.UsageError("Give a PANEL file or --case, not both.")
    if case and year:
        raise click.UsageError("A bundled case knows its year: give --year with a PANEL file only.")
    import sector_risk as sr

    if panel:
        return sr.read_panel(panel, year=year)
    if case:
        return sr.load_case(case)
    raise click.UsageError(f"Give a PANEL file or a bundled case, such as --case {SUGGESTED_CASE}")


def _check_targets(output: Path | None, plot: Path | None) -> list[Path]:
    """Find out before the simulation whether its results can be written."""
    if output:
        _check_target("-o", output, (".nc", ".zarr"))
    if plot:
        _check_target("--plot", plot, PICTURES)
        _need_matplotlib()
    return [path for path in (output, plot) if path]


def _check_target(option: str, path: Path, suffixes: tuple[str, ...]) -> None:
    from sector_risk.files import check_target

    try:
        check_target(path, suffixes)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None
    except OSError as error:
        raise click.BadParameter(f"cannot write {path}: {_readable(error)}", param_hint=option) from None


def _need_matplotlib() -> None:
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ImportError("--plot needs matplotlib; install with: pip install 'sector-risk[plots]'")


def _read_assumptions(path: Path | None) -> Any:
    import sector_risk as sr

    if path is None:
        return sr.Assumptions()
    try:
        return sr.Assumptions.from_toml(path)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--assumptions") from None


def _run(
    job: str, summarise: str, trusts: "xr.Dataset", asked: dict[str, Any], **more: int
) -> "tuple[xr.Dataset, xr.Dataset]":
    """Run a job of the library with what was asked, a bar in front, and summarise what it gives."""
    settings = _read_assumptions(asked["assumptions"])
    import sector_risk as sr

    names = {"n_draws": "draws", "seed": "seed", "threads": "threads"}
    numbers = {name: asked[option] for name, option in names.items()}
    with _progress(shown=not asked["quiet"]) as progress:
        result = getattr(sr, job)(trusts, settings, asked["regime"], **numbers, **more, progress=progress)
    return result, getattr(sr, summarise)(result)


def _write(result: "xr.Dataset", page: "Callable[[], Figure]", output: Path | None, plot: Path | None) -> None:
    """Write both files under temporary names and rename them together at the end: all or nothing."""
    from sector_risk.files import write_forecast, written_beside

    written = click.get_current_context().meta.setdefault(WRITTEN, [])
    with ExitStack() as renames:
        if output:
            write_forecast(result, renames.enter_context(written_beside(output)))
        if plot:
            page().savefig(renames.enter_context(written_beside(plot)))
        with _INTERRUPT.kept_for_later():
            renames.close()
            written += [path for path in (output, plot) if path]


def _print(parts: "list[RenderableType]") -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for part in parts:
        console.print(part)


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Ask after each block if an interrupt came; show a bar on standard error where someone can see it."""
    bar = _LateBar(after=1.0 if shown and sys.stderr.isatty() else math.inf)

    def block_done(done: int, total: int) -> None:
        _INTERRUPT.check()
        bar.update(done, total)

    try:
        yield block_done
    finally:
        bar.stop()


class _LateBar:
    """A progress bar that stays away (and is not even imported) until a second has passed."""

    def __init__(self, after: float = 1.0) -> None:
        self._starts_at = time.monotonic() + after
        self._bar: Progress | None = None

    def update(self, done: int, total: int) -> None:
        if self._bar is None and time.monotonic() >= self._starts_at:
            self._bar = self._start()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _start(self) -> "Progress":
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(stderr=True), transient=True)
        bar.add_task("Simulating")
        bar.start()
        return bar


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show an input warning as one plain line on standard error, each once."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        click.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = show
        yield


def _fail(ctx: click.Context, message: str, status: int) -> None:
    click.echo(message, err=True)
    ctx.exit(status)


def _readable(error: OSError) -> str:
    """Say what went wrong and where, without an error number."""
    if not error.strerror:
        return str(error)
    return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
