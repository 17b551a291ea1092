"""Spiking layers and networks in training form, time first."""

from .feedback import Feedback
from .integrator import LeakyIntegrator
from .layers import OneToOne, SpikingBlock, SpikingSequential, fold_time
from .lif import LIF
from .models import VGGSNN, LeNetSNN, build_model
from .recurrent import RecurrentSNN
from .residual_blocks import NormalizedResidualBlock, ResidualBlock, SEWBlock
from .resnet import ResNetSNN, SEWResNetSNN
from .separable import DSCNN, MobileNetSNN
from .tc_resnet import TCResNetSNN
from .unet import UNetSNN

__all__ = [
    "DSCNN",
    "LIF",
    "VGGSNN",
    "Feedback",
    "LeNetSNN",
    "LeakyIntegrator",
    "MobileNetSNN",
    "NormalizedResidualBlock",
    "OneToOne",
    "RecurrentSNN",
    "ResNetSNN",
    "ResidualBlock",
    "SEWBlock",
    "SEWResNetSNN",
    "SpikingBlock",
    "SpikingSequential",
    "TCResNetSNN",
    "UNetSNN",
    "build_model",
    "fold_time",
]
