"""Makes SCTE-35 messages for tests, independently of what reads them."""

from __future__ import annotations

import base64


def crc(data: bytes) -> bytes:
    """CRC-32 of MPEG-2, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
            value &= 0xFFFFFFFF
    return value.to_bytes(4)


def pack(*fields: tuple[int, int]) -> bytes:
    """(bits, value), most significant first; together whole bytes."""
    bits = "".join(format(value, f"0{count}b") for count, value in fields)
    assert len(bits) % 8 == 0, len(bits)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def section(command: int, body: bytes, descriptors: bytes = b"", *, length=None, encrypted=0):
    told = len(body) if length is None else length
    rest = pack((8, 0), (1, encrypted), (6, 0), (33, 0), (8, 0), (12, 0xFFF), (12, told))
    rest += bytes([command]) + body + len(descriptors).to_bytes(2) + descriptors
    data = b"\xfc" + pack((4, 3), (12, len(rest) + 4)) + rest
    return data + crc(data)


def insert(event=1, *, out=1, ticks=None, auto_return=0, pts=900_000, cancel=0, components=()):
    if cancel:
        return section(5, pack((32, event), (1, 1), (7, 0x7F)))
    body = pack((32, event), (1, 0), (7, 0x7F))
    body += pack((1, out), (1, not components), (1, ticks is not None), (1, pts is None), (4, 15))
    time = b"" if pts is None else pack((1, 1), (6, 63), (33, pts))
    if components:
        body += bytes([len(components)]) + b"".join(bytes([tag]) + time for tag in components)
    else:
        body += time
    if ticks is not None:
        body += pack((1, auto_return), (6, 63), (33, ticks))
    return section(5, body + pack((16, 7), (8, 1), (8, 1)))


def segmentation(kind, event=1, *, ticks=None, upid=(0, b""), cancel=0, components=0):
    body = b"CUEI" + pack((32, event), (1, cancel), (7, 0x7F))
    if not cancel:
        body += pack((1, not components), (1, ticks is not None), (1, 1), (5, 31))
        if components:
            body += bytes([components]) + b"\x01\xfe\x00\x00\x00\x00" * components
        if ticks is not None:
            body += pack((40, ticks))
        body += bytes([upid[0], len(upid[1])]) + upid[1] + bytes([kind, 1, 1])
    return bytes([2, len(body)]) + body


def signal(*descriptors: bytes, **options):
    return section(6, pack((1, 1), (6, 63), (33, 1_234_567)), b"".join(descriptors), **options)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()
