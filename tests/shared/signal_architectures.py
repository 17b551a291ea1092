"""Networks for speech and signals of one dimension, as their users write them, one time step each."""

import torch
import torch.nn.functional as F
from torch import nn

from convolutional_architectures import separable
from spquant_snn.nn import LIF


def speech_commands():
    """SpikingJelly's, with dilations of two kinds."""
    return nn.Sequential(
        nn.Conv2d(1, 4, (4, 3), padding=(2, 1), bias=False), nn.BatchNorm2d(4), LIF(),
        nn.Conv2d(4, 4, (4, 3), padding=(6, 3), dilation=(4, 3), bias=False), nn.BatchNorm2d(4), LIF(),
        nn.Conv2d(4, 4, (4, 3), padding=(24, 9), dilation=(16, 9), bias=False), nn.BatchNorm2d(4), LIF(),
        nn.Flatten(), nn.Linear(4 * 21 * 20, 12),
    )  # fmt: skip


def ds_cnn():
    """MLPerf Tiny's keyword spotting on 49x10 features."""
    return nn.Sequential(
        nn.Conv2d(1, 8, (10, 4), 2, padding=(5, 1), bias=False), nn.BatchNorm2d(8), LIF(), nn.Dropout(0.2),
        separable(8, 8), separable(8, 8), nn.Dropout2d(0.4), nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(8, 12),
    )  # fmt: skip


def ecg_net():
    """Convolutions and pools over one dimension."""
    return nn.Sequential(
        nn.Conv1d(1, 4, 7, padding=3), nn.BatchNorm1d(4), LIF(), nn.MaxPool1d(2),
        nn.Conv1d(4, 8, 5, padding="same"), nn.BatchNorm1d(8), LIF(), nn.AvgPool1d(4),
        nn.Flatten(), nn.Linear(8 * 22, 5),
    )  # fmt: skip


class IMUNet(nn.Module):
    """Six channels of motion, written for images: convolutions and pools of (1, k)."""

    def __init__(self):
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(6, 8, (1, 5), padding=(0, 2)), LIF()
        self.conv2, self.lif2 = nn.Conv2d(8, 8, (1, 5), padding=(0, 2), stride=(1, 2)), LIF()
        self.pool, self.fc = nn.MaxPool2d((1, 4)), nn.Linear(8 * 8, 6)

    def forward(self, x):
        x = x.unsqueeze(2)
        x = self.pool(self.lif1(self.conv1(x)))
        x = self.lif2(self.conv2(x)).squeeze(2)
        return self.fc(x.reshape(-1, 8 * 8))


class TCBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(inputs, outputs, 9, 2, padding=4, bias=False), nn.BatchNorm1d(outputs)
        self.conv2, self.bn2 = nn.Conv1d(outputs, outputs, 9, padding=4, bias=False), nn.BatchNorm1d(outputs)
        self.conv3, self.bn3 = nn.Conv1d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm1d(outputs)
        self.act1, self.act2 = LIF(), LIF()

    def forward(self, x):
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return self.act2(torch.add(y, self.bn3(self.conv3(x))))


class TCResNet(nn.Module):
    """TC-ResNet8: residual blocks over one dimension; spectra are channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(40, 8, 3, bias=False), nn.BatchNorm1d(8), LIF())
        self.blocks = nn.Sequential(TCBlock(8, 12), TCBlock(12, 16), TCBlock(16, 16))
        self.fc = nn.Linear(16, 12)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.fc(F.adaptive_avg_pool1d(x, 1).squeeze(-1))


def temponet():
    """TEMPONet: dilated convolutions, strides and average pools over one dimension."""

    def block(inputs, outputs, dilation, stride):
        return [
            nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.BatchNorm1d(outputs), LIF(),
            nn.Conv1d(outputs, outputs, 5, stride, padding=2), nn.AvgPool1d(2, 2), nn.BatchNorm1d(outputs), LIF(),
        ]  # fmt: skip

    return nn.Sequential(
        *block(4, 8, 2, 1), *block(8, 8, 4, 2), *block(8, 16, 8, 2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(16 * 4, 16), nn.BatchNorm1d(16), LIF(), nn.Linear(16, 8),
    )  # fmt: skip
