"""Spiking layers and networks in training form, time first."""

from .feedback import Feedback
from .integrator import LeakyIntegrator
from .layers import OneToOne, SpikingSequential, fold_time
from .lif import LIF
from .models import VGGSNN, LeNetSNN, build_model
from .resnet import ResidualBlock, ResNetSNN

__all__ = [
    "LIF",
    "VGGSNN",
    "Feedback",
    "LeNetSNN",
    "LeakyIntegrator",
    "OneToOne",
    "ResNetSNN",
    "ResidualBlock",
    "SpikingSequential",
    "build_model",
    "fold_time",
]
