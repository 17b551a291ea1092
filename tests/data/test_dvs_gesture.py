"""DVS128 Gesture in its official layout, written here from its description: cut by label files, split by lists."""

import pytest

import recorded
from spquant_snn.data import load
from spquant_snn.data.dvs_gesture import Gesture, find_dvs_gesture, read_labels
from spquant_snn.errors import DataError

HEADING = "class,startTime_usec,endTime_usec\n"


def stretch(start, stop, x):
    """An event each 10 microseconds, all in one column."""
    return [(t, x, t % 128, t // 10 % 2) for t in range(start, stop, 10)]


EVENTS = stretch(0, 6000, 1)
LABELS = "1,1000,2000\n11,2000,2500\n4,4000,4010\n"


@pytest.fixture
def gestures(tmp_path):
    """A data set of three recordings with three gestures each; two of them are for training."""
    folder = tmp_path / "DvsGesture"
    folder.mkdir()
    for name in ("user01_led", "user02_natural", "user24_lab"):
        (folder / f"{name}.aedat").write_bytes(recorded.aedat3(*recorded.in_packets(EVENTS, [100, 1, 300])))
        (folder / f"{name}_labels.csv").write_text(HEADING + LABELS)
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\nuser02_natural.aedat\n")
    (folder / "trials_to_test.txt").write_text("user24_lab.aedat\n\n")
    (folder / "gesture_mapping.csv").write_text("hand_clapping,1\n")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_gestures_are_cut_by_their_times(gestures):
    train, test = find_dvs_gesture(gestures.parent)
    assert (train.labels, test.labels) == ((0, 10, 3, 0, 10, 3), (0, 10, 3))
    found = [recorded.rows(part) for part in train.read()]
    expected = [stretch(1000, 2000, 1), stretch(2000, 2500, 1), stretch(4000, 4010, 1)]
    assert found == [*expected, *expected]


@pytest.mark.parametrize("place", [".", "DvsGesture", "DVS128Gesture/DvsGesture"])
def test_the_folder_may_lie_in_several_places(gestures, tmp_path, place):
    if place.startswith("DVS128"):
        (tmp_path / "DVS128Gesture").mkdir()
        gestures.rename(tmp_path / place)
    train, test = find_dvs_gesture(gestures if place == "." else tmp_path)
    assert (len(train), len(test)) == (6, 3)


@pytest.mark.parametrize(("name", "side"), [("dvs-gesture", 64), ("dvs-gesture:128", 128), ("dvs-gesture:32", 32)])
def test_it_is_loaded_by_name_as_sequences(gestures, name, side):
    splits = load(name, gestures.parent, timesteps=5, progress=False)
    assert (splits.name, splits.shape, splits.frames, splits.classes) == (name, (2, side, side), 5, 11)
    assert splits.train.images[0].sum((1, 2, 3)).tolist() == [20] * 5
    columns = splits.train.images.sum((0, 1, 2, 3))
    assert columns.nonzero()[0].tolist() == [1 * side // 128]


def test_what_is_missing_is_asked_for_in_one_sentence(tmp_path):
    with pytest.raises(DataError) as caught:
        load("dvs-gesture", tmp_path)
    said = str(caught.value)
    assert f"there is no {tmp_path}/DvsGesture/trials_to_train.txt: fetch DvsGesture.tar.gz from https://" in said
    assert f"unpack it into {tmp_path}, or name the folder that holds DvsGesture by --data-dir or SPQUANT_DATA" in said
    assert "\n" not in said


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, content):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("trials_to_test.txt"), "trials_to_test.txt cannot be read .* it belongs to the data set"),
        (remove("user02_natural.aedat"), "user02_natural.aedat is missing, which trials_to_train.txt names"),
        (remove("user24_lab_labels.csv"), "user24_lab_labels.csv cannot be read .* it belongs to its .aedat file"),
        (write("trials_to_train.txt", ""), "names no recording"),
        (write("trials_to_train.txt", "../user01_led.aedat"), "names '../user01_led.aedat', which is no recording"),
        (write("user01_led_labels.csv", "t,x\n"), "begins with 't,x', not with 'class,startTime_usec,endTime_usec'"),
        (write("user01_led_labels.csv", HEADING), "names no gesture"),
        (write("user01_led_labels.csv", HEADING + "1,2\n"), "line 2, is '1,2': it needs class, startTime_usec"),
        (write("user01_led_labels.csv", HEADING + "1,0,9\n\n1,a,9"), "line 4, is '1,a,9'"),
        (write("user01_led_labels.csv", HEADING + "12,0,9\n"), "line 2: class 12 is not 1 to 11"),
        (write("user01_led_labels.csv", HEADING + "0,0,9\n"), "class 0 is not"),
        (write("user01_led_labels.csv", HEADING + "1,9,9\n"), "the gesture ends at 9, not after 9"),
        (
            write("user01_led_labels.csv", HEADING + "1,6000,7000\n"),
            "user01_led.aedat has no events from 6000 to 7000 microseconds, .* it lasts from 0 to 5990: check that",
        ),
        (write("user02_natural.aedat", "<html>"), "user02_natural.aedat is not an AEDAT 3. file"),
    ],
)
def test_damage_is_refused_in_words(gestures, damage, message):
    damage(gestures)
    with pytest.raises(DataError, match=message):
        load("dvs-gesture", gestures.parent, timesteps=2, progress=False)


def test_a_label_file_of_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "x_labels.csv"
    path.write_bytes((HEADING + " 8 , 10 , 20 \n").replace("\n", "\r\n").encode())
    assert read_labels(path) == (Gesture(7, 10, 20),)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not a text"):
        read_labels(path)


def test_a_changed_file_has_frames_of_its_own(gestures, cache):
    before = load("dvs-gesture", gestures.parent, timesteps=2, progress=False)
    (gestures / "user24_lab_labels.csv").write_text(HEADING + "9,0,6000\n")
    after = load("dvs-gesture", gestures.parent, timesteps=2, progress=False)
    assert (len(before.test), len(after.test), after.test.labels.tolist()) == (3, 1, [8])
    assert len(list((cache / "spquant_snn" / "frames").iterdir())) == 3


def test_a_gesture_without_events_is_left_out(gestures, capsys):
    path = gestures / "user01_led.aedat"
    path.write_bytes(recorded.aedat3(*recorded.in_packets(stretch(0, 2000, 1) + stretch(4000, 6000, 1), [])))
    splits = load("dvs-gesture", gestures.parent, timesteps=2, progress=True)
    assert splits.train.labels.tolist() == [0, 3, 0, 10, 3]
    path.write_bytes(recorded.aedat3())
    splits = load("dvs-gesture", gestures.parent, timesteps=2, progress=True)
    assert splits.train.labels.tolist() == [0, 10, 3]
    said = capsys.readouterr().err
    assert "dvs-gesture train: 1 of 6 recordings hold no events" in said
    assert "dvs-gesture train: 3 of 6 recordings hold no events" in said


@pytest.mark.parametrize("name", ["x" * 300 + ".aedat", "a\0b.aedat", "\x1b[31m.aedat", "absent.aedat"])
def test_a_name_that_no_file_can_have_is_refused(gestures, name):
    (gestures / "trials_to_train.txt").write_bytes(name.encode())
    words = r"\.aedat is missing, which trials_to_train\.txt names|names '.*', which is no recording"
    with pytest.raises(DataError, match=words) as refused:
        load("dvs-gesture", gestures.parent, timesteps=2, progress=False)
    assert str(refused.value).isprintable()
