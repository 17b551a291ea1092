"""Networks that people train, small, with ``LIF`` for the neurons.

``ARCHITECTURES`` holds how each is made and the shape of its input, ``REFUSED`` what is said of those that have no
integer form.
"""

from torch import nn

from convolutional_architectures import (
    CSNN,
    CIFAR10Net,
    ConvNet,
    MobileNetTiny,
    SpikingVGG11,
    dvs_gesture_net,
    event_conv_net,
    spquant_vgg9,
    visual_wake_words,
)
from dense_architectures import (
    LeakyNet,
    RecurrentNet,
    RegressionNet,
    mlperf_autoencoder,
    shd_feed_forward,
    shd_recurrent,
    synaptic,
)
from map_architectures import ConvAutoencoder, SpikformerBlock, UNet, YOLOHead
from residual_architectures import ResNet8, SEWResNet, SpikingResNet
from signal_architectures import IMUNet, TCResNet, ds_cnn, ecg_net, speech_commands, temponet

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
    "each other; only weights are multiplied with spikes: use convolutions or Linear instead, also F.linear(x, weight) "
    "of a parameter of your own",
    "conv-autoencoder": "layer 'decoder.1' takes 128 neurons of their own as an image of 8x4x4, whose neurons are "
    "alike in each channel, and that has no integer form: in place of Linear and Unflatten use Unflatten(1, (n, 1, 1)) "
    "and ConvTranspose2d(n, 8, (4, 4))",
}
