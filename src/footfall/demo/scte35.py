"""SCTE-35 splice_insert, encoded: just what the demo's markers need (SCTE 35 2023, 9.7.3)."""

from __future__ import annotations

PTS_HZ = 90_000
_PTS_BITS = 33


def splice_insert(event: int, *, pts: int, duration: int | None) -> bytes:
    """A splice at `pts`: out of the network for `duration`, or back into it where that is None.

    Both count 90,000ths of a second. The break returns by itself when its time is over.
    """
    out = duration is not None
    command = [(event, 32), (0, 1), (0x7F, 7), (out, 1), (1, 1), (out, 1), (0, 1), (0xF, 4)]
    command += [(1, 1), (0x3F, 6), (pts % (1 << _PTS_BITS), _PTS_BITS)]
    if duration is not None:
        command += [(1, 1), (0x3F, 6), (duration, _PTS_BITS)]
    command += [(1, 16), (0, 8), (0, 8)]
    body = [(0, 8), (0, 1), (0, 6), (0, 33), (0, 8), (0xFFF, 12), (_bits(command) // 8, 12), (5, 8)]
    body += [*command, (0, 16)]
    head = [(0xFC, 8), (0, 1), (0, 1), (3, 2), (_bits(body) // 8 + 4, 12)]
    section = _packed(head + body)
    return section + crc32_mpeg2(section).to_bytes(4, "big")


def crc32_mpeg2(data: bytes) -> int:
    """The CRC-32 of MPEG-2 sections: 0 over a section that ends with its own."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C1_1DB7 if crc & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    return crc


def _bits(fields: list[tuple[int, int]]) -> int:
    return sum(width for _, width in fields)


def _packed(fields: list[tuple[int, int]]) -> bytes:
    """(value, width in bits) one after another, the highest bit first."""
    number = 0
    for value, width in fields:
        number = number << width | value
    return number.to_bytes(_bits(fields) // 8, "big")
