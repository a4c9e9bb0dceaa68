"""The simulated venues, found by their files and imported when one of their hosts is asked."""

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType


@cache
def venue_names() -> tuple[str, ...]:
    """The ids that can be simulated: files of this folder that say which HOSTS they answer."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple(f.stem for f in files if "\nHOSTS" in f.read_text("utf-8"))


@cache
def find_venue(host: str) -> ModuleType | None:
    """The module that answers a host; files whose name occurs in it are looked at first."""
    if "." not in host:
        return None
    for name in sorted(venue_names(), key=lambda name: (name not in host, name)):
        module = import_module(f"mmflow_mcp.sim.{name}")
        if host in module.HOSTS:
            return module
    return None


def name_of(module: ModuleType) -> str:
    """The venue id of a module."""
    return module.__name__.rpartition(".")[2]
