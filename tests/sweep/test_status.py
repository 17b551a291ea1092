"""Where points stand: folders by name, folders of an earlier form of the file, folders of other trainings."""

from dataclasses import replace

import pytest

from spquant_snn import RunError
from spquant_snn.sweep.status import find_runs


def found(places):
    return [(place.name, place.status()) for place in places.points]


def test_a_point_is_new_begun_or_finished(sweep, written, tmp_path):
    points = sweep("[cross]\nweight_bits = [2, 3, 4, 5]")
    assert found(find_runs(points, tmp_path / "out")) == [(f"w{bits}", "new") for bits in (2, 3, 4, 5)]
    for point, status in zip(points, ("new", "begun", "finished", "finished"), strict=True):
        run = written(tmp_path / "out" / point.name, point.config, status)
    run.integers.unlink()
    places = find_runs(points, tmp_path / "out")
    assert found(places) == [("w2", "new"), ("w3", "begun"), ("w4", "finished"), ("w5", "begun")]
    assert places.points[2].shown == "97.50 %"
    assert places.others == ()


def test_a_floating_point_run_is_finished_without_integers(sweep, written, tmp_path):
    (point,) = sweep("[[point]]\nquantization_bits = 32")
    written(tmp_path / "w32s32", point.config, "finished").integers.unlink()
    assert found(find_runs([point], tmp_path)) == [("w32s32", "finished")]


def test_values_that_a_training_settled_are_those_that_were_asked_for(sweep, written, tmp_path):
    (point,) = sweep("[[point]]\nweight_bits = 2")
    written(tmp_path / "w2", replace(point.config, batch_size=64, validation=100, precision="fp32"), "begun")
    assert found(find_runs([point], tmp_path)) == [("w2", "begun")]


def test_after_a_change_of_the_file_runs_that_are_still_wanted_are_found(sweep, written, tmp_path):
    for point in sweep("timesteps = 2\n[cross]\nweight_bits = [2, 4, 8]"):
        written(tmp_path / "out" / point.name, point.config, "finished")
    places = find_runs(sweep("[cross]\nweight_bits = [2, 4]\ntimesteps = [2, 4]"), tmp_path / "out")
    assert found(places) == [("w2", "finished"), ("w2-T4", "new"), ("w4", "finished"), ("w4-T4", "new")]
    assert places.others == ("w8",)


def test_the_folder_of_one_point_is_not_taken_for_another(sweep, written, tmp_path):
    """A run that settled its batch size has the configuration of a point that asks for that size."""
    points = sweep("[cross]\nbatch_size = [0, 256]")
    written(tmp_path / "batch_size0", points[1].config, "begun")
    assert found(find_runs(points, tmp_path)) == [("batch_size0", "begun"), ("batch_size256", "new")]


def test_a_folder_of_another_training_is_refused(sweep, written, tmp_path):
    (point,) = sweep("[[point]]\nweight_bits = 2")
    written(tmp_path / "w2", replace(point.config, epochs=3), "begun")
    with pytest.raises(RunError, match=r"w2 was started with epochs: 3, not 20: choose another --out"):
        find_runs([point], tmp_path)


def test_a_folder_that_holds_no_runs_is_refused(sweep, written, tmp_path):
    points = sweep("seeds = [0]")
    (tmp_path / "file").touch()
    written(tmp_path / "run", points[0].config, "begun")
    for name, what in (("file", "a file"), ("run", "the folder of a run")):
        with pytest.raises(RunError, match=f"{name} is {what}, and not a folder to hold the runs of all points"):
            find_runs(points, tmp_path / name)
