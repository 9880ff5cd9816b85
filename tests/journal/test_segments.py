"""The format of the log: round trips, every torn length and every flipped byte."""

import pytest
from faulty_files import Files
from hypothesis import given
from hypothesis import strategies as st

from footfall.journal.contract import Change, Record
from footfall.journal.engines import segments as format_
from footfall.journal.engines.segments import (
    RECORD_HEADER,
    SEGMENT_HEADER,
    SegmentReader,
    frame,
    list_segments,
    read_log,
    segment_header,
    segment_name,
)
from footfall.journal.group import decode_record, encode_record

PAYLOADS = [b"first", b"", b"the second record" * 3, b"\0\0\0", b"last one"]


def write_log(directory, payloads=PAYLOADS, base=0, zeros=64):
    """One segment; gives its bytes without the zeros after it, and where each record stands."""
    data, places = segment_header(base), []
    for payload in payloads:
        places.append((base + len(data), payload))
        data += frame(base + len(data), payload)
    (directory / segment_name(base)).write_bytes(data + bytes(zeros))
    return data, places


def read(directory, end, start=0, limit_bytes=1 << 20):
    files = Files()
    return read_log(files, list_segments(files, directory), start, end, limit_bytes)


def found(stretch):
    return [(start, payload) for start, _, payload in stretch.payloads]


def test_a_log_reads_back(tmp_path):
    data, places = write_log(tmp_path)
    stretch = read(tmp_path, len(data))
    assert found(stretch) == places
    assert stretch.next == len(data)
    assert not stretch.gaps


def test_reading_goes_on_in_the_next_segment(tmp_path):
    data, places = write_log(tmp_path)
    more, later = write_log(tmp_path, [b"x", b"y"], base=len(data))
    end = len(data) + len(more)
    assert found(read(tmp_path, end)) == places + later
    assert found(read(tmp_path, end, start=len(data))) == later
    assert found(read(tmp_path, end, start=places[-1][0])) == places[-1:] + later


def test_nothing_beyond_the_durable_end_is_read(tmp_path):
    data, places = write_log(tmp_path)
    assert found(read(tmp_path, places[2][0])) == places[:2]
    write_log(tmp_path, [b"being created"], base=len(data))
    assert found(read(tmp_path, len(data))) == places


def test_a_missing_segment_is_a_gap(tmp_path):
    data, places = write_log(tmp_path, zeros=0)
    middle, _ = write_log(tmp_path, [b"x"], base=len(data))
    base = len(data) + len(middle)
    last, later = write_log(tmp_path, [b"y"], base=base)
    (tmp_path / segment_name(len(data))).unlink()
    stretch = read(tmp_path, base + len(last))
    assert found(stretch) == places + later
    assert [(gap.start, gap.end) for gap in stretch.gaps] == [(len(data), base)]
    assert "missing" in stretch.gaps[0].reason


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_costs_its_own_record_only(tmp_path, mask):
    data, places = write_log(tmp_path)
    path = tmp_path / segment_name(0)
    ends = [start for start, _ in places[1:]] + [len(data)]
    for offset in range(len(data)):
        broken = bytearray(data)
        broken[offset] ^= mask
        path.write_bytes(broken)
        stretch = read(tmp_path, len(data))
        hit = next((n for n, end in enumerate(ends) if places[n][0] <= offset < end), None)
        assert found(stretch) == [place for n, place in enumerate(places) if n != hit], offset
        expected = (0, SEGMENT_HEADER) if hit is None else (places[hit][0], ends[hit])
        assert [(gap.start, gap.end) for gap in stretch.gaps] == [expected], offset
        assert stretch.next == len(data)


