"""One filled console for the tests that only look, an empty one for those that write."""

from __future__ import annotations

import pytest
from visiting import HOSTILE, NOON, SECOND, Console, event, reject


@pytest.fixture
def empty(tmp_path):
    console = Console(tmp_path / "data")
    yield console
    console.lake.close()


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """Events of two sources, a Jay session over two protocols, hostile texts, rejects."""
    console = Console(tmp_path_factory.mktemp("console") / "data")
    at = NOON - 600 * SECOND
    console.write(
        event(protocol="jay", type="session_start", session_id="jay-1", user_id="anna", at=at),
        event(
            page="/home", user_id="anna", at=at + 5 * SECOND,
            properties={"jay_session_id": "jay-1", "price": 1.5},
        ),
        event(page="/shop", user_id="anna", at=at + 3 * SECOND, properties={"jay_session_id": "jay-1"}),
        event(source="other", type="request", protocol="mirror", page="/api", at=at),
        event(
            type=HOSTILE, page=HOSTILE, location=HOSTILE, user_id=HOSTILE, session_id=HOSTILE,
            brand=HOSTILE, properties={HOSTILE: HOSTILE}, context={"a": HOSTILE}, at=at,
        ),
        rejects=[
            reject(detail=HOSTILE, body=HOSTILE, at=at),
            reject(source=None, reason="key_unknown", status=401, at=at + SECOND),
        ],
    )  # fmt: skip
    yield console
    console.lake.close()
