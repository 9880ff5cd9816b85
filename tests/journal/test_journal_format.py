"""docs/journal-format.md shows what is written."""

import re
from pathlib import Path

from footfall.journal.contract import Change, Record
from footfall.journal.engines import appender, local, segments, state, tip
from footfall.journal.engines.segments import frame, segment_header
from footfall.journal.group import encode_record

PAGE = Path(__file__).parents[2].joinpath("docs", "journal-format.md").read_text()

RECORD = Record(
    at=1_700_000_000_000_000,
    events=b'{"event_id":"e1"}\n',
    changes=(Change("k", b"v", 1_700_000_600_000_000),),
)


def shown():
    """The bytes of the page's example."""
    lines = re.findall(r"^[0-9a-f]{8}  (.{48})  \|", PAGE, re.MULTILINE)
    return bytes.fromhex("".join(lines))


def test_the_example_is_what_is_written():
    header = segment_header(4096)
    assert shown() == header + frame(4096 + len(header), encode_record(RECORD))


def test_the_example_can_be_read_by_the_page_alone():
    """The checks that the page describes, with nothing of ours but the checksum."""
    from google_crc32c import value as crc32c

    data = shown()
    number = lambda at, size: int.from_bytes(data[at : at + size], "little")  # noqa: E731 - short
    assert data[:8] == b"footfall"
    assert (number(8, 4), number(12, 8)) == (1, 4096)
    assert number(20, 4) == crc32c(data[:20])
    assert data[24:28] == bytes.fromhex("fef5fdf6")
    length = number(28, 4)
    checked = (4096 + 24).to_bytes(8, "little") + data[28:32] + data[36 : 36 + length]
    assert number(32, 4) == crc32c(checked)
    assert len(data) == 36 + length
    assert f"{number(20, 4):#x}" in PAGE
    assert f"{number(32, 4):#x}" in PAGE


def test_the_numbers_of_the_page_are_the_code_s():
    assert segments.VERSION == 1
    assert (segments.SEGMENT_HEADER, segments.RECORD_HEADER) == (24, 12)
    assert segments.MAX_PAYLOAD == 2**30
    assert (local.SEGMENT_BYTES, local.ALLOCATE_BYTES) == (64 << 20, 4 << 20)
    assert (tip.FAILED, tip.REBUILD) == (1, 2)
    assert (tip._SIZE, tip._PLACES, tip._SLOT.size + tip._CRC.size) == (4096, (0, 2048), 56)
    assert f"{state._APPLICATION:#x}".upper()[2:] in PAGE
    assert state.SCHEMA == 1
    assert appender.SEGMENT_HEADER == 24
