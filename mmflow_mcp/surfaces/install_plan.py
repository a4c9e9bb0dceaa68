"""What an installation would do, decided before anything is written. Pure."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from mmflow_mcp.errors import BadQuestion, MmflowError
from mmflow_mcp.settings import Settings, from_environment
from mmflow_mcp.surfaces.install_clients import Client, snippet
from mmflow_mcp.surfaces.install_text import NotEditable, document_of, members_of, put, take

# Read from the environment by the libraries below us or by `settings`, and worth handing on.
PASSED_ON = ("HTTPS_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Folders of environments that their maker throws away: (part of the path, runner, option).
_PASSING = (
    ("archive-v0", "uvx", "--from"),
    ("environments-v2", "uvx", "--from"),
    (".cache", "pipx", "--spec"),
)


class CannotInstall(MmflowError):
    """The client's configuration cannot be edited; nothing was changed."""

    code = "cannot_install"
    status = 409


@dataclass(frozen=True, slots=True)
class Launch:
    """How the server is started: an absolute path, for desktop programs have no shell's PATH."""

    command: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """How this very program runs: what `launch` decides from.

    `script` is sys.argv[0]; `python` sys.executable; `scripts` the folder of this installation's
    commands; `origin` where the package came from when that was no index ("" otherwise).
    """

    platform: str
    script: str
    python: str
    scripts: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The text of a configuration before and after; `before` is None where there is no file."""

    file: PurePath
    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.after != (self.before or "")

    def diff(self) -> str:
        """The lines that change, and none of their neighbours: they may hold secrets."""
        old, new = (self.before or "").splitlines(), self.after.splitlines()
        if len(old) == 1 and old[0].strip() != "{}":
            more = len(self.after) - len(old[0])
            return f"{self.file}: its one line would change by {more:+} characters\n"
        name = str(self.file)
        lines = [*difflib.unified_diff(old, new, name, name, lineterm="", n=0)]
        # A line that gets or loses a comma alone is a neighbour's.
        bare = {sign: {x[1:].rstrip(",") for x in lines[2:] if x[0] == sign} for sign in "-+"}
        both = bare["-"] & bare["+"]
        shown = [x for at, x in enumerate(lines) if at < 2 or x[1:].rstrip(",") not in both]
        return "".join(f"{line}\n" for line in shown)


def launch(
    running: Running, exists: Callable[[str], bool], which: Callable[[str], str | None]
) -> Launch:
    """The command that starts this installation again, from anywhere and without a PATH.

    That is the command beside this Python; for an environment that is thrown away (uvx, pipx run)
    the runner that makes it anew; else this Python with `-m mmflow_mcp`.
    """
    windows = running.platform == "win32"
    kind = PureWindowsPath if windows else PurePosixPath
    python = kind(running.python)
    for part, runner, option in _PASSING:
        if part in python.parts and (runner != "pipx" or "pipx" in python.parts):
            found = which(runner)
            words = [] if runner == "uvx" else ["run"]
            source = [option, running.origin] if running.origin else []
            if found:
                return Launch(found, (*words, *source, "mmflow-mcp"))
    name = "mmflow-mcp.exe" if windows else "mmflow-mcp"
    script = kind(running.script)
    own = [script] if script.is_absolute() and script.stem == "mmflow-mcp" else []
    if windows:
        own = [path.with_name(name) for path in own]
    for path in (*own, python.with_name(name), kind(running.scripts) / name):
        if exists(str(path)):
            return Launch(str(path))
    return Launch(running.python, ("-m", "mmflow_mcp"))


def passed_on(pairs: list[str]) -> dict[str, str]:
    """Variables of `--env NAME=VALUE` options. Raises `BadQuestion` for what we do not read."""
    known = [*(f.metadata["variable"] for f in fields(Settings)), *PASSED_ON]
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadQuestion("env", f"{name[:60]!r} has no value.", fits="NAME=VALUE")
        if name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            raise BadQuestion("env", f"{name[:60]!r} is no setting.", nearest=near)
        found[name] = value
    # What would not start is refused now, not by a client that shows no reason.
    from_environment(found)
    return found


def plan_entry(
    client: Client, name: str, entry: Mapping[str, Any], file: PurePath, text: str | None
) -> Plan:
    """The configuration with our entry in it; all else stays as it is, byte for byte.

    Of an entry that is there already, keys and variables that we do not set are kept. Raises
    `CannotInstall`, with the text to paste, where an edit would lose something.
    """
    try:
        there = members_of(document_of(text or ""), client.key).get(name)
        if there is not None and not (isinstance(there, dict) and "url" not in there):
            raise NotEditable(f"its {name!r} is a server of another kind (--name takes another).")
        wanted = {**(there or {}), **entry}
        env = {**_mapping((there or {}).get("env")), **_mapping(entry.get("env"))}
        if env:
            wanted["env"] = env
        # The same again is no change, in whatever form it is written.
        after = text if there == wanted and text else put(text or "", client.key, name, wanted)
    except NotEditable as error:
        raise CannotInstall(_refusal(client, file, str(error), name, entry)) from None
    return Plan(file, text, after)


def plan_removal(client: Client, name: str, file: PurePath, text: str | None) -> Plan:
    """The configuration without our entry. Raises `CannotInstall` as `plan_entry` does."""
    try:
        return Plan(file, text, take(text, client.key, name) if text else "")
    except NotEditable as error:
        why = f"{file} was not changed: {error}"
        raise CannotInstall(f"{why} Take {name!r} out of {client.key!r} by hand.") from None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _refusal(client: Client, file: PurePath, why: str, name: str, entry: Mapping[str, Any]) -> str:
    return f"{file} was not changed: {why} Add this to it by hand:\n{snippet(client, name, entry)}"
