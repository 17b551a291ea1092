"""Shards: tar files of which each sample is a row of members with one name and different endings, as WebDataset writes
them: ``000017.jpg`` and ``000017.cls``.

They are read from beginning to end and nothing of them is written: names are only compared, and links passed over.
"""

from __future__ import annotations

import glob
import gzip
import io
import os
import random
import re
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import ConfigError, DataError
from ..io.reading import CHUNK, Flaw, guarded, open_file, read_up_to
from ..io.terminal import to_stderr
from ..io.texts import parse_object, short
from .image_file import SUFFIXES, ImageForm, Mode, decode_image, pixels_of, require_pillow
from .npz import npy_array

_MOST_BYTES = 256 << 20  # of a member
_MOST_SHARDS, _MOST_CLASSES = 1_000_000, 10_000
_REMEDY = "write or fetch it again"
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_ARRAY, _CLASS, _JSON = "npy", "cls", "json"


class TarShards:
    """An iterable Dataset of the samples in tar files, plain or gzipped; sample by sample (image, class).

    Where several processes or worker processes read, each reads shards of its own; where there are fewer shards than
    these, each decodes every so many samples.

    Args:
        shards: paths, or one with * or with {0000..0127} in it.
        image: ending of the images; by default the one that a sample has of jpg, jpeg, png, bmp, ppm, pgm, webp, npy.
        label: ending of the classes, or, of a JSON member, "json/FIELD"; by default "cls", else "json/label".
        classes: names, where labels are names.
        size, mode, background: of images, as for ``ImageFolder``.
        transform: called with each image of Pillow or array; what it returns is the image of the sample.
        shuffle: samples that are held to draw the next from at random; shards are then in a random order too. 0: as
            they come.
        seed: of that order, with the number of the pass.
        length: samples in all, where it is known.
        skip_unreadable: pass over images that cannot be read, and say on standard error how many after each pass.

    Raises:
        ConfigError: a number that cannot be.
        DataError: there is no such file; and, while it is read, a shard is damaged or breaks off, or a sample holds no
            image or no class.
        MissingDependencyError: Pillow is not installed, and there are images.

    Example:
        >>> train = TarShards("train-{0000..0127}.tar", size=64, shuffle=1000, length=128_000)
        >>> trainer = SpQuantTrainer("vgg9-snn", (train, validation, test), 2)
    """

    def __init__(
        self,
        shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        image: str | None = None,
        label: str | None = None,
        classes: Sequence[str] | None = None,
        size: int | tuple[int, int] | None = None,
        mode: Mode | None = None,
        background: int | None = None,
        transform: Callable[[Any], Any] | None = None,
        shuffle: int = 0,
        seed: int = 0,
        length: int | None = None,
        skip_unreadable: bool = False,
    ) -> None:
        for name, value in (("shuffle", shuffle), ("length", 0 if length is None else length)):
            if type(value) is not int or value < 0:
                raise ConfigError(f"{name} must be a number of samples, not {value!r}")
        self.paths = _paths(shards)
        self.form = ImageForm(mode, (size, size) if isinstance(size, int) else size, background)
        self.classes = None if classes is None else tuple(classes)
        self.transform, self.shuffle, self.seed, self.length = transform, shuffle, seed, length
        self.skip_unreadable = skip_unreadable
        self.epoch, self._told = 0, False
        self._endings = (image, label)

    shards_itself = True  # over processes and workers, which a training then leaves to it

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("how many samples the shards hold was not given: say it by length")
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Decide, with the seed alone, the order of the next pass."""
        self.epoch, self._told = epoch, True

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        reader, readers, number = this_reader()
        draw = random.Random(f"{self.seed}/{self.epoch}/{0 if self._told else number}")  # the same for all readers
        self.epoch += 1
        paths = list(self.paths)
        if self.shuffle:
            draw.shuffle(paths)
        enough = len(paths) >= readers
        samples = _samples(paths[reader::readers]) if enough else islice(_samples(paths), reader, None, readers)
        return self._items(_shuffled(samples, self.shuffle, draw) if self.shuffle else samples)

    def _items(self, samples: Iterator[_Sample]) -> Iterator[tuple[Any, int]]:
        """The items of samples, but for those that cannot be read and may be passed over."""
        skipped: list[str] = []
        for sample in samples:
            try:
                image = self._image(sample)
            except DataError as error:
                if not self.skip_unreadable:
                    raise
                skipped.append(str(error))
                continue
            yield image, self._label(sample)
        if skipped:
            to_stderr().print(f"{len(skipped):,} samples are passed over, such as: {skipped[0]}")

    def _image(self, sample: _Sample) -> Any:
        wanted, _ = self._endings
        known = (*(suffix[1:] for suffix in SUFFIXES), _ARRAY)
        known = known if wanted is None else (wanted,)
        endings = [ending for ending in sample.members if ending in known]
        if len(endings) != 1:
            raise DataError(
                f"{sample.where} holds {len(endings) or 'no'} images ({', '.join(known)}) among "
                f"{sample.shown()}: say by image which ending they have"
            )
        (ending,) = endings
        content, where = sample.members[ending], f"{sample.where}.{ending}"
        if ending.rpartition(".")[2] == _ARRAY:
            with guarded(where, _REMEDY, wrong="cannot be used", unread=DataError, damaged=DataError):
                array = npy_array(content).copy()
            return array if self.transform is None else self.transform(array)
        require_pillow()
        with guarded(where, _REMEDY, wrong="cannot be used", unread=DataError, damaged=DataError):
            image = decode_image(content, self.form)
        return pixels_of(image) if self.transform is None else self.transform(image)

    def _label(self, sample: _Sample) -> int:
        _, wanted = self._endings
        place = wanted or (_CLASS if _CLASS in sample.members else f"{_JSON}/label")
        ending, _, field = place.partition("/")
        if ending not in sample.members:
            raise DataError(
                f"{sample.where} holds no class (.{ending}) among {sample.shown()}: say by label where it is"
            )
        content, where = sample.members[ending], f"{sample.where}.{ending}"
        with guarded(where, _REMEDY, wrong="cannot be used", unread=DataError, damaged=DataError):
            if not field:
                said: object = content[:1000].decode().strip()
            else:
                fields = parse_object(content)
                if field not in fields:
                    named = ", ".join(short(name) for name in list(fields)[:8])
                    raise Flaw(f"it has no field {field!r}; it has {named or 'none'}")
                said = fields[field]
            return self._number(said)

    def _number(self, said: object) -> int:
        if self.classes is not None and said in self.classes:
            return self.classes.index(said)
        number = int(said) if isinstance(said, str) and re.fullmatch(r"\d{1,9}", said, re.ASCII) else said
        if type(number) is not int or not 0 <= number < (_MOST_CLASSES if self.classes is None else len(self.classes)):
            raise Flaw(f"{short(said)} is no class: classes are numbered from 0, or named by classes")
        return number


@dataclass(frozen=True)
class _Sample:
    """Members of one name, by ending; ``where`` is shard and name, for messages."""

    where: str
    members: dict[str, bytes]

    def shown(self) -> str:
        return ", ".join(short(ending)[1:-1] for ending in list(self.members)[:8])


def _samples(paths: Sequence[Path]) -> Iterator[_Sample]:
    """The samples of shards, one shard after another."""
    for path in paths:
        name, members = "", dict[str, bytes]()
        for member, content in _members(path):
            folder, slash, file = member.rpartition("/")
            stem, _, ending = file.partition(".")
            if not ending or not stem:  # hidden, or of no kind
                continue
            if (key := folder + slash + stem) != name and members:
                yield _Sample(f"{path}: {_printable(name)}", members)
                members = {}
            name = key
            members[ending.lower()] = content
        if members:
            yield _Sample(f"{path}: {_printable(name)}", members)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the regular files of a tar file, which must be whole."""
    with guarded(path, _REMEDY, unread=DataError, damaged=DataError), open_file(path) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = _Bounded(cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file)
        archive = tarfile.TarFile(path, "r", fileobj=cast(BinaryIO, stream))
        member = archive.next()
        while member is not None:
            if member.isreg() and not member.sparse:
                if member.size > _MOST_BYTES:
                    raise Flaw(f"a member is of {member.size:,} bytes, more than {_MOST_BYTES:,}")
                stream.seek(member.offset_data)
                content = stream.read(member.size)
                if len(content) < member.size:
                    raise Flaw("it breaks off within a member")
                yield member.name, content
            archive.members = []  # type: ignore[attr-defined]  # which would grow with the file
            member = archive.next()
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise Flaw("it breaks off, or is damaged, before its end mark")


