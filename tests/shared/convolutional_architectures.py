"""Networks of convolutions in a row, for images and event frames, as their users write them, one time step each."""

import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.nn import LIF


class ConvNet(nn.Module):
    """snnTorch's convolutional tutorial: pools in front of the neurons, in functional form, a batch of 128."""

    def __init__(self):
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 4, 5), LIF()
        self.conv2, self.lif2 = nn.Conv2d(4, 8, 5), LIF()
        self.fc1, self.lif3 = nn.Linear(8 * 4 * 4, 10), LIF()

    def forward(self, x):
        spk1 = self.lif1(F.max_pool2d(self.conv1(x), 2))
        spk2 = self.lif2(F.max_pool2d(self.conv2(spk1), 2))
        return self.lif3(self.fc1(spk2.view(128, -1)))


def event_conv_net():
    """snnTorch's N-MNIST tutorial."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 5), nn.MaxPool2d(2), LIF(), nn.Conv2d(4, 8, 5), nn.MaxPool2d(2), LIF(),
        nn.Flatten(), nn.Linear(8 * 5 * 5, 10), LIF(),
    )  # fmt: skip


class CSNN(nn.Module):
    """SpikingJelly's convolutional network for Fashion-MNIST, of integrate-and-fire neurons to the end."""

    def __init__(self, channels=4):
        super().__init__()
        self.conv_fc = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), LIF(leak=1.0),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), LIF(leak=1.0),
            nn.MaxPool2d(2, 2),
            nn.Flatten(), nn.Linear(channels * 7 * 7, channels * 16, bias=False), LIF(leak=1.0),
            nn.Linear(channels * 16, 10, bias=False), LIF(leak=1.0),
        )  # fmt: skip

    def forward(self, x):
        return self.conv_fc(x)


def vgg(plan, inputs, tail, norm=True):
    layers, channels = [], inputs
    for width in plan:
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), *([nn.BatchNorm2d(width)] if norm else []), LIF()]
            channels = width
    return nn.Sequential(*layers, *tail)


def spquant_vgg9():
    plan = (4, 4, "M", 8, 8, "M", 8, 8, "M")
    return vgg(plan, 3, [nn.Flatten(), nn.Linear(8 * 2 * 2, 16), LIF(), nn.Linear(16, 10)])


class SpikingVGG11(nn.Module):
    """SpikingJelly's, after torchvision: an adaptive pool that gives more places than there are."""

    def __init__(self):
        super().__init__()
        self.features = vgg((4, "M", 4, "M", 6, 6, "M", 8, 8, "M", 8, 8, "M"), 3, [])
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(8 * 7 * 7, 16), LIF(), nn.Dropout(), nn.Linear(16, 16), LIF(), nn.Dropout(), nn.Linear(16, 10)
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


def separable(inputs, outputs, stride=1):
    """A convolution of each channel, then one of each place."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), LIF(),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), LIF(),
    )  # fmt: skip


class MobileNetTiny(nn.Module):
    """SpQuant's; spatial means in front of the last layer."""

    def __init__(self, width=4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, padding=1, bias=False), nn.BatchNorm2d(width), LIF())
        self.blocks = nn.ModuleList([separable(width, width * 2), separable(width * 2, width * 2, stride=2)])
        self.fc = nn.Linear(width * 2, 10)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


def visual_wake_words():
    """MobileNet of MLPerf Tiny: an average pool over what is left."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, padding=1, bias=False), nn.BatchNorm2d(4), LIF(),
        separable(4, 8), separable(8, 8, 2), separable(8, 16, 2),
        nn.AvgPool2d(3), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip


class VotingLayer(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.voting = nn.AvgPool1d(size, size)

    def forward(self, x):
        return self.voting(x.unsqueeze(1)).squeeze(1)


def dvs_gesture_net(channels=4, classes=11):
    """SpikingJelly's, of the PLIF paper."""
    layers = []
    for i in range(3):
        inputs = 2 if i == 0 else channels
        layers += [nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
        layers += [LIF(learn_leak=True), nn.MaxPool2d(2, 2)]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels * 4 * 4, 32), LIF(learn_leak=True),
        nn.Dropout(0.5), nn.Linear(32, classes * 10), LIF(learn_leak=True), VotingLayer(10),
    )  # fmt: skip


class CIFAR10Net(nn.Module):
    """Of the PLIF paper: the spikes of ten neurons vote for each class, in functional form."""

    def __init__(self, channels=4):
        super().__init__()
        self.conv = vgg((channels, channels, "M", channels, channels, "M"), 3, [])
        self.fc = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels * 8 * 8, 24), LIF(), nn.Linear(24, 100), LIF()
        )

    def forward(self, x):
        votes = self.fc(self.conv(x))
        return F.avg_pool1d(votes.unsqueeze(1), 10, 10).squeeze(1)
