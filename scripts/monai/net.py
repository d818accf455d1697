"""The networks for MONAI, whose arrays have the axes (x, y, z): those of gvsl_torch.py with the axes exchanged on the way in and out."""
from . import gvsl_torch


class Segmenter(gvsl_torch.Segmenter):
    """x (N, channels, X, Y, Z), any size, to probabilities (N, classes, X, Y, Z); with `logits=True` to what softmax makes them of."""

    def __init__(self, widths, classes, channels=1, logits=False):
        super().__init__(widths, classes, channels)
        self.logits = logits

    def forward(self, x):
        x = self.out_conv(self.unet(x.transpose(2, 4))[1]).transpose(2, 4)
        return x if self.logits else x.softmax(1)


class MultiLevelSegmenter(gvsl_torch.MultiLevelSegmenter):
    """As Segmenter, with the head that reads all levels."""

    def __init__(self, widths, classes, channels=1, logits=False):
        super().__init__(widths, classes, channels)
        self.as_logits = logits

    def forward(self, x):
        x = self.logits(x.transpose(2, 4)).transpose(2, 4)
        return x if self.as_logits else x.softmax(1)


class Classifier(gvsl_torch.Classifier):
    """x (N, channels, X, Y, Z), any size, to probabilities (N, outputs); one output is the probability of the second class."""

    def forward(self, x):
        return super().forward(x.transpose(2, 4))


class Backbone(gvsl_torch.Backbone):
    """x (N, channels, X, Y, Z), any size, to the local feature (N, C, X, Y, Z)."""

    def forward(self, x):
        return super().forward(x.transpose(2, 4))[1].transpose(2, 4)
