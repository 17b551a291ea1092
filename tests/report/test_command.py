"""``spquant report`` and ``SpQuantTrainer.report``: what they write, what they print, what they refuse."""

import json
import re
import shutil

import pytest
import torch
from torch import nn

from once import made_once
from spquant_snn import LIF, SpQuantTrainer
from spquant_snn.data import load
from spquant_snn.errors import ConfigError, ModelError
from spquant_snn.report.drift import earth_movers_distance
from spquant_snn.report.floating import firing_rates
from spquant_snn.train.loading import load_network

SMALL = {"precision": "fp32", "quiet": True, "timesteps": 2}


@pytest.fixture(scope="module")
def runs(shared):
    """Runs on the digits: of 2 bits, of 2 bits with channels pruned, and in floating point."""

    def train(folder):
        for name, bits, more in (("low", 2, {}), ("cut", 2, {"target_ops": 0.4}), ("fp32", 32, {})):
            options = {"out": folder / name, "epochs": 3, **SMALL, **more}
            SpQuantTrainer("lenet-snn:0.1", "digits", bits, **options).train().evaluate()

    return made_once(shared, "runs-of-reports", train)


@pytest.fixture
def copies(runs, tmp_path):
    """The same, to be written into."""
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def test_a_run_gets_a_page_and_a_table(copies, spquant):
    code, out, err = spquant("report", "runs/low", "--count", 40)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    size = (copies / "low" / "report.html").stat().st_size
    assert out.splitlines()[-1] == f"page: runs/low/report.html ({size:,} bytes)"
    page = (copies / "low" / "report.html").read_text("utf-8")
    assert "<h1>low</h1>" in page
    assert page.count('<article class="sheet"') == 3
    assert "From training form to integers" in page
    assert "What pruned channels leave" not in page


