"""The group of commands: every expected error ends in one readable message and an exit status."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from sector_risk.cli.files import readable, written
from sector_risk.cli.interrupt import INTERRUPT
from sector_risk.faults import InputError, InputWarning

BAD_INPUT, CANNOT, INTERRUPTED = 2, 1, 130


class Commands(click.Group):
    """A group that turns expected errors into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it cannot do ends in a message."""
        try:
            with plain_warnings(), INTERRUPT.foremost():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            fail(ctx, "Interrupted.", INTERRUPTED, error)
        except InputError as error:
            fail(ctx, str(error), BAD_INPUT, error)
        except ImportError as error:
            fail(ctx, f"error: {error}", CANNOT, error)
        except BrokenPipeError:  # the reader of a pipe has seen enough; click closes quietly
            raise
        except MemoryError as error:
            remedy = "Ask for fewer draws: 10,000 draws of 230 trusts need about 100 MB a year."
            fail(ctx, f"error: not enough memory. {remedy}", CANNOT, error)
        except OSError as error:
            fail(ctx, f"error: {readable(error)}", CANNOT, error)


class WholeNumber(click.IntRange):
    """A whole number in a range, called so where something else came."""

    name = "whole number"


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show an input warning as one plain line on standard error, each once."""
    said = set()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if str(message) not in said:
            click.echo(f"warning: {message}", err=True)
        said.add(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = show
        yield


def fail(ctx: click.Context, message: str, status: int, error: BaseException) -> None:
    """End with a message and a status; say what was written, or is kept to go on from, all the same."""
    left = [*files_written(), *dict.fromkeys(notes(error))]
    nothing = ["Nothing was written."] if status == INTERRUPTED else []
    click.echo("\n".join([message, *(left or nothing)]), err=True)
    ctx.exit(status)


def files_written() -> Iterator[str]:
    """Say which files are in place, if any."""
    if files := written():
        yield f"{' and '.join(map(str, files))} {'were' if len(files) > 1 else 'was'} written."


def notes(error: BaseException | None) -> Iterator[str]:
    """Notes of an error and of those that it came from."""
    while error:
        yield from getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__
