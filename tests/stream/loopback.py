"""Small HTTP servers on loopback that tests script, and what it takes to speak TLS with them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass, field

from footfall.settings import Service


@dataclass
class Asked:
    """One request as it came in."""

    target: str
    headers: dict[str, str]


@dataclass
class HttpServer:
    """Answers by `answer(asked)`: bytes of a whole HTTP answer, or a coroutine function's."""

    port: int
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    names: list[str] = field(default_factory=list)
    """What clients asked for by SNI."""

    def url(self, path="/", host="127.0.0.1", scheme="http"):
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def targets(self):
        return [asked.target for asked in self.requests]


def response(body=b"", status=200, **headers):
    """An answer; names of headers with ``_`` for ``-``. `content_length=None` leaves that out."""
    headers = {"content_length": len(body), **headers}
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [f"{n.replace('_', '-')}: {v}" for n, v in headers.items() if v is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def read_request(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in head[1:] if line)
    return Asked(head[0].split(" ")[1], {name.lower(): value for name, _, value in pairs})


@contextlib.asynccontextmanager
async def listening(handle, *, tls=None):
    """A server whose connections `handle(server, reader, writer)` serves."""
    server = HttpServer(0)
    tasks = set()

    async def connected(reader, writer):
        server.connections += 1
        tasks.add(asyncio.current_task())
        try:
            await handle(server, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went, or the test is over
        finally:
            writer.close()

    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: server.names.append(name)
    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@contextlib.asynccontextmanager
async def serving(answer, *, tls=None):
    """An honest HTTP server with connections that are kept."""

    async def handle(server, reader, writer):
        while True:
            asked = await read_request(reader)
            server.requests.append(asked)
            answered = answer(asked)
            writer.write(await answered if asyncio.iscoroutine(answered) else answered)
            await writer.drain()

    async with listening(handle, tls=tls) as server:
        yield server


def service(hosts=("127.0.0.1",), *, private=True, **changed):
    """A service that may ask these hosts."""
    given = {"id": "films", "source": "shop", "kind": "vod", "origin": "https://o.example/"}
    return Service(**{**given, **changed}, hosts=tuple(hosts), private_addresses=private)


def certificate(directory, name):
    """A server's TLS context with a certificate of its own for a name, and its client's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    alternative = (
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))
