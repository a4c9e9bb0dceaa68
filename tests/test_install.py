"""`install` and `uninstall`: a client's configuration is edited, and nothing in it is lost."""

import argparse
import json
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.settings import UserPlaces, user_places
from mmflow_mcp.surfaces import cli, install
from mmflow_mcp.surfaces.install_clients import CLIENTS, locations, snippet, stdio_entry
from mmflow_mcp.surfaces.install_plan import (
    CannotInstall,
    Launch,
    Running,
    launch,
    passed_on,
    plan_entry,
    plan_removal,
)
from mmflow_mcp.surfaces.install_text import NotEditable, put, take

ENTRY = {"command": "/x/mmflow-mcp", "args": []}
CURSOR = CLIENTS["cursor"]

FORMS = {
    "two spaces": '{\n  "mcpServers": {\n    "a": {"command": "b", "args": [1.0, 1e5]}\n  }\n}\n',
    "tabs": '{\n\t"x": null,\n\t"mcpServers": {\n\t\t"a": {}\n\t},\n\t"y": [1,2 , 3]\n}',
    "four, Windows": '{\r\n    "mcpServers": {\r\n        "a": {}\r\n    }\r\n}\r\n',
    "one line": '{"mcpServers":{"a":{"command":"b"}},"n":12345678901234567890}',
    "other letters": '{\n  "mcpServers": {\n    "ä\\u00e9": {"command": "漢"}\n  }\n}\n',
    "a mark first": '\ufeff{\r\n  "mcpServers": {\r\n    "a": {}\r\n  }\r\n}\r\n',
    "blank lines": '{\n\n  "mcpServers": {\n\n    "a": {}\n\n  }\n\n}\n',
}


class TestTheText:
    """JSON is edited where it must be; all other bytes stay."""

    @pytest.mark.parametrize("form", FORMS)
    def test_what_was_there_stays_byte_for_byte(self, form: str) -> None:
        """Added and taken out again, it is the very same text; in between both entries stand."""
        before = FORMS[form]
        after = put(before, "mcpServers", "mmflow", ENTRY)
        told = json.loads(before.removeprefix("\ufeff"))
        told["mcpServers"]["mmflow"] = ENTRY
        assert told == json.loads(after.removeprefix("\ufeff"))
        assert before == take(after, "mcpServers", "mmflow")
        # The numbers and spaces of others are not written anew.
        for word in ("1e5", "[1,2 , 3]", "\\u00e9", "12345678901234567890"):
            assert (word in before) is (word in after)

    def test_it_is_written_in_the_files_own_way(self) -> None:
        """Tabs, four spaces with Windows' line ends, one line."""
        tabs = put(FORMS["tabs"], "mcpServers", "mmflow", ENTRY)
        assert '\t\t"a": {},\n\t\t"mmflow": {\n\t\t\t"command": "/x/mmflow-mcp",' in tabs
        four = put(FORMS["four, Windows"], "mcpServers", "mmflow", ENTRY)
        assert '        "mmflow": {\r\n            "command"' in four
        assert "\n" not in four.replace("\r\n", "")
        assert "\n" not in put(FORMS["one line"], "mcpServers", "mmflow", ENTRY)

    @pytest.mark.parametrize(
        "before",
        ["", "  \n", "\ufeff", "\ufeff\r\n", "{}", '{"mcpServers": {}}', '{\n  "a": 1\n}\n'],
    )
    def test_where_nothing_is_yet(self, before: str) -> None:
        """An empty file, an empty object, no servers: what else there is stays."""
        after = put(before, "mcpServers", "mmflow", ENTRY)
        other = json.loads(before) if before.strip("\ufeff \r\n") else {}
        assert {**other, "mcpServers": {"mmflow": ENTRY}} == json.loads(after)
        assert {**other, "mcpServers": {}} == json.loads(take(after, "mcpServers", "mmflow"))

    def test_an_entry_is_replaced_where_it_stands(self) -> None:
        """In the middle of others, whose order stays."""
        before = '{\n  "mcpServers": {\n    "a": {},\n    "mmflow": {"x": 1},\n    "z": {}\n  }\n}'
        after = put(before, "mcpServers", "mmflow", ENTRY)
        assert ["a", "mmflow", "z"] == list(json.loads(after)["mcpServers"])
        assert '{"x": 1}' not in after
        left = take(before, "mcpServers", "mmflow")
        assert '{\n  "mcpServers": {\n    "a": {},\n    "z": {}\n  }\n}' == left

    @pytest.mark.parametrize(
        "text,why",
        [
            ('{\n  // mine\n  "servers": {}\n}', "comments"),
            ('{"servers": {} /* mine */}', "comments"),
            ('{"servers": {},}', "no JSON"),
            ('{"servers": ', "line 1, column 13"),
            ("[]", "no JSON object"),
            ('{"servers": []}', "'servers' is no object"),
            ('{"servers": null}', "'servers' is no object"),
            ("[" * 100_000, "too deeply"),
        ],
    )
    def test_what_cannot_be_edited_is_refused(self, text: str, why: str) -> None:
        """With the reason; nobody's comment is lost."""
        with pytest.raises(NotEditable, match=why):
            put(text, "servers", "mmflow", ENTRY)

    def test_of_a_key_that_is_there_twice_the_one_that_counts_is_edited(self) -> None:
        """JSON readers take the last."""
        after = put('{"s": {"a": 1}, "s": {"b": {}}}', "s", "mmflow", ENTRY)
        assert '{"s": {"a": 1}, "s": {"b": {}, ' == after[:31]


