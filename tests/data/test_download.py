"""Downloads, all from a server on this machine: resumed, checked, from the next mirror when one fails."""

import hashlib
import socket

import pytest

from spquant_snn.data.download import Remote, fetch
from spquant_snn.errors import DataError

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def remote(site):
    site.files["file.gz"] = CONTENT
    return Remote("file.gz", len(CONTENT), hashlib.md5(CONTENT).hexdigest(), (site.address,))


def mirrored(remote, *mirrors):
    return Remote(remote.name, remote.size, remote.md5, mirrors)


def unused_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_in_a_new_folder(tmp_path, remote):
    path = fetch(remote, tmp_path / "a" / "b", progress=False)
    assert path == tmp_path / "a" / "b" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["file.gz"]


@pytest.mark.parametrize("have", [1, 70_000, len(CONTENT) - 1])
def test_what_is_there_is_resumed(tmp_path, site, remote, have):
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:have])
    assert fetch(remote, tmp_path, progress=False).read_bytes() == CONTENT
    assert site.ranges == [f"bytes={have}-"]


def test_what_is_whole_is_not_fetched_again(tmp_path, site, remote):
    (tmp_path / "file.gz.part").write_bytes(CONTENT)
    assert fetch(remote, tmp_path, progress=False).read_bytes() == CONTENT
    assert site.ranges == []


def test_a_server_without_ranges_is_read_from_the_start(tmp_path, site, remote):
    site.resumes = False
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:5000])
    assert fetch(remote, tmp_path, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"an older file", b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)])
def test_a_wrong_beginning_is_thrown_away_and_fetched_anew(tmp_path, site, remote, stale):
    (tmp_path / "file.gz.part").write_bytes(stale)
    assert fetch(remote, tmp_path, progress=False).read_bytes() == CONTENT
    assert site.ranges[-1] is None


def test_a_broken_connection_is_resumed_by_the_next_try(tmp_path, site, remote):
    site.cut = 300_000
    with pytest.raises(DataError, match=r"no mirror gave file.gz .*after 300000 of 512000 bytes"):
        fetch(remote, tmp_path, progress=False)
    assert fetch(remote, tmp_path, progress=False).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=300000-"]


def test_the_second_mirror_goes_on_where_the_first_broke_off(tmp_path, site, remote):
    site.cut = 300_000
    assert fetch(mirrored(remote, site.address, site.address), tmp_path, progress=False).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=300000-"]


@pytest.mark.parametrize("first", ["absent", "unused"])
def test_the_second_mirror_serves_when_the_first_fails(tmp_path, site, remote, first):
    failing = f"{site.address}/absent" if first == "absent" else unused_address()
    assert fetch(mirrored(remote, failing, site.address + "/"), tmp_path, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [b"x" * len(CONTENT), CONTENT + b"x"])
def test_a_wrong_file_is_refused_and_not_kept(tmp_path, site, remote, wrong):
    site.files["file.gz"] = wrong
    with pytest.raises(DataError, match="another size or checksum"):
        fetch(remote, tmp_path, progress=False)
    assert names(tmp_path) == []


def test_when_all_fail_each_has_its_reason(tmp_path, site, remote):
    with pytest.raises(DataError, match=r"absent: HTTP Error 404.*; http://127.0.0.1:\d+: .*refused"):
        fetch(mirrored(remote, f"{site.address}/absent", unused_address()), tmp_path, progress=False)


@pytest.mark.parametrize("mirror", ["no-scheme", "http://127.0.0.1:port", "http://[", "unheard-of://x"])
def test_a_malformed_address_is_a_reason_too(tmp_path, remote, mirror):
    with pytest.raises(DataError, match="no mirror gave"):
        fetch(mirrored(remote, mirror), tmp_path, progress=False)


def test_a_silent_server_is_given_up(tmp_path, remote):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError, match="timed out"):
            fetch(mirrored(remote, mirror), tmp_path, progress=False, timeout=0.05)


def test_a_folder_that_cannot_be_written_is_said(tmp_path, remote):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="choose a folder that can be written"):
        fetch(remote, tmp_path / "file", progress=False)


@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_shown_only_when_asked_for(tmp_path, remote, capsys, progress):
    fetch(remote, tmp_path, progress=progress)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("file.gz" in shown.err) is progress
    assert "\x1b" not in shown.err
