"""Public keys from files and URLs: what is taken, kept, refreshed and refused."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from footfall.collect import keysets
from footfall.collect.keysets import KeySets
from footfall.collect.protocols.vaix.settings import Vaix
from footfall.errors import SettingsError
from footfall.settings import Source

URL = "https://issuer.example/jwks.json"
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
SHORT_RSA = rsa.generate_private_key(65537, 1024)


def ec_jwk(kid: str | None = "e", **more) -> dict:
    entry = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())) | more
    return entry if kid is None else entry | {"kid": kid}


def rsa_jwk(key=RSA, **more) -> dict:
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "r"} | more


def key_set(*entries) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


def test_keys_and_the_algorithms_that_they_may_verify():
    keys = keysets.parse(key_set(ec_jwk(), rsa_jwk(), rsa_jwk(kid="only", alg="RS256")))
    assert [(key.kid, key.algorithms) for key in keys] == [
        ("e", ("ES256",)),
        ("r", keysets.RSA_ALGORITHMS),
        ("only", ("RS256",)),
    ]


def test_private_keys_are_kept_by_their_public_half():
    entry = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC)) | {"kid": "e"}
    (key,) = keysets.parse(key_set(entry))
    assert key.key == EC.public_key()


def test_a_pem_is_a_set_of_one():
    pem = EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert [key.kid for key in keysets.parse(pem)] == [None]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b"[" * 99_999,
        b"-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----",
        key_set({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}),
        key_set(ec_jwk(use="enc")),
        key_set(ec_jwk(alg="HS256")),
        key_set({"kty": "RSA", "n": "??", "e": "AQAB"}),
        key_set(rsa_jwk(SHORT_RSA)),
        key_set("x", 5, None),
        key_set(*[ec_jwk()] * 65),
    ],
)
def test_what_holds_no_usable_key(content):
    with pytest.raises(ValueError):
        keysets.parse(content)


def test_files_are_read_at_once_and_must_be_there(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(ec_jwk()))
    sets = KeySets([str(path)])
    assert sets.key(str(path), "e").kid == "e"
    assert sets.key(str(path), None).kid == "e"
    assert sets.key(str(path), "x") is None
    with pytest.raises(SettingsError, match=r"missing\.json"):
        KeySets([str(tmp_path / "missing.json")])


def test_without_a_key_id_the_set_must_leave_no_choice(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(ec_jwk(), rsa_jwk()))
    assert KeySets([str(path)]).key(str(path), None) is None


class Issuer:
    """Answers in turn; the last answer stays. An exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, url):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_url_that_fails_keeps_the_keys_that_it_gave():
    issuer = Issuer(key_set(ec_jwk()), OSError("down"), RuntimeError("odd"), b"<html>")
    sets = KeySets([URL], fetch=issuer)
    assert sets.key(URL, "e") is None
    for _ in range(4):
        asyncio.run(sets.refresh())
        assert sets.key(URL, "e").kid == "e"
    assert issuer.asked == 4


def test_what_was_verified_is_forgotten_when_keys_change():
    sets = KeySets([URL], fetch=Issuer(key_set(ec_jwk()), key_set(ec_jwk()), key_set(rsa_jwk())))
    asyncio.run(sets.refresh())
    sets.remember(b"digest", "claims")
    asyncio.run(sets.refresh())
    assert sets.remembered(b"digest") == "claims"
    asyncio.run(sets.refresh())
    assert sets.remembered(b"digest") is None


def test_so_much_is_remembered_and_no_more(monkeypatch):
    monkeypatch.setattr(keysets, "MOST_REMEMBERED", 2)
    sets = KeySets()
    for digest in (b"1", b"2", b"3"):
        sets.remember(digest, digest)
    assert [sets.remembered(digest) for digest in (b"1", b"2", b"3")] == [None, b"2", b"3"]


def test_watching_other_sources_keeps_the_keys_of_urls(tmp_path):
    sets = KeySets([URL], fetch=Issuer(key_set(ec_jwk())))
    asyncio.run(sets.refresh())
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(rsa_jwk()))
    sets.watch([URL, str(path)])
    assert sets.key(URL, "e")
    assert sets.key(str(path), "r")
    sets.watch([])
    assert sets.key(URL, "e") is None


def test_an_unknown_key_has_the_url_fetched_soon(monkeypatch):
    monkeypatch.setattr(keysets, "SOONEST_SECONDS", 0.01)
    issuer = Issuer(key_set(ec_jwk("old")), key_set(ec_jwk("new")))
    sets = KeySets([URL], fetch=issuer)

    async def scenario():
        running = asyncio.create_task(sets.run())
        while sets.key(URL, "new") is None:
            await asyncio.sleep(0.001)
        settled = issuer.asked
        await asyncio.sleep(0.05)
        running.cancel()
        return issuer.asked - settled

    # Whatever was asked for meanwhile may cost one more fetch, not one per question.
    assert asyncio.run(asyncio.wait_for(scenario(), 10)) <= 1


def test_the_settings_of_sources_name_the_key_sets():
    table = Vaix(iam_issuer="i", iam_audience="a", iam_jwks_url=URL)
    listed = [
        Source(id=name, protocols=("vaix",), protocol_settings={"vaix": table, "x": object()})
        for name in ("a", "b")
    ]
    assert keysets.locations(listed) == (URL,)


# Fetching


def fetched(monkeypatch, answers: dict[str, httpx.Response], url: str = URL) -> bytes:
    def client(**_):
        return real(transport=httpx.MockTransport(lambda request: answers[str(request.url)]))

    real = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", client)
    return asyncio.run(keysets.fetch_https(url))


def test_fetching_follows_redirects_to_https(monkeypatch):
    moved = httpx.Response(302, headers={"location": "/other.json"})
    answers = {URL: moved, "https://issuer.example/other.json": httpx.Response(200, content=b"x")}
    assert fetched(monkeypatch, answers) == b"x"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"location": "http://issuer.example/jwks.json"}),
        httpx.Response(302, headers={"location": URL}),
        httpx.Response(302, headers={"location": "https://["}),
        httpx.Response(200, content=b"x" * (keysets.MOST_BYTES + 1)),
        httpx.Response(404),
    ],
)
def test_fetching_refuses(monkeypatch, answer):
    answers = {URL: answer, "http://issuer.example/jwks.json": httpx.Response(200, content=b"x")}
    with pytest.raises((OSError, ValueError)):
        fetched(monkeypatch, answers)


def test_fetching_starts_on_https_only(monkeypatch):
    with pytest.raises(ValueError, match="not https"):
        fetched(monkeypatch, {}, "http://issuer.example/")


def test_connections_that_fail_are_os_errors(monkeypatch):
    def refuse(request):
        raise httpx.ConnectError("refused")

    real = httpx.AsyncClient
    monkeypatch.setattr(
        httpx, "AsyncClient", lambda **_: real(transport=httpx.MockTransport(refuse))
    )
    with pytest.raises(OSError, match="refused"), contextlib.nullcontext():
        asyncio.run(keysets.fetch_https(URL))
