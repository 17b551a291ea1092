"""Networks that answer with maps (detection, U-Net, autoencoder), and one of attention, which has no integer form."""

import torch
import torch.nn.functional as F
from torch import nn

from convolutional_architectures import vgg
from spquant_snn.nn import LIF


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
