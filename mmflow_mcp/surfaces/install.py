"""`mmflow-mcp install` and `uninstall`: this server in a client's configuration.

What is to be done is decided in `install_plan`; here files are found, read and written: a copy of
the old one stays beside it, and the new one takes its place in one step.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.settings import from_environment, user_places
from mmflow_mcp.surfaces.install_clients import CLIENTS, PACKAGED, Client, locations, stdio_entry
from mmflow_mcp.surfaces.install_plan import (
    CannotInstall,
    Plan,
    Running,
    launch,
    passed_on,
    plan_entry,
    plan_removal,
)
from mmflow_mcp.surfaces.install_text import document_of

PATIENCE = 60
# Settings that are a path.
_PATHS = ("MMFLOW_DATA", "MMFLOW_CA_BUNDLE", "SSL_CERT_FILE")


def run_install(chosen: argparse.Namespace) -> int:
    """Add the entry, or with `uninstall` take it out; says in one line what was done."""
    client = CLIENTS[chosen.client]
    if not chosen.name or chosen.name != chosen.name.strip():
        raise BadQuestion("name", "it is empty or has blanks around it.", fits="mmflow")
    file = _file_of(client, chosen)
    text = _read(file)
    if chosen.command == "uninstall":
        plan = plan_removal(client, chosen.name, file, text)
        done, same, then = "taken out of", "has no such entry", f"Restart {client.title}."
    else:
        plan = plan_entry(client, chosen.name, _entry(client, chosen), file, text)
        done, same, then = "added to", "has this entry already", client.then
    if not plan.changed:
        sys.stdout.write(f"{client.title}: {file} {same}; nothing was changed.\n")
        return 0
    command = _own_command(client, chosen)
    steps = _steps(command, plan, client, chosen.name) if command else []
    if chosen.dry_run:
        said = "".join(f"would run: {json.dumps(step)}\n" for step in steps) or plan.diff()
        sys.stdout.write(f"{said}Nothing was written (--dry-run).\n")
        return 0
    kept = _keep(file) if plan.before is not None else None
    if steps:
        _ask(client, steps, kept)
    else:
        _write(plan)
    beside = f" The file as it was: {kept}." if kept else ""
    sys.stdout.write(f"{client.title}: {chosen.name} was {done} {file}.{beside} {then}\n")
    return 0


def _entry(client: Client, chosen: argparse.Namespace) -> dict[str, object]:
    found = launch(_running(), os.path.exists, shutil.which)
    source = getattr(chosen, "source", None)
    if source:
        from_environment({}, source=source)
    words = ("--source", _from_anywhere(source)) if source else ()
    env = {name: _held(name, value) for name, value in passed_on(chosen.env).items()}
    if env:
        _try_start(env, source)
    return stdio_entry(client, found.command, (*found.args, *words), env)


def _from_anywhere(source: str) -> str:
    """The source, with paths of recordings that hold in whatever folder a client starts us."""
    kind, _, where = source.partition(":")
    if kind != "replay":
        return source
    return f"replay:{','.join(_absolute(part.strip()) for part in where.split(','))}"


def _held(name: str, value: str) -> str:
    """The value of a setting, with paths that hold in whatever folder a client starts us."""
    if not value.strip():
        return value
    if name in _PATHS:
        return _absolute(value.strip())
    if name == "SSL_CERT_DIR":
        return os.pathsep.join(_absolute(part) for part in value.split(os.pathsep) if part)
    if name == "MMFLOW_SOURCE":
        return _from_anywhere(value.strip())
    sort, colon, path = value.strip().partition(":")
    if name == "MMFLOW_STORE" and (sort, colon) == ("sqlite", ":") and path:
        return f"sqlite:{_absolute(path)}"
    return value


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _try_start(env: Mapping[str, str], source: str | None) -> None:
    """Build the server once as the client will start it, which asks and writes nothing.

    Raises `BadQuestion` for what would not start: a client shows no reason.
    """
    import anyio  # noqa: PLC0415 - only where settings are handed on

    from mmflow_mcp.app import running  # noqa: PLC0415 - the same
    from mmflow_mcp.surfaces.mcp import build_server  # noqa: PLC0415 - the same

    async def build() -> None:
        async with running(from_environment(env, source=source)) as app:
            app.core()
            build_server(app)

    anyio.run(build)


def _running() -> Running:
    """How this program was started."""
    return Running(
        platform=sys.platform,
        script=sys.argv[0],
        python=sys.executable,
        scripts=sysconfig.get_path("scripts"),
        origin=_origin(),
    )


def _origin() -> str:
    """Where the package was installed from, unless it was an index (PEP 610)."""
    try:
        text = distribution("mmflow-mcp").read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    found = json.loads(text) if text else {}
    url, vcs = str(found.get("url", "")), found.get("vcs_info")
    return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url


def _file_of(client: Client, chosen: argparse.Namespace) -> Path:
    """The configuration file to edit. Raises `CannotInstall` where the client is not found."""
    if chosen.file:
        file = Path(chosen.file).expanduser().absolute()
        if not file.parent.is_dir():
            raise CannotInstall(f"there is no folder {file.parent}; nothing was changed.")
        return file
    if chosen.workspace is not None:
        if not client.shared:
            raise BadQuestion("workspace", f"{client.title} has no settings of a workspace.")
        folder = Path(chosen.workspace).expanduser().absolute()
        if not folder.is_dir():
            raise CannotInstall(f"there is no folder {folder}; nothing was changed.")
        return folder / client.shared
    places = user_places()
    packaged: list[str] = []
    if sys.platform == "win32" and places.local:
        packaged = [str(p) for part in PACKAGED for p in sorted(Path(places.local).glob(part))]
    found = locations(client, sys.platform, places, packaged)
    for location in found:
        if Path(location.sign).is_dir() or Path(location.file).is_file():
            return Path(location.file)
    if found and client.id == "claude-code" and shutil.which("claude"):
        return Path(found[0].file)
    looked = ", ".join(str(location.sign) for location in found) or "no home folder is known"
    raise CannotInstall(
        f"{client.title} was not found ({looked}); nothing was changed."
        f" Start it once, or name its configuration with --file PATH."
    )


def _read(file: Path) -> str | None:
    """The text as it is, line ends included; None where there is no file."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise CannotInstall(f"{file} is no UTF-8 text; nothing was changed.") from None
    except OSError as error:
        raise CannotInstall(f"{file} cannot be read: {error.strerror}.") from None


