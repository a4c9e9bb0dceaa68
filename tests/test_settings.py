"""Settings: what the environment says, what the command line says on top, and what is refused."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.setting_texts import moment_of
from mmflow_mcp.settings import Settings, data_folder, from_environment

AT = 1_787_412_780_000  # 2026-08-22T15:33:00Z
VARIABLES = {f.name: f.metadata["variable"] for f in fields(Settings)}


class TestTheEnvironment:
    """`MMFLOW_*`, and nothing else but the proxy."""

    def test_nothing_set_is_the_defaults(self) -> None:
        """A line in a client's configuration is enough."""
        assert Settings() == from_environment({})
        assert ("live", 8.0, "columns", None) == (
            Settings().source,
            Settings().deadline,
            Settings().tool_rows,
            Settings().now_ms,
        )

    @pytest.mark.parametrize(
        "name,text,expected",
        [
            ("source", "sim", "sim"),
            ("deadline", "2.5", 2.5),
            ("tool_rows", "objects", "objects"),
            ("tools", "perps,get_gex", "perps,get_gex"),
            ("venues_off", "okx", "okx"),
            ("now", "1787412780000", "1787412780000"),
            ("seed", "42", 42),
            ("faults", "okx:http=503", "okx:http=503"),
            ("contact", "me@example.org", "me@example.org"),
            ("proxy", "http://proxy:8080", "http://proxy:8080"),
            ("ca_bundle", "/etc/office.pem", "/etc/office.pem"),
            ("cache_mb", "16", 16),
            ("data", "/srv/mmflow", "/srv/mmflow"),
            ("log", "DEBUG", "DEBUG"),
            ("anon_per_minute", "0", 0),
            ("key_per_minute", "1000", 1000),
            ("require_key", "true", True),
            ("require_key", "Yes", True),
            ("require_key", "1", True),
            ("require_key", "false", False),
            ("require_key", "off", False),
            ("trusted_proxies", "10.0.0.0/8, ::1", "10.0.0.0/8, ::1"),
        ],
    )
    def test_every_setting_is_read_from_its_variable(
        self, name: str, text: str, expected: Any
    ) -> None:
        """In its type, without the blanks around it."""
        # Faults go with the simulation alone.
        base: dict[str, Any] = {"source": "sim"} if name == "faults" else {}
        environment = {VARIABLES[key]: value for key, value in base.items()}
        found = from_environment({**environment, VARIABLES[name]: f"  {text} "})
        assert replace(Settings(), **{**base, name: expected}) == found
        assert type(expected) is type(getattr(found, name))

    @pytest.mark.parametrize("text", ["me@example.org\nX-Evil: 1", "a\rb", "a\x00b"])
    def test_a_contact_of_several_lines_is_refused(self, text: str) -> None:
        """It becomes part of a header, and such a header fails at every request."""
        with pytest.raises(BadQuestion, match=r"^MMFLOW_CONTACT: hidden characters"):
            from_environment({"MMFLOW_CONTACT": text})

    def test_every_variable_is_named_alike(self) -> None:
        """MMFLOW_ and the name of the setting, each with words of its own."""
        assert {f"MMFLOW_{name.upper()}" for name in VARIABLES} == set(VARIABLES.values())
        descriptions = [f.metadata["description"] for f in fields(Settings)]
        assert len(descriptions) == len(set(descriptions)) == len([d for d in descriptions if d])

    @pytest.mark.parametrize("text", ["", "   ", "${user_config.x}", " ${user_config.deadline} "])
    def test_what_a_desktop_host_leaves_open_is_not_set(self, text: str) -> None:
        """Empty text and the literal placeholder, for numbers and words alike."""
        assert Settings() == from_environment(dict.fromkeys(VARIABLES.values(), text))

    def test_the_real_environment_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where none is handed in."""
        monkeypatch.setenv("MMFLOW_SEED", "77")
        assert 77 == from_environment().seed

    def test_the_command_line_stands_above_the_environment(self) -> None:
        """What was not given there (None) leaves the environment's word."""
        env = {"MMFLOW_SOURCE": "sim", "MMFLOW_SEED": "5"}
        found = from_environment(env, source="live", seed=None, deadline=3.0)
        assert ("live", 5, 3.0) == (found.source, found.seed, found.deadline)


class TestTheProxy:
    """Live requests may need one."""

    @pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
    def test_the_systems_proxy_serves_where_none_is_named(self, name: str) -> None:
        """Ours goes first."""
        assert "http://p:1" == from_environment({name: "http://p:1"}).proxy
        env = {name: "http://p:1", "MMFLOW_PROXY": "http://q:2"}
        assert "http://q:2" == from_environment(env).proxy

    def test_host_and_port_are_enough(self) -> None:
        """As many systems have it."""
        assert "http://proxy:8080" == from_environment({"HTTPS_PROXY": "proxy:8080"}).proxy

    @pytest.mark.parametrize(
        "text", ["ftp://u:secret@p:1", "http://", "http://u:secret@p:port", "socks9://secret@p"]
    )
    def test_what_is_no_proxy_is_refused_without_repeating_it(self, text: str) -> None:
        """It may hold a password."""
        with pytest.raises(BadQuestion) as failure:
            from_environment({"MMFLOW_PROXY": text})
        assert "secret" not in str(failure.value)
        assert "http://HOST:PORT" in failure.value.fits

    def test_other_sources_do_not_care(self) -> None:
        """A simulation runs whatever proxy the machine has."""
        env = {"HTTPS_PROXY": "ftp://p:1"}
        assert "sim" == from_environment(env, source="sim").source


