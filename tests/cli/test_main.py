"""The command line: what each command prints, its exit code, and one sentence for every wrong call."""

import json
import re
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from general_graphs import general_graph
from spquant_snn import SpQuantTrainer, data, load
from spquant_snn.cli import doctor
from spquant_snn.cli.main import COMMANDS, command_of
from spquant_snn.errors import MissingDependencyError
from spquant_snn.integer.file import load_both, load_graph, save
from spquant_snn.io.texts import package_version
from spquant_snn.runtime.forms import forms
from spquant_snn.train.console import Display


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """No data set in any folder, and no network."""

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setenv("SPQUANT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def refused(answer, *words):
    """Check that a call was answered with exit code 2 and one sentence with these words."""
    code, out, err = answer
    assert code == 2
    assert err.startswith("spquant: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    for word in words:
        assert word in err
    return True


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_fits_80_columns(command, spquant):
    code, out, err = spquant(*filter(None, [command]), "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("usage: spquant")
    assert "(default: None)" not in out  # what happens then is said in words


def test_help_breaks_lines_where_they_are_full_not_where_the_source_does(spquant):
    assert "so that several networks link" in spquant("export", "--help")[1]


def test_each_command_is_one_line_of_the_help_and_says_the_same_of_itself(spquant):
    out = spquant("--help")[1]
    for name, line in COMMANDS.items():
        assert f"{name}  " in out
        assert f"  {line}\n" in out
        assert command_of(name).__doc__.splitlines()[0] == line


def test_a_command_that_is_not_there_is_answered_in_one_sentence(spquant):
    assert refused(spquant("fly"), "there is no command 'fly': choose one of train, calibrate, eval,")
    assert refused(spquant(), "name a command: train, calibrate, eval,")
    assert refused(spquant(""), "there is no command '': choose one of train")


@pytest.mark.slow
def test_help_and_wrong_options_are_the_same_from_a_shell(tmp_path):
    call = [sys.executable, "-m", "spquant_snn"]
    ended = subprocess.run([*call, "--help"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(command in ended.stdout for command in COMMANDS)
    ended = subprocess.run([*call, "eval", "x"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "spquant: there is no x: give the folder of a run, or an .spq file\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train", "--wings", "2"],
        ["train", "--epochs", "two"],
        ["train", "--loss", "sum"],
        ["eval"],
        ["eval", "x", "--backend", "gpu"],
    ],
    ids=" ".join,
)
def test_a_call_that_cannot_be_parsed_ends_with_2(arguments, spquant):
    code, out, err = spquant(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
    assert err


def test_train_writes_a_run_and_ends_with_the_accuracy(spquant, tmp_path):
    options = ["--model", "lenet-snn:0.1", "--dataset", "digits", "--weight-bits", "ternary", "--state-bits", 3]
    code, out, err = spquant("train", *options, "--timesteps", 1, "--epochs", 1, "--out", "x")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "lenet-snn:0.1 on digits: weights 1.58 bits, state 3 bits, T = 1"
    assert "1,294 training images" in lines[1]
    assert "run folder x" in lines[1]
    assert lines[2].startswith("epoch 1/1 ")
    assert re.fullmatch(r"Test Accuracy: \d+\.\d\d%", lines[-1])
    accuracy = json.loads((tmp_path / "x" / "run.json").read_text("utf-8"))["test_accuracy"]
    assert lines[-1] == f"Test Accuracy: {accuracy:.2f}%"
    assert (tmp_path / "x" / "model.spq").exists()


def test_a_run_without_a_name_gets_one(spquant, tmp_path):
    spquant("train", "--model", "lenet-snn:0.1", "--dataset", "digits", "--epochs", 1)
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["lenet-snnx0.1-digits-w2s2-1"]


def test_torch_reference_and_native_agree(runs, spquant):
    answers = [spquant("eval", runs / "low", "--backend", backend) for backend in ("torch", "reference", "native")]
    for backend in ("reference", "native"):
        answers.append(spquant("eval", runs / "low" / "model.spq", "--backend", backend, "--dataset", "digits"))
    assert re.fullmatch(r"Test Accuracy: \d+\.\d\d%\n", answers[0][1])
    assert answers[0][0] == 0
    assert answers.count(answers[0]) == 5


def test_the_baseline_is_evaluated_in_floating_point(runs, spquant):
    code, out, _ = spquant("eval", runs / "fp32")
    assert code == 0
    assert out.startswith("Test Accuracy: ")


@pytest.mark.parametrize("backend", ["torch", "reference", "native"])
def test_eval_as_json(backend, runs, spquant):
    code, out, err = spquant("eval", runs / "low", "--backend", backend, "--count", 50, "--json")
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert set(result) == {
        *("accuracy", "accuracy_of_each", "metric", "task", "outputs", "names", "unit"),
        *("backend", "dataset", "images", "source"),
    }
    assert (result["backend"], result["dataset"], result["images"]) == (backend, "digits", 50)
    assert 0 < result["accuracy"] <= 100


def test_export_writes_the_integers_of_the_run(runs, spquant, tmp_path):
    code, out, _ = spquant("export", runs / "low", "--out", "copy.spq")
    assert code == 0
    assert (tmp_path / "copy.spq").read_bytes() == (runs / "low" / "model.spq").read_bytes()
    size = (tmp_path / "copy.spq").stat().st_size
    assert out == f"copy.spq: {size:,} bytes, a sample of 32 test items among them\n"
    code, out, _ = spquant("export", runs / "low", "--out", "bare.spq", "--no-remember-sample")
    size = (tmp_path / "bare.spq").stat().st_size
    assert (code, out) == (0, f"bare.spq: {size:,} bytes\n")


@pytest.mark.parametrize("given", ["low", "low/model.spq"])
def test_export_may_show_an_image_for_more_steps(given, runs, spquant, tmp_path):
    assert spquant("export", runs / given, "--timesteps", 5, "--out", "longer.spq")[0] == 0
    images = data.load("digits").test.images[:40]
    longer, same = load(tmp_path / "longer.spq"), load(runs / "low" / "model.spq", timesteps=5)
    assert (longer.timesteps, same.timesteps, load(runs / "low" / "model.spq").timesteps) == (5, 5, 2)
    shown = np.broadcast_to(images, (5, *images.shape))
    expected = load(runs / "low" / "model.spq").logits(shown)
    assert np.array_equal(longer.logits(images), expected)
    assert np.array_equal(same.logits(images), expected)
    assert len(load_both(tmp_path / "longer.spq")[1]) == 32


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_verify_finds_a_run_equal(backend, runs, spquant):
    code, out, err = spquant("verify", runs / "low", "--count", 40, "--backend", backend)
    assert (code, err) == (0, "")
    assert out.startswith("equal on 40 images: ")
    code, out, _ = spquant("verify", runs / "low", "--count", 0, "--json", "--backend", backend)
    verdict = json.loads(out)
    assert code == 0
    assert (verdict["equal"], verdict["images"], verdict["difference"]) == (True, 360, None)


@pytest.fixture
def altered(runs, tmp_path):
    """The run with one weight of the second convolution turned into another, and all checksums good."""
    shutil.copytree(runs / "low", tmp_path / "altered")
    path = tmp_path / "altered" / "model.spq"
    graph = load_graph(path)
    connection = graph.layers[1].terms[0].connection
    codes = connection.codes.copy()
    codes[3, 2, 2, 2] = -2 if codes[3, 2, 2, 2] != -2 else 1
    object.__setattr__(connection, "codes", np.ascontiguousarray(codes))
    save(graph, path)
    return tmp_path / "altered"


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_verify_names_the_first_difference(backend, altered, spquant):
    code, out, _ = spquant("verify", altered, "--backend", backend)
    assert code == 1
    assert re.match(
        r"different: (spike|code) of layer 'conv2', time step \d, image \d+, at \(3, \d, \d\): expected", out
    )
    code, out, _ = spquant("verify", altered, "--json", "--backend", backend)
    verdict = json.loads(out)
    assert (code, verdict["equal"], verdict["difference"]["layer"]) == (1, False, "conv2")
    assert verdict["difference"]["index"][1] == 3


def test_verify_refuses_the_integers_of_another_network(runs, spquant, tmp_path):
    shutil.copytree(runs / "low", tmp_path / "mixed")
    other = SpQuantTrainer("lenet-snn:0.1", "digits", 2, quiet=True)
    other.export(tmp_path / "mixed" / "model.spq")
    for command in ("verify", "report"):
        assert refused(spquant(command, "mixed"), "model.spq holds another network than this run")


def test_resume_refuses_another_configuration(runs, spquant, tmp_path):
    shutil.copytree(runs / "low", tmp_path / "x")
    answer = spquant("train", "--resume", "x", "--epochs", 9, "--weight-bits=4")
    assert refused(answer, "weight_bits: 2, not 4", "epochs: 2, not 9")
    assert spquant("train", "--resume", "x", "--epochs", 2, "--dataset", "digits")[0] == 0


@pytest.mark.parametrize("name", ["config.toml", "run.json", "model.safetensors", "model.spq", "checkpoint.pt"])
def test_a_damaged_run_is_refused(name, runs, spquant, tmp_path):
    shutil.copytree(runs / "low", tmp_path / "x")
    path = tmp_path / "x" / name
    whole = path.read_bytes()
    command = {"checkpoint.pt": ["train", "--resume"], "model.spq": ["eval", "--backend", "reference"]}
    for content in (b"", whole[: len(whole) // 3], b"\xff" + whole[1:]):
        path.write_bytes(content)
        assert refused(spquant(*command.get(name, ["eval"]), "x"), name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train --dataset digits --weight-bits 0", "weight bits must be"),
        ("train --dataset digits --weight-bits 5.5", "weight bits must be"),
        ("train --dataset digits --state-bits 9", "state bits must be"),
        ("train --dataset digits --state-bits two", "state bits must be"),
        ("train --dataset digits --epochs 0", "epochs must be at least 1"),
        ("train --dataset digits --learning-rate nan", "learning_rate must be"),
        ("train --dataset digits --model lenet", "model must be one of lenet-snn"),
        ("train --dataset digits --model lenet-snn:x", "the width factor of a model"),
        ("train --dataset digits --model vgg11-snn:0.1", "8x8"),
        ("train --dataset digits --model custom", "model must be one of"),
        ("train --dataset minst", "did you mean 'mnist'?"),
        ("trian --dataset digits", "did you mean 'train'?"),
        ("train --dataset custom", "unknown data set 'custom'"),
        ("train --dataset digits --device abacus", "device 'abacus' cannot be used"),
        ("train --dataset digits --threads -1", "threads must be"),
        ("train --dataset digits --validation 1437", "validation cannot take 1437 of 1437 training images"),
        ("train --dataset digits --teacher nowhere", "nowhere is not there: name the folder of a run"),
        ("train --dataset digits --out {runs}/low", "already holds a run"),
        ("train --dataset digits --out {runs}/low/config.toml/x", "cannot be written"),
        ("train --resume nowhere", "nowhere is not the folder of a run"),
        ("train --resume {runs}", "is not the folder of a run"),
        ("train --resume {runs}/low --out y", "give either --out"),
        ("eval nowhere", "there is no nowhere"),
        ("eval {runs}", "is not the folder of a run"),
        ("eval {runs}/low --count -1", "count must be at least 0"),
        ("eval {runs}/low --dataset minst", "unknown data set"),
        ("eval {runs}/low/model.spq --backend torch", "needs one: leave out --backend"),
        ("eval {runs}/low/model.spq", "add --images, for your own, or --dataset"),
        ("eval {runs}/low/model.spq --backend reference", "add --images, for your own, or --dataset"),
        ("eval {runs}/low/run.json --backend reference --dataset digits", "is not a .spq file"),
        ("eval {runs}/fp32 --backend reference", "without integers: use --backend torch"),
        ("eval {runs}/fp32 --backend native", "without integers: use --backend torch"),
        ("eval nowhere --early-exit", "there is no nowhere"),
        ("eval {runs}/low/model.spq --early-exit --dataset digits", "is no run folder, and --early-exit needs one"),
        ("eval {runs}/fp32 --early-exit", "without integers: use --early-exit on a run of 1.58 to 8 bits"),
        ("eval {runs}/low --early-exit --backend native", "are those of native: leave out --backend"),
        ("eval {runs}/low --early-exit --dataset mnist", "trained on, digits, not on mnist: leave out --dataset"),
        ("eval {runs}/low --early-exit --count -1", "count must be at least 0"),
        ("eval {runs}/low --margin -1", "margin must be at least 0, not -1"),
        ("eval {runs}/low --margin 5000000000", "margin must be at most 4294967295"),
        ("eval {runs}/low --margin 5 --backend torch", "stops images of the integer model: leave out --backend torch"),
        ("eval {runs}/low --margin 5 --early-exit", "stops images of the integer model: leave out --early-exit"),
        ("eval {runs}/fp32 --margin 5", "without integers: use --margin on a run of 1.58 to 8 bits"),
        ("train --dataset digits --tet-weight 1", "tet_weight must be"),
        ("export nowhere --out x.spq", "there is no nowhere: give the folder of a run, or an .spq file"),
        ("export {runs}/low --timesteps 0 --out x.spq", "timesteps must be a whole number above zero, not 0"),
        ("export {runs}/low --timesteps 100000000 --out x.spq", "100000000 time steps are out of range"),
        ("export {runs}/low --out {runs}/low/config.toml/x.spq", "cannot be written"),
        ("export {runs}/fp32 --out x.spq", "no integer form"),
        ("verify nowhere", "there is no nowhere"),
        ("verify {runs}/fp32", "no integer form"),
        ("verify {runs}/low --count -1", "count must be at least 0"),
        ("verify {runs}/low --dataset minst", "unknown data set"),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence(arguments, words, runs, spquant, tmp_path):
    assert refused(spquant(*arguments.format(runs=runs).split()), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("command", [["train"], ["eval", "{runs}/low", "--dataset", "mnist"]], ids=lambda c: c[0])
def test_data_that_is_nowhere_is_missed_in_words(command, runs, spquant):
    answer = spquant(*(part.format(runs=runs) for part in command))
    code, _, err = answer
    assert code == 2
    last = err.splitlines()[-1]  # after the bar of the download
    assert last.startswith("spquant: mnist: no mirror gave train-images-idx3-ubyte.gz")
    assert "SPQUANT_DATA" in last
    assert "Traceback" not in err


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(spquant, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("spquant_snn.train.step.objective", stop)
    code, out, err = spquant("train", "--model", "lenet-snn:0.1", "--dataset", "digits", "--out", "x")
    assert (code, err) == (130, "spquant: stopped\n")
    assert out.splitlines()[-1].endswith("to go on: spquant train --resume x")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["load_weights", "save"])
def test_ctrl_c_after_the_last_epoch_says_how_to_go_on_too(spquant, monkeypatch, place):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        {"load_weights": "spquant_snn.train.run_owner.load_weights"}.get(place, "spquant_snn.export.targets.save"), stop
    )
    call = ("train", "--model", "lenet-snn:0.1", "--dataset", "digits", "--epochs", 1, "--out", "a b")
    code, out, err = spquant(*call)
    assert (code, err) == (130, "spquant: stopped\n")
    assert out.splitlines()[-1].endswith("to go on: spquant train --resume 'a b'")


@pytest.mark.slow
@pytest.mark.parametrize("another", [False, True], ids=["deleted", "replaced"])
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_folder_that_vanishes_ends_the_training_with_2(spquant, monkeypatch, tmp_path, another, epoch):
    end = Display.end

    def vanish(self, done, *args):
        end(self, done, *args)
        if done + 1 == epoch:
            record = json.loads((tmp_path / "x" / "run.json").read_text("utf-8"))
            shutil.rmtree(tmp_path / "x")
            if another:
                (tmp_path / "x").mkdir()
                (tmp_path / "x" / "run.json").write_text(json.dumps(record | {"id": "another"}), "utf-8")

    monkeypatch.setattr(Display, "end", vanish)
    answer = spquant("train", "--model", "lenet-snn:0.1", "--dataset", "digits", "--epochs", 2, "--out", "x")
    assert refused(answer, "x was deleted or replaced while its run was being trained")
    left = [path.name for path in tmp_path.rglob("*")]
    assert sorted(left) == (["run.json", "x"] if another else [])


def test_a_training_that_diverges_ends_with_1(spquant, monkeypatch):
    monkeypatch.setattr("spquant_snn.train.step.objective", lambda logits, *args: logits.sum() * float("nan"))
    code, _, err = spquant("train", "--model", "lenet-snn:0.1", "--dataset", "digits", "--out", "x")
    assert code == 1
    assert err.startswith("spquant: the loss became nan in epoch 1")
    assert err.count("\n") == 1


def test_a_missing_package_is_named_with_the_line_that_installs_it(spquant, monkeypatch):
    def missing(*args):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("spquant_snn.cli.eval.open_source", missing)
    assert refused(spquant("eval", "x"), "this command needs torch: pip install torch")


def test_the_version_is_said_by_the_name_of_the_command(spquant):
    assert spquant("--version") == (0, f"spquant {package_version()}\n", "")


@pytest.mark.usefixtures("no_data")
def test_doctor_says_what_is_there_and_what_is_not(spquant):
    code, out, err = spquant("doctor")
    table, _, hints = out.partition("\n\n")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    rows = dict([cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line)
    assert rows["digits"] == "1,437 + 360 images"
    assert rows["mnist"] == "not found"
    assert rows["numpy"] == np.__version__
    assert "mnist, fashion-mnist, cifar10: downloaded when first used" in " ".join(hints.split())
    assert "nmnist, " in hints
    assert "spquant train --dataset NAME says where the files come from" in " ".join(hints.split())


def test_doctor_says_how_the_layers_of_a_network_run(spquant, tmp_path):
    graph = general_graph(3)
    save(graph, tmp_path / "model.spq")
    code, out, err = spquant("doctor", tmp_path / "model.spq")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    told = {cells[0].strip(): cells[2].strip() for line in out.splitlines() if len(cells := line.split("│")[1:-1]) == 4}
    assert {form.name: form.form for form in forms(graph)}.items() <= told.items()
    assert "general" in told.values()


def test_doctor_refuses_what_is_no_network(spquant, tmp_path):
    assert refused(spquant("doctor", tmp_path / "nothing.spq"), "nothing.spq")


@pytest.mark.parametrize(
    ("compiler", "gpu", "triton", "found", "hints"),
    [
        (True, False, False, ["none", "C"], []),
        (True, True, True, ["H100", "C", "Triton", "float16, exact"], []),
        (True, True, False, ["H100", "C", "plain, slower"], ["no triton"]),
        (False, True, False, ["H100", "plain, slower", "plain, slower"], ["no cc", "no triton"]),
    ],
)
@pytest.mark.parametrize("reason", [None, "this CPU has no int8 dot products, and others saturate"])
def test_doctor_says_what_a_training_computes_with(monkeypatch, compiler, gpu, triton, found, hints, reason):
    def there(is_there, words):
        def ask(*args):
            if not is_there:
                raise MissingDependencyError(words)

        return ask

    monkeypatch.setattr("spquant_snn.build.Library.load", there(compiler, "no cc"))
    monkeypatch.setattr("spquant_snn.nn.fused.in_triton", there(triton, "no triton"))
    monkeypatch.setattr("spquant_snn.nn.sums.no_int8", lambda: reason)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H100")
    findings = list(doctor._training())
    sums = findings.pop(2)
    assert [finding.found for finding in findings] == found
    assert [finding.hint for finding in findings if finding.hint] == hints
    assert (sums.what, sums.hint) == ("sums on CPU", reason or "")
    assert ("int8" in sums.found) == (reason is None)


def test_doctor_says_a_hint_once_and_shows_names_as_they_are():
    findings = [doctor.Finding("a", "missing", "do [b]this[/b]"), doctor.Finding("b", "missing", "do [b]this[/b]")]
    _, empty, hint = doctor.as_tables(findings)
    assert (empty, str(hint)) == ("", "a, b: do [b]this[/b]")


@pytest.mark.slow
def test_a_training_says_once_that_sums_are_slower(monkeypatch, spquant):
    line = "sums are computed in float32, slower: they are not wanted"
    call = ("train", "--dataset", "digits", "--model", "4C3-P2-FC10", "--epochs", "1", "--out")
    slow = "they are not wanted"
    for reason, weights, state, told in ((None, 2, 2, 0), (slow, 2, 2, 1), (slow, 2, 32, 1), (slow, 32, 2, 0)):
        monkeypatch.setattr("spquant_snn.train.device.no_int8", lambda reason=reason: reason)
        run = f"run-{weights}-{state}-{told}"
        code, out, err = spquant(*call, run, "--weight-bits", weights, "--state-bits", state)
        assert (code, err) == (0, "")
        assert " ".join(out.split()).count(line) == told
