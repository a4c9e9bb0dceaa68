"""The files that pages load: style, scripts, icon. They travel inside the package."""

from functools import cache
from hashlib import blake2b
from importlib.resources import files

PREFIX = "/assets/"
KINDS = {
    "icon.svg": "image/svg+xml",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "status.js": "text/javascript; charset=utf-8",
}


@cache
def content(name: str) -> bytes:
    """The bytes of a file. Raises KeyError for a name that is none."""
    if name not in KINDS:
        raise KeyError(name)
    return files(__name__).joinpath(name).read_bytes()


@cache
def version_of(name: str) -> str:
    """A short hash of a file: another file, another address."""
    return blake2b(content(name), digest_size=6).hexdigest()


def address_of(name: str) -> str:
    """Where a page finds a file."""
    return f"{PREFIX}{name}?v={version_of(name)}"
