"""The vendor's curl lines as they stand in the guide, with only host, key and id put in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
from served import KEY, Served, certificate, source

from footfall.collect.protocols import installed
from footfall.settings import Server

pytestmark = pytest.mark.slow

if shutil.which("curl") is None or shutil.which("openssl") is None:
    pytest.skip("no curl or no openssl on this machine", allow_module_level=True)

CREATE = r"""curl -X POST "https://your-api-domain/v1/playouts/tracking/session" \
-H "X-API-Key: your_api_key_here" \-i"""
CREATE_FOR_USER = r"""curl -X POST "https://your-api-domain/v1/playouts/tracking/session" \
-H "X-API-Key: your_api_key_here" \
-H "Content-Type: application/json" \
-d '{"user_id": "user-123-xyz"}' \
-i"""
READ = r"""curl -X GET "https://your-api-domain/v1/playouts/tracking/session" \
-H "X-API-Key: your_api_key_here" \
-H "Cookie: __Secure-jay_tracking=your_session_id" \
-i"""
DELETE = r"""curl -X DELETE "https://your-api-domain/v1/playouts/tracking/session" \
-H "X-API-Key: your_api_key_here" \
-H "Cookie: __Secure-jay_tracking=your_session_id" \
-i"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Run a line in a shell; status, headers and JSON of the answer."""
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    protocols = [protocol for protocol in installed() if protocol.name == "jay"]
    server = Server(tls_certificate=str(cert), tls_key=str(key))
    with Served(protocols=protocols, sources=(source(),), server=server) as served:

        def run(line, session_id=""):
            line = line.replace("your-api-domain", f"localhost:{served.port}")
            line = line.replace("your_api_key_here", KEY).replace("your_session_id", session_id)
            done = subprocess.run(
                ["sh", "-c", line], capture_output=True, check=True, timeout=20,
                env={**os.environ, "CURL_CA_BUNDLE": str(cert)},
            )  # fmt: skip
            head, _, body = done.stdout.decode().partition("\r\n\r\n")
            return int(head.split()[1]), head.split("\r\n")[1:], json.loads(body)

        yield run
    served.assert_quiet()


def test_create_read_delete(shell):
    status, headers, session = shell(CREATE)
    assert status == 200
    assert set(session) == {"session_id", "start_time", "source"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", session["start_time"])
    session_id = session["session_id"]
    assert f"__Secure-jay_tracking: {session_id}" in headers
    (cookie,) = [header for header in headers if header.startswith("Set-Cookie: ")]
    assert cookie == (
        f"Set-Cookie: __Secure-jay_tracking={session_id}; Max-Age=86400; Path=/; Secure; "
        "HttpOnly; SameSite=Lax"
    )
    assert shell(READ, session_id)[::2] == (200, session)
    status, headers, _ = shell(DELETE, session_id)
    assert status == 200
    (cookie,) = [header for header in headers if header.startswith("Set-Cookie: ")]
    assert "Max-Age=0" in cookie
    assert "Secure" in cookie
    status, _, error = shell(READ, session_id)
    assert (status, error["error"]["details"]) == (400, "TRACKING_NOT_VALID")


def test_create_for_a_user(shell):
    status, _, session = shell(CREATE_FOR_USER)
    assert (status, session["user_id"]) == (200, "user-123-xyz")
    assert shell(READ, session["session_id"])[2] == session
