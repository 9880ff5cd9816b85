"""What an IAB TCF v2 string says of some purposes and one vendor.

Only the core segment's consent bits are read, by the table "Core String" of
https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework/blob/master/TCFv2/IAB%20Tech%20Lab%20-%20Consent%20string%20and%20vendor%20list%20formats%20v2.md
(2.0 to 2.3 agree on it). Legitimate interests, publisher restrictions and the other segments are
not: whoever asks for consent here asks for nothing else.

No library: the one there is for Python (iab-tcf) had its last release in 2022 and needs an
extension in C that has no wheels and takes the place of another package's module. Pure, and
bounded whatever a stranger sends.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

VERSION = 2
LONGEST = 4096
"""Characters that are looked at. Room for a bit for each of 24,000 vendors, or 1,400 ranges."""

PURPOSES_AT = 152
"""In bits from the beginning: 24 purposes that have consent, the first bit being purpose 1."""
VENDORS_AT = 213
"""The highest vendor id (16 bits), whether ranges follow (1), then a bit per vendor or ranges."""
VENDOR_BITS = 16
ENTRY_BITS = 12
"""Of the number of ranges."""

_TEXT = re.compile(r"[A-Za-z0-9_-]+")


def given(text: str, purposes: Sequence[int], vendor: int | None = None) -> bool | None:
    """Whether every one of some purposes, and a vendor if one is asked for, has consent.

    None where the text is no TCF string of version 2: then it says nothing.
    """
    core = text.strip(" \t").partition(".")[0][:LONGEST]
    if _TEXT.fullmatch(core) is None:
        return None
    bits = _Bits(core)
    try:
        if bits.number(0, 6) != VERSION:
            return None
        bits.number(VENDORS_AT, VENDOR_BITS + 1)  # shorter ones are cut off
        if not all(bits.number(PURPOSES_AT + purpose - 1, 1) for purpose in purposes):
            return False
        return vendor is None or _has_vendor(bits, vendor)
    except _TooShort:
        return None


def _has_vendor(bits: _Bits, vendor: int) -> bool:
    at = VENDORS_AT + VENDOR_BITS + 1
    if not bits.number(at - 1, 1):
        highest = bits.number(VENDORS_AT, VENDOR_BITS)
        return vendor <= highest and bits.number(at + vendor - 1, 1) == 1
    entries = bits.number(at, ENTRY_BITS)
    at += ENTRY_BITS
    for _ in range(entries):
        is_range = bits.number(at, 1)
        first = last = bits.number(at + 1, VENDOR_BITS)
        at += 1 + VENDOR_BITS
        if is_range:
            last = bits.number(at, VENDOR_BITS)
            at += VENDOR_BITS
        if first <= vendor <= last:
            return True
    return False


class _TooShort(Exception):  # noqa: N818 - as StopIteration, it says what is the case
    """The text ends before what is asked for."""


class _Bits:
    """Numbers out of base64, from any bit on."""

    def __init__(self, text: str) -> None:
        # Six bits a character: some writers stop in the middle of a byte, which base64 would not
        # take. What is added is never read.
        self._bytes = base64.urlsafe_b64decode(text + "A" * (-len(text) % 4))
        self._length = 6 * len(text)

    def number(self, at: int, size: int) -> int:
        """`size` bits, at most 17, from the bit `at` on. Raises `_TooShort`."""
        if at + size > self._length:
            raise _TooShort
        window = int.from_bytes(self._bytes[at >> 3 : (at >> 3) + 4].ljust(4, b"\0"), "big")
        return window >> (32 - (at & 7) - size) & ((1 << size) - 1)
