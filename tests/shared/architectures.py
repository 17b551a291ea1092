"""Networks that people train, small, written as their users write them with ``LIF`` for the neurons.

Each is what happens in one time step. ``ARCHITECTURES`` holds how each is made and the shape of its input,
``REFUSED`` what is said of those that have no integer form.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.nn import LIF, Feedback, LeakyIntegrator, OneToOne

# ---- fully connected ----


def leaky(beta=0.95):
    """snnTorch's neuron, which subtracts its threshold before the leak."""
    return LIF(leak=beta, reset="subtract", reset_by=1 / beta)


class LeakyNet(nn.Module):
    """784-1000-10 of snnTorch's tutorials, whose output neurons' spikes are counted."""

    def __init__(self, inputs=784, hidden=30, outputs=10):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(inputs, hidden), leaky()
        self.fc2, self.lif2 = nn.Linear(hidden, outputs), leaky()

    def forward(self, x):
        spk1 = self.lif1(self.fc1(x.view(x.size(0), -1)))
        return self.lif2(self.fc2(spk1))


class RegressionNet(nn.Module):
    """Hidden layers of neurons that learn a leak and a threshold each, and a potential as the output: snnTorch's
    regression tutorial."""

    def __init__(self, hidden=16):
        super().__init__()
        each = {"leak": torch.linspace(0.5, 0.95, hidden), "v_threshold": torch.ones(hidden)}
        self.fc1, self.lif1 = nn.Linear(1, hidden), LIF(**each, learn_leak=True, learn_threshold=True)
        self.fc2, self.lif2 = nn.Linear(hidden, hidden), LIF(**each, learn_leak=True, learn_threshold=True)
        self.fc_out, self.li_out = nn.Linear(hidden, 1), LeakyIntegrator(0.9)

    def forward(self, x):
        return self.li_out(self.fc_out(self.lif2(self.fc2(self.lif1(self.fc1(x))))))


class RecurrentNet(nn.Module):
    """snnTorch's RLeaky: all to all in the first layer, one to one in the second."""

    def __init__(self, inputs=28, hidden=20, outputs=5):
        super().__init__()
        self.fc1, self.rlif1 = nn.Linear(inputs, hidden), Feedback(LIF(), nn.Linear(hidden, hidden))
        self.fc2, self.rlif2 = nn.Linear(hidden, outputs), Feedback(LIF(), OneToOne(outputs, -0.25))

    def forward(self, x):
        return self.rlif2(self.fc2(self.rlif1(self.fc1(x))))


def synaptic():
    """Current-based neurons: a decaying current in front of a decaying potential."""
    neurons = {"leak": 0.8, "reset": "subtract", "synaptic_leak": 0.9}
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), LIF(**neurons), nn.Linear(20, 10), LIF(**neurons))


def shd_feed_forward():
    return nn.Sequential(nn.Linear(700, 24), LIF(), nn.Dropout(0.1), nn.Linear(24, 24), LIF(), nn.Linear(24, 20))


def shd_recurrent():
    return nn.Sequential(nn.Linear(700, 24), Feedback(LIF(), nn.Linear(24, 24, bias=False)), nn.Linear(24, 20))


def mlperf_autoencoder():
    """Dense layers around a narrow one, MLPerf Tiny's anomaly detection."""
    sizes, layers = (640, 32, 32, 8, 32, 32), []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), LIF()]
    return nn.Sequential(*layers, nn.Linear(32, 640))


# ---- convolutions in a row ----


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


# ---- residual ----


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


# ---- speech and signals ----


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


# ---- maps ----


class YOLOHead(nn.Module):
    """Boxes and classes of every place, at two scales."""

    def __init__(self, width=4, outputs=9):
        super().__init__()
        self.backbone = vgg((width, "M", width * 2, "M"), 3, [])
        self.neck = nn.Sequential(nn.Conv2d(width * 2, width * 2, 3, 2, padding=1), nn.BatchNorm2d(width * 2), LIF())
        self.lateral = nn.Sequential(nn.Conv2d(width * 2, width * 2, 1, bias=False), nn.BatchNorm2d(width * 2), LIF())
        self.large = nn.Conv2d(width * 2, outputs, 1)
        self.small = nn.Conv2d(width * 4, outputs, 1)

    def forward(self, x):
        fine = self.backbone(x)
        coarse = self.neck(fine)
        up = F.interpolate(self.lateral(coarse), scale_factor=2, mode="nearest")
        return {"coarse": self.large(coarse), "fine": self.small(torch.cat([up, fine], dim=1))}


def double_conv(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), LIF(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), LIF(),
    )  # fmt: skip


class UNet(nn.Module):
    """Down and up again; one level is up-sampled, the other is a transposed convolution."""

    def __init__(self, width=4):
        super().__init__()
        self.down1, self.down2 = double_conv(1, width), double_conv(width, width * 2)
        self.bottom = double_conv(width * 2, width * 4)
        self.up2 = nn.Upsample(scale_factor=2, mode="nearest")
        self.up1 = nn.Sequential(nn.ConvTranspose2d(width * 2, width, 2, 2), nn.BatchNorm2d(width), LIF())
        self.dec2, self.dec1 = double_conv(width * 6, width * 2), double_conv(width * 2, width)
        self.out = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        x1 = self.down1(x)
        x2 = self.down2(F.max_pool2d(x1, 2))
        x3 = self.bottom(F.max_pool2d(x2, 2))
        y = self.dec2(torch.cat((self.up2(x3), x2), dim=1))
        y = self.dec1(torch.cat((self.up1(y), x1), dim=1))
        return self.out(y)


