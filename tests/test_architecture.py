"""The house stands as CONTRIBUTING draws it: floors, small files, one reader of the environment."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mmflow_mcp"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the top down: a file may import its own floor and those below it.
FLOORS = (
    ("__main__", "markets"),
    ("surfaces",),
    ("app",),
    ("endpoints",),
    ("metrics",),
    ("core",),
    ("tape",),
    ("venues", "analytics", "series", "access"),
    ("upstream",),
    ("settings", "fleet"),
    ("setting_texts",),
    ("rows", "errors", "bus", "checks", "tally"),
    ("clock",),
)
SIM_MAY_BE_IMPORTED_BY = {"app", "surfaces"}


def room_of(path: Path) -> str:
    """The first part of a file's path inside the package."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def imports(path: Path) -> set[str]:
    """Every module that a file imports, lazy imports included, because a reader follows them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def rooms(path: Path) -> set[str]:
    """The rooms of our own that a file imports."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("mmflow_mcp.")}
    return {name for name in names if not name.startswith("_")}


def floor(room: str) -> int:
    """How far up a room lies."""
    return next(i for i, level in enumerate(reversed(FLOORS)) if room in level)


def test_every_file_has_a_floor() -> None:
    """A new file must choose one."""
    known = {room for level in FLOORS for room in level} | {"sim", "__init__"}
    assert {room_of(path) for path in FILES} <= known


def may_import(room: str, other: str) -> bool:
    """Whether a room may import another."""
    if room == "sim":
        return other == "clock"
    if other == "sim":
        return room in SIM_MAY_BE_IMPORTED_BY
    return floor(other) < floor(room)


def test_imports_go_downward_only() -> None:
    """Nobody imports what lies above; rooms on one floor do not know each other."""
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in FILES
        if (room := room_of(path)) != "__init__"
        for other in rooms(path) - {room}
        if not may_import(room, other)
    ]
    assert [] == wrong


def test_analytics_is_pure() -> None:
    """No await, no clock, no input or output."""
    for path in (PACKAGE / "analytics").glob("*.py"):
        assert rooms(path) <= {"analytics", "rows"}
        tree = ast.walk(ast.parse(path.read_text("utf-8")))
        assert not any(isinstance(n, (ast.AsyncFunctionDef, ast.Await)) for n in tree)


def test_only_upstream_and_the_composition_speak_http() -> None:
    """Venues, endpoints and analytics never name the HTTP library."""
    for path in FILES:
        if room_of(path) not in ("upstream", "app", "surfaces"):
            assert not any(name.split(".")[0] == "httpx2" for name in imports(path)), path


def test_only_the_fleet_speaks_redis() -> None:
    """One file names the client library; what is kept in the server goes through it."""
    for path in FILES:
        if path != PACKAGE / "fleet" / "redis.py":
            assert not any(name.split(".")[0] == "redis" for name in imports(path)), path


def test_only_settings_reads_the_environment() -> None:
    """One documented table of knobs."""
    for path in FILES:
        if path.name != "settings.py":
            assert "os.environ" not in path.read_text("utf-8"), path


def test_files_stay_small() -> None:
    """Past 420 lines a file asks to be split."""
    for path in FILES:
        assert len(path.read_text("utf-8").splitlines()) <= 420, path


def test_listing_tools_loads_no_venue_and_no_model() -> None:
    """The hot path of start-up: venues, queries, the simulation and the demo load when needed."""
    code = (
        "import sys, anyio\n"
        "from mmflow_mcp.app import App\n"
        "from mmflow_mcp.settings import Settings\n"
        "from mmflow_mcp.surfaces.mcp import build_server\n"
        "build_server(App(Settings(), None))\n"
        "late = ('venues', 'endpoints', 'sim', 'analytics', 'series', 'tape', 'upstream',"
        " 'surfaces.prompts', 'surfaces.recipes', 'surfaces.completions')\n"
        "print([m for m in sys.modules if m.startswith(tuple('mmflow_mcp.' + r for r in late))])\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "[]" == out.stdout.strip()
