"""What became of a run: accuracy and operations of the integer model.

The test images are met once, when the run is done; what was found is noted in run.json and read from there afterwards.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from spquant_snn.data import Labelled
from spquant_snn.integer.file import load_graph
from spquant_snn.io.fields import Fields
from spquant_snn.io.reading import Flaw, guarded
from spquant_snn.io.texts import parse_object
from spquant_snn.report.counts import Counts, count
from spquant_snn.train.run import RunFolder

_MOST = 1e18  # operations
_NOTE, _HELD_OUT = "deployed", "held_out_synops"


@dataclass(frozen=True)
class LayerResult:
    """Of one layer, the mean over the test images: synaptic operations as ``report.counts`` defines them, spikes, and
    how many there could be; the readout has none."""

    name: str
    channels: int
    dense: float
    done: float
    folded: float
    spikes: float
    updates: int


@dataclass(frozen=True)
class VariantResult:
    """Of a run.

    Args:
        variant, seed, folder: which run it is.
        epoch: the best, counted from one; its weights are what ships.
        validation: accuracy in that epoch on the validation set, in percent.
        share: of the operations, that pruned channels left in that epoch by the count of the budget.
        images: of the test set.
        test: accuracy on them, in percent.
        layers: the readout last.
    """

    variant: str
    seed: int
    folder: str
    epoch: int
    validation: float
    share: float
    images: int
    test: float
    layers: tuple[LayerResult, ...]

    @property
    def channels(self) -> int:
        return sum(layer.channels for layer in self.layers[:-1])

    @property
    def dense(self) -> float:
        return sum(layer.dense for layer in self.layers)

    @property
    def done(self) -> float:
        return sum(layer.done for layer in self.layers)

    @property
    def folded(self) -> float:
        """``done`` with pools folded into kernels, as the budget counts."""
        return sum(layer.folded for layer in self.layers)

    @property
    def rate(self) -> float:
        """Spikes per neuron and step."""
        return sum(layer.spikes for layer in self.layers) / sum(layer.updates for layer in self.layers)


def finished(run: RunFolder) -> bool:
    """Whether a run has been trained to its end."""
    return run.record.exists() and "best" in run.read_record() and run.integers.exists()


def counted(run: RunFolder) -> bool:
    """Whether the test images have been met."""
    return _NOTE in run.read_record()


def variant_result(variant: str, seed: int, run: RunFolder, test: Labelled) -> VariantResult:
    """What became of a finished run; counted on the test images, if it has not been.

    Raises:
        FileFormatError: a file of the run is damaged.
    """
    if not counted(run):
        found = _count(run, test)
        layers = [
            LayerResult(
                layer.name,
                layer.channels if layer.neurons else 0,
                layer.dense,
                layer.done,
                layer.folded,
                layer.spikes,
                layer.updates,
            )
            for layer in (*found.layers[:-1], *found.others, found.layers[-1])
        ]
        note = {"images": found.images, "accuracy": found.accuracy, "layers": [asdict(layer) for layer in layers]}
        run.note(test_accuracy=found.accuracy, **{_NOTE: note})
    remedy = f"delete {_NOTE!r} from it, or train again"
    with guarded(run.record, remedy):
        record = Fields(run.read_record())
        best, deployed = record.inner("best"), record.inner(_NOTE)
        epoch = best.integer("epoch", 0, 1 << 31)
        return VariantResult(
            variant,
            seed,
            str(run.path),
            epoch,
            best.number("val_accuracy", 0, 100),
            _share(run, epoch),
            deployed.integer("images", 1, 1 << 31),
            deployed.number("accuracy", 0, 100),
            tuple(map(_layer, deployed.inner_row("layers", 1 << 12))),
        )


def _layer(fields: Fields) -> LayerResult:
    dense, done, folded, spikes = (fields.number(name, 0, _MOST) for name in ("dense", "done", "folded", "spikes"))
    channels, updates = (fields.integer(name, 0, 1 << 53) for name in ("channels", "updates"))
    return LayerResult(fields.text("name", 256), channels, dense, done, folded, spikes, updates)


def synops(run: RunFolder, images: Labelled) -> int:
    """Synaptic operations for an image, those on pixels left out, as the target of a training counts them: a pool
    folded into the kernel before it. To the nearest whole number; counted on the given images, which the run did not
    train on, unless it has been."""
    record = run.read_record()
    if _HELD_OUT not in record:
        found = round(sum(layer.folded for layer in _count(run, images).rows[1:]))
        run.note(**{_HELD_OUT: found})
        return found
    with guarded(run.record, f"delete {_HELD_OUT!r} from it, or train again"):
        return Fields(record).integer(_HELD_OUT, 0, 1 << 53)


def _count(run: RunFolder, data: Labelled) -> Counts:
    return count(load_graph(run.integers), data.inputs(), data.labels)


def _share(run: RunFolder, epoch: int) -> float:
    """The budget's count in an epoch; 1 for a run that prunes no channels."""
    with guarded(run.metrics, "train again"):
        for _, line in run.read_metrics():
            fields = Fields(parse_object(line))
            if fields.integer("epoch", 0, 1 << 31) == epoch:
                return fields.number("ops_share", 0, 2) if fields.has("ops_share") else 1.0
        raise Flaw(f"it has no line of epoch {epoch}")
