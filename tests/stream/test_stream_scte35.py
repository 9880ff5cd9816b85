"""SCTE-35 messages: published examples, every field that is read, and what is damaged."""

from __future__ import annotations

import base64

import pytest
import stream_splices as splices
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream import scte35
from footfall.stream.scte35 import Scte35Error, Signal

# Examples of ANSI/SCTE 35, section 14.
OPPORTUNITY_START = "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg=="
INSERT = "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo="
OPPORTUNITY_END = "/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g="


def test_the_standards_splice_insert():
    assert scte35.read(INSERT) == (Signal(True, "1207959695", 60_293_567, auto_return=True),)


def test_the_standards_placement_opportunity():
    start = Signal(True, "1207959694", 307_000_000, upid="0x000000002CA0A18A", level=2)
    assert scte35.read(OPPORTUNITY_START) == (start,)
    (end,) = scte35.read(OPPORTUNITY_END)
    assert (end.out, end.id, end.duration_us) == (False, "1207959694", None)


def test_hexadecimal_and_base64_without_padding_are_the_same_message():
    data = base64.b64decode(INSERT)
    assert scte35.read(f"0x{data.hex()}") == scte35.read(f"0X{data.hex().upper()}")
    assert scte35.read(INSERT.rstrip("=")) == scte35.read(INSERT) == scte35.decode(data)


@pytest.mark.parametrize("pts", [None, 5])
@pytest.mark.parametrize("components", [(), (1, 2, 3)])
def test_splice_insert_in_all_its_forms(pts, components):
    data = splices.insert(77, ticks=2_700_000, pts=pts, components=components)
    assert scte35.decode(data) == (Signal(True, "77", 30_000_000),)


def test_a_return_has_no_duration_and_a_zero_is_none():
    assert scte35.decode(splices.insert(5, out=0, ticks=90_000)) == (Signal(False, "5"),)
    assert scte35.decode(splices.insert(5, ticks=0)) == (Signal(True, "5"),)


def test_cancelled_events_are_told_by_their_ids():
    assert scte35.decode(splices.insert(5, cancel=1)) == (Signal(False, "5", cancels=True),)
    both = [splices.segmentation(0x34, event, cancel=1) for event in (7, 8)]
    begins = splices.segmentation(0x34, 9)
    assert scte35.decode(splices.signal(both[0], begins, both[1])) == (
        Signal(True, "9", level=scte35.OPPORTUNITY),
        Signal(False, "7", cancels=True),
        Signal(False, "8", cancels=True),
    )


@pytest.mark.parametrize("command", [0, 4, 7, 255])
def test_other_commands_say_nothing_of_breaks(command):
    assert scte35.decode(splices.section(command, b"")) == ()


@pytest.mark.parametrize("start", [0x22, 0x30, 0x32, 0x34, 0x36, 0x44, 0x46])
def test_segmentation_types_that_begin_and_end_breaks(start):
    out = splices.signal(splices.segmentation(start, 9, ticks=90_000 * 15))
    back = splices.signal(splices.segmentation(start + 1, 9))
    level = scte35.LEVELS[start]
    assert scte35.decode(out) == (Signal(True, "9", 15_000_000, level=level),)
    assert scte35.decode(back) == (Signal(False, "9", level=level),)


@pytest.mark.parametrize("kind", [0x00, 0x10, 0x11, 0x20, 0x24, 0x40, 0x50])
def test_segmentation_of_programs_and_chapters_is_no_break(kind):
    assert scte35.decode(splices.signal(splices.segmentation(kind))) == ()


def test_of_several_descriptors_the_widest_counts_and_ends_come_first():
    data = splices.signal(
        splices.segmentation(0x30, 1, ticks=90_000 * 15),
        splices.segmentation(0x34, 2, ticks=90_000 * 120),
        splices.segmentation(0x31, 3),
    )
    end, start = scte35.decode(data)
    assert (end.out, end.id) == (False, "3")
    assert (start.out, start.id, start.duration_us) == (True, "2", 120_000_000)


def test_components_length_unknown_and_foreign_descriptors_are_passed_over():
    foreign = bytes([2, 6]) + b"OTHERX" + bytes([0, 8]) + b"CUEI\0\0\0\1"
    data = splices.signal(foreign, splices.segmentation(0x22, 4, components=2), length=0xFFF)
    assert [signal.id for signal in scte35.decode(data)] == ["4"]


def test_a_splice_insert_takes_upid_and_duration_from_a_descriptor():
    described = splices.segmentation(0x34, 8, ticks=90_000, upid=(0x0F, b"urn:x:1"))
    insert = splices.insert(6)
    body = insert[14 : 14 + int.from_bytes(insert[11:13]) % 4096]
    data = splices.section(5, body, described)
    assert scte35.decode(data) == (Signal(True, "6", 1_000_000, upid="urn:x:1"),)


EIDR = bytes.fromhex("14 78 5E B7 5D 3B 7E 7C 8A 1F 9A 6C")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (0x01, b"break 7", "break 7"),
        (0x03, b"ABCD0001000H", "ABCD0001000H"),
        (0x08, bytes(7) + b"A", "0x0000000000000041"),
        (0x09, b"PAID:a.tv/1\0", "PAID:a.tv/1"),
        (0x0A, EIDR, "10.5240/5EB7-5D3B-7E7C-8A1F-9A6C"),
        (0x0C, b"\xff\x00", "0xFF00"),
        (0x0D, b"\x01\x01a\x0f\x02bc\x0d\x03\x01\x01x", "a bc"),
        (0x10, bytes(15) + b"\1", "00000000-0000-0000-0000-000000000001"),
        (0x01, b"", None),
        (0x0D, b"\x01\x00", None),
    ],
)
def test_upids_as_people_write_them(kind, value, text):
    (found,) = scte35.decode(splices.signal(splices.segmentation(0x34, upid=(kind, value))))
    assert found.upid == text


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("not base64!", "neither base64 nor hexadecimal"),
        ("0xFG", "neither base64 nor hexadecimal"),
        ("0", "neither base64 nor hexadecimal"),
        ("", "no splice_info_section"),
        ("AAAA", "no splice_info_section"),
        ("/DA=", "too early"),
        (splices.text(b"\xfc" + bytes(5000)), "longer than a section"),
        (splices.text(splices.signal(encrypted=1)), "encrypted"),
        (splices.text(splices.section(5, b"\0\0")), "too early"),
    ],
)
def test_what_cannot_be_read_says_why(message, says):
    with pytest.raises(Scte35Error, match=says):
        scte35.read(message)


def test_every_flipped_bit_and_every_torn_length_is_noticed():
    data = base64.b64decode(OPPORTUNITY_START)
    for at in range(len(data)):
        with pytest.raises(Scte35Error):
            scte35.decode(data[:at])
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            with pytest.raises(Scte35Error):
                scte35.decode(bytes(flipped))


@given(st.binary(max_size=80), st.integers(0, 255), st.integers(0, 0xFFF))
def test_rubbish_with_a_right_checksum_is_read_or_refused(body, command, length):
    data = splices.section(command, body, length=length)
    try:
        scte35.decode(data)
    except Scte35Error:
        pass


@given(st.binary(max_size=100))
def test_rubbish_in_descriptors_is_read_or_refused(descriptors):
    try:
        scte35.decode(splices.signal(descriptors))
    except Scte35Error:
        pass
