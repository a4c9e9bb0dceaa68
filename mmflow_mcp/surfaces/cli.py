"""The command line. Without a command it is the MCP server on stdio, so that one line suffices.

Each command's work is in a file of its own and loads when it is asked for.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from mmflow_mcp import __version__
from mmflow_mcp.errors import MmflowError
from mmflow_mcp.settings import Settings, from_environment


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    # Left out means absent, so that an option before the command is not undone by the command's.
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    add = shared.add_argument_group("where answers come from").add_argument
    add("--source", help="live (default), sim, sim:URL, or replay:PATH[,PATH...]")
    add("--now", help="compute against this moment: epoch milliseconds or ISO")
    add("--deadline", type=float, help="seconds a question may take (default 8)")
    add("--seed", type=int, help="seed of the simulated market (default 1)")
    add("--fault", action="append", help="a fault of the simulation, e.g. bybit:http=503")
    add("--venues-off", help="venues never to ask, comma-separated")
    add("--store", help="where history is kept: sqlite:PATH, redis://HOST, memory or off")
    add("--record", help="what is recorded: off, light or full")
    add("--log", help="log level on stderr (default WARNING)")
    offered = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    offered.add_argument("--tools", help="offer only these families or tools, comma-separated")
    offered.add_argument("--tool-rows", help="columns (default) or objects")

    top = argparse.ArgumentParser(
        prog="mmflow-mcp",
        description="Cross-venue crypto market data for language models. "
        "Without a command: the MCP server on stdio.",
        parents=[shared, offered],
    )
    top.add_argument("--version", action="version", version=f"mmflow-mcp {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    serve = commands.add_parser("serve", help="MCP and REST over HTTP", parents=[shared, offered])
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--port", type=port, default=8787, help="port to listen on")
    serve.add_argument("--tape", action="store_true", help="keep the live feeds running")

    commands.add_parser("demo", help="a guided run on simulated venues", parents=[shared])

    call = commands.add_parser("call", help="ask one question", parents=[shared])
    call.add_argument("tool", help="the tool, e.g. get_funding")
    call.add_argument(
        "arguments", nargs="*", default=[], help="name=value, e.g. coins=BTC,ETH venues=all"
    )
    form = call.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the envelope as JSON")
    form.add_argument("--plot", action="store_true", help="draw the answer in plain characters")

    commands.add_parser(
        "doctor", help="ask every venue for every capability it claims", parents=[shared]
    )

    commands.add_parser(
        "record", help="sample every metric into the history store until stopped", parents=[shared]
    )

    history = commands.add_parser(
        "history", help="what is stored; export or delete it", parents=[shared]
    )
    history.add_argument(
        "words",
        nargs="*",
        default=[],
        help="list (default), export or delete; then metric, venue, coin or kind: funding BTC",
    )
    history.add_argument("--out", default="-", help="the file to export to (default: stdout)")
    history.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="of an export")

    capture = commands.add_parser(
        "capture", help="save the wire traffic behind questions as HAR", parents=[shared]
    )
    capture.add_argument("file", help="the HAR file to write")
    capture.add_argument(
        "questions",
        nargs="*",
        default=[],
        help='questions in quotes, e.g. "get_funding coins=BTC venues=all"',
    )

    _add_keys(commands, shared)
    _add_install(commands)

    sim = commands.add_parser("sim", help="serve the simulated venues on loopback")
    sim.add_argument("--port", type=port, default=9100, help="port on loopback (default 9100)")
    sim.add_argument("--seed", type=int, default=1, help="seed of the market (default 1)")
    sim.add_argument("--fault", action="append", help="a fault, e.g. bybit:http=503")
    return top


Commands = argparse._SubParsersAction  # noqa: SLF001 - it has no public name


def _add_keys(
    commands: "Commands[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    keys = commands.add_parser("keys", help="API keys of the HTTP faces", parents=[shared])
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key; it is shown once", parents=[shared])
    create.add_argument("--name", default="", help="whose it is, or what for")
    create.add_argument("--per-minute", type=int, help="questions a minute (0: no limit)")
    actions.add_parser("list", help="the keys there are, never their text", parents=[shared])
    revoke = actions.add_parser("revoke", help="refuse a key from now on", parents=[shared])
    revoke.add_argument("id", help="the id that list shows")


def _add_install(commands: "Commands[argparse.ArgumentParser]") -> None:
    clients = ("claude-desktop", "claude-code", "cursor", "vscode")
    for verb, what in (
        ("install", "add this server to a client's configuration"),
        ("uninstall", "take it out again"),
    ):
        command = commands.add_parser(verb, help=what)
        add = command.add_argument
        add("client", choices=clients, help="the client")
        add("--name", default="mmflow", help="name of the entry (default mmflow)")
        add("--workspace", nargs="?", const=".", help="the settings of this folder instead")
        add("--file", help="the client's configuration file, where it is not found")
        add("--dry-run", action="store_true", help="show what would change, write nothing")
        if verb == "install":
            add("--source", default=argparse.SUPPRESS, help="where answers come from")
            add(
                "--env",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="a setting to hand on, e.g. MMFLOW_VENUES_OFF=okx; may be repeated",
            )


def port(text: str) -> int:
    """A port number."""
    number = int(text)
    if not 0 <= number <= 65535:
        msg = f"{text} is no port; fits: 0 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return number


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command and its options, in any order: words after an option are words of the command."""
    top = parser()
    chosen, rest = top.parse_known_args(arguments)
    takers = {"call": "arguments", "capture": "questions", "history": "words"}
    words = takers.get(chosen.command or "")
    if rest and (words is None or any(word.startswith("-") for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest and words:
        getattr(chosen, words).extend(rest)
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        # A service without streams: a file or socket opened later would take the place of one.
        if sys.stderr is not None:
            sys.stderr.write("mmflow-mcp: stdin or stdout is closed; /dev/null will do for each\n")
        return 2
    if sys.flags.optimize > 1:
        sys.stderr.write(
            "mmflow-mcp: python -OO (PYTHONOPTIMIZE=2) takes out the texts that models read;"
            " -O will do\n"
        )
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or pipe that cannot show a letter shows its number instead of failing.
            stream.reconfigure(errors="backslashreplace")
    chosen = parse(arguments)
    try:
        status = run(chosen)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the end of the line: each kind has its words
        return end(first_leaf(error))
    return status


def end(error: BaseException) -> int:
    """How a command ends that did not return: the sentence for people, the exit status."""
    if isinstance(error, MmflowError):
        sys.stderr.write(f"mmflow-mcp: {error}\n")
        return 2
    if isinstance(error, BrokenPipeError):
        # The reader of our output left; that is no failure of ours. Nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"mmflow-mcp: {named}{error.strerror or error}\n")
        return 1
    raise error


def first_leaf(error: BaseException) -> BaseException:
    """The exception, or the first inside a group: task groups wrap what their tasks raise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


_OPTIONS = (
    "source",
    "now",
    "deadline",
    "seed",
    "venues_off",
    "store",
    "record",
    "log",
    "tools",
    "tool_rows",
)


def settings_of(chosen: argparse.Namespace, **default: object) -> Settings:
    """Settings from the environment, the command's defaults, then its options."""
    given = {name: getattr(chosen, name, None) for name in _OPTIONS}
    if getattr(chosen, "fault", None):
        given["faults"] = ";".join(chosen.fault)
    options = {key: value for key, value in given.items() if value is not None}
    return from_environment(None, **{**default, **options})


def run(chosen: argparse.Namespace) -> int:
    """Hand over to the command."""
    if chosen.command is None:
        from mmflow_mcp.surfaces.stdio import serve_stdio  # noqa: PLC0415 - each command loads its own

        return serve_stdio(settings_of(chosen))
    if chosen.command == "serve":
        from mmflow_mcp.surfaces.http import serve_http  # noqa: PLC0415

        return serve_http(settings_of(chosen), chosen.host, chosen.port, tape=chosen.tape)
    if chosen.command == "demo":
        from mmflow_mcp.surfaces.demo import run_demo  # noqa: PLC0415

        return run_demo(settings_of(chosen, source="sim"))
    if chosen.command == "call":
        from mmflow_mcp.surfaces.call import run_call  # noqa: PLC0415

        form = "json" if chosen.json else "plot" if chosen.plot else "table"
        return run_call(settings_of(chosen), chosen.tool, chosen.arguments, form)
    if chosen.command == "doctor":
        from mmflow_mcp.surfaces.doctor import run_doctor  # noqa: PLC0415

        return run_doctor(settings_of(chosen))
    if chosen.command in ("record", "history"):
        from mmflow_mcp.surfaces import keeping  # noqa: PLC0415

        if chosen.command == "record":
            return keeping.run_record(settings_of(chosen))
        return keeping.run_history(
            settings_of(chosen), chosen.words, file=chosen.out, form=chosen.format
        )
    return _run_beside(chosen)


def _run_beside(chosen: argparse.Namespace) -> int:
    """The commands that ask no question."""
    if chosen.command == "keys":
        from mmflow_mcp.surfaces.keys import run_keys  # noqa: PLC0415

        return run_keys(settings_of(chosen), chosen)
    if chosen.command == "capture":
        from mmflow_mcp.surfaces.capturing import run_capture  # noqa: PLC0415

        return run_capture(settings_of(chosen), chosen.file, chosen.questions)
    if chosen.command in ("install", "uninstall"):
        from mmflow_mcp.surfaces.install import run_install  # noqa: PLC0415

        return run_install(chosen)
    from mmflow_mcp.surfaces.simulate import run_sim  # noqa: PLC0415

    return run_sim(chosen.port, chosen.seed, chosen.fault or [])
