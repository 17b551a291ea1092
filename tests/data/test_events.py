"""Events of plain files: what was written is what is read, and what cannot be a recording is refused in a sentence."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recorded
from spquant_snn.data.events import Events, checked, from_array, is_events, read_array, read_nmnist
from spquant_snn.errors import DataError

EVENTS = [(3, 0, 0, 1), (3, 33, 33, 0), (900, 5, 7, 1), (8_388_607, 12, 1, 0)]

some_events = st.lists(
    st.tuples(st.integers(0, 2**23 - 1), st.integers(0, 33), st.integers(0, 33), st.integers(0, 1)), min_size=1
).map(lambda events: sorted(events, key=lambda event: event[0]))


@pytest.fixture
def file(tmp_path):
    def write(content, name="00001.bin"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """A file that each example of a property writes anew."""
    return tmp_path_factory.mktemp("events") / "x.bin"


def structured(events, **types):
    kinds = {"t": "<i8", "x": "<i2", "y": "<i2", "p": "?"} | types
    return np.array([tuple(event) for event in events], [(name, kinds[name]) for name in "txyp"])


def test_a_recording_of_nmnist_is_read(file):
    found = read_nmnist(file(recorded.nmnist(EVENTS)))
    assert recorded.rows(found) == EVENTS
    assert (found.sensor, found.t.dtype, found.p.dtype, len(found)) == ((34, 34), np.int64, np.uint8, 4)


@given(some_events)
def test_every_recording_of_nmnist_comes_back(scratch, events):
    scratch.write_bytes(recorded.nmnist(events))
    assert recorded.rows(read_nmnist(scratch)) == events


def test_a_clock_of_nmnist_that_ran_over_goes_on(file):
    mark = (0, 0, 240, 0)
    written = [(8000, 1, 1, 1), mark, (10, 2, 2, 0), mark, mark, (4, 3, 3, 1)]
    expected = [(8000, 1, 1, 1), (8202, 2, 2, 0), (3 * 8192 + 4, 3, 3, 1)]
    assert recorded.rows(read_nmnist(file(recorded.nmnist(written)))) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "00001.bin holds no events: leave it out"),
        (recorded.nmnist([(0, 0, 240, 0)]), "holds no events"),
        (recorded.nmnist(EVENTS)[:-2], "has 18 bytes, events of N-MNIST have five each: fetch it again"),
        (
            recorded.nmnist([(1, 0, 0, 0), (2, 34, 3, 0)]),
            "event 1 lies at column 34, row 3, outside the sensor of 34x34",
        ),
        (recorded.nmnist([(1, 0, 34, 0)]), "event 0 lies at column 0, row 34"),
        (recorded.nmnist([(5000, 0, 0, 0), (6000, 0, 0, 0), (4999, 0, 0, 0)]), "run backwards, by 1001 .* event 2"),
    ],
)
def test_what_is_no_recording_of_nmnist_is_refused_in_words(file, content, message):
    with pytest.raises(DataError, match=message):
        read_nmnist(file(content))


@given(st.binary(max_size=60))
def test_bytes_are_a_recording_or_a_sentence(scratch, content):
    scratch.write_bytes(content)
    try:
        found = read_nmnist(scratch)
    except DataError as error:
        assert str(scratch) in str(error)  # noqa: PT017
    else:
        assert 0 < len(found) <= len(content) // 5
        assert (np.diff(found.t) >= 0).all()


def test_what_comes_a_little_late_is_put_into_its_order(file):
    late = [(5000, 1, 1, 1), (6000, 2, 2, 0), (5000, 3, 3, 1), (6000, 4, 4, 0)]
    expected = [late[0], late[2], late[1], late[3]]
    assert recorded.rows(read_nmnist(file(recorded.nmnist(late)))) == expected


@pytest.mark.parametrize(
    "types", [{}, {"t": ">i4", "x": "<u2", "p": "<i1"}, {"t": "<u8", "x": "u1", "y": "u1", "p": "u1"}]
)
def test_structured_arrays_are_read_from_npy_and_npz(tmp_path, types):
    array = structured(EVENTS, **types)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", events=array)
    np.savez_compressed(tmp_path / "c.npz", **{name: array[name] for name in "txyp"}, more=np.zeros(3))
    for name in ("a.npy", "b.npz", "c.npz"):
        assert recorded.rows(read_array(tmp_path / name, (34, 34))) == EVENTS
    assert read_array(tmp_path / "a.npy").sensor == (34, 34)


def test_fields_may_stand_in_any_order_and_polarity_may_have_a_sign():
    array = np.array([(1, -1, 4, 9), (1, 1, 5, 9)], [("y", "<i2"), ("p", "<i2"), ("x", "<i2"), ("t", "<i8")])
    assert recorded.rows(from_array(array, "it")) == [(9, 4, 1, 0), (9, 5, 1, 1)]
    assert is_events(array)
    assert not is_events(np.zeros(3))
    assert not is_events(array[["x", "y", "t"]])


def test_events_go_round_as_a_structured_array():
    events = from_array(structured(EVENTS), "it")
    assert recorded.rows(from_array(events.structured(), "it")) == EVENTS


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "it has ndarray without fields: give a structured array with t, x, y and p"),
        ([1, 2], "it has list without fields"),
        (np.zeros(2, [("t", int), ("x", int)]), "it has the fields t, x: give"),
        (structured([]), "it holds no events"),
        (structured(EVENTS, t="<f8"), r"t is float64 \[4\]: give whole numbers .*, t in microseconds"),
        (structured(EVENTS, x="?"), "x is bool"),
        (structured([(1, -1, 0, 0)]), "x holds -1: give 0 to 65535"),
        (structured([(-1, 1, 0, 0)]), "t holds -1"),
        (structured([(2**62, 1, 0, 0)]), "t holds 4611686018427387904: give 0 to"),
        (structured([(1, 1, 70_000, 0)], y="<i4"), "y holds 70000"),
        (structured([(1, 1, 1, 2)], p="<i4"), r"p holds \[2\]: give 1 for brighter"),
        (structured([(1, 1, 1, -1), (1, 1, 1, 0), (1, 1, 1, 1)], p="<i4"), r"p holds \[-1, 0, 1\]"),
        (structured([(1, 40, 1, 1)]), "column 40, row 1, outside the sensor of 34x34 pixels: check what camera"),
        (structured([(5000, 1, 1, 1), (10, 1, 1, 1)]), "times run backwards, by 4990 microseconds at event 1"),
        (np.zeros((2, 2), structured([]).dtype), r"t is int64 \[2, 2\]"),
    ],
)
def test_arrays_that_are_no_recordings_are_refused_in_words(array, message):
    with pytest.raises(DataError, match=message):
        from_array(array, "it", (34, 34))


def npz(**arrays):
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def npy(array):
    packed = io.BytesIO()
    np.save(packed, array)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an .npy or .npz file of numbers"),
        (b"\x93NUMPY\x01\x00", "is not an .npy or .npz file"),
        (npy(structured(EVENTS))[:-3], "is not an .npy or .npz file"),
        (npz(t=np.zeros(2, int), x=np.zeros(2, int)), "holds the arrays t, x, and needs t, x, y, p"),
        (npz(t=np.zeros(2, int), x=np.zeros(2, int), y=np.zeros(3, int), p=np.zeros(2, int)), r"y is int64 \[3\]"),
        (npz(), "holds the arrays none"),
        (npz(events=np.array([object()])), "is not an .npy or .npz file of numbers"),
        (npy(np.array(5)), "without fields"),
    ],
)
def test_files_that_hold_no_arrays_of_events_are_refused_in_words(file, content, message):
    with pytest.raises(DataError, match=message):
        read_array(file(content, "x.npz"))


@given(st.data())
def test_a_damaged_npy_or_npz_is_a_recording_or_a_sentence(scratch, data):
    array = structured(EVENTS)
    whole = bytearray(data.draw(st.sampled_from([npy(array), npz(events=array)])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        found = read_array(scratch)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert len(found)


def test_a_zip_of_something_else_is_refused_in_words(file):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="holds the arrays none, and needs"):
        read_array(file(packed.getvalue(), "x.npz"))


def with_member(name, data):
    """An archive of good arrays and another member."""
    packed = io.BytesIO(npz(**{field: structured(EVENTS)[field] for field in "txyp"}))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return packed.getvalue()


def test_members_that_nobody_needs_are_not_unpacked(file):
    path = file(with_member("more.npy", bytes(64 << 20)), "x.npz")
    tracemalloc.start()
    try:
        assert recorded.rows(read_array(path)) == EVENTS
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert recorded.rows(read_array(file(with_member("readme.txt", b"hello"), "y.npz"))) == EVENTS


def claimed(shape, data=b"", descr="<i8"):
    """An .npy file whose header says more than it has."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    return head.getvalue() + data


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.npy", claimed((10**12,), bytes(32)), "the array 't' claims 8,000,000,000,000 bytes"),
        ("t.npy", claimed((1 << 27,), bytes(1 << 20)), "the array 't' claims 1,073,741,824 bytes"),
        ("t.npy", claimed((-5,), bytes(40)), "the array 't' claims"),
        ("t.npy", claimed((3,), bytes(40)), "the array 't' does not have the 24 bytes that its header says"),
        ("t.npy", claimed((5,), bytes(32)), "the array 't' claims 40 bytes|does not have the 40 bytes"),
        ("t.npy", claimed((5,), bytes(40), "|O"), "the array 't' holds Python objects"),
        ("t.npy", b"hello", "is not an .npy or .npz file"),
        ("t", bytes(40), "holds the arrays x, y, p, and needs t, x, y, p"),
    ],
)
def test_what_a_member_claims_is_checked_before_it_is_unpacked(file, name, data, message):
    arrays = structured(EVENTS)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        for other in "xyp":
            archive.writestr(f"{other}.npy", npy(arrays[other]))
    path = file(packed.getvalue(), "x.npz")
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message) as refused:
            read_array(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_is_packed_otherwise_is_refused(file, kind):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind) as archive:
        archive.writestr("events.npy", npy(structured(EVENTS)))
    with pytest.raises(DataError, match="the array 'events' is packed in a way that NumPy does not use"):
        read_array(file(packed.getvalue(), "x.npz"))


@pytest.mark.parametrize("reader", [read_nmnist, read_array])
def test_a_file_that_is_not_there_or_a_folder_is_refused_in_words(tmp_path, reader):
    with pytest.raises(DataError, match=r"absent cannot be read"):
        reader(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be read"):
        reader(tmp_path)


def test_a_stretch_of_time_is_cut_out():
    events = from_array(structured([(t, t % 7, 0, 1) for t in range(0, 100, 10)]), "it")
    assert events.between(20, 50).t.tolist() == [20, 30, 40]
    assert len(events.between(21, 30)) == 0
    assert isinstance(events.between(0, 5), Events)


def test_a_negative_time_is_refused():
    one = np.ones(1, np.int64)
    with pytest.raises(DataError, match="-1 microseconds is no time"):
        checked(-one, one, one, one, "it", (4, 4))
