"""Spiking layers and networks in training form, time first."""

from .layers import SpikingSequential, fold_time
from .lif import LIF
from .models import VGGSNN, LeNetSNN, build_model

__all__ = ["LIF", "VGGSNN", "LeNetSNN", "SpikingSequential", "build_model", "fold_time"]
