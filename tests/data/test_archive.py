"""Archives: the members asked for and nothing else, whatever the archive holds."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from spquant_snn.data.archive import unpack
from spquant_snn.errors import DataError, FileFormatError

NAMES = ("set/a", "set/b")


def tar(members, form=tarfile.GNU_FORMAT):
    """A tar file of (name, content) pairs or ready ``TarInfo``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return packed.getvalue()


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def archive(tmp_path):
    def write(content, pack=gzip.compress):
        path = tmp_path / "archive.tar.gz"
        path.write_bytes(pack(content))
        return path

    return write


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_unpacks_the_members_asked_for_and_no_others(tmp_path, archive, form):
    members = [("set/readme.html", b"x" * 700), ("set/b", b"bb" * 999), ("../escape", b"no"), ("set/a", b"")]
    unpack(archive(tar(members, form)), NAMES, tmp_path / "out", 1 << 20)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"a": b"", "b": b"bb" * 999}
    assert {path.name for path in tmp_path.iterdir()} == {"archive.tar.gz", "out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_link_is_not_a_member(tmp_path, archive, kind):
    with pytest.raises(FileFormatError, match="lacks set/a"):
        unpack(archive(tar([link("set/a", "/etc/passwd", kind), ("set/b", b"b")])), NAMES, tmp_path / "out", 1 << 20)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_that_unpacks_to_more_than_it_may_is_refused(tmp_path, archive):
    path = archive(tar([("set/a", b"a"), ("set/b", bytes(1 << 20))]))
    with pytest.raises(FileFormatError, match="unpacks to more than 4096 bytes"):
        unpack(path, NAMES, tmp_path / "out", 4096)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_wrong_gzip_checksum_leaves_nothing_behind(tmp_path, archive):
    def damaged(content):
        packed = bytearray(gzip.compress(content))
        packed[-8] ^= 1
        return bytes(packed)

    with pytest.raises(FileFormatError, match="is damaged"):
        unpack(archive(tar([("set/a", b"a"), ("set/b", b"b")]), damaged), NAMES, tmp_path / "out", 1 << 20)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_random_damage_gives_a_message_or_the_members(tmp_path, archive, pack):
    rng = np.random.default_rng(7)
    intact = tar([("set/a", b"a" * 600), ("set/b", b"b")])
    source = np.frombuffer(intact if pack is gzip.compress else gzip.compress(intact), np.uint8)
    for trial in range(300):
        content = source.copy()
        if trial % 2:
            content = content[: rng.integers(len(content))]
        else:
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        try:
            unpack(archive(content.tobytes(), pack), NAMES, tmp_path / "out", 1 << 20)
        except FileFormatError:
            continue
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b"}


def test_a_folder_that_cannot_be_made_is_a_data_error(tmp_path, archive):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot unpack"):
        unpack(archive(tar([])), NAMES, tmp_path / "file" / "out", 1 << 20)