PLACES = {
    "linux": UserPlaces(home="/home/u"),
    "darwin": UserPlaces(home="/Users/u"),
    "win32": UserPlaces(home="C:\\Users\\A B", appdata="C:\\Users\\A B\\AppData\\Roaming"),
}


class TestThePlaces:
    """Where each client keeps its servers, on every platform."""

    @pytest.mark.parametrize(
        "client,platform,expected",
        [
            ("claude-desktop", "linux", "/home/u/.config/Claude/claude_desktop_config.json"),
            (
                "claude-desktop",
                "darwin",
                "/Users/u/Library/Application Support/Claude/claude_desktop_config.json",
            ),
            (
                "claude-desktop",
                "win32",
                "C:\\Users\\A B\\AppData\\Roaming\\Claude\\claude_desktop_config.json",
            ),
            ("claude-code", "linux", "/home/u/.claude.json"),
            ("claude-code", "win32", "C:\\Users\\A B\\.claude.json"),
            ("cursor", "darwin", "/Users/u/.cursor/mcp.json"),
            ("cursor", "win32", "C:\\Users\\A B\\.cursor\\mcp.json"),
            ("vscode", "linux", "/home/u/.config/Code/User/mcp.json"),
            ("vscode", "darwin", "/Users/u/Library/Application Support/Code/User/mcp.json"),
            ("vscode", "win32", "C:\\Users\\A B\\AppData\\Roaming\\Code\\User\\mcp.json"),
        ],
    )
    def test_of_every_client_and_platform(self, client: str, platform: str, expected: str) -> None:
        """Linux, macOS, Windows with blanks in the path."""
        found = locations(CLIENTS[client], platform, PLACES[platform])
        assert [expected] == [str(location.file) for location in found]

    def test_variables_move_them(self) -> None:
        """XDG_CONFIG_HOME when it is absolute, CLAUDE_CONFIG_DIR, APPDATA."""
        env = {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "CLAUDE_CONFIG_DIR": "/h/o/claude"}
        places = user_places(env, "linux")
        assert "/c/Code/User/mcp.json" == str(locations(CLIENTS["vscode"], "linux", places)[0].file)
        code = locations(CLIENTS["claude-code"], "linux", places)[0]
        assert ("/h/o/claude/.claude.json", "/h/o/claude") == (
            str(code.file),
            str(code.sign),
        )
        relative = UserPlaces(home="/h", config="c")
        assert "/h/.config/Code" == str(locations(CLIENTS["vscode"], "linux", relative)[0].sign)
        windows = user_places({"HOME": "/c/Users/u", "USERPROFILE": "C:\\Users\\u"}, "win32")
        assert "C:\\Users\\u" == windows.home

    def test_a_packaged_claude_desktop_goes_first(self) -> None:
        """On Windows it reads the package's own folder; the old one may be left over."""
        own = "C:\\L\\Packages\\Claude_x\\LocalCache\\Roaming\\Claude"
        found = locations(CLIENTS["claude-desktop"], "win32", PLACES["win32"], [own])
        assert f"{own}\\claude_desktop_config.json" == str(found[0].file)
        assert 2 == len(found)

    @pytest.mark.parametrize("client", CLIENTS)
    @pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
    def test_without_a_home_there_is_none(self, client: str, platform: str) -> None:
        """Nothing is guessed."""
        assert [] == locations(CLIENTS[client], platform, UserPlaces())


