"""Runs a bundle of `gvsl export --monai` on an image: python3 scripts/check-monai.py BUNDLE IMAGE OUT

With MONAI installed it is MONAI's own ConfigParser and classes that run the bundle's inference.json, and its metadata's network format is tried
too. Elsewhere stand-ins take their place: the few classes that inference.json names, written here by MONAI's documentation (ConfigParser's
`_target_`, `@`, `$`; LoadImaged, EnsureChannelFirstd, Compose, MapTransform, MetaTensor, SlidingWindowInferer). Neither the evaluator nor the
savers run: the bundle's preprocessing, network, inferer and postprocessing are called one after the other, as SupervisedEvaluator does.

OUT/prepared.bin is the prepared image (float32, x fastest), OUT/labels.bin the label map (int32, x fastest) if there is one. Prints one JSON
document: monai (its version, or null for the stand-ins), size, affine, and of a classifier its probabilities.
"""
import importlib
import itertools
import json
import os
import re
import sys
import types
from pathlib import Path

import numpy
import torch

bundle, image, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
sys.path.insert(0, os.fspath(bundle))
sys.modules.pop('scripts', None)


def stand_ins():
    """Modules by MONAI's names with what the bundle uses of them."""

    class MetaTensor(torch.Tensor):
        def __new__(cls, x, affine=None, meta=None):
            made = torch.as_tensor(x).as_subclass(cls)
            made.meta = {**(meta or {}), 'affine': torch.as_tensor(affine)}
            return made

        @property
        def affine(self):
            return self.meta['affine']

    class MapTransform:
        def __init__(self, keys, allow_missing_keys=False):
            self.keys, self.allow_missing_keys = ([keys] if isinstance(keys, str) else list(keys)), allow_missing_keys

        def key_iterator(self, data):
            for key in self.keys:
                if key in data:
                    yield key
                elif not self.allow_missing_keys:
                    raise KeyError(key)

    class LoadImaged(MapTransform):
        def __call__(self, data):
            import nibabel
            out = dict(data)
            for key in self.key_iterator(data):
                loaded = nibabel.load(data[key])
                voxels = numpy.asarray(loaded.dataobj, dtype=numpy.float32)
                out[key] = MetaTensor(torch.from_numpy(voxels), loaded.affine, {'filename_or_obj': data[key]})
            return out

    class EnsureChannelFirstd(MapTransform):
        def __call__(self, data):
            out = dict(data)
            for key in self.key_iterator(data):
                out[key] = MetaTensor(data[key].as_subclass(torch.Tensor)[None], data[key].affine, data[key].meta)
            return out

    class Compose:
        def __init__(self, transforms):
            self.transforms = transforms

        def __call__(self, data):
            for transform in self.transforms:
                data = transform(data)
            return data

    class Inferer:
        pass

    class SlidingWindowInferer(Inferer):
        """Windows every (1 - overlap) of a side, the last ones moved back inside; Gaussian weights of at least 1e-3."""

        def __init__(self, roi_size, sw_batch_size, overlap, mode, sigma_scale):
            assert mode == 'gaussian' and sw_batch_size == 1
            self.roi, self.overlap, self.sigma = roi_size, overlap, sigma_scale

        def __call__(self, inputs, network):
            x = inputs.as_subclass(torch.Tensor)
            size = x.shape[2:]
            margins = [max(0, side - n) for n, side in zip(size, self.roi)]
            x = torch.nn.functional.pad(x, [m for total in reversed(margins) for m in (total // 2, total - total // 2)])
            starts = []
            for n, side in zip(x.shape[2:], self.roi):
                step = side if n == side else max(1, int(side * (1 - self.overlap)))
                starts.append(sorted({min(start, n - side) for start in range(0, n - side + step, step)}))
            weight = torch.ones(())
            for side in self.roi:
                place = torch.arange(side) - (side - 1) / 2
                weight = weight[..., None] * torch.exp(-place**2 / (2 * (self.sigma * side) ** 2))
            weight = weight.clamp(min=max(float(weight.min()), 1e-3))
            total, count = None, torch.zeros(x.shape[2:])
            for start in itertools.product(*starts):
                window = (slice(None), slice(None), *(slice(at, at + side) for at, side in zip(start, self.roi)))
                predicted = network(x[window])
                total = torch.zeros(1, predicted.shape[1], *x.shape[2:]) if total is None else total
                total[window] += weight * predicted
                count[window[2:]] += weight
            inner = tuple(slice(m // 2, m // 2 + n) for m, n in zip(margins, size))
            return (total / count)[(slice(None), slice(None), *inner)]

    def module(name, **content):
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)

    module('monai')
    module('monai.data', MetaTensor=MetaTensor)
    module('monai.inferers', Inferer=Inferer, SlidingWindowInferer=SlidingWindowInferer)
    module('monai.transforms', MapTransform=MapTransform)
    return {each.__name__: each for each in (LoadImaged, EnsureChannelFirstd, Compose, SlidingWindowInferer)}


class Parser:
    """What inference.json says, as ConfigParser understands it: @ID is another entry, $... an expression, _target_ a class."""

    def __init__(self, document, classes):
        self.document, self.classes, self.made = document, classes, {}
        # a space for each, as ConfigParser has it: imports are statements
        self.globals = {'torch': torch}
        for statement in document['imports']:
            exec(statement[1:], self.globals)

    def get_parsed_content(self, name):
        if name not in self.made:
            self.made[name] = self.resolve(self.document[name])
        return self.made[name]

    def resolve(self, value):
        if isinstance(value, list):
            return [self.resolve(each) for each in value]
        if isinstance(value, dict):
            arguments = {key: self.resolve(each) for key, each in value.items() if key != '_target_'}
            if '_target_' not in value:
                return arguments
            path, _, name = value['_target_'].rpartition('.')
            return (getattr(importlib.import_module(path), name) if path else self.classes[name])(**arguments)
        if isinstance(value, str) and value.startswith('$'):
            referred = {name: self.get_parsed_content(name) for name in re.findall(r'@(\w+)', value)}
            expression = re.sub(r'@(\w+)', r'_\1', value[1:])
            return eval(expression, {**self.globals, **{f'_{name}': each for name, each in referred.items()}})
        if isinstance(value, str) and value.startswith('@'):
            return self.get_parsed_content(value[1:])
        return value


configuration = json.loads((bundle / 'configs/inference.json').read_text())
# what writes files is not run here
configuration['postprocessing']['transforms'] = [
    each for each in configuration['postprocessing']['transforms'] if each['_target_'].startswith('scripts.')
]
configuration['device'] = '$torch.device("cpu")'
try:
    import monai
    from monai.bundle import ConfigParser
    parser = ConfigParser(configuration)
    parser.parse()
    version = monai.__version__
except ImportError:
    parser = Parser(configuration, stand_ins())
    version = None
required = ['bundle_root', 'device', 'dataset_dir', 'dataset', 'evaluator', 'network_def', 'inferer', 'initialize', 'run']
assert all(key in configuration for key in required), 'an entry that bundles must have is missing'

network = parser.get_parsed_content('network')
state = torch.load(bundle / 'models/model.pt', map_location='cpu')
network.load_state_dict(state, strict=True)
network.eval()

# what metadata.json says of input and output
metadata = json.loads((bundle / 'configs/metadata.json').read_text())
mandatory = ['version', 'monai_version', 'pytorch_version', 'numpy_version', 'task', 'description', 'authors', 'copyright', 'schema', 'changelog', 'name']
assert all(metadata[key] for key in mandatory) and metadata['version'] in metadata['changelog']
given, wanted = metadata['network_data_format']['inputs']['image'], metadata['network_data_format']['outputs']['pred']
with torch.no_grad():
    pred = network(torch.rand(1, given['num_channels'], 16, 32, 48))
assert pred.shape[1] == wanted['num_channels'] and pred.dtype == torch.float32, f"{list(pred.shape)} {wanted['num_channels']}"
assert pred.ndim == 2 + len(wanted['spatial_shape'])

data = parser.get_parsed_content('preprocessing')({'image': image})
prepared = data['image']
numpy.asarray(prepared)[0].transpose(2, 1, 0).astype('<f4').tofile(out / 'prepared.bin')
with torch.no_grad():
    data['pred'] = parser.get_parsed_content('inferer')(prepared[None], network)[0]
said = {'monai': version, 'size': list(prepared.shape[1:]), 'affine': numpy.asarray(prepared.affine).tolist()}
data = parser.get_parsed_content('postprocessing')(data)
result = numpy.asarray(data['pred'])
if result.ndim == 1:
    said['probabilities'] = result.tolist()
else:
    result[0].transpose(2, 1, 0).astype('<i4').tofile(out / 'labels.bin')
print(json.dumps(said))
