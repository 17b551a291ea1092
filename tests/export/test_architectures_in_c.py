"""Networks that people train, and those of a name, as C that compares itself with the reference."""

import shutil
import subprocess

import pytest

from architectures import ARCHITECTURES, REFUSED
from spquant_snn.export.c import firmware_files
from spquant_snn.nn.models import build_model
from spquant_snn.quant.lower import lower
from whole_chain import brought_up

NAMED = {
    "resnet19-snn:0.06": (2, 16, 16),
    "sew-resnet18-snn:0.06": (2, 16, 16),
    "mobilenet-snn:0.06": (2, 16, 16),
    "ds-cnn-snn:0.06": (1, 49, 10),
    "tc-resnet8-snn:0.2": (12, 1, 49),
    "unet-snn:0.1": (3, 16, 16),
    "recurrent-snn:0.1": (1, 1, 70),
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.filterwarnings("ignore:the call of 'truediv' in the forward method divides pixels by 255")
@pytest.mark.parametrize("name", [*(name for name in ARCHITECTURES if name not in REFUSED), *NAMED])
def test_an_exported_architecture_passes_its_self_test(name, tmp_path):
    make, shape = ARCHITECTURES[name] if name in ARCHITECTURES else (None, NAMED[name])
    network, x = brought_up(make() if make else build_model(name, shape, 5), shape)
    graph = lower(network.freeze())
    given = x.numpy()[:2].reshape(2, *graph.inputs[0].shape)
    for file, content in firmware_files(graph, (given,), name).items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    (tmp_path / "main_of_test.c").write_text('#include "model.h"\nint main(void) { return model_selftest(); }\n')
    files = [str(path) for path in tmp_path.glob("*.c")]
    subprocess.run(["gcc", "-O1", "-std=c99", *files, "-o", str(tmp_path / "program")], check=True)
    assert subprocess.run([tmp_path / "program"], check=False).returncode == 0
