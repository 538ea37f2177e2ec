"""The command line: ``rollmill COMMAND``, one module for each command.

Nothing but click is imported until a command runs. Whatever the user can mend is one message and exit status 2; a bug
keeps its traceback; Ctrl-C is 130, and a reader of our output who went away is 141, both without noise.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from rollmill._version import __version__
from rollmill.cli.printing import complain
from rollmill.errors import RollmillError

COMMANDS = (
    "scan",
    "ingest",
    "show",
    "stats",
    "redact",
    "export",
    "distill",
    "run",
    "preview",
    "estimate",
    "formats",
)
COMPLETE = "_ROLLMILL_COMPLETE"
INTERRUPTED = 130
OUTPUT_CLOSED = 141


class _Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"rollmill.cli.{cmd_name}").command
        return command


@click.group(
    "rollmill",
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="rollmill", message="%(prog)s %(version)s")
@click.pass_context
def rollmill(context: click.Context) -> None:
    """Turns the rollouts that coding agents leave behind into training data that can be trusted.

    \b
    Examples:
      rollmill scan                                      what agents left on this machine
      rollmill ingest --format claude_code -o rows.parquet
      rollmill show 0ccf1a04                             read one session
      rollmill export rows.parquet                       make a training set of them
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line, that of the process unless another is given, and exit with its status."""
    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(rollmill, {}, "rollmill", COMPLETE, instruction))
    _stand_in_for_closed_streams()
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, _end)
    sys.exit(_status(sys.argv[1:] if arguments is None else arguments))


def _stand_in_for_closed_streams() -> None:
    """Where a standard stream was closed (``>&-``), nothing is printed; nor does a file of ours get its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))


def _end(number: int, *_: object) -> None:
    """Leave by the usual way, so that nothing half-written stays."""
    sys.exit(128 + number)


def _status(arguments: Sequence[str]) -> int:
    try:
        _run(arguments)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _usage_error(error)
    except RollmillError as error:
        complain(f"Error: {error}")
        return 2
    except KeyboardInterrupt:
        # One that comes while Python ends would be a traceback, and there is nothing left to stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        complain("Stopped by Ctrl-C.")
        return INTERRUPTED
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        return OUTPUT_CLOSED
    return 0


def _run(arguments: Sequence[str]) -> None:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no Unicode gets escapes instead of a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with rollmill.make_context("rollmill", list(arguments)) as context:
        rollmill.invoke(context)


def _usage_error(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    usage = f"{context.get_usage()}\n" if context else ""
    hint = f"\n'{context.command_path} --help' explains the command and its options." if context else ""
    complain(f"{usage}Error: {error.format_message()}{hint}")
    return 2


def _output_is_closed() -> bool:
    """Whether the pipe that broke is our own output; if so nothing more goes there, not even at exit."""
    closed = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream.fileno())]
    for stream in closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(closed)


def _has_no_reader(descriptor: int) -> bool:
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
