"""Splicing: a list and the pods of a session become the session's list. Pure throughout.

``vod`` inserts, ``live`` replaces; ``runs`` cuts and joins, ``cuts`` knows where moments cut a
live list, ``laid`` what pods do to its numbers, ``folding`` what a context may forget of them.
Everything that a session's lists depend on are the origin's list, the session's pods, the
stream's breaks and the marks: whoever knows these makes the same list.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from footfall.stream.folding import begun, fold, gone, unseen
from footfall.stream.live import live
from footfall.stream.runs import Address, Spliced, blank, gap
from footfall.stream.vod import (
    boundaries,
    content_mapping,
    content_time,
    stitch,
    stream_time,
    vod,
)

__all__ = [
    "Address",
    "Spliced",
    "begun",
    "blank",
    "boundaries",
    "content_mapping",
    "content_time",
    "fold",
    "gap",
    "gone",
    "key",
    "live",
    "stitch",
    "stream_time",
    "unseen",
    "vod",
]


def key(uri: str, chosen: str = "") -> str:
    """A rendition's or stream's name in the journal's state: the same for one address with any
    query. `chosen`: what tells streams at one address apart (`Call.chosen`).
    """
    address = uri.partition("?")[0]
    return _key(f"{address}?{chosen}" if chosen else address)


@lru_cache(4096)  # each request asks for those of a whole ladder
def _key(address: str) -> str:
    return blake2b(address.encode(), digest_size=8).hexdigest()