class ConvAutoencoder(nn.Module):
    """snnTorch's spiking autoencoder: flat in the middle."""

    def __init__(self, latent=12):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), LIF(),
            nn.Conv2d(4, 8, 3, padding=1, stride=2), nn.BatchNorm2d(8), LIF(),
            nn.Flatten(1, 3), nn.Linear(8 * 4 * 4, latent), LIF(),
        )  # fmt: skip
        self.linear = nn.Sequential(nn.Linear(latent, 8 * 4 * 4), LIF())
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (8, 4, 4)),
            nn.ConvTranspose2d(8, 4, 3, padding=1, stride=2, output_padding=1), nn.BatchNorm2d(4), LIF(),
            nn.ConvTranspose2d(4, 1, 3, padding=1, stride=2, output_padding=1), LIF(),
        )  # fmt: skip

    def forward(self, x):
        return self.decoder(self.linear(self.encoder(x)))


class SpikformerBlock(nn.Module):
    """Attention: products of activations, which have no integer form."""

    def __init__(self, dim=16, heads=2):
        super().__init__()
        self.heads, self.fc = heads, nn.Linear(dim, 10)
        self.q, self.k, self.v = (
            nn.Sequential(nn.Conv1d(dim, dim, 1, bias=False), nn.BatchNorm1d(dim), LIF()) for _ in range(3)
        )
        self.proj = nn.Sequential(nn.Conv1d(dim, dim, 1), nn.BatchNorm1d(dim), LIF())

    def forward(self, x):
        n, c, length = x.shape
        q, k, v = (part(x).reshape(n, self.heads, c // self.heads, length) for part in (self.q, self.k, self.v))
        y = (q.transpose(-2, -1) @ k) @ v.transpose(-2, -1) * 0.125
        y = self.proj(y.transpose(-2, -1).reshape(n, c, length))
        return self.fc(y.mean(-1))


ARCHITECTURES = {
    "leaky-net": (LeakyNet, (1, 28, 28)),
    "conv-net": (ConvNet, (1, 28, 28)),
    "event-conv-net": (event_conv_net, (2, 34, 34)),
    "regression": (RegressionNet, (1,)),
    "recurrent": (RecurrentNet, (28,)),
    "synaptic": (synaptic, (1, 8, 8)),
    "shd": (shd_feed_forward, (700,)),
    "shd-recurrent": (shd_recurrent, (700,)),
    "spquant-vgg9": (spquant_vgg9, (3, 16, 16)),
    "mobilenet-tiny": (MobileNetTiny, (3, 16, 16)),
    "visual-wake-words": (visual_wake_words, (3, 24, 24)),
    "mlperf-autoencoder": (mlperf_autoencoder, (640,)),
    "csnn": (CSNN, (1, 28, 28)),
    "spiking-vgg11": (SpikingVGG11, (3, 32, 32)),
    "dvs-gesture-net": (dvs_gesture_net, (2, 32, 32)),
    "cifar10-net": (CIFAR10Net, (3, 32, 32)),
    "sew-resnet18": (SEWResNet, (3, 32, 32)),
    "resnet19": (lambda: SpikingResNet((3, 3, 2)), (3, 16, 16)),
    "resnet34": (lambda: SpikingResNet((3, 4, 6, 3), 2), (3, 16, 16)),
    "mlperf-resnet8": (ResNet8, (3, 16, 16)),
    "resnet-behind-a-pool": (
        lambda: SpikingResNet((1, 1), 4, (nn.Identity(), nn.Dropout(0.1), nn.MaxPool2d(2))),
        (3, 16, 16),
    ),
    "speech-commands": (speech_commands, (1, 20, 20)),
    "ds-cnn": (ds_cnn, (1, 49, 10)),
    "ecg": (ecg_net, (1, 180)),
    "imu": (IMUNet, (6, 64)),
    "tc-resnet": (TCResNet, (40, 49)),
    "temponet": (temponet, (4, 128)),
    "yolo-head": (YOLOHead, (3, 16, 16)),
    "unet": (UNet, (1, 16, 16)),
    "conv-autoencoder": (ConvAutoencoder, (1, 16, 16)),
    "spikformer": (SpikformerBlock, (16, 10)),
}
REFUSED = {
    "spikformer": "the call of 'matmul' in the forward method has no integer form, for it multiplies activations with "
    "each other; only weights are multiplied with spikes: use convolutions or Linear instead",
    "conv-autoencoder": "layer 'decoder.1' takes 128 neurons of their own as an image of 8x4x4, whose neurons are "
    "alike in each channel, and that has no integer form: in place of Linear and Unflatten use Unflatten(1, (n, 1, 1)) "
    "and ConvTranspose2d(n, 8, (4, 4))",
}
