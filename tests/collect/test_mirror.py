"""Mirrored requests beyond their golden cases."""

from __future__ import annotations

import hashlib
import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect.contract import Intent, Reason, Refusal, Request
from footfall.collect.protocols import mirror
from footfall.collect.protocols.mirror import Mirror
from footfall.collect.sources import Sources
from footfall.settings import Source

SOURCES = Sources(
    [
        Source(
            id="site",
            key_sha256=(hashlib.sha256(b"k").hexdigest(),),
            protocols=("mirror",),
            protocol_settings={"mirror": Mirror(peers=("10.0.0.0/8",), keep_query=True)},
        )
    ]
)


def request(client_ip: str = "", **headers: bytes) -> Request:
    given = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Request(
        method="GET",
        path="/mirror",
        headers=given,
        client_ip=client_ip,
        new_uuid=lambda: str(uuid4()),
    )


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_worded(reason):
    reply = mirror.refuse(Refusal(reason=reason, detail="What is wrong."))
    assert json.loads(reply.body) == {"error": "What is wrong.", "status": reply.status}


@pytest.mark.parametrize(
    ("uri", "path", "query"),
    [
        (b"/a/b?c=d&e", "/a/b", "c=d&e"),
        (b"/", "/", None),
        (b"?x", "/", "x"),
        (b"/a?u=https://x.example/y", "/a", "u=https://x.example/y"),
        (b"//double/slash", "//double/slash", None),
        (b"https://api.example", "/", None),
        (b"/caf%C3%A9/%ff", "/café/\ufffd", None),
        (b"/[odd", "/[odd", None),
    ],
)
def test_paths_of_original_uris(uri, path, query):
    (draft,) = mirror.decode(request(x_api_key=b"k", x_original_uri=uri), SOURCES).drafts
    assert (draft.page, draft.properties.get("query")) == (path, query)


@given(
    st.text() | st.ip_addresses().map(str),
    st.dictionaries(
        st.sampled_from(["x_original_uri", "x_original_method", "x_original_host", "host"]),
        st.binary(),
    ),
)
def test_nothing_raises(client_ip, headers):
    assert isinstance(mirror.decode(request(client_ip, **headers), SOURCES), Intent | Refusal)
    assert isinstance(mirror.decode(request(x_api_key=b"k", **headers), SOURCES), Intent)