class TestBadValues:
    """Each is refused with what would fit."""

    @pytest.mark.parametrize(
        "name,text,fits",
        [
            ("deadline", "soon", "a number"),
            ("deadline", "0", "0.05 to 120 seconds"),
            ("deadline", "121", "0.05 to 120 seconds"),
            ("deadline", "nan", "0.05 to 120 seconds"),
            ("deadline", "inf", "0.05 to 120 seconds"),
            ("seed", "1.5", "a whole number"),
            ("cache_mb", "many", "a whole number"),
            ("cache_mb", "0", "1 to 4096"),
            ("cache_mb", "-1", "1 to 4096"),
            ("tool_rows", "rows", "columns or objects"),
            ("anon_per_minute", "-1", "0 to 100000"),
            ("key_per_minute", "a lot", "a whole number"),
            ("require_key", "ture", "true or false"),
            ("trusted_proxies", "proxy.example", "10.0.0.0/8,192.0.2.7,fd00::/8"),
            ("log", "LOUD", "DEBUG, INFO, WARNING, ERROR"),
        ],
    )
    def test_it_names_the_variable_what_was_given_and_what_fits(
        self, name: str, text: str, fits: str
    ) -> None:
        """One sentence for who set it."""
        with pytest.raises(BadQuestion) as failure:
            from_environment({VARIABLES[name]: text})
        assert (VARIABLES[name], fits) == (failure.value.argument, failure.value.fits)
        assert text in str(failure.value)

    def test_a_log_level_may_be_written_small(self) -> None:
        """It is the same level."""
        assert "DEBUG" == from_environment({"MMFLOW_LOG": "debug"}).log

    @pytest.mark.parametrize(
        "source",
        [
            "live",
            "sim",
            "sim:http://127.0.0.1:9100",
            "sim:https://sim.example/base",
            "replay:a.har",
            "replay:C:\\wire\\a.har,b",
        ],
    )
    def test_sources(self, source: str) -> None:
        """Where answers may come from."""
        assert source == Settings(source=source).source

    @pytest.mark.parametrize(
        "source",
        [
            "",
            "demo",
            "Live",
            "live:x",
            "sim:",
            "sim:9100",
            "sim:127.0.0.1:9100",
            "sim:http://",
            "sim:http://host:port",
            "sim:ftp://host",
            "replay",
            "replay:",
            "replay:a.har,",
        ],
    )
    def test_what_is_no_source(self, source: str) -> None:
        """Among them a replay of nothing, which would read the folder it is started in."""
        with pytest.raises(BadQuestion) as failure:
            Settings(source=source)
        assert "source" == failure.value.argument
        assert "sim:http://HOST:PORT" in failure.value.fits


class TestNow:
    """The moment that answers are computed against."""

    @pytest.mark.parametrize(
        "text",
        [
            "1787412780000",
            "2026-08-22T15:33:00Z",
            "2026-08-22T15:33:00",
            "2026-08-22 15:33",
            "2026-08-22T15:33:00.000+00:00",
            "2026-08-22T17:33:00+02:00",
        ],
    )
    def test_the_forms_of_a_moment(self, text: str) -> None:
        """Epoch milliseconds, or ISO in UTC unless it says otherwise."""
        assert (AT, AT) == (moment_of(text), Settings(now=text).now_ms)

    def test_a_day_is_its_beginning(self) -> None:
        """In UTC."""
        assert 1_787_356_800_000 == moment_of("2026-08-22")

    def test_milliseconds_are_kept(self) -> None:
        """To the last one."""
        assert AT + 123 == moment_of("2026-08-22T15:33:00.123Z")

    @pytest.mark.parametrize(
        "text",
        [
            "soon",
            "-24h",
            "1787412780",
            "1787412780000000",
            "0",
            "-5",
            "20260822",
            "2026-13-01",
            "0001-01-01",
            "9999-12-31T23:59:59",
            "1.787e12",
            "nan",
        ],
    )
    def test_what_is_no_moment(self, text: str) -> None:
        """Epoch seconds and microseconds included: read as milliseconds they would be wrong."""
        for ask in (moment_of, lambda now: Settings(now=now)):
            with pytest.raises(BadQuestion) as failure:
                ask(text)
            assert "now" == failure.value.argument
            assert "2026-08-22T15:33:00Z" in failure.value.fits


class TestTheDataFolder:
    """Where things are kept between runs: the user's own folder for that."""

    @pytest.mark.parametrize(
        "platform,environment,expected",
        [
            ("linux", {"HOME": "/home/u"}, "/home/u/.local/share/mmflow-mcp"),
            ("linux", {"HOME": "/home/u", "XDG_DATA_HOME": "/data"}, "/data/mmflow-mcp"),
            ("linux", {"HOME": "/h", "XDG_DATA_HOME": "rel"}, "/h/.local/share/mmflow-mcp"),
            ("darwin", {"HOME": "/Users/u"}, "/Users/u/Library/Application Support/mmflow-mcp"),
            ("win32", {"LOCALAPPDATA": "/l"}, "/l/mmflow-mcp"),
        ],
    )
    def test_it_is_the_platforms(
        self, platform: str, environment: dict[str, str], expected: str
    ) -> None:
        """Linux and others, macOS, Windows."""
        assert Path(expected) == data_folder(Settings(), environment, platform)

    @pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
    def test_who_has_no_home_has_none(self, platform: str) -> None:
        """Then nothing is kept; it is no error."""
        assert data_folder(Settings(), {}, platform) is None

    def test_the_setting_goes_first(self) -> None:
        """As it is, or from the home."""
        assert Path("/srv/x") == data_folder(Settings(data="/srv/x"), {}, "linux")
        home = {"HOME": "/home/u"}
        assert Path("/home/u/x") == data_folder(Settings(data="~/x"), home, "linux")