def test_every_length_of_a_cut_file_keeps_what_is_whole(tmp_path):
    data, places = write_log(tmp_path)
    path = tmp_path / segment_name(0)
    ends = [start for start, _ in places[1:]] + [len(data)]
    for length in range(SEGMENT_HEADER, len(data)):
        for filling in (b"", bytes(len(data) - length)):
            path.write_bytes(data[:length] + filling)
            stretch = read(tmp_path, len(data))
            whole = [place for place, end in zip(places, ends, strict=True) if end <= length]
            assert found(stretch)[: len(whole)] == whole
            assert all(place in places for place in found(stretch))
            assert stretch.gaps[-1].end == len(data) or len(found(stretch)) == len(places)


def test_zeros_are_no_record(tmp_path):
    data, _ = write_log(tmp_path, zeros=0)
    stretch = read(tmp_path, len(data) + 100)
    assert [(gap.start, gap.end) for gap in stretch.gaps] == [(len(data), len(data) + 100)]


def test_a_record_of_another_place_or_time_does_not_pass(tmp_path):
    data, places = write_log(tmp_path)
    start, payload = places[2]
    elsewhere = frame(start + 1, payload)
    broken = data[:start] + elsewhere + data[start + len(elsewhere) :]
    (tmp_path / segment_name(0)).write_bytes(broken)
    assert found(read(tmp_path, len(data))) == places[:2] + places[3:]


def test_a_record_inside_a_damaged_records_payload_does_not_pass(tmp_path):
    """What a client puts into an event may look like a record, but cannot know its place."""
    inner = frame(0, b"forged")
    data, places = write_log(tmp_path, [b"a", b"x" * 10 + inner + b"y" * 10, b"z"])
    broken = bytearray(data)
    broken[places[1][0]] ^= 1
    (tmp_path / segment_name(0)).write_bytes(broken)
    assert found(read(tmp_path, len(data))) == [places[0], places[2]]


def test_the_marker_cannot_occur_in_text():
    for byte in format_.MARKER:
        with pytest.raises(UnicodeDecodeError):
            bytes([byte]).decode()
        assert byte not in "".join(map(chr, range(0x800))).encode()


def test_records_larger_than_a_reading_step_and_markers_across_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(format_, "_SCAN", RECORD_HEADER + 3)
    payloads = [bytes([n]) * n * 7 for n in range(1, 9)]
    data, places = write_log(tmp_path, payloads)
    with SegmentReader(Files(), list_segments(Files(), tmp_path)[0], len(data)) as reader:
        items = list(reader.payloads(SEGMENT_HEADER, chunk=1))
    assert [(start, payload) for start, _, payload in items] == places
    for step in range(len(data)):
        broken = bytearray(data)
        broken[step] ^= 0xFF
        (tmp_path / segment_name(0)).write_bytes(broken)
        stretch = read(tmp_path, len(data))
        assert len(stretch.gaps) == 1
        assert len(stretch.payloads) >= len(places) - 1


@given(st.integers(0, 1 << 62), st.lists(st.binary(max_size=300), max_size=8))
def test_any_payloads_round_trip_at_any_base(tmp_path_factory, base, payloads):
    directory = tmp_path_factory.mktemp("log")
    data, places = write_log(directory, payloads, base=base)
    stretch = read(directory, base + len(data), start=base)
    assert found(stretch) == places
    assert not stretch.gaps


changes = st.builds(
    Change, st.text(), st.none() | st.binary(), st.integers(-(1 << 63), (1 << 64) - 1)
)


@given(
    st.builds(
        Record, st.integers(0, 1 << 62), st.binary(), st.binary(), st.lists(changes).map(tuple)
    )
)
def test_any_record_round_trips(record):
    assert decode_record(encode_record(record)) == record


def test_a_header_names_its_segment(tmp_path):
    write_log(tmp_path, base=7)
    (tmp_path / segment_name(9)).write_bytes((tmp_path / segment_name(7)).read_bytes())
    for segment, version in zip(list_segments(Files(), tmp_path), (1, None), strict=True):
        with SegmentReader(Files(), segment, segment.base + 100) as reader:
            assert reader.version() == version
