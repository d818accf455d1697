"""gvsl's network as a plug-in of nnU-Net 2.8 and newer, for checkpoints that `gvsl export --nnunet` wrote.

nnU-Net builds the class that the checkpoint names by importing it: this folder must be on PYTHONPATH (it also holds gvsl_torch.py).
A name that ends in PlainConvUNet is what nnU-Net accepts for classes that are not its own.

`stem` is the first convolution alone, which nnU-Net repeats for data of several channels; `body` is the rest of what was pre-trained and is
loaded as it is; `head` is new. Needs PyTorch 1.10 or newer, and nothing of nnU-Net.
"""
from collections import OrderedDict

from torch import nn

from gvsl_torch import Block, Down, Up, cropped, padded


class Decoder(nn.Module):
    def __init__(self, features):
        super().__init__()
        for level in range(1, 5):
            setattr(self, f'up{level}', Up(features[4 - level] + features[3 + level], features[4 + level]))

    def forward(self, levels):
        x = levels[4]
        for level in range(1, 5):
            x = getattr(self, f'up{level}')(x, levels[4 - level])
        return x


class Body(nn.Module):
    """What follows the first convolution: the rest of the encoder, and the decoder if it was pre-trained too."""

    def __init__(self, features, with_decoder):
        super().__init__()
        self.inc = Block(features[0], features[0])
        # the first convolution is the stem; the other layers keep their names
        self.inc.double_conv = nn.Sequential(OrderedDict(list(self.inc.double_conv.named_children())[1:]))
        for level in range(1, 5):
            setattr(self, f'down{level}', Down(features[level - 1], features[level]))
        if with_decoder:
            self.decoder = Decoder(features)

    def forward(self, x):
        levels = [self.inc(x)]
        for level in range(1, 5):
            levels.append(getattr(self, f'down{level}')(levels[-1]))
        return levels


class GvslPlainConvUNet(nn.Module):
    """x (N, input_channels, D, H, W) of any size to logits (N, num_classes, D, H, W).

    `features`: channels of inc, down1 to down4, up1 to up4. Deep supervision is not part of the network.
    """

    key_to_encoder = 'body'
    key_to_stem = 'stem'
    keys_to_in_proj = ('stem',)
    key_to_lpe = None

    def __init__(self, input_channels, num_classes, features, pretrained_decoder=True, deep_supervision=False):
        super().__init__()
        if deep_supervision:
            raise ValueError('GvslPlainConvUNet has one output: use a trainer without deep supervision, such as PretrainedTrainer')
        self.stem = nn.Conv3d(input_channels, features[0], 3, padding=1)
        self.body = Body(features, pretrained_decoder)
        if not pretrained_decoder:
            self.decoder = Decoder(features)
        self.head = nn.Conv3d(features[8], num_classes, 3, padding=1)

    def forward(self, x):
        levels = self.body(self.stem(padded(x)))
        decoder = self.decoder if hasattr(self, 'decoder') else self.body.decoder
        return self.head(cropped(decoder(levels), x.shape[2:]))
