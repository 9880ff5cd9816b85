"""What the fast lane takes from uvicorn: an upgrade that changes any of it fails here, by name.

`footfall.collect.fastlane` subclasses a protocol class and leans on more than its public face.
"""

from __future__ import annotations

import inspect
import tomllib
from importlib.metadata import version
from pathlib import Path

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from footfall.collect.connection import Connection, Turn
from footfall.collect.fastlane import FastLane

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize("name", ["uvicorn", "httptools"])
def test_the_pinned_version_is_the_installed_one(name):
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert f"{name}=={version(name)}" in project["dependencies"]


def source(thing) -> str:
    return inspect.getsource(thing)


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_class_is_made_as_uvicorn_makes_it():
    assert parameters(HttpToolsProtocol.__init__) == [
        "self", "config", "server_state", "app_state", "_loop",
    ]  # fmt: skip
    assert "config.http_protocol_class(" in source(Server.startup)


@pytest.mark.parametrize(
    ("method", "takes"),
    [
        ("connection_made", ["self", "transport"]),
        ("connection_lost", ["self", "exc"]),
        ("eof_received", ["self"]),
        ("data_received", ["self", "data"]),
        ("pause_writing", ["self"]),
        ("resume_writing", ["self"]),
        ("shutdown", ["self"]),
        ("on_message_begin", ["self"]),
        ("on_url", ["self", "url"]),
        ("on_header", ["self", "name", "value"]),
        ("on_headers_complete", ["self"]),
        ("on_body", ["self", "body"]),
        ("on_message_complete", ["self"]),
        ("on_response_complete", ["self"]),
        ("_start_asgi_task", ["self", "cycle", "app"]),
        ("_unset_keepalive_if_required", ["self"]),
    ],
)
def test_methods_that_are_extended_or_called(method, takes):
    assert parameters(getattr(HttpToolsProtocol, method)) == takes
    if method not in {"on_url", "_unset_keepalive_if_required"}:
        assert method in {**vars(Connection), **vars(FastLane)}


@pytest.mark.parametrize(
    "attribute",
    ["access_log", "parser", "server_state", "connections", "transport", "flow", "client",
     "scheme", "pipeline", "headers", "cycle", "loop"],
)  # fmt: skip
def test_attributes_of_a_connection(attribute):
    assert f"self.{attribute}" in source(HttpToolsProtocol.__init__)


def test_uvicorn_has_no_further_callbacks_of_the_parser():
    """One that is added would be called without the fast lane's knowledge."""
    known = {
        "on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body",
        "on_message_complete", "on_response_complete",
    }  # fmt: skip
    assert {name for name in vars(HttpToolsProtocol) if name.startswith("on_")} == known


def test_the_pipeline_is_taken_from_its_right_end():
    assert "self.pipeline.appendleft((self.cycle, app))" in source(
        HttpToolsProtocol.on_headers_complete
    )
    taken = "cycle, app = self.pipeline.pop()\n            self._start_asgi_task(cycle, app)"
    assert taken in source(HttpToolsProtocol.on_response_complete)


def test_a_cycle_waits_for_the_one_before_it():
    waits = "existing_cycle is None or existing_cycle.response_complete"
    assert waits in source(HttpToolsProtocol.on_headers_complete)


def test_a_turn_has_what_uvicorn_looks_at_in_a_cycle():
    looked_at = set()
    for method in vars(HttpToolsProtocol).values():
        if inspect.isfunction(method) and method.__name__ in {
            "connection_lost", "shutdown", "on_headers_complete",
        }:  # fmt: skip
            for part in source(method).split("cycle.")[1:]:
                looked_at.add(part.split("(")[0].split(":")[0].split()[0].split(".")[0])
    looked_at -= {"run_asgi"}
    assert looked_at == {"response_complete", "disconnected", "message_event", "keep_alive"}
    assert [name for name in looked_at if not hasattr(Turn, name)] == []


@pytest.mark.parametrize(
    "attribute",
    ["response_complete", "response_started", "more_body", "disconnected", "keep_alive",
     "message_event"],
)  # fmt: skip
def test_attributes_of_a_cycle(attribute):
    assert f"self.{attribute}" in source(RequestResponseCycle.__init__)


def test_a_disconnected_cycle_is_silent():
    """The fast lane sets this where it answers in a cycle's place."""
    send = source(RequestResponseCycle.send)
    assert send.index("if self.disconnected:\n            return") < send.index("transport.write")


def test_flow_control():
    assert {"read_paused", "write_paused"} <= set(FlowControl(None).__dict__)
    for method in ("pause_reading", "resume_reading", "pause_writing", "resume_writing"):
        assert parameters(getattr(FlowControl, method)) == ["self"]


def test_the_date_is_the_first_default_header():
    assert "date_header + self.config.encoded_headers" in source(Server.on_tick)
    assert ServerState().default_headers == []


def test_the_server_ends_as_expected():
    stop = source(Server.shutdown)
    assert "connection.shutdown()" in stop
    assert "timeout_graceful_shutdown" in stop
    assert "self.server_state.connections" in source(Server._wait_tasks_to_complete)
    assert "should_exit" in vars(uvicorn.Server(uvicorn.Config(None)))


def test_the_parser():
    parser = httptools.HttpRequestParser(object())
    for name in (
        "feed_data", "get_method", "get_http_version", "should_keep_alive", "should_upgrade",
        "set_dangerous_leniencies",
    ):  # fmt: skip
        assert callable(getattr(parser, name))
    assert issubclass(httptools.HttpParserCallbackError, httptools.HttpParserError)
    assert not issubclass(httptools.HttpParserUpgrade, httptools.HttpParserError)


def test_the_parser_still_passes_over_the_body_behind_an_offer_to_upgrade():
    """Where this fails, `framing.parser_at_body` and what leads to it can go."""
    seen = []

    class Callbacks:
        def on_body(self, body):
            seen.append(body)

        def on_message_complete(self):
            seen.append("complete")

    head = b"POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as upgrade:
        httptools.HttpRequestParser(Callbacks()).feed_data(head + b"abc")
    assert (seen, upgrade.value.args[0]) == (["complete"], len(head))
