"""SCTE-35 splice information: what one message says about breaks.

Of ANSI/SCTE 35 2023, as far as an HLS playlist needs it: splice_insert and time_signal with
segmentation descriptors. A playlist's tags stand where the splice is, so times within the message
are not looked at; its durations are.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from functools import lru_cache

import msgspec

INSERT, TIME_SIGNAL = 0x05, 0x06
"""Commands that can begin or end a break; all others are ignored."""
SEGMENTATION = 0x02
CUEI = b"CUEI"
LONGEST = 4096
"""Bytes: section_length has twelve bits."""

AD, OPPORTUNITY, BREAK = 1, 2, 3
"""Levels of segmentation: ads lie in placement opportunities, and these in breaks."""
LEVELS = {
    0x22: BREAK,
    0x30: AD,  # provider advertisement
    0x32: AD,  # distributor advertisement
    0x34: OPPORTUNITY,  # provider placement opportunity
    0x36: OPPORTUNITY,  # distributor placement opportunity
    0x44: OPPORTUNITY,  # provider ad block
    0x46: OPPORTUNITY,  # distributor ad block
}
"""segmentation_type_id of starts; that of the end is one more."""
SPLICE = 0
"""The level of a splice_insert, which knows of none."""
CANCELLED = -1
"""In the place of the segmentation_type_id, which a cancelled event is told without."""

_TABLE = []
for _byte in range(256):
    _crc = _byte << 24
    for _ in range(8):
        _crc = (_crc << 1 ^ 0x04C11DB7 if _crc & 0x80000000 else _crc << 1) & 0xFFFFFFFF
    _TABLE.append(_crc)


class Scte35Error(ValueError):
    """A message that cannot be read, in words."""


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One edge of a break, or that there will be none."""

    out: bool
    """True: the break begins."""
    id: str
    """splice_event_id or segmentation_event_id, decimal."""
    duration_us: int | None = None
    auto_return: bool = False
    """The break ends after its duration; no message will say so."""
    upid: str | None = None
    level: int = SPLICE
    cancels: bool = False
    """The event of this id, which was told of before, is cancelled. Then not `out`."""


class _Descriptor(msgspec.Struct, frozen=True, gc=False):
    event_id: int
    type_id: int = CANCELLED
    duration_us: int | None = None
    upid: str | None = None


class _Bits:
    """Reads big-endian fields; raises `Scte35Error` where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self.left = len(data) * 8

    def take(self, bits: int) -> int:
        self.left -= bits
        if self.left < 0:
            raise Scte35Error("it ends too early")
        return self._value >> self.left & (1 << bits) - 1

    def flag(self) -> bool:
        return bool(self.take(1))

    def bytes(self, count: int) -> bytes:
        return self.take(count * 8).to_bytes(count)


@lru_cache(maxsize=256)
def read(text: str) -> tuple[Signal, ...]:
    """Of a message as playlists write it: base64, or hexadecimal after 0x. As `decode`."""
    try:
        if text[:2] in {"0x", "0X"}:
            data = bytes.fromhex(text[2:])
        else:
            data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise Scte35Error("it is neither base64 nor hexadecimal") from None
    return decode(data)


def decode(data: bytes) -> tuple[Signal, ...]:
    """The edges that a splice_info_section speaks of, ends first, and the events that it cancels
    (splice_event_cancel_indicator, segmentation_event_cancel_indicator); none for other commands.

    Raises `Scte35Error` for what is no such section, is encrypted, or was damaged on its way.
    """
    if len(data) > LONGEST:
        raise Scte35Error("it is longer than a section can be")
    if data[:1] != b"\xfc":
        raise Scte35Error("it is no splice_info_section")
    head = _Bits(data[1:])
    head.take(4)
    end = 3 + head.take(12)
    if end > len(data):
        raise Scte35Error("it ends too early")
    data = data[:end]
    if checksum(data):
        raise Scte35Error("its checksum is wrong")
    bits = _Bits(data[3:-4])
    bits.take(8)
    if bits.flag():
        raise Scte35Error("it is encrypted")
    bits.take(6 + 33 + 8 + 12)
    length = bits.take(12)
    command = bits.take(8)
    before = bits.left
    insert = _insert(bits) if command == INSERT else None
    if command == TIME_SIGNAL:
        _time(bits)
    if length != 0xFFF:  # a length that older encoders do not tell
        bits.left = before - length * 8
    descriptors = _descriptors(_Bits(bits.bytes(bits.take(16))))
    if insert:
        return (insert if insert.cancels else _described(insert, descriptors),)
    return _edges(descriptors) if command == TIME_SIGNAL else ()


def checksum(data: bytes) -> int:
    """CRC-32 of MPEG-2; 0 for a section with its own right checksum at its end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def _micros(ticks: int) -> int | None:
    """Of the 90 kHz clock; 0 is what encoders write who do not know."""
    return (ticks * 100 + 4) // 9 or None


