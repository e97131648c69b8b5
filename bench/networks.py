"""The networks that bench times, in PyTorch: what lies before the noise as `prefix`, all else as forward().

Their shapes and functions are those of layers/networks/, their weights random.
"""
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

SCALE = 0.2537


class Unit(nn.Module):
    """Pre-activated residual unit. Its second batch normalisation can be folded into the convolution before it."""

    def __init__(self, in_c, out_c, stride, activate_shortcut, folded):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_c, eps=1e-3)
        conv1, bn2 = nn.Conv2d(in_c, out_c, 3, stride, 1, bias=False), nn.BatchNorm2d(out_c, eps=1e-3)
        self.conv1 = fuse_conv_bn_eval(conv1.eval(), bn2.eval()) if folded else nn.Sequential(conv1, bn2)
        self.conv2 = nn.Conv2d(out_c, out_c, 3, 1, 1, bias=False)
        self.stride, self.more, self.activate_shortcut = stride, (out_c - in_c) // 2, activate_shortcut

    def forward(self, x):
        a = functional.leaky_relu(self.bn1(x), 0.1)
        around = a if self.activate_shortcut else x
        if self.stride > 1:
            around = functional.avg_pool2d(around, self.stride)
        if self.more:
            around = functional.pad(around, (0, 0, 0, 0, self.more, self.more))
        return self.conv2(functional.leaky_relu(self.conv1(a), 0.1)) + around


class WideResnet(nn.Module):
    def __init__(self, depth, widening, classes=10, side=32, folded=True):
        super().__init__()
        self.image = (1, 3, side, side)
        self.prefix = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        units, in_c = [], 16
        for group in range(3):
            for block in range((depth - 4) // 6):
                out_c = (16 << group) * widening
                units.append(Unit(in_c, out_c, 2 if block == 0 and group > 0 else 1, not units, folded))
                in_c = out_c
        self.units = nn.Sequential(*units)
        self.bn = nn.BatchNorm2d(in_c, eps=1e-3)
        self.head = nn.Linear(in_c, classes)

    def forward(self, x):
        return self.head(functional.leaky_relu(self.bn(self.units(x)), 0.1).mean((2, 3)))


class MnistCnn(nn.Module):
    def __init__(self, side=28):
        super().__init__()
        self.image = (1, 1, side, side)
        self.prefix = nn.Conv2d(1, 32, 5, 2, 2, bias=False)
        self.conv2 = nn.Conv2d(32, 64, 5, 2, 2, bias=False)
        self.fc1 = nn.Linear(64 * (side // 4) ** 2, 1024)
        self.head = nn.Linear(1024, 10)

    def forward(self, x):
        x = functional.relu(self.conv2(functional.relu(x)))
        return self.head(functional.relu(self.fc1(x.flatten(1))))


def folded_convolution(in_c, out_c, stride):
    return fuse_conv_bn_eval(nn.Conv2d(in_c, out_c, 3, stride, 1, bias=False).eval(), nn.BatchNorm2d(out_c).eval())


class Block(nn.Module):
    """Basic residual block, whose batch normalisations are folded into the convolutions before them."""

    def __init__(self, in_c, out_c, stride):
        super().__init__()
        self.conv1, self.conv2 = folded_convolution(in_c, out_c, stride), folded_convolution(out_c, out_c, 1)
        self.stride, self.more = stride, (out_c - in_c) // 2

    def forward(self, x):
        around = x[:, :, ::self.stride, ::self.stride]
        if self.more:
            around = functional.pad(around, (0, 0, 0, 0, self.more, self.more))
        return functional.relu(self.conv2(functional.relu(self.conv1(x))) + around)


class Resnet(nn.Module):
    """With the noise in the image."""

    def __init__(self, depth):
        super().__init__()
        self.image, self.prefix = (1, 3, 32, 32), nn.Identity()
        self.register_buffer("mean", torch.tensor([.485, .456, .406]).reshape(3, 1, 1))
        self.register_buffer("deviation", torch.tensor([.229, .224, .225]).reshape(3, 1, 1))
        self.conv1 = folded_convolution(3, 16, 1)
        blocks = (depth - 2) // 6
        channels = [16 << group for group in range(3) for _ in range(blocks)]
        self.blocks = nn.Sequential(*(Block(a, b, b // a) for a, b in zip([16] + channels, channels)))
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = functional.relu(self.conv1((x - self.mean) / self.deviation))
        return self.head(self.blocks(x).mean((2, 3)))


class Inception(nn.Module):
    """torchvision's Inception-v3 with the noise in the image."""

    def __init__(self):
        import torchvision

        super().__init__()
        self.image, self.prefix = (1, 3, 299, 299), nn.Identity()
        self.net = torchvision.models.Inception3(aux_logits=False, transform_input=False, init_weights=False).eval()
        for module in self.net.modules():
            if type(module).__name__ == "BasicConv2d":
                module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()

    def forward(self, x):
        return self.net(x)


class Autoencoder(nn.Module):
    """The paper's before Inception-v3, with the noise after its first convolution or, not `shared`, in the image."""

    def __init__(self, shared):
        super().__init__()
        self.image = (1, 3, 299, 299)
        first = nn.Conv2d(3, 32, 10, 2, 5, bias=False)
        self.prefix, self.first = (first, nn.Identity()) if shared else (nn.Identity(), first)
        fold = lambda conv: fuse_conv_bn_eval(conv.eval(), nn.BatchNorm2d(conv.out_channels).eval(),
                                              transpose=isinstance(conv, nn.ConvTranspose2d))
        self.bn = nn.BatchNorm2d(32)  # behind the noise
        self.layers = nn.Sequential(fold(nn.Conv2d(32, 32, 8, 2, 3, bias=False)), nn.ReLU(),
                                    fold(nn.Conv2d(32, 64, 5, 2, 2, bias=False)), nn.ReLU(),
                                    fold(nn.ConvTranspose2d(64, 32, 5, 2, 2, bias=False)), nn.ReLU(),
                                    fold(nn.ConvTranspose2d(32, 32, 8, 2, 3, bias=False)), nn.ReLU(),
                                    nn.ConvTranspose2d(32, 3, 10, 2, 5, 1), nn.Sigmoid())
        self.classifier = Inception()

    def forward(self, x):
        return self.classifier(self.layers(functional.relu(self.bn(self.first(x)))))
