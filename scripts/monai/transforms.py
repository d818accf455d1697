"""MONAI's side of preparation.py: dictionary transforms, and the mean over windows that classification takes."""
import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import MapTransform

from .preparation import post_process, prepare_channels, restore, window_starts


def _array(value):
    return np.asarray(value.cpu() if isinstance(value, torch.Tensor) else value)


class PrepareImaged(MapTransform):
    """An image (channels, X, Y, Z) with an affine as `gvsl prepare` makes it; its own grid is kept in its meta data for RestoreLabelsd."""

    def __init__(self, keys, spacing, modality, intensity='minmax', crop='foreground', scales=None, allow_missing_keys=False):
        super().__init__(keys, allow_missing_keys)
        self.options = {'spacing': spacing, 'modality': modality, 'intensity': intensity, 'crop': crop, 'scales': scales}

    def __call__(self, data):
        out = dict(data)
        for key in self.key_iterator(out):
            image = out[key]
            affine = _array(image.affine).astype(float)
            channels = _array(image) if self.options['scales'] else _array(image)[:1]
            prepared, target = prepare_channels(channels, affine, **self.options)
            meta = {name: value for name, value in image.meta.items() if name != 'affine'}
            meta['gvsl_affine'], meta['gvsl_shape'] = affine, np.array(image.shape[1:])
            out[key] = MetaTensor(torch.from_numpy(prepared), affine=torch.from_numpy(target), meta=meta)
        return out


class RestoreLabelsd(MapTransform):
    """Probabilities (classes, X, Y, Z) on the grid of a prepared image as label codes (1, X, Y, Z) on the image's own grid."""

    def __init__(self, keys, codes, image_key='image', post_processing=(), allow_missing_keys=False):
        super().__init__(keys, allow_missing_keys)
        self.codes, self.image_key, self.post_processing = list(codes), image_key, list(post_processing)

    def __call__(self, data):
        out = dict(data)
        image = out[self.image_key]
        affine = _array(image.meta['gvsl_affine']).astype(float)
        shape = [int(n) for n in _array(image.meta['gvsl_shape'])]
        for key in self.key_iterator(out):
            labels = restore(_array(out[key]).astype(np.float32), _array(image.affine).astype(float), shape, affine, self.codes)
            if self.post_processing:
                labels = post_process(labels, affine, self.post_processing)
            meta = {name: value for name, value in image.meta.items() if name != 'affine'}
            out[key] = MetaTensor(torch.from_numpy(labels.astype(np.int32)[None]), affine=torch.from_numpy(affine), meta=meta)
        return out


class MeanOfWindows(Inferer):
    """The mean of a classifier's probabilities over windows that cover the image, as `gvsl classify` takes it."""

    def __init__(self, roi_size, overlap=0.5):
        super().__init__()
        self.roi_size, self.overlap = list(roi_size), overlap

    def __call__(self, inputs, network, *args, **kwargs):
        image = torch.as_tensor(_array(inputs)).to(inputs.device)
        margins = [max(0, side - size) for size, side in zip(image.shape[2:], self.roi_size)]
        pad = [margin for total in reversed(margins) for margin in (total // 2, total - total // 2)]
        padded = torch.nn.functional.pad(image, pad)
        starts = [
            [max(0, start) for start in window_starts(size, side, self.overlap)]
            for size, side in zip(image.shape[2:], self.roi_size)
        ]
        a, b, c = self.roi_size
        results = [
            network(padded[:, :, z:z + a, y:y + b, x:x + c], *args, **kwargs)
            for z in starts[0] for y in starts[1] for x in starts[2]
        ]
        return torch.stack(results).mean(0)