def test_the_same_call_writes_the_same_page(copies, spquant):
    pages = []
    for _ in range(2):
        spquant("report", "runs/cut", "--count", 30)
        pages.append((copies / "cut" / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_closed_channels_are_told(copies, spquant):
    spquant("report", "runs/cut", "--count", 30, "--raster", "5,2", "--out", "x/cut.html")
    page = (copies.parent / "x" / "cut.html").read_text("utf-8")
    assert "What pruned channels leave" in page
    last = json.loads((copies / "cut" / "metrics.jsonl").read_text("utf-8").splitlines()[-1])
    for opened, total in last["channels"].values():
        assert f'<td class="number">{opened} of {total}</td>' in page
    assert any(opened < total for opened, total in last["channels"].values())
    assert re.findall(r"Image (\d+): class", page) == ["5", "2"]
    assert not (copies / "cut" / "report.html").exists()


def test_drift_from_a_baseline_is_on_the_page_and_in_the_table(copies, spquant):
    code, out, err = spquant("report", "runs/low", "--count", 30, "--baseline", "runs/fp32")
    assert (code, err) == (0, "")
    assert "firing rates from fp32 to low" in " ".join(out.split())
    page = (copies / "low" / "report.html").read_text("utf-8")
    assert "From fp32 to low" in page
    assert re.search(r"conv1: [\d.]+ % apart", page)


def test_drift_is_that_of_the_baseline_s_own_rates(runs, spquant):
    _, out, _ = spquant("report", runs / "low", "--count", 30, "--json", "--baseline", runs / "fp32")
    images = load("digits").test.images[:30]
    baseline = firing_rates(load_network(runs / "fp32"), images)
    ours = firing_rates(load_network(runs / "low").freeze(), images)
    expected = {name: earth_movers_distance(ours[name], baseline[name]) for name in baseline}
    assert json.loads(out)["drift"][1]["layers"] == pytest.approx(expected)
    assert all(distance > 0 for distance in expected.values())


def test_a_run_is_not_far_from_itself(runs, spquant):
    _, out, _ = spquant("report", runs / "low", "--count", 30, "--json", "--baseline", runs / "low")
    own, baseline = json.loads(out)["drift"]
    assert (own["from"], own["to"], baseline["from"], baseline["to"]) == ("training form", "integers", "low", "low")
    assert list(baseline["layers"]) == list(own["layers"]) == ["conv1", "conv2", "fc3"]
    assert set(baseline["layers"].values()) == {0}
    assert all(0 <= distance < 0.05 for distance in own["layers"].values())


def test_without_a_page_there_is_only_the_table(copies, spquant):
    code, out, err = spquant("report", "runs/low", "--count", 30, "--no-html")
    assert (code, err) == (0, "")
    assert "page:" not in out
    assert not (copies / "low" / "report.html").exists()


def test_json_is_all_that_is_printed(copies, spquant):
    code, out, err = spquant("report", "runs/low", "--count", 30, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert not (copies / "low" / "report.html").exists()
    codes = [layer["codes"] for layer in found["activity"]]
    for counted, layer in zip(codes, found["counts"]["layers"], strict=False):
        assert sum(counted) == 30 * layer["updates"]
    code, out, err = spquant("report", "runs/low", "--count", 30, "--json", "--out", "x.html")
    assert json.loads(out) == found
    assert err.startswith("\npage: x.html (")


def test_a_file_gets_a_page_beside_it(copies, spquant):
    code, out, _ = spquant("report", "runs/low/model.spq", "--dataset", "digits", "--count", 30)
    assert code == 0
    page = (copies / "low" / "model.html").read_text("utf-8")
    assert "without the record of a run" in page
    assert 'id="learning"' not in page
    assert "model.html" in out


def test_runs_are_compared(copies, spquant):
    for _ in range(2):  # the second time, the first page is among them
        sources = sorted(path.relative_to(copies.parent) for path in copies.iterdir())
        code, out, err = spquant("report", *sources, "--count", 60)
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 80
        assert (copies / "report.html").exists()
    page = (copies / "report.html").read_text("utf-8")
    assert "<h1>3 runs on digits</h1>" in page
    for name in ("low", "cut", "fp32"):
        assert page.count(f'aria-label="{name}: accuracy ') == 2
    _, out, _ = spquant("report", *sources, "--count", 60, "--json")
    found = json.loads(out)
    stored = {run["name"]: run["stored"] for run in found["runs"]}
    done = {run["name"]: sum(layer["done"] for layer in run["counts"]["layers"]) for run in found["runs"]}
    assert stored["cut"] < stored["low"] < stored["fp32"] / 15
    assert done["cut"] < done["low"]
    assert {found["runs"][i]["name"] for i in found["fronts"]["stored"]} >= {"cut"}


def test_runs_of_one_name_are_told_apart_by_their_folders(copies, spquant):
    shutil.copytree(copies / "low", copies.parent / "other" / "low")
    code, out, _ = spquant("report", "runs/low", "other/low", "--count", 30, "--out", "x.html")
    assert code == 0
    assert "runs/low" in out
    assert "other/low" in out


def rename(folder, old, new):
    path = folder / "config.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "there is nothing to report on"),
        ("runs/low runs/mnist", "runs/low is of digits and runs/mnist of mnist: only runs of one data set"),
        ("runs/low runs/mnist --dataset digits", "runs/low is of digits and runs/mnist of mnist"),
        ("runs/low runs/empty", "runs/empty is not the folder of a run: it holds no config.toml"),
        ("runs/low runs/early", "runs/early is not finished"),
        ("runs/low runs/early32", "runs/early32 is not finished"),
        ("runs/low runs/notes.txt --dataset digits", "runs/notes.txt"),
        ("runs/low runs/low/model.spq --out x.html", "only runs of one data set can be compared"),
        ("runs/low runs/nowhere", "there is no runs/nowhere"),
        ("runs/low runs/cut --baseline runs/fp32", "--raster and --baseline are of a report on one run"),
        ("runs/low runs/cut --raster 1", "--raster and --baseline are of a report on one run"),
        ("runs/low other", "different folders: say with --out"),
        ("runs/low --baseline runs/mnist", "the baseline runs/mnist was trained on mnist, not on digits"),
        ("runs/low --baseline runs/nowhere", "runs/nowhere is not the folder of a run"),
        ("runs/low --raster 360", "there is no test image 360 for a raster: choose from 0 to 359"),
        ("runs/low --raster -1", "--raster takes numbers of test images, as 0,1,2, or none; not '-1'"),
        ("runs/low --raster one", "not 'one'"),
        ("runs/low --no-html --out x.html", "give either --out, for the page, or --no-html"),
        ("runs/low --out runs/low/config.toml/x.html", "cannot be written"),
        ("runs/damaged", "its line 2 is not the record of an epoch"),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence(arguments, words, copies, spquant):
    for name in ("mnist", "early", "damaged"):
        shutil.copytree(copies / "low", copies / name)
    rename(copies / "mnist", '"digits"', '"mnist"')
    (copies / "early" / "model.spq").unlink()
    shutil.copytree(copies / "fp32", copies / "early32")
    record = json.loads((copies / "early32" / "run.json").read_text("utf-8"))
    del record["best"]
    (copies / "early32" / "run.json").write_text(json.dumps(record), "utf-8")
    (copies / "empty").mkdir()
    (copies / "notes.txt").write_text("nothing", "utf-8")
    shutil.copytree(copies / "low", copies.parent / "other")
    with (copies / "damaged" / "metrics.jsonl").open("r+", encoding="utf-8") as file:
        lines = file.read().splitlines()
        file.seek(0)
        file.truncate()
        file.write("\n".join([lines[0], lines[1][:50], *lines[2:]]))
    code, out, err = spquant("report", *arguments.split(), *(["--count", "30"] if arguments else []))
    assert (code, out) == (2, "")
    assert err.startswith("spquant: ")
    assert err.count("\n") == 1
    assert words in err
    assert not list(copies.parent.rglob("*.html"))


class Net(nn.Module):
    """A model of the user's own; one layer has a name that HTML would take for a tag."""

    def __init__(self):
        super().__init__()
        self.add_module("<b>", nn.Conv2d(2, 6, 3, padding=1))
        self.norm, self.pool, self.lif = nn.BatchNorm2d(6), nn.AvgPool2d(2), LIF()
        self.head = nn.Linear(6 * 16, 10)

    def forward(self, x):
        return self.head(self.lif(self.pool(self.norm(getattr(self, "<b>")(x)))).flatten(1))


@pytest.fixture(scope="module")
def trainer(noise, tmp_path_factory):
    """A trainer of that model on images of two channels, trained."""
    images, labels = noise(120, 2, 8, 8), torch.arange(120) % 3
    data = (images[:80], labels[:80]), (images[80:], labels[80:])
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("own") / "mine"
    return SpQuantTrainer(Net(), data, 3, out=folder, epochs=2, **SMALL).train()


def test_a_trainer_writes_the_page_of_any_model(trainer, tmp_path):
    accuracy = trainer.evaluate()
    assert trainer.report(tmp_path / "x.html", raster=(1,)) == tmp_path / "x.html"
    page = (tmp_path / "x.html").read_text("utf-8")
    assert "<h1>mine</h1>" in page
    assert "<b>" not in page
    assert "Stored codes of &lt;b&gt;" in page
    assert f'<dd class="value">{accuracy:.2f} %</dd>' in page
    assert 'id="learning"' in page
    assert page.count('<article class="sheet"') == 1
    assert not trainer.network.frozen


def test_a_trainer_compares_itself_with_another(trainer, tmp_path):
    trainer.report(tmp_path / "x.html", count=20, baseline=trainer)
    page = (tmp_path / "x.html").read_text("utf-8")
    assert "From mine to mine" in page
    assert "0 % apart" in page


def test_an_untrained_network_has_a_page_without_curves(tmp_path):
    untrained = SpQuantTrainer("lenet-snn:0.1", "digits", 8, out=tmp_path / "run", quiet=True)
    untrained.report(tmp_path / "x.html", count=20, raster=())
    page = (tmp_path / "x.html").read_text("utf-8")
    assert "<h1>lenet-snn:0.1</h1>" in page
    assert 'id="learning"' not in page
    assert not (tmp_path / "run").exists()


def test_a_trainer_s_page_is_that_of_the_command(copies, spquant):
    spquant("report", "runs/low", "--count", 30)
    SpQuantTrainer.resume(copies / "low", quiet=True).report(copies / "again.html", count=30)
    command, trainer = (
        re.sub(r"runs/low on digits|low on digits", "", path.read_text("utf-8"))
        for path in (copies / "low" / "report.html", copies / "again.html")
    )
    assert trainer == command


def test_a_floating_point_network_has_no_page(tmp_path):
    floating = SpQuantTrainer("lenet-snn:0.1", "digits", 32, quiet=True)
    with pytest.raises(ModelError, match="no integer form"):
        floating.report(tmp_path / "x.html")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Net(), "the baseline custom takes images of 1x8x8, not of 2x8x8"),
        ("lenet-snn:0.1", "the baseline lenet-snn:0.1 takes images of 1x8x8"),
    ],
)
def test_a_baseline_of_other_images_is_refused(model, words, trainer, tmp_path):
    if not isinstance(model, str):
        model.add_module("<b>", nn.Conv2d(1, 6, 3, padding=1))
    baseline = SpQuantTrainer(model, "digits", 32, quiet=True)
    with pytest.raises(ConfigError, match=words):
        trainer.report(tmp_path / "x.html", baseline=baseline)


def test_a_baseline_of_other_layers_is_refused(runs, trainer, tmp_path):
    low = SpQuantTrainer.resume(runs / "low", quiet=True)
    model = Net()
    model.add_module("<b>", nn.Conv2d(1, 6, 3, padding=1))
    baseline = SpQuantTrainer(model, "digits", 32, quiet=True)
    with pytest.raises(ConfigError, match=r"has no layer of the same name \(<b>; here conv1, conv2, fc3\)"):
        low.report(tmp_path / "x.html", baseline=baseline)


@pytest.mark.parametrize(("images", "words"), [(-1, "count must be at least 0")])
def test_a_number_of_images_that_is_not_there_is_refused(images, words, trainer, tmp_path):
    with pytest.raises(ConfigError, match=words):
        trainer.report(tmp_path / "x.html", count=images)