def _time(bits: _Bits) -> None:
    """splice_time()."""
    bits.take(7 + 32 if bits.flag() else 7)


def _insert(bits: _Bits) -> Signal:
    """splice_insert()."""
    event = bits.take(32)
    cancelled = bits.flag()
    bits.take(7)
    if cancelled:
        return Signal(False, str(event), cancels=True)
    out, whole, timed, immediate = bits.flag(), bits.flag(), bits.flag(), bits.flag()
    bits.take(4)
    if whole and not immediate:
        _time(bits)
    if not whole:
        for _ in range(bits.take(8)):
            bits.take(8)
            if not immediate:
                _time(bits)
    duration, returns = None, False
    if timed:
        returns = bits.flag()
        bits.take(6)
        duration = _micros(bits.take(33))
    bits.take(16 + 8 + 8)
    return Signal(out, str(event), duration if out else None, returns)


def _descriptors(bits: _Bits) -> list[_Descriptor]:
    """The segmentation descriptors among the section's descriptors."""
    found = []
    while bits.left >= 16:
        tag, body = bits.take(8), bits.bytes(bits.take(8))
        if tag == SEGMENTATION and body[:4] == CUEI:
            found.append(_segmentation(_Bits(body[4:])))
    return found


def _segmentation(bits: _Bits) -> _Descriptor:
    event = bits.take(32)
    cancelled = bits.flag()
    bits.take(7)
    if cancelled:
        return _Descriptor(event)
    whole, timed = bits.flag(), bits.flag()
    bits.take(6)
    if not whole:
        bits.bytes(6 * bits.take(8))
    duration = _micros(bits.take(40)) if timed else None
    kind = bits.take(8)
    upid = upid_text(kind, bits.bytes(bits.take(8)))
    return _Descriptor(event, bits.take(8), duration, upid)


def upid_text(kind: int, value: bytes) -> str | None:
    """A segmentation_upid as people write it: its text, or hexadecimal where it is none."""
    if not value:
        return None
    if kind == 0x0D:  # several
        return _several(value)
    if kind == 0x0A and len(value) == 12:  # EIDR
        digits = value[2:].hex().upper()
        groups = [digits[at : at + 4] for at in range(0, 20, 4)]
        return f"10.{int.from_bytes(value[:2])}/{'-'.join(groups)}"
    if kind == 0x10 and len(value) == 16:
        return str(uuid.UUID(bytes=value))
    if kind != 0x08 and value.isascii() and (text := value.decode().rstrip("\0")).isprintable():
        return text
    return f"0x{value.hex().upper()}"


def _several(value: bytes) -> str | None:
    bits = _Bits(value)
    found = []
    while bits.left >= 16:
        kind, part = bits.take(8), bits.bytes(bits.take(8))
        # Several within several are not allowed, and would let a message nest without end.
        if kind != 0x0D and (text := upid_text(kind, part)):
            found.append(text)
    return " ".join(found) or None


def _described(insert: Signal, descriptors: list[_Descriptor]) -> Signal:
    """A splice_insert with what descriptors beside it say and it does not."""
    upid = next((one.upid for one in descriptors if one.upid), None)
    duration = insert.duration_us
    if insert.out and duration is None:
        duration = next((d.duration_us for d in descriptors if d.type_id in LEVELS), None)
    return msgspec.structs.replace(insert, upid=upid, duration_us=duration)


def _edges(descriptors: list[_Descriptor]) -> tuple[Signal, ...]:
    """At most one end and one start: of several, those of the highest level. All that are
    cancelled: of these no level is told.
    """
    ends, starts, cancelled = [], [], []
    for one in descriptors:
        event, upid = str(one.event_id), one.upid
        if one.type_id == CANCELLED:
            cancelled.append(Signal(False, event, cancels=True))
        elif level := LEVELS.get(one.type_id):
            starts.append(Signal(True, event, one.duration_us, upid=upid, level=level))
        elif level := LEVELS.get(one.type_id - 1):
            ends.append(Signal(False, event, upid=upid, level=level))
    found = [max(edges, key=lambda edge: edge.level) for edges in (ends, starts) if edges]
    return (*found, *cancelled)