def _own_command(client: Client, chosen: argparse.Namespace) -> str | None:
    """Claude Code's own command: it writes its file while it runs, so it is better asked.

    On Windows it may be a batch file, which takes no JSON as a word: then the file is edited.
    """
    if client.id != "claude-code" or chosen.file or chosen.workspace is not None:
        return None
    found = shutil.which("claude")
    return None if found is None or found.lower().endswith((".cmd", ".bat", ".ps1")) else found


def _steps(command: str, plan: Plan, client: Client, name: str) -> list[list[str]]:
    """What Claude Code is asked to do: an entry that is there must go before it is added anew."""
    before, after = (document_of(text or "") for text in (plan.before, plan.after))
    old, new = (doc.get(client.key, {}).get(name) for doc in (before, after))
    asked = [command, "mcp"]
    steps = [[*asked, "remove", "--scope", "user", name]] if old is not None else []
    if new is not None:
        told = json.dumps(new, ensure_ascii=False)
        steps.append([*asked, "add-json", "--scope", "user", name, told])
    return steps


def _ask(client: Client, steps: Sequence[Sequence[str]], kept: Path | None) -> None:
    """Run the client's own commands. Raises `CannotInstall` with what they said."""
    for step in steps:
        try:
            ended = subprocess.run(  # noqa: S603 - the user's own client, found on the PATH
                step,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = f"{error}"
        else:
            if ended.returncode == 0:
                continue
            said = (ended.stderr or ended.stdout).strip()[:500]
        beside = f" The configuration as it was: {kept}." if kept else ""
        raise CannotInstall(f"{client.title}'s own command failed: {said}{beside}")


def _keep(file: Path) -> Path:
    """A copy beside the real file, named by the moment. Raises `CannotInstall`."""
    real = Path(os.path.realpath(file))
    at = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    kept = real.with_name(f"{real.name}.{at}.bak")
    try:
        shutil.copy2(real, kept)
    except OSError as error:
        raise CannotInstall(f"no copy at {kept}: {error.strerror}; nothing was changed.") from None
    return kept


def _write(plan: Plan) -> None:
    """Put the new text in the place of the old one in one step. Raises `CannotInstall`.

    A link stays a link: what it points to is replaced, with the permissions it had.
    """
    real = Path(os.path.realpath(plan.file))
    beside: Path | None = None
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=real.parent, prefix=f"{real.name}.", suffix=".part")
        beside = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(plan.after.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if plan.before is not None:
            shutil.copymode(real, beside)
            if _read(real) != plan.before:
                raise CannotInstall(f"{real} was changed by another meanwhile; run this again.")
        beside.replace(real)
    except OSError as error:
        raise CannotInstall(
            f"{real} cannot be written: {error.strerror}; it is as it was."
        ) from None
    finally:
        with suppress(OSError):
            if beside is not None:
                beside.unlink(missing_ok=True)
