"""Every knob, in one frozen dataclass. This is the only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from mmflow_mcp.errors import BadQuestion


def knob(variable: str, description: str, default: str | float | int) -> str:
    """A setting: its environment variable, its words, its default."""
    return field(  # type: ignore[no-any-return]
        default=default,  # type: ignore[arg-type]
        metadata={"variable": variable, "description": description},
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation may choose. Command-line options override the environment."""

    source: str = knob(
        "MMFLOW_SOURCE",
        "where answers come from: live, sim, sim:URL, or replay:PATH[,PATH...]",
        "live",
    )
    deadline: float = knob("MMFLOW_DEADLINE", "seconds a question may take", 8.0)  # type: ignore[assignment]
    tool_rows: str = knob(
        "MMFLOW_TOOL_ROWS", "form of rows in tool results: columns, or objects for programs", "columns"
    )
    tools: str = knob(
        "MMFLOW_TOOLS", "tool families or names to offer, comma-separated; empty: all", ""
    )
    venues_off: str = knob("MMFLOW_VENUES_OFF", "venue ids never to ask, comma-separated", "")
    now: str = knob(
        "MMFLOW_NOW", "the moment answers are computed against: epoch ms or ISO; empty: the real one", ""
    )
    seed: int = knob("MMFLOW_SEED", "seed of the simulated market", 1)  # type: ignore[assignment]
    faults: str = knob(
        "MMFLOW_FAULTS", "faults of the in-process simulation, separated by ';'", ""
    )
    contact: str = knob(
        "MMFLOW_CONTACT", "a contact put into the User-Agent that venues see; empty: none", ""
    )
    proxy: str = knob(
        "MMFLOW_PROXY", "proxy for live requests; empty: HTTPS_PROXY, else none", ""
    )
    cache_mb: int = knob("MMFLOW_CACHE_MB", "upper bound of the wire cache, MB", 64)  # type: ignore[assignment]
    log: str = knob("MMFLOW_LOG", "log level on stderr: DEBUG, INFO, WARNING, ERROR", "WARNING")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0.05 <= self.deadline <= 120:
            raise BadQuestion("MMFLOW_DEADLINE", "out of range.", fits="0.05 to 120 seconds")
        if self.tool_rows not in ("columns", "objects"):
            raise BadQuestion("MMFLOW_TOOL_ROWS", "unknown form.", fits="columns or objects")
        kind = self.source.split(":", 1)[0]
        if kind not in ("live", "sim", "replay") or self.source == "replay":
            raise BadQuestion(
                "source", f"{self.source!r} is no source.",
                fits="live, sim, sim:URL or replay:PATH[,PATH...]",
            )

    @property
    def now_ms(self) -> int | None:
        """The pinned moment in epoch milliseconds, or None."""
        return moment_of(self.now) if self.now else None


def moment_of(text: str) -> int:
    """Epoch milliseconds or an ISO time (UTC unless it says otherwise), as epoch milliseconds."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only when a moment is given

    try:
        return int(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuestion(
            "now", f"{text!r} is no time.", fits="epoch milliseconds or 2026-08-22T15:33:00Z"
        ) from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def from_environment(environment: Mapping[str, str] | None = None, **given: object) -> Settings:
    """Settings from the environment, with what was given on the command line on top.

    A desktop host leaves unset options in the environment as the literal `${user_config.x}`:
    that, and empty text, mean "not set".
    """
    env = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for f in fields(Settings):
        variable = f.metadata["variable"]
        text = env.get(variable, "").strip()
        if not text or text.startswith("${"):
            continue
        kind = type(f.default)
        try:
            values[f.name] = kind(text)
        except ValueError:
            raise BadQuestion(variable, f"{text!r} is no {kind.__name__}.") from None
    if "proxy" not in values:
        proxy = env.get("HTTPS_PROXY") or env.get("https_proxy")
        if proxy:
            values["proxy"] = proxy
    values.update({key: value for key, value in given.items() if value is not None})
    return Settings(**values)  # type: ignore[arg-type]
