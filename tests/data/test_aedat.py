"""AEDAT 3.1 and 2: files written from the published formats come back event by event, and all else is a sentence."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recorded
from recorded import aedat2, aedat3, aedat3_packet, polarity, special
from spquant_snn.data.aedat import read_aedat2, read_aedat3
from spquant_snn.errors import DataError

EVENTS = [(10, 0, 0, 1), (10, 127, 127, 0), (25, 3, 90, 1), (4000, 64, 2, 0), (2**31 - 1, 1, 2, 1)]
FRAME = aedat3_packet(2, [bytes(44)], size=44)  # a picture of the same camera
IMU = aedat3_packet(3, [bytes(36)] * 3, size=36)

some_events = st.lists(
    st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 127), st.integers(0, 127), st.integers(0, 1)), min_size=1
).map(lambda events: sorted(events, key=lambda event: event[0]))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("aedat") / "x.aedat"


@pytest.fixture
def read(tmp_path):
    def run(content, reader=read_aedat3, **options):
        path = tmp_path / "user01_led.aedat"
        path.write_bytes(content)
        return reader(path, **options)

    return run


def test_a_packet_is_read(read):
    found = read(aedat3(*recorded.in_packets(EVENTS, [])))
    assert recorded.rows(found) == EVENTS
    assert found.sensor == (128, 128)


@given(some_events, st.lists(st.integers(0, 5), max_size=6))
def test_every_recording_comes_back_however_it_is_packed(scratch, events, sizes):
    scratch.write_bytes(aedat3(*recorded.in_packets(events, sizes)))
    assert recorded.rows(read_aedat3(scratch)) == events


def test_other_types_of_events_are_passed_over(read):
    first, second = recorded.in_packets(EVENTS, [2])
    wrap = aedat3_packet(0, [special(0, 5), special(1, 9)])
    unknown = aedat3_packet(12345, [b"abc"] * 7, size=3)
    found = read(aedat3(IMU, first, FRAME, wrap, unknown, second, aedat3_packet(1, []), IMU))
    assert recorded.rows(found) == EVENTS


def test_events_that_are_not_valid_are_left_out(read):
    packet = aedat3_packet(1, [polarity(1, 5, 6, 1), polarity(2, 7, 8, 1, valid=0), polarity(3, 9, 9, 0)])
    assert recorded.rows(read(aedat3(packet))) == [(1, 5, 6, 1), (3, 9, 9, 0)]


def test_the_clock_of_31_bits_runs_over_by_the_header_of_a_packet(read):
    packets = [
        aedat3_packet(1, [polarity(2**31 - 5, 1, 1, 1)]),
        aedat3_packet(1, [polarity(3, 2, 2, 1)], overflow=1),
        aedat3_packet(1, [polarity(0, 3, 3, 0)], overflow=2),
    ]
    assert read(aedat3(*packets)).t.tolist() == [2**31 - 5, 2**31 + 3, 2**32]


@pytest.mark.parametrize("valid", [1, 0])
def test_a_clock_that_was_set_back_goes_on_where_it_was(read, valid):
    reset = aedat3_packet(0, [special(0, 1, valid)])
    first = aedat3_packet(1, [polarity(100, 1, 1, 1), polarity(500, 2, 2, 1)])
    second = aedat3_packet(1, [polarity(7, 3, 3, 0), polarity(520, 3, 3, 0)])
    content = aedat3(reset, first, reset, second, reset, second)
    if valid:
        assert read(content).t.tolist() == [100, 500, 507, 1020, 1027, 1540]
    else:  # times that are a little late are put in order, no more
        assert read(content).t.tolist() == [7, 7, 100, 500, 520, 520]


def test_a_clock_that_is_set_back_at_the_largest_overflow_is_damaged(read):
    reset = aedat3_packet(0, [special(0, 1)])
    last = aedat3_packet(1, [polarity(2**31 - 1, 1, 1, 1)], overflow=2**31 - 1)
    with pytest.raises(
        DataError, match=r"has a time of more than 9007199254740992 microseconds at byte \d+: it is damaged"
    ):
        read(aedat3(last, reset, last, reset, last))
    assert read(aedat3(aedat3_packet(1, [polarity(0, 1, 1, 1)], overflow=2**22 - 1))).t.tolist() == [2**53 - 2**31]


def test_a_reset_before_the_first_event_changes_nothing(read):
    reset = aedat3_packet(0, [special(0, 1)])
    assert recorded.rows(read(aedat3(reset, *recorded.in_packets(EVENTS, [1, 1])))) == EVENTS


@pytest.mark.parametrize("reader", ["header", "events"])
def test_a_truncated_tail_is_refused_or_left_out_when_asked(read, reader):
    whole = aedat3(*recorded.in_packets(EVENTS, [2]))
    cut = len(recorded.AEDAT3_TEXT) + 28 + 16 + (10 if reader == "header" else 28 + 8 + 3)
    begin = len(recorded.AEDAT3_TEXT) + 28 + 16
    with pytest.raises(DataError, match=f"breaks off after {cut} bytes, within what begins at byte {begin}: fetch"):
        read(whole[:cut])
    found = read(whole[:cut], truncated=True)
    assert recorded.rows(found) == EVENTS[: 2 if reader == "header" else 3]


@given(st.data())
def test_a_recording_cut_anywhere_is_a_beginning_of_it_or_a_sentence(scratch, data):
    whole = aedat3(IMU, *recorded.in_packets(EVENTS, [2, 1]), FRAME)
    scratch.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        found = recorded.rows(read_aedat3(scratch, truncated=True))
        assert found == EVENTS[: len(found)]
    except DataError as error:
        assert str(scratch) in str(error)  # noqa: PT017


def test_a_header_without_its_end_is_read_to_its_last_line(read):
    text = b"#!AER-DAT3.1\n#Format: RAW\n"
    assert recorded.rows(read(aedat3(*recorded.in_packets(EVENTS, []), text=text))) == EVENTS


PACKET = recorded.in_packets(EVENTS, [])[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "user01_led.aedat is damaged \\(it is empty\\): fetch it again"),
        (b"<html>", "is not an AEDAT 3. file, it begins with b'<html>': check what it is"),
        (aedat2([(1, 1, 1, 1)]), "is not an AEDAT 3. file, it begins with b'#!AER-DAT2"),
        (recorded.AEDAT3_TEXT, "holds no events"),
        (aedat3(IMU, FRAME), "holds no events"),
        (b"#!AER-DAT3.1 and no end", "has a text header that does not end: it is damaged"),
        (aedat3(PACKET, struct.pack("<hhiiiiii", -1, 1, 8, 4, 0, 1, 1, 1)), "holds no packet at byte 163, where"),
        (aedat3(struct.pack("<hhiiiiii", 1, 1, 0, 4, 0, 1, 1, 1)), "holds no packet at byte"),
        (aedat3(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 1, -1, 1)), "holds no packet at byte"),
        (aedat3(struct.pack("<hhiiiiii", 1, 1, 8, 4, -1, 1, 1, 1)), "holds no packet at byte"),
        (aedat3(aedat3_packet(1, [bytes(12)], size=12)), "has events of 12 bytes at byte 123, not of 8"),
        (aedat3(aedat3_packet(1, [], number=2**31 - 1)), "breaks off after 123 bytes"),
        (aedat3(aedat3_packet(1, [polarity(1, 128, 0, 0)])), "event 0 lies at column 128, row 0, outside the sensor"),
        (aedat3(aedat3_packet(1, [polarity(9000, 1, 0, 0), polarity(1, 1, 0, 0)])), "run backwards, by 8999"),
        (aedat3(aedat3_packet(1, [polarity(-5, 1, 0, 0)])), "has a time of 4294967291 at byte 123, a clock of 31 bits"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(read, content, message):
    with pytest.raises(DataError, match=message):
        read(content)


@given(st.data())
def test_damaged_packets_are_a_recording_or_a_sentence(scratch, data):
    whole = bytearray(aedat3(IMU, *recorded.in_packets(EVENTS, [2, 1]), FRAME))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(whole)
    for reader in (read_aedat3, read_aedat2):
        try:
            found = reader(scratch)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert 0 < len(found) < len(whole)
            assert (np.diff(found.t) >= 0).all()
            assert max(int(found.x.max()), int(found.y.max())) < 128


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header_are_a_recording_or_a_sentence(scratch, content):
    for text, reader in ((recorded.AEDAT3_TEXT, read_aedat3), (recorded.AEDAT2_TEXT, read_aedat2)):
        scratch.write_bytes(text + content)
        try:
            assert len(reader(scratch, truncated=True)) > 0
        except DataError as error:
            assert str(scratch) in str(error)  # noqa: PT017


@given(some_events)
def test_every_recording_of_version_2_comes_back(scratch, events):
    scratch.write_bytes(aedat2(events))
    assert recorded.rows(read_aedat2(scratch)) == events


def test_addresses_of_version_2_that_are_no_pixels_are_passed_over(read):
    marker = struct.pack(">II", 1 << 15, 20)
    content = aedat2(EVENTS[:2]) + marker + aedat2(EVENTS[2:], text=b"")
    assert recorded.rows(read(content, read_aedat2)) == EVENTS


def test_a_clock_of_32_bits_goes_on(read):
    written = [(2**32 - 3, 1, 1, 1), (5, 2, 2, 0), (2**32 - 1, 3, 3, 0), (0, 4, 4, 1)]
    found = read(aedat2(written), read_aedat2)
    assert found.t.tolist() == [2**32 - 3, 2**32 + 5, 2**33 - 1, 2**33]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (aedat3(PACKET), "is not an AEDAT 2. file, it begins with b'#!AER-DAT3"),
        (aedat2(EVENTS)[:-1], "breaks off after"),
        (recorded.AEDAT2_TEXT, "holds no events"),
        (aedat2([(9000, 1, 1, 1), (1, 1, 1, 1)]), "times run backwards, by 8999"),
    ],
)
def test_what_is_no_recording_of_version_2_is_refused_in_words(read, content, message):
    with pytest.raises(DataError, match=message):
        read(content, read_aedat2)
    if "breaks off" in message:
        assert recorded.rows(read(content, read_aedat2, truncated=True)) == EVENTS[:-1]


def test_a_file_that_is_not_there_is_refused_in_words(tmp_path):
    with pytest.raises(DataError, match=r"absent cannot be read"):
        read_aedat3(tmp_path / "absent")
