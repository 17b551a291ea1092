"""What may be asked for, and what is refused."""

import dataclasses

import numpy as np
import pytest

from spquant_snn.errors import ConfigError
from spquant_snn.quant.quant_config import QuantConfig


def test_widths_are_read_in_all_their_spellings():
    assert QuantConfig("ternary", "8") == QuantConfig(1.58, 8)
    assert QuantConfig().integer
    assert not QuantConfig(32, 4).integer
    assert not QuantConfig(4, "fp32").integer


def test_numbers_of_numpy_are_taken():
    config = QuantConfig(np.int64(4), np.float64(1.58), timesteps=np.int32(3))
    assert config == QuantConfig(4, 1.58, 3)
    assert type(config.weight_bits) is type(config.timesteps) is int


def test_a_configuration_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        QuantConfig().timesteps = 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 9}, "weight bits must be .* not 9"),
        ({"state_bits": "many"}, "state bits must be .* not 'many'"),
        ({"timesteps": 0}, "timesteps must be a whole number from 1 to 1024, not 0"),
        ({"timesteps": 1025}, "timesteps must be .* not 1025"),
        ({"timesteps": 2.0}, "timesteps must be .* not 2.0"),
        ({"timesteps": True}, "timesteps must be .* not True"),
        ({"weight_quantizer": "best"}, "weight_quantizer must be normalized or learned, not 'best'"),
    ],
)
def test_a_bad_value_is_refused_in_words(options, message):
    with pytest.raises(ConfigError, match=message):
        QuantConfig(**options)
