"""Words and numbers for people."""

FAMILIES = {
    "flows": "Flows",
    "markets": "Markets and prices",
    "onchain": "Funds and on-chain",
    "options": "Options",
    "perps": "Perpetual futures",
    "points": "Sums over exchanges",
    "streams": "Streams",
    "hl": "Older path",
}
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def family_name(family: str) -> str:
    """A family of endpoints as a heading."""
    return FAMILIES.get(family, family.capitalize())


def span(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def milliseconds(ms: float) -> str:
    """A latency."""
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


def many(count: int, one: str, more: str = "") -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