class _Bounded(io.RawIOBase):
    """A file of which no more than the size of a member is read at once, and never more memory taken than it has."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_BYTES:
            raise Flaw(f"a header claims {size:,} bytes")
        return bytes(read_up_to(self.file, size))

    def seek(self, place: int, whence: int = 0) -> int:
        if whence or place < self.file.tell():
            return self.file.seek(place, whence)
        while left := place - self.file.tell():  # of a gzipped file, by reading
            if not isinstance(self.file, gzip.GzipFile):
                return self.file.seek(place)
            if not self.file.read(min(left, CHUNK)):
                break
        return self.file.tell()

    def tell(self) -> int:
        return self.file.tell()


def _shuffled(samples: Iterator[_Sample], held: int, draw: random.Random) -> Iterator[_Sample]:
    """The samples, each drawn from among so many that are held."""
    buffer: list[_Sample] = []
    for sample in samples:
        buffer.append(sample)
        if len(buffer) >= held:
            place = draw.randrange(len(buffer))
            buffer[place], buffer[-1] = buffer[-1], buffer[place]
            yield buffer.pop()
    draw.shuffle(buffer)
    yield from buffer


def this_process() -> tuple[int, int]:
    """Which of how many processes that train together this is."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def this_reader() -> tuple[int, int, int]:
    """Which of how many readers this is, over all processes that train together and their worker processes; and a
    number that these have in common, another in every pass."""
    rank, ranks = this_process()
    torch = sys.modules.get("torch")
    worker = None if torch is None else torch.utils.data.get_worker_info()
    if worker is None:
        return rank, ranks, 0
    return rank * worker.num_workers + worker.id, ranks * worker.num_workers, worker.seed - worker.id


def _paths(shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    given = [shards] if isinstance(shards, str | os.PathLike) else list(shards)
    if not given:
        raise DataError("there are no shards: give the paths of tar files")
    found: list[Path] = []
    for each in given:
        for name in _expanded(os.path.expanduser(os.fspath(each))):
            matches = sorted(glob.glob(name)) if glob.has_magic(name) else [name]
            missing = [match for match in matches if not os.path.isfile(match)]
            if not matches or missing:
                raise DataError(f"there is no file {missing[0] if missing else name}: give the paths of tar files")
            found += map(Path, matches)
    return found


def _expanded(name: str) -> list[str]:
    """The names that {0000..0127} in a name stands for."""
    braces = _BRACES.search(name)
    if braces is None:
        return [name]
    first, last = braces.groups()
    if not 0 <= int(last) - int(first) < _MOST_SHARDS:
        raise DataError(f"{braces[0]} stands for no number of shards: write the lower one first")
    numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    before, after = name[: braces.start()], name[braces.end() :]
    return [each for number in numbers for each in _expanded(before + number + after)]


def _printable(name: str) -> str:
    shown = name if name.isprintable() else ascii(name)[1:-1]
    return shown if len(shown) <= 200 else shown[:197] + "..."
