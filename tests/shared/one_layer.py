"""A network of one layer of 8 neurons that tells 3 classes apart, for what is of any shape; 3 time steps."""

import numpy as np

from rows import Last, Part, row
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron

CLASSES, STEPS = 3, 3


def one_layer(shape):
    rng = np.random.default_rng(1)
    connection = Connection("fc", rng.integers(-1, 2, (8, int(np.prod(shape)))).astype(np.int8), 1.58)
    reach = connection.reach(255)
    neuron, _ = fold_neuron(1.58, 4.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
    last = Connection("readout", rng.integers(-1, 2, (CLASSES, 8)).astype(np.int8), 1.58)
    return row(shape, STEPS, (Part(connection, neuron),), Last(last, 0, np.zeros(CLASSES, np.int32), 1.0))
