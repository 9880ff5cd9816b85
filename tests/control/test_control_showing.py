"""A profile and a session, asked over the control socket."""

from __future__ import annotations

import asyncio

import pytest

from footfall.control import Control, serving
from footfall.errors import LakeUnavailable

pytestmark = pytest.mark.slow


class Fake:
    """Knows one of each."""

    async def profile(self, profile_id):
        if profile_id == "closed":
            raise LakeUnavailable("The lake is closed.")
        return [{"profiles": [{"profile_id": profile_id}], "earlier_events": 0}]

    async def session(self, session_id):
        return [{"sessions": [{"session_id": session_id}]}]


def test_ids_of_any_characters_arrive(tmp_path):
    async def run():
        control = Control(tmp_path / "control.sock")
        async with serving(Fake(), tmp_path / "control.sock"):
            odd = "a b/ä?&#=%"
            (found,) = await control.profile(odd)
            assert found == {"profiles": [{"profile_id": odd}], "earlier_events": 0}
            assert (await control.session(odd))[0]["sessions"] == [{"session_id": odd}]
            with pytest.raises(LakeUnavailable, match="closed"):
                await control.profile("closed")

    asyncio.run(asyncio.wait_for(run(), 20))
