"""footfall check, source new, and the group's own manners."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import click
import pytest

import footfall
from footfall.cli import COMMANDS, Commands, cli
from footfall.cli.configuration import Configuration
from footfall.errors import FootfallError, SettingsError
from footfall.settings import load

SHOP = f'[[source]]\nid = "shop"\nkey_sha256 = "{"a" * 64}"\nprotocols = ["jay"]\n'


def test_check_sums_up_a_good_file(run, tmp_path):
    (tmp_path / "footfall.toml").write_text(
        SHOP + "retention_days = 30\norigins = 'https://a.example'\n[server]\nport = 9000\n"
    )
    result = run("check")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "footfall.toml: valid",
        "  tracking    http://127.0.0.1:9000",
        "  console     http://127.0.0.1:8081",
        f"  data        {tmp_path}/footfall-data (not there yet: `footfall serve` makes it)",
        "  source      shop: jay; 1 key; origins https://a.example; kept 30 days",
    ]


def test_check_names_every_problem_and_fails(run, tmp_path):
    (tmp_path / "other.toml").write_text("[server]\nprot = 1\nport = -1\n" + SHOP)
    result = run("check", "--config", "other.toml")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        'other.toml:2: server.prot is not a setting; did you mean "port"?',
        "other.toml:3: server.port must be a whole number from 0 to 65535, not -1",
        f"F101: {SettingsError.remedy}",
    ]


def test_check_only_warns_of_files_that_are_not_there(run, tmp_path):
    (tmp_path / "footfall.toml").write_text(SHOP + "[server]\ngeoip = 'no.mmdb'\n")
    result = run("check")
    assert result.exit_code == 0
    assert "warning     server.geoip names no.mmdb, which does not exist" in result.stdout


def test_check_warns_of_what_is_empty_and_refuses_everything(run, tmp_path):
    made = run("source", "new", "app", "--protocol", "vaix").stdout
    (tmp_path / "footfall.toml").write_text(made)
    said = "warning     source app: source.vaix.client_ids is empty: every vaix request is refused"
    assert said in run("check").stdout
    (tmp_path / "footfall.toml").write_text(made.replace("client_ids = []", "client_ids = ['a']"))
    assert "warning" not in run("check").stdout


SERVICES = """
[[service]]
id = "films"
source = "shop"
kind = "vod"
origin = "https://o.example/vod"
ad_server = "https://user.ads.example:8443/vmap?key=$arg_key"
[[service]]
id = "tv"
source = "shop"
kind = "channel"
assets = ["https://o.example/a.m3u8", "https://o.example/b.m3u8"]
tracking = "server"
[[service.slot]]
id = "news"
kind = "ad-break"
start = "2026-11-20T18:00:00Z"
duration_seconds = 60
"""


def test_check_tells_of_services(run, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    (tmp_path / "footfall.toml").write_text(SHOP + SERVICES)
    films, tv, warning = run("check").stdout.splitlines()[-3:]
    assert films == (
        "  service     films: vod of https://o.example/vod/; ads of user.ads.example:8443; "
        "the client tells what was played; events of shop"
    )
    assert tv == (
        "  service     tv: channel of 2 assets, 1 slot; no ads; the server tells what was played; "
        "events of shop"
    )
    assert warning == "  warning     service tv: no ad_server: it plays no ads"


def test_check_says_what_will_be_refused_as_private(run, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    private = SERVICES.replace("https://o.example/vod", "http://10.1.2.3:8080/vod")
    (tmp_path / "footfall.toml").write_text(SHOP + private)
    assert "warning     service films: 10.1.2.3 is private: it is not" in run("check").stdout
    allowed = private.replace('kind = "vod"', 'kind = "vod"\nprivate_addresses = true')
    (tmp_path / "footfall.toml").write_text(SHOP + allowed)
    assert "is private" not in run("check").stdout


def test_check_says_where_ffmpeg_is_missed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "footfall.toml").write_text(SHOP + SERVICES)
    assert "warning     ffmpeg is not installed" in run("check").stdout
    assert "(films); install it" in run("check").stdout
    without = SERVICES.replace('kind = "vod"', 'kind = "vod"\ntranscode = false')
    (tmp_path / "footfall.toml").write_text(SHOP + without)
    assert "ffmpeg is" not in run("check").stdout


def test_check_says_that_nobody_may_send(run):
    result = run("check")
    assert result.exit_code == 0
    assert "No settings file here" in result.stdout
    assert "no [[source]]" in result.stdout


def test_a_file_that_is_no_text_is_said_so(run, tmp_path):
    (tmp_path / "footfall.toml").write_bytes(b"a = '\xff'")
    result = run("check")
    assert result.exit_code == 1
    assert result.stderr.startswith("footfall.toml: not UTF-8 at byte 5\n")


def test_a_config_that_is_not_there_is_a_usage_error(run):
    result = run("check", "--config", "no.toml")
    assert result.exit_code == 2
    assert "no.toml" in result.stderr


@pytest.mark.parametrize(
    "options", [(), ("--protocol", "vaix"), ("--protocol", "vaix", "--protocol", "jay")]
)
def test_a_new_source_passes_the_check_when_it_is_appended(run, tmp_path, options):
    (tmp_path / "footfall.toml").write_text(SHOP.rstrip("\n"))
    result = run("source", "new", "app-2", *options)
    assert result.exit_code == 0
    with (tmp_path / "footfall.toml").open("a") as file:
        file.write("\n" + result.stdout)
    checked = run("check")
    assert checked.exit_code == 0, checked.stderr
    assert "app-2" in checked.stdout


def test_a_new_source_keeps_the_hash_of_its_key_only(run):
    result = run("source", "new", "app")
    key = result.stderr.removeprefix("The key of app, shown this once: ").strip()
    assert len(key) >= 40
    assert key not in result.stdout
    settings = load(result.stdout, {}, extensions=_extensions())
    (source,) = settings.sources
    assert source.key_sha256 == (hashlib.sha256(key.encode()).hexdigest(),)
    assert run("source", "new", "app").stderr != result.stderr


def test_the_hints_of_a_new_source_are_right_when_they_are_used(run):
    """A comment that would not pass when its mark is taken away teaches a mistake."""
    text = run("source", "new", "app").stdout
    used = "\n".join(line.removeprefix("# ") for line in text.splitlines())
    load(used, {}, extensions=_extensions())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a b",), "1 to 64 letters"),
        (("app", "--protocol", "viax"), 'did you mean "vaix"?'),
    ],
)
def test_a_new_source_of_wrong_names_is_refused(run, arguments, said):
    result = run("source", "new", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def _extensions():
    from footfall.collect.protocols import installed

    return {protocol.name: protocol.settings for protocol in installed()}


# -- settings of the server, checked apart ------------------------------------------------------


def test_checked_apart_is_checked_whole(tmp_path):
    file = tmp_path / "footfall.toml"
    file.write_text(SHOP + "[source.jay]\nlifetime_hours = -1\nno_such = 1\n")
    with pytest.raises(SettingsError) as whole:
        Configuration(file).whole()
    with pytest.raises(SettingsError) as apart:
        Configuration(file).check_apart()
    assert apart.value.args == whole.value.args
    assert len(whole.value.args) == 2
    file.write_text(SHOP)
    Configuration(file).check_apart()


def test_a_reader_that_fails_is_told_as_such(tmp_path, monkeypatch):
    def fail(self):
        raise KeyError("x")

    monkeypatch.setattr(Configuration, "whole", fail)
    with pytest.raises(FootfallError, match="reader failed"):
        Configuration(None).check_apart()


@pytest.mark.slow
def test_what_stays_in_memory_while_it_serves_is_little():
    """The supervisor needs neither the protocols, nor an event loop, nor rich, nor HTTP."""
    program = (
        "import sys, footfall.cli, footfall.cli.serve\n"
        "heavy = {'asyncio', 'httpx', 'rich', 'starlette', 'uvicorn', 'duckdb', 'msgspec', 'jwt'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


@pytest.mark.slow
def test_a_collector_loads_neither_rich_nor_the_analytical_engine():
    program = (
        "import sys, footfall.app.__main__, footfall.app.collector\n"
        "heavy = {'rich', 'duckdb', 'jinja2', 'nanoarrow'}\n"
        "print(sorted(name for name in heavy if sys.modules.get(name)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


# -- manners ------------------------------------------------------------------------------------


def _commands(group, context):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield name, command
        if isinstance(command, click.Group):
            yield from _commands(command, context)


def test_every_command_teaches():
    """Two or three lines and an example."""
    for name, command in _commands(cli, click.Context(cli)):
        if isinstance(command, click.Group):
            continue
        assert "footfall " in command.help, name
        assert len(command.help.splitlines()) >= 4, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, (name, option.name)


def test_the_registry_and_the_modules_agree():
    context = click.Context(cli)
    assert [cli.get_command(context, name).name for name in COMMANDS] == list(COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [("profile", "ID"), ("session", "ID"), ("query", "ID"), ("forget", "--user", "ID"),
     ("export", "--user", "a", "--source", "ID"), ("status", "--data", "ID"), ("ID",)],
)  # fmt: skip
def test_an_argument_that_is_no_text_is_said(run, arguments):
    """As Python has the bytes of `footfall profile $'caf\xe9'`."""
    result = run(*(part.replace("ID", "caf\udce9") for part in arguments))
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: An argument is not UTF-8: caf\\xe9\n")


def test_version_and_unknown_commands(run):
    assert run("--version").stdout == f"footfall, version {footfall.__version__}\n"
    assert run("no-such").exit_code == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (FootfallError("It broke."), "It broke.\nF000: "),
        (KeyError("x"), "KeyError: 'x'\nF000: "),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied.\nF001: "),
    ],
)
def test_a_fault_is_told_in_words(run, monkeypatch, fault, said):
    @click.command()
    def breaks():
        raise fault

    monkeypatch.setattr(Commands, "get_command", lambda *_: breaks)
    result = run("breaks", env={"FOOTFALL_DEBUG": ""})
    assert result.exit_code == 1
    assert result.stderr.startswith(said)
    assert "Traceback" not in result.stderr
    debugged = run("breaks", env={"FOOTFALL_DEBUG": "1"})
    assert debugged.exception is fault


@pytest.mark.slow
def test_a_reader_that_leaves_ends_it_quietly(tmp_path):
    process = subprocess.run(
        f"{sys.executable} -m footfall.cli --help | head -c 1",
        shell=True, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert process.stdout == "U"
    assert process.stderr == ""
