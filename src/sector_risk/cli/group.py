"""The group of commands: every expected error ends in one readable message and an exit status."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from sector_risk.cli.files import WRITTEN, readable
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
        except KeyboardInterrupt:
            written = ctx.meta.get(WRITTEN, ())
            verb = "were" if len(written) > 1 else "was"
            fail(ctx, f"Interrupted; {' and '.join(map(str, written)) or 'nothing'} {verb} written.", INTERRUPTED)
        except InputError as error:
            fail(ctx, str(error), BAD_INPUT)
        except ImportError as error:
            fail(ctx, f"error: {error}", CANNOT)
        except BrokenPipeError:  # the reader of a pipe has seen enough; click closes quietly
            raise
        except MemoryError:
            remedy = "Ask for fewer draws: 10,000 draws of 230 trusts need about 100 MB a year."
            fail(ctx, f"error: not enough memory. {remedy}", CANNOT)
        except OSError as error:
            fail(ctx, f"error: {readable(error)}", CANNOT)


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


def fail(ctx: click.Context, message: str, status: int) -> None:
    """End with a message and a status."""
    click.echo(message, err=True)
    ctx.exit(status)
