"""Residual networks, as their users write them, one time step each."""

import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.nn import LIF


class SEWBlock(nn.Module):
    """Spikes are added to spikes."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1, self.sn1 = nn.BatchNorm2d(outputs), LIF()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2, self.sn2 = nn.BatchNorm2d(outputs), LIF()
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs), LIF()
            )

    def forward(self, x):
        identity = x
        out = self.sn1(self.bn1(self.conv1(x)))
        out = self.sn2(self.bn2(self.conv2(out)))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return out


class SEWResNet(nn.Module):
    def __init__(self, width=4, blocks=(2, 2, 2, 2), classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1, self.sn1 = nn.BatchNorm2d(width), LIF()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        stages, channels = [], width
        for i, count in enumerate(blocks):
            outputs = width * 2**i
            for j in range(count):
                stages.append(SEWBlock(channels, outputs, 2 if i and j == 0 else 1))
                channels = outputs
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.maxpool(self.sn1(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layers(x))
        return self.fc(torch.flatten(x, 1))


class SpikingBasicBlock(nn.Module):
    """Currents are added to currents, each branch with a batch normalisation of its own."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), LIF(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.spike = LIF()

    def forward(self, x):
        return self.spike(self.residual(x) + self.shortcut(x))


class SpikingResNet(nn.Module):
    """ResNet-19 and ResNet-34 of the paper's code."""

    def __init__(self, blocks, width=4, between=()):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), LIF(), *between)
        layers, channels = [], width
        for i, count in enumerate(blocks):
            for j in range(count):
                layers.append(SpikingBasicBlock(channels, width * 2**i, 2 if i and j == 0 else 1))
                channels = width * 2**i
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Sequential(nn.Linear(channels, 16), LIF(), nn.Linear(16, 10))

    def forward(self, x):
        x = self.pool(self.blocks(self.stem(x)))
        return self.fc(x.view(x.size(0), -1))


class ResNet8(nn.Module):
    """MLPerf Tiny's image classification, pooled in functional form."""

    def __init__(self, width=4):
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), LIF()
        self.block1 = SpikingBasicBlock(width, width)
        self.block2 = SpikingBasicBlock(width, width * 2, 2)
        self.block3 = SpikingBasicBlock(width * 2, width * 4, 2)
        self.fc = nn.Linear(width * 4, 10)

    def forward(self, x):
        x = self.act(self.bn(self.conv(x / 255)))
        x = self.block3(self.block2(self.block1(x)))
        x = F.avg_pool2d(x, x.size()[2:])
        return self.fc(x.flatten(1))