class TestTheCommand:
    """An absolute path that starts this installation: desktop programs have no shell's PATH."""

    @pytest.mark.parametrize(
        "running,there,expected",
        [
            (Running("linux", "-c", "/v/bin/python", "/v/bin"), ["/v/bin/mmflow-mcp"],
             Launch("/v/bin/mmflow-mcp")),
            (Running("linux", "/p/bin/mmflow-mcp", "/usr/bin/python3", "/usr/local/bin"),
             ["/p/bin/mmflow-mcp", "/usr/local/bin/mmflow-mcp"], Launch("/p/bin/mmflow-mcp")),
            (Running("linux", "-m", "/usr/bin/python3", "/usr/local/bin"),
             ["/usr/local/bin/mmflow-mcp"], Launch("/usr/local/bin/mmflow-mcp")),
            (Running("linux", "-m", "/usr/bin/python3", "/usr/local/bin"), [],
             Launch("/usr/bin/python3", ("-m", "mmflow_mcp"))),
            (Running("win32", "C:\\A B\\Scripts\\mmflow-mcp", "C:\\A B\\Scripts\\python.exe", ""),
             ["C:\\A B\\Scripts\\mmflow-mcp.exe"], Launch("C:\\A B\\Scripts\\mmflow-mcp.exe")),
            (Running("win32", "", "C:\\Py\\python.exe", "C:\\Py\\Scripts"),
             ["C:\\Py\\Scripts\\mmflow-mcp.exe"], Launch("C:\\Py\\Scripts\\mmflow-mcp.exe")),
            (Running("linux", "", "/h/.cache/uv/archive-v0/k/bin/python", ""), ["/b/uvx"],
             Launch("/b/uvx", ("mmflow-mcp",))),
            (Running("linux", "", "/h/.cache/uv/archive-v0/k/bin/python", "", "file:///src/m"),
             ["/b/uvx"], Launch("/b/uvx", ("--from", "file:///src/m", "mmflow-mcp"))),
            (Running("linux", "", "/h/.cache/pipx/1a/bin/python", ""), ["/b/pipx"],
             Launch("/b/pipx", ("run", "mmflow-mcp"))),
            (Running("linux", "", "/h/.local/share/pipx/venvs/m/bin/python", ""),
             ["/b/pipx", "/h/.local/share/pipx/venvs/m/bin/mmflow-mcp"],
             Launch("/h/.local/share/pipx/venvs/m/bin/mmflow-mcp")),
        ],
    )  # fmt: skip
    def test_of_every_kind_of_installation(
        self, running: Running, there: list[str], expected: Launch
    ) -> None:
        """Virtual environments, the system's Python, uvx and pipx, Windows; else `-m`."""
        found = launch(running, there.__contains__, lambda name: f"/b/{name}")
        assert expected == found

    def test_settings_are_handed_on(self) -> None:
        """Those that we read, with values that would start; anything else is refused."""
        given = ["MMFLOW_VENUES_OFF=okx,bybit", "HTTPS_PROXY=http://p:1", "MMFLOW_NOW="]
        assert {
            "MMFLOW_VENUES_OFF": "okx,bybit",
            "HTTPS_PROXY": "http://p:1",
            "MMFLOW_NOW": "",
        } == passed_on(given)
        for wrong, said in (
            ("MMFLOW_TOLS=x", "MMFLOW_TOOLS"),
            ("MMFLOW_SEED", "NAME=VALUE"),
            ("PATH=/x", "no setting"),
            ("MMFLOW_SEED=many", "whole number"),
        ):
            with pytest.raises(BadQuestion, match=said):
                passed_on([wrong])


