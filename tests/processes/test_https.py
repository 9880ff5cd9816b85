"""HTTPS by two settings: what tracking gives over it, and that the rest stays as it is."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess

import pytest
from running import send

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate"),
]


@pytest.fixture
def certificate(tmp_path):
    made = tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", tmp_path / "key.pem", "-out", made],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "footfall.toml").write_text(
        "[server]\ntls_certificate = 'cert.pem'\ntls_key = 'key.pem'\n"
    )
    return made


def test_a_jay_session_over_https(start, certificate):
    server = start()
    assert server.scheme == "https"
    context = ssl.create_default_context(cafile=certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
    path, key = "/v1/playouts/tracking/session", {"X-API-Key": "dev-key"}
    made = send(connection, "POST", path, headers=key)
    assert made.status == 200
    cookie = made.headers["set-cookie"]
    assert cookie.startswith("__Secure-jay_tracking=")
    assert {"Secure", "HttpOnly"} <= {part.strip() for part in cookie.split(";")}
    # The same connection, and the cookie as a browser sends it back.
    known = send(connection, "GET", path, headers={**key, "Cookie": cookie.partition(";")[0]})
    assert known.status == 200
    assert known.body == made.body
    assert send(connection, "GET", "/readyz").status == 200
    connection.close()
    assert server.query("SELECT type FROM events") == [{"type": "session_start"}]
    assert server.stop() == 0


def test_plain_http_on_the_port_harms_nobody(start, certificate):
    server = start()
    with pytest.raises((http.client.HTTPException, OSError)):
        server.get("/healthz")
    context = ssl.create_default_context(cafile=certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
    assert send(connection, "GET", "/healthz").body == b"ok\n"
    connection.close()
    server.stop()
    assert all(line["level"] == "info" for line in server.log())
