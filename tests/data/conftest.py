"""Files as the official distributions lay them out, in small, and a server on this machine to fetch them from."""

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest


@pytest.fixture
def idx_bytes():
    def build(array):
        array = np.asarray(array, np.uint8)
        return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()

    return build


@pytest.fixture
def mnist_files(idx_bytes):
    """Name -> bytes of the four files of a set in MNIST's form: 12 training and 4 test images."""
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": idx_bytes(rng.integers(0, 256, (12, 28, 28))),
        "train-labels-idx1-ubyte": idx_bytes(np.arange(12) % 10),
        "t10k-images-idx3-ubyte": idx_bytes(rng.integers(0, 256, (4, 28, 28))),
        "t10k-labels-idx1-ubyte": idx_bytes([9, 8, 7, 6]),
    }


@pytest.fixture
def cifar_batches():
    """Six batches of two images: labels [2] and pixels [2, 3072]; the last is the test batch."""
    rng = np.random.default_rng(1)
    return [(rng.integers(0, 10, 2), rng.integers(0, 256, (2, 3072)).astype(np.uint8)) for _ in range(6)]


@pytest.fixture
def cifar_binary(cifar_batches):
    """Name -> bytes of the binary version."""
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    rows = [np.column_stack([labels.astype(np.uint8), pixels]) for labels, pixels in cifar_batches]
    return {name: row.tobytes() for name, row in zip(names, rows, strict=True)}


@pytest.fixture
def cifar_python(cifar_batches):
    """Name -> bytes of the python version, as Python 3 pickles it."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    return {
        name: pickle.dumps({b"labels": labels.tolist(), b"data": pixels}, protocol=2 + i % 3)
        for i, (name, (labels, pixels)) in enumerate(zip(names, cifar_batches, strict=True))
    }


@dataclass
class Site:
    """What the server has and how it behaves; ``ranges`` collects the Range header of every request."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    resumes: bool = True
    cut: int | None = None  # bytes after which the connection is dropped
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers["Range"]
            site.ranges.append(wanted)
            content = site.files.get(self.path.rpartition("/")[2])
            if content is None or "/absent/" in self.path:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and site.resumes else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:][: site.cut])

        def log_message(self, *arguments):
            pass

    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Site(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()