class TestThePlan:
    """What would be written, before anything is."""

    def test_the_same_again_is_no_change(self) -> None:
        """However the entry is written; the second run does nothing."""
        file = Path("/x/mcp.json")
        first = plan_entry(CURSOR, "mmflow", ENTRY, file, None)
        assert first.changed
        assert not plan_entry(CURSOR, "mmflow", ENTRY, file, first.after).changed
        odd = '{"mcpServers": {"mmflow": {"args":[],"command":"/x/mmflow-mcp"}}}'
        assert odd == plan_entry(CURSOR, "mmflow", ENTRY, file, odd).after

    def test_keys_and_variables_of_the_user_are_kept(self) -> None:
        """Ours are set anew."""
        mine = {"command": "old", "args": ["x"], "disabled": True, "env": {"A": "1", "B": "2"}}
        text = json.dumps({"mcpServers": {"mmflow": mine}})
        entry = stdio_entry(CURSOR, "/new", ["--source", "sim"], {"B": "3"})
        after = json.loads(plan_entry(CURSOR, "mmflow", entry, Path("/x"), text).after)
        assert {
            "command": "/new",
            "args": ["--source", "sim"],
            "disabled": True,
            "env": {"A": "1", "B": "3"},
        } == after["mcpServers"]["mmflow"]

    def test_a_refusal_tells_what_to_paste(self) -> None:
        """And names the file; a server of another kind under our name is not overwritten."""
        remote = '{"mcpServers": {"mmflow": {"url": "https://x"}}}'
        for text in ('{// mine\n"mcpServers": {}}', remote, "{"):
            with pytest.raises(CannotInstall) as failure:
                plan_entry(CURSOR, "mmflow", ENTRY, Path("/x/mcp.json"), text)
            said = str(failure.value)
            assert said.startswith("/x/mcp.json was not changed: it")
            assert said.endswith(snippet(CURSOR, "mmflow", ENTRY))

    @pytest.mark.parametrize(
        "text",
        [
            '{\n  "mcpServers": {\n    "a": {\n      "env": {"K": "secret"}\n    }\n  }\n}\n',
            '{\n  "mcpServers": {\n    "a": {"env": {"K": "secret"}}\n  }\n}\n',
            '{"mcpServers": {"a": {"env": {"K": "secret"}}}}',
        ],
    )
    def test_the_diff_shows_no_neighbours(self, text: str) -> None:
        """They may hold keys; where all stands on one line, its length is told."""
        plan = plan_entry(CURSOR, "mmflow", ENTRY, Path("/x"), text)
        assert "secret" not in plan.diff()
        shown = '+    "mmflow": {' if "\n" in text else "by +"
        assert shown in plan.diff()
        back = plan_removal(CURSOR, "mmflow", Path("/x"), plan.after)
        assert "secret" not in back.diff()

    def test_windows_paths_survive(self) -> None:
        """Backslashes and blanks, as JSON has them."""
        entry = stdio_entry(CLIENTS["vscode"], "C:\\A B\\mmflow-mcp.exe")
        after = plan_entry(CLIENTS["vscode"], "mmflow", entry, Path("/x"), None).after
        assert '"command": "C:\\\\A B\\\\mmflow-mcp.exe"' in after
        assert {"type": "stdio", "command": "C:\\A B\\mmflow-mcp.exe", "args": []} == json.loads(
            after
        )["servers"]["mmflow"]

    def test_a_removal_of_nothing_is_none(self) -> None:
        """No file, no servers, no such entry; and what is no JSON is not touched."""
        for text in (None, "", "{}", '{"mcpServers": {"a": {}}}'):
            assert not plan_removal(CURSOR, "mmflow", Path("/x"), text).changed
        with pytest.raises(CannotInstall, match="by hand"):
            plan_removal(CURSOR, "mmflow", Path("/x"), '{"mcpServers": {}, // mine\n}')


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with a home and no client, and no `claude` on the PATH."""
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def backups(folder: Path) -> list[Path]:
    """Copies of older files."""
    return sorted(folder.glob("*.bak"))


class TestTheCommandLine:
    """As a user runs it."""

    @pytest.mark.parametrize(
        "client,sign,file",
        [
            ("claude-desktop", ".config/Claude", ".config/Claude/claude_desktop_config.json"),
            ("claude-code", ".claude", ".claude.json"),
            ("cursor", ".cursor", ".cursor/mcp.json"),
            ("vscode", ".config/Code", ".config/Code/User/mcp.json"),
        ],
    )
    def test_there_and_back(
        self, home: Path, capsys: pytest.CaptureFixture[str], client: str, sign: str, file: str
    ) -> None:
        """Dry, for real, again, and out: each says what it did, and a copy is kept of each file."""
        (home / sign).mkdir(parents=True)
        words = [client, "--source", "sim", "--env", "MMFLOW_TOOLS=perps"]
        assert 0 == cli.main(["install", *words, "--dry-run"])
        assert not (home / file).exists()
        assert "Nothing was written" in capsys.readouterr().out
        assert 0 == cli.main(["install", *words])
        entry = json.loads((home / file).read_text("utf-8"))[CLIENTS[client].key]["mmflow"]
        assert ["--source", "sim"] == entry["args"][-2:]
        assert Path(entry["command"]).is_absolute()
        assert {"MMFLOW_TOOLS": "perps"} == entry["env"]
        assert CLIENTS[client].then in capsys.readouterr().out
        assert 0 == cli.main(["install", *words])
        assert "nothing was changed" in capsys.readouterr().out
        assert [] == backups((home / file).parent)
        assert 0 == cli.main(["uninstall", client])
        assert {CLIENTS[client].key: {}} == json.loads((home / file).read_text("utf-8"))
        (kept,) = backups((home / file).parent)
        assert entry == json.loads(kept.read_text("utf-8"))[CLIENTS[client].key]["mmflow"]
        assert str(kept) in capsys.readouterr().out
        assert 0 == cli.main(["uninstall", client])
        assert "nothing was changed" in capsys.readouterr().out

    def test_a_client_that_is_not_there_is_not_made_up(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Status 2 and where it was looked for; no folder, no file."""
        for client in CLIENTS:
            assert 2 == cli.main(["install", client])
            said = capsys.readouterr().err
            assert "was not found" in said
            assert str(home) in said
        assert [] == list(home.iterdir())

    def test_links_and_permissions_stay(self, home: Path) -> None:
        """The file behind a link is replaced; it stays as open as it was."""
        real = home / "dotfiles.json"
        real.write_text('{"mcpServers": {}}', "utf-8")
        real.chmod(0o640)
        (home / ".cursor").mkdir()
        (home / ".cursor/mcp.json").symlink_to(real)
        assert 0 == cli.main(["install", "cursor", "--name", "market data"])
        assert (home / ".cursor/mcp.json").is_symlink()
        assert ["market data"] == list(json.loads(real.read_text("utf-8"))["mcpServers"])
        assert 0o640 == stat.S_IMODE(real.stat().st_mode)
        assert 1 == len(backups(home))
        assert [] == list(home.glob("*.part"))

    def test_a_workspace_has_settings_of_its_own(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In the folder we stand in, or a named one; Claude Desktop has none."""
        work = home / "work"
        work.mkdir()
        monkeypatch.chdir(work)
        assert 0 == cli.main(["install", "vscode", "--workspace"])
        assert 0 == cli.main(["install", "cursor", "--workspace", str(work)])
        assert 0 == cli.main(["install", "claude-code", "--workspace"])
        files = (".vscode/mcp.json", ".cursor/mcp.json", ".mcp.json")
        assert [True] * 3 == [(work / file).is_file() for file in files]
        assert 2 == cli.main(["install", "claude-desktop", "--workspace"])
        assert 2 == cli.main(["install", "vscode", "--workspace", "nowhere"])
        assert "there is no folder" in capsys.readouterr().err

    @pytest.mark.parametrize("content", [b'{"mcpServers": ', b"\xff\xfe{", b'{"mcpServers": 1}'])
    def test_a_broken_file_stays_as_it_is(
        self, home: Path, capsys: pytest.CaptureFixture[str], content: bytes
    ) -> None:
        """Not one byte of it changes, nor is a copy made."""
        (home / ".cursor").mkdir()
        file = home / ".cursor/mcp.json"
        file.write_bytes(content)
        for verb in ("install", "uninstall"):
            assert 2 == cli.main([verb, "cursor"])
            assert "changed" in capsys.readouterr().err
        assert content == file.read_bytes()
        assert [file] == list(file.parent.iterdir())

    def test_no_permission_loses_nothing(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Neither to write the new file nor to put it in its place."""
        file = home / "mcp.json"
        file.write_text("{}", "utf-8")

        def refuse(*_: Any, **__: Any) -> Any:
            raise PermissionError(13, "Permission denied")

        for owner, name in ((tempfile, "mkstemp"), (Path, "replace")):
            with monkeypatch.context() as patched:
                patched.setattr(owner, name, refuse)
                assert 2 == cli.main(["install", "cursor", "--file", str(file)])
            said = capsys.readouterr().err
            assert f"{file} cannot be written: Permission denied" in said
            assert "{}" == file.read_text("utf-8")
            assert [] == list(home.glob("*.part"))

    def test_who_wrote_meanwhile_is_not_overwritten(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A client may save its settings in the same moment."""
        file = home / "mcp.json"
        file.write_text("{}", "utf-8")
        keep = install._keep

        def meanwhile(path: Path) -> Path:
            kept = keep(path)
            path.write_text('{"theirs": 1}', "utf-8")
            return kept

        monkeypatch.setattr(install, "_keep", meanwhile)
        assert 2 == cli.main(["install", "cursor", "--file", str(file)])
        assert "run this again" in capsys.readouterr().err
        assert '{"theirs": 1}' == file.read_text("utf-8")

    def test_claude_codes_own_command_is_asked(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It holds its file while it runs. An older entry goes first; a failure is told."""
        heard = home / "heard"
        (home / "bin").mkdir()
        fake = home / "bin/claude"
        fake.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            f"open({str(heard)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
            "sys.exit('no such server' if 'broken' in sys.argv else 0)\n",
            "utf-8",
        )
        fake.chmod(0o755)
        assert 0 == cli.main(["install", "claude-code", "--dry-run"])
        assert "would run" in capsys.readouterr().out
        assert not heard.exists()
        assert 0 == cli.main(["install", "claude-code"])
        old = {"mcpServers": {"mmflow": {"command": "old"}}, "numStartups": 3}
        (home / ".claude.json").write_text(json.dumps(old), "utf-8")
        assert 0 == cli.main(["install", "claude-code"])
        assert 0 == cli.main(["uninstall", "claude-code"])
        asked = [json.loads(line) for line in heard.read_text("utf-8").splitlines()]
        remove = ["mcp", "remove", "--scope", "user", "mmflow"]
        add = ["mcp", "add-json", "--scope", "user", "mmflow"]
        assert [add, remove, add, remove] == [line[:5] for line in asked]
        told = json.loads(asked[0][5])
        assert ("stdio", True) == (told["type"], Path(told["command"]).is_absolute())
        capsys.readouterr()
        assert 2 == cli.main(["install", "claude-code", "--name", "broken"])
        assert "own command failed: no such server" in capsys.readouterr().err
        assert old == json.loads((home / ".claude.json").read_text("utf-8"))

    def test_windows_asks_no_batch_file(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """JSON does not survive as a word of a batch file: there the file is edited."""
        monkeypatch.setattr(shutil, "which", lambda _: "C:\\x\\claude.CMD")
        chosen = argparse.Namespace(file=None, workspace=None)
        assert install._own_command(CLIENTS["claude-code"], chosen) is None

    def test_recordings_are_found_from_anywhere(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client starts us in a folder of its own, so relative paths are made absolute."""
        monkeypatch.chdir(home)
        assert 0 == cli.main(["install", "cursor", "--file", "m.json", "--source", "replay:a,b/c"])
        entry = json.loads((home / "m.json").read_text("utf-8"))["mcpServers"]["mmflow"]
        assert ["--source", f"replay:{home}/a,{home}/b/c"] == entry["args"][-2:]

    def test_paths_in_settings_hold_anywhere(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those of folders, files and stores; nothing is made of them."""
        monkeypatch.chdir(home)
        given = {
            "MMFLOW_DATA": "kept here",
            "MMFLOW_STORE": "sqlite:h.sqlite",
            "SSL_CERT_FILE": "~/own.pem",
            "SSL_CERT_DIR": f"/etc/certs{os.pathsep}more",
            "MMFLOW_SOURCE": "sim",
            "MMFLOW_TOOLS": "perps",
        }
        words = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
        assert 0 == cli.main(["install", "cursor", "--file", "m.json", *words])
        entry = json.loads((home / "m.json").read_text("utf-8"))["mcpServers"]["mmflow"]
        assert {
            **given,
            "MMFLOW_DATA": f"{home}/kept here",
            "MMFLOW_STORE": f"sqlite:{home}/h.sqlite",
            "SSL_CERT_FILE": f"{home}/own.pem",
            "SSL_CERT_DIR": f"/etc/certs{os.pathsep}{home}/more",
        } == entry["env"]
        assert ["m.json"] == [path.name for path in home.iterdir()]

    @pytest.mark.parametrize(
        "setting,said",
        [
            ("MMFLOW_TOOLS=bogus", "no such family or tool"),
            ("MMFLOW_VENUES_OFF=binanse", "Nearest: binance"),
            ("MMFLOW_STORE=nowhere", "no place for history"),
            ("MMFLOW_CA_BUNDLE=none.pem", "cannot be read"),
            ("MMFLOW_SOURCE=replay:none.har", "does not exist"),
        ],
    )
    def test_what_would_not_start_is_not_installed(
        self, home: Path, capsys: pytest.CaptureFixture[str], setting: str, said: str
    ) -> None:
        """A client shows no reason."""
        file = home / "m.json"
        assert 2 == cli.main(["install", "cursor", "--file", str(file), "--env", setting])
        assert said in capsys.readouterr().err
        assert not file.exists()

    def test_a_mark_before_claude_codes_settings_is_no_hindrance(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An editor of Windows put it there."""
        (home / "bin").mkdir()
        (home / "bin/claude").write_text("#!/bin/sh\n", "utf-8")
        (home / "bin/claude").chmod(0o755)
        (home / ".claude.json").write_text('{"mcpServers": {"mmflow": {}}}', "utf-8-sig")
        assert 0 == cli.main(["install", "claude-code", "--dry-run"])
        said = capsys.readouterr().out
        assert ("remove", "add-json") == tuple(w for w in ("remove", "add-json") if w in said)

    def test_names_and_sources_are_looked_at(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An empty name, a source that is none: status 2 before anything is written."""
        (home / ".cursor").mkdir()
        for words in (["--name", " "], ["--source", "nowhere"], ["--env", "MMFLOW_DEADLINE=0"]):
            assert 2 == cli.main(["install", "cursor", *words])
        assert "out of range" in capsys.readouterr().err
        assert [] == list((home / ".cursor").iterdir())
