"""The networks of gvsl in PyTorch, for weights that `gvsl export` wrote.

  from gvsl_torch import load
  network = load('model.pth')                 # or 'model.safetensors' (needs the package safetensors), or a folder with it
  with torch.no_grad():
      features = network(image)               # image (N, channels, D, H, W), any size, prepared as the model's config.json says

What the network is follows from the names and shapes: with `out_conv` or `out_levels` it is a segmenter and gives probabilities (N, classes, D, H, W),
with `fc` a classifier and gives probabilities (N, outputs), each a judgement of its own, else it is the backbone and gives (global, local): (N, C, D/16, H/16, W/16)
and (N, C', D, H, W). The heads of pre-training (matching, restoration) are left out. Needs PyTorch 1.10 or newer.
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Two times: 3x3x3 convolution, GroupNorm with 8 channels a group, LeakyReLU."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        layers = []
        for first in (channels_in, channels_out):
            layers += [nn.Conv3d(first, channels_out, 3, padding=1), nn.GroupNorm(channels_out // 8, channels_out), nn.LeakyReLU(0.2)]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool3d(2), Block(channels_in, channels_out))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.conv = Block(channels_in, channels_out)

    def forward(self, x, skip):
        x = F.interpolate(x, scale_factor=2, mode='trilinear', align_corners=True)
        return self.conv(torch.cat([skip, x], 1))


def padded(x):
    """x with zero margins that bring each size to a multiple of 16: half before, rounded down."""
    missing = [-size % 16 for size in x.shape[2:]]
    return F.pad(x, [margin for total in reversed(missing) for margin in (total // 2, total - total // 2)])


def cropped(x, size):
    """The part of a padded feature that belongs to an image of `size`."""
    z, y, x_ = (slice(-n % 16 // 2, -n % 16 // 2 + n) for n in size)
    return x[:, :, z, y, x_]


class UNet(nn.Module):
    """x (N, channels, D, H, W) is padded with zeros to multiples of 16 (half before, rounded down) and the local feature cropped back."""

    def __init__(self, widths, decoder=True, channels=1):
        super().__init__()
        self.inc = Block(channels, widths[0])
        for level in range(1, 5):
            setattr(self, f'down{level}', Down(widths[level - 1], widths[level]))
        for level in range(1, 5) if decoder else []:
            setattr(self, f'up{level}', Up(widths[4 - level] + widths[3 + level], widths[4 + level]))

    def encode(self, x):
        levels = [self.inc(padded(x))]
        for level in range(1, 5):
            levels.append(getattr(self, f'down{level}')(levels[-1]))
        return levels

    def decode(self, levels):
        features = [levels[4]]
        for level in range(1, 5):
            features.append(getattr(self, f'up{level}')(features[-1], levels[4 - level]))
        return features[1:]

    def forward(self, x):
        levels = self.encode(x)
        return levels[4], cropped(self.decode(levels)[3], x.shape[2:])


class Backbone(nn.Module):
    def __init__(self, widths, channels=1):
        super().__init__()
        self.unet = UNet(widths, channels=channels)

    def forward(self, x):
        return self.unet(x)


class Segmenter(nn.Module):
    def __init__(self, widths, classes, channels=1):
        super().__init__()
        self.unet = UNet(widths, channels=channels)
        self.out_conv = nn.Conv3d(widths[8], classes, 3, padding=1)

    def forward(self, x):
        return self.out_conv(self.unet(x)[1]).softmax(1)


class MultiLevelHead(nn.Module):
    """A linear function of the image (3x3x3) and of the features of all levels, each brought to full size."""

    def __init__(self, widths, classes, channels=1):
        super().__init__()
        self.image = nn.Conv3d(channels, classes, 3, padding=1)
        names = ['inc', 'down1', 'down2', 'down3', 'down4', 'up1', 'up2', 'up3', 'up4']
        for name, width in zip(names, widths):
            setattr(self, name, nn.Conv3d(width, classes, 1, bias=False))

    def forward(self, image, down, up):
        logits = self.down4(down[4])
        for level in (3, 2, 1, 0):
            logits = F.interpolate(logits, scale_factor=2, mode='trilinear', align_corners=True)
            encoder = getattr(self, f'down{level}') if level > 0 else self.inc
            logits = logits + encoder(down[level]) + getattr(self, f'up{4 - level}')(up[3 - level])
        return logits + self.image(image)


class MultiLevelSegmenter(nn.Module):
    """What teaching by strokes makes: its head reads all levels."""

    def __init__(self, widths, classes, channels=1):
        super().__init__()
        self.unet = UNet(widths, channels=channels)
        self.out_levels = MultiLevelHead(widths, classes, channels)

    def logits(self, x):
        levels = self.unet.encode(x)
        return cropped(self.out_levels(padded(x), levels, self.unet.decode(levels)), x.shape[2:])

    def forward(self, x):
        return self.logits(x).softmax(1)


class Classifier(nn.Module):
    """With one output it is the probability of the second class; of more each is that of its class, and they need not add up to 1."""

    def __init__(self, widths, outputs, channels=1):
        super().__init__()
        self.unet = UNet(widths, decoder=False, channels=channels)
        self.fc = nn.Linear(widths[4], outputs)

    def forward(self, x):
        return self.fc(self.unet.encode(x)[4].mean((2, 3, 4))).sigmoid()


def build(state):
    """The network of a state dict, with its parameters, in evaluation mode."""
    def width(name):
        return state[f'unet.{name}.double_conv.0.weight'].shape[0]
    channels = state['unet.inc.double_conv.0.weight'].shape[1]
    widths = [width('inc')] + [width(f'down{level}.maxpool_conv.1') for level in range(1, 5)]
    head = next((name for name in ('out_conv.weight', 'out_levels.image.weight') if name in state), None)
    if 'fc.weight' in state and head is None:
        network = Classifier(widths, state['fc.weight'].shape[0], channels)
    else:
        widths += [width(f'up{level}.conv') for level in range(1, 5)]
        kind = {None: Backbone, 'out_conv.weight': Segmenter, 'out_levels.image.weight': MultiLevelSegmenter}[head]
        network = kind(widths, *([state[head].shape[0]] if head else []), channels=channels)
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    return network.eval()


def load(path):
    """The network of a .pth or .safetensors file, or of a folder with model.safetensors."""
    path = Path(path)
    if path.is_dir():
        path = path / 'model.safetensors'
    if path.suffix == '.safetensors':
        from safetensors.torch import load_file
        return build(load_file(path))
    return build(torch.load(path, map_location='cpu'))
