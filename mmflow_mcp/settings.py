"""Every knob, in one frozen dataclass. This is the only reader of the environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.setting_texts import (
    check_contact,
    check_networks,
    check_traces,
    host_names,
    is_address,
    is_source,
    moment_of,
    proxy_url,
    yes_or_no,
)

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def knob(variable: str, description: str, default: str | float) -> Any:
    """A setting: its environment variable, its words, its default."""
    return field(default=default, metadata={"variable": variable, "description": description})


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation may choose. Command-line options override the environment."""

    source: str = knob(
        "MMFLOW_SOURCE",
        "where answers come from: live, sim, sim:URL, or replay:PATH[,PATH...]",
        "live",
    )
    deadline: float = knob("MMFLOW_DEADLINE", "seconds a question may take", 8.0)
    tool_rows: str = knob(
        "MMFLOW_TOOL_ROWS",
        "form of rows in tool results: columns, or objects for programs",
        "columns",
    )
    tools: str = knob(
        "MMFLOW_TOOLS", "tool families or names to offer, comma-separated; empty: all", ""
    )
    venues_off: str = knob("MMFLOW_VENUES_OFF", "venue ids never to ask, comma-separated", "")
    now: str = knob(
        "MMFLOW_NOW",
        "the moment answers are computed against: epoch ms or ISO; empty: the real one",
        "",
    )
    seed: int = knob("MMFLOW_SEED", "seed of the simulated market", 1)
    faults: str = knob("MMFLOW_FAULTS", "faults of the in-process simulation, separated by ';'", "")
    contact: str = knob(
        "MMFLOW_CONTACT", "a contact put into the User-Agent that venues see; empty: none", ""
    )
    proxy: str = knob("MMFLOW_PROXY", "proxy for live requests; empty: HTTPS_PROXY, else none", "")
    ca_bundle: str = knob(
        "MMFLOW_CA_BUNDLE",
        "PEM file of certificate authorities trusted beside the system's own (or SSL_CERT_FILE)",
        "",
    )
    cache_mb: int = knob("MMFLOW_CACHE_MB", "upper bound of the wire cache, MB", 64)
    data: str = knob(
        "MMFLOW_DATA", "folder of what is kept between runs; empty: the user's data folder", ""
    )
    store: str = knob(
        "MMFLOW_STORE",
        "where history is kept: sqlite:PATH, redis://HOST, memory, or off; empty: one SQLite file"
        " in the data folder (simulated and replayed history stays in memory); with redis, replicas"
        " are one fleet",
        "",
    )
    record: str = knob(
        "MMFLOW_RECORD",
        "what is recorded: off, light (open interest and funding of bulk venues) or full; empty:"
        " light for a desktop server once it is used, full for serve and record",
        "",
    )
    retention_days: float = knob("MMFLOW_RETENTION_DAYS", "days that history is kept", 7.0)
    anon_per_minute: int = knob(
        "MMFLOW_ANON_PER_MINUTE",
        "questions a minute over HTTP without a key, per client address; 0: no limit",
        60,
    )
    key_per_minute: int = knob(
        "MMFLOW_KEY_PER_MINUTE",
        "questions a minute over HTTP with a key that has no number of its own; 0: no limit",
        300,
    )
    require_key: bool = knob(
        "MMFLOW_REQUIRE_KEY", "whether `serve` answers only who shows a key: true or false", False
    )
    trusted_proxies: str = knob(
        "MMFLOW_TRUSTED_PROXIES",
        "addresses or networks (CIDR) of proxies whose X-Forwarded-For or Forwarded is believed,"
        " comma-separated; empty: none",
        "",
    )
    hosts: str = knob(
        "MMFLOW_HOSTS",
        "names by which `serve` may be addressed (Host, and Origin on /mcp) beside loopback and the"
        " address it listens on, comma-separated",
        "",
    )
    stream_seconds: float = knob(
        "MMFLOW_STREAM_SECONDS", "seconds after which an event stream says bye", 900.0
    )
    log: str = knob("MMFLOW_LOG", "log level on stderr: DEBUG, INFO, WARNING, ERROR", "WARNING")
    log_format: str = knob(
        "MMFLOW_LOG_FORMAT", "form of the log: text, or json for one object per line", "text"
    )
    traces: str = knob(
        "MMFLOW_TRACES",
        "where OpenTelemetry spans are sent, the URL of an OTLP collector's traces; empty:"
        " OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or that of OTEL_EXPORTER_OTLP_ENDPOINT, else none",
        "",
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, low, high, unit in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                fits = f"{low:g} to {high:g}{unit}"
                raise BadQuestion(_variable(name), f"{value:g} is out of range.", fits=fits)
        for name, values, what in _WORDS:
            value = getattr(self, name)
            if value not in values:
                fits = " or ".join(word for word in values if word)
                raise BadQuestion(_variable(name), f"{value!r} is no {what}.", fits=fits)
        object.__setattr__(self, "log", self.log.upper())
        if self.log not in LOG_LEVELS:
            raise BadQuestion(
                "MMFLOW_LOG", f"{self.log!r} is no level.", fits=", ".join(LOG_LEVELS)
            )
        if not is_source(self.source):
            raise BadQuestion(
                "source",
                f"{self.source!r} is no source.",
                fits="live, sim, sim:http://HOST:PORT or replay:PATH[,PATH...]",
            )
        if self.faults and self.source != "sim":
            raise BadQuestion(
                "fault", "only the simulation in process has faults.", fits="--source sim"
            )
        if self.now:
            moment_of(self.now)
        check_contact(self.contact)
        check_networks(self.trusted_proxies)
        host_names(self.hosts)
        check_traces(self.traces)
        if self.proxy and self.source == "live":
            object.__setattr__(self, "proxy", proxy_url(self.proxy))

    @property
    def now_ms(self) -> int | None:
        """The pinned moment in epoch milliseconds, or None."""
        return moment_of(self.now) if self.now else None


# Numbers: from, to, unit. Words: which, and what they are.
_RANGES = (
    ("deadline", 0.05, 120, " seconds"),
    ("cache_mb", 1, 4096, ""),
    ("retention_days", 0.05, 3660, " days"),
    ("stream_seconds", 1, 86_400, " seconds"),
    ("anon_per_minute", 0, 100_000, ""),
    ("key_per_minute", 0, 100_000, ""),
)
_WORDS = (
    ("tool_rows", ("columns", "objects"), "form"),
    ("record", ("", "off", "light", "full"), "level"),
    ("log_format", ("text", "json"), "form"),
)


def _variable(name: str) -> str:
    return next(str(f.metadata["variable"]) for f in fields(Settings) if f.name == name)


def data_folder(
    settings: Settings,
    environment: Mapping[str, str] | None = None,
    platform: str = sys.platform,
) -> Path | None:
    """The folder of what is kept between runs, which need not exist; None where there is none.

    By default the user's own: XDG_DATA_HOME or ~/.local/share, ~/Library/Application Support or
    %LOCALAPPDATA%, and in it `mmflow-mcp`.
    """
    env = os.environ if environment is None else environment
    if settings.data:
        return _at_home(settings.data, env)
    if platform == "win32":
        place = env.get("LOCALAPPDATA", "")
    elif platform == "darwin":
        place = "~/Library/Application Support"
    else:
        place = env.get("XDG_DATA_HOME", "")
        # The standard has relative paths ignored.
        place = place if Path(place).is_absolute() else "~/.local/share"
    folder = _at_home(place, env) if place else None
    return folder and folder / "mmflow-mcp"


def colour_wanted(
    environment: Mapping[str, str] | None = None, platform: str = sys.platform
) -> bool:
    """Whether a terminal may be written to in colour: NO_COLOR is not set, and it knows colours.

    A console of Windows is taken to know them only where a newer terminal tells of itself.
    """
    env = os.environ if environment is None else environment
    if env.get("NO_COLOR") or env.get("TERM") == "dumb":
        return False
    return platform != "win32" or bool(env.get("WT_SESSION") or env.get("TERM"))


def _at_home(place: str, env: Mapping[str, str]) -> Path | None:
    """A path whose leading ~ is the user's home; None for someone who has none."""
    if not place.startswith("~"):
        return Path(place)
    home = env.get("HOME") or env.get("USERPROFILE")
    return Path(home) / place[1:].lstrip("/\\") if home else None


@dataclass(frozen=True, slots=True)
class UserPlaces:
    """Folders of this user that other programs keep their settings in; "" where none is known.

    `home`, Windows' `appdata` and `local` (APPDATA, LOCALAPPDATA), `config` (XDG_CONFIG_HOME) and
    `claude` (CLAUDE_CONFIG_DIR).
    """

    home: str = ""
    appdata: str = ""
    local: str = ""
    config: str = ""
    claude: str = ""


def user_places(
    environment: Mapping[str, str] | None = None, platform: str = sys.platform
) -> UserPlaces:
    """Where this user's programs keep their settings."""
    env = os.environ if environment is None else environment
    # A Unix shell on Windows sets a HOME of its own, which the programs of Windows do not read.
    names = ("USERPROFILE", "HOME") if platform == "win32" else ("HOME",)
    return UserPlaces(
        home=next((env[name] for name in names if env.get(name)), ""),
        appdata=env.get("APPDATA", ""),
        local=env.get("LOCALAPPDATA", ""),
        config=env.get("XDG_CONFIG_HOME", ""),
        claude=env.get("CLAUDE_CONFIG_DIR", ""),
    )


def _traces_of(env: Mapping[str, str]) -> str:
    """Where the standard variables of OpenTelemetry have spans sent; the first is taken whole."""
    whole = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    base = env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    url = whole or (f"{base.rstrip('/')}/v1/traces" if base else "")
    # They are meant for every program here: one that is no URL must not keep us from starting.
    return url if is_address(url) else ""


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
        kind: Any = type(f.default)
        try:
            values[f.name] = yes_or_no(variable, text) if kind is bool else kind(text)
        except ValueError:
            fits = "a whole number" if kind is int else "a number"
            raise BadQuestion(variable, f"{text!r} is no number.", fits=fits) from None
    if "proxy" not in values:
        proxy = env.get("HTTPS_PROXY") or env.get("https_proxy")
        if proxy and proxy.strip():
            values["proxy"] = proxy.strip()
    if "traces" not in values and (traces := _traces_of(env)):
        values["traces"] = traces
    values.update({key: value for key, value in given.items() if value is not None})
    return Settings(**values)  # type: ignore[arg-type]
