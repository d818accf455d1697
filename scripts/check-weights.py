"""PyTorch's side of the tests of `gvsl import` and `gvsl export` (src/model/node/interchange/peer.test.ts): python3 scripts/check-weights.py FOLDER

Reads FOLDER/model.pth (a segmenter that gvsl wrote), FOLDER/levels.pth (one whose head reads all levels), FOLDER/classifier.pth (one of several classes), FOLDER/image.bin (float32) and FOLDER/size.json ([D, H, W]); writes
  probabilities.bin   what the network of gvsl_torch.py makes of the image
  levels.bin          the same of FOLDER/levels.pth
  classifier.bin      the same of FOLDER/classifier.pth
  NAME.pth            the same weights as PyTorch's users save them (see FILES)
and prints one JSON document: PyTorch's version, and [name, shape] of every tensor as torch.load gave them.
"""
import argparse
import collections
import datetime
import enum
import functools
import inspect
import json
import sys
from pathlib import Path

import numpy
import torch
from torch import nn

from gvsl_torch import build

folder = Path(sys.argv[1])
safe = {'weights_only': True} if 'weights_only' in inspect.signature(torch.load).parameters else {}
state = torch.load(folder / 'model.pth', **safe)
network = build(state)

size = json.loads((folder / 'size.json').read_text())
image = torch.from_numpy(numpy.fromfile(folder / 'image.bin', dtype=numpy.float32)).view(1, 1, *size)
with torch.no_grad():
    network(image).contiguous().numpy().tofile(folder / 'probabilities.bin')
    for name in ('levels', 'classifier'):
        build(torch.load(folder / f'{name}.pth', **safe))(image).contiguous().numpy().tofile(folder / f'{name}.bin')


def sharing_one_storage(tensors):
    """Every tensor a transposed part of one long storage, none of them contiguous."""
    turned = [tensor.permute(*reversed(range(tensor.dim()))).contiguous() for tensor in tensors.values()]
    flat = torch.cat([torch.full((5,), 9.0), *(tensor.reshape(-1) for tensor in turned)])
    out, at = {}, 5
    for name, tensor in zip(tensors, turned):
        out[name] = flat[at:at + tensor.numel()].view(tensor.shape).permute(*reversed(range(tensor.dim())))
        at += tensor.numel()
    return out


def trained(module):
    """A checkpoint as training loops write it, with the state of an optimiser that has made a step."""
    optimizer = torch.optim.Adam(module.parameters(), lr=0.0)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return {'epoch': 3, 'best': 0.5, 'lr': (1e-3, None), 'state_dict': module.state_dict(), 'optimizer': optimizer.state_dict()}


class Mode(enum.Enum):
    FAST = 1


class Settings:
    def __init__(self):
        self.depth = 5


class Dictionary(dict):
    pass


def schedule(step):
    return 1 / (1 + step)


def crowded(module):
    """A checkpoint with all that training loops leave in one."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    return {
        'args': argparse.Namespace(lr=0.1, path=Path('/data'), nested=argparse.Namespace(a=[1, {2}])),
        'best': numpy.float64(0.8),
        'history': [numpy.float32(0.5), numpy.array([1.5, 2.5]), numpy.arange(6).reshape(2, 3)],
        'dtype': numpy.dtype('float32'),
        'when': datetime.datetime.now(),
        'took': datetime.timedelta(seconds=3),
        'mode': Mode.FAST,
        'settings': Settings(),
        'partial': functools.partial(schedule, step=2),
        'function': schedule,
        'class': nn.Conv3d,
        'counter': collections.Counter('aab'),
        'queue': collections.deque([1, 2], maxlen=3),
        'default': collections.defaultdict(list, a=[1]),
        'set': {1, 2}, 'frozen': frozenset([1]), 'complex': 1j, 'bytes': b'abc', 'array': bytearray(b'abc'), 'big': 2 ** 5000,
        'slice': slice(1, 2), 'range': range(3), 'ellipsis': ..., 'none': None,
        'device': torch.device('cpu'), 'torch dtype': torch.float16, 'size': torch.Size([1, 2]),
        'generator': torch.get_rng_state(), 'random': numpy.random.get_state(), 'metric': torch.tensor(0.5),
        'sparse': torch.eye(3).to_sparse(), 'quantised': torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
        'criterion': nn.CrossEntropyLoss(), 'optimizer': optimizer.state_dict(), 'optimizer object': optimizer,
        'scheduler': scheduler.state_dict(),
        'model': Dictionary(module.state_dict()),
        'epoch': 3,
    }


FILES = {
    'plain': state,
    'module': network.state_dict(),
    'parallel': nn.DataParallel(network).state_dict(),
    'half': {name: tensor.half() for name, tensor in state.items()},
    'bfloat16': {name: tensor.bfloat16() for name, tensor in state.items()},
    'double': {name: tensor.double() for name, tensor in state.items()},
    'parameters': {'model': {'state_dict': dict(network.named_parameters())}},
    'checkpoint': trained(network),
    'shared': sharing_one_storage(state),
    'unet': {name[len('unet.'):]: tensor for name, tensor in state.items() if name.startswith('unet.')},
    'expanded': {**state, 'out_conv.bias': torch.zeros(1).expand(state['out_conv.bias'].shape)},
    'integers': {**state, 'out_conv.bias': torch.zeros(state['out_conv.bias'].shape, dtype=torch.int64)},
    'object': network,
    'objects': {'epoch': 1, 'net': nn.DataParallel(network)},
    'crowded': crowded(network),
    'lightning': {
        'epoch': 1, 'pytorch-lightning_version': '1.9', 'callbacks': {'ModelCheckpoint': {'best': torch.tensor(1.0)}},
        'state_dict': {f'model.{name}': tensor for name, tensor in state.items()},
        'hyper_parameters': argparse.Namespace(width=1),
    },
    'average': torch.optim.swa_utils.AveragedModel(network).state_dict(),
    'sparse': {**state, 'out_conv.bias': state['out_conv.bias'].to_sparse()},
    'array': {**state, 'out_conv.bias': state['out_conv.bias'].numpy()},
}
for name, content in FILES.items():
    torch.save(content, folder / f'{name}.pth')
for kind in ('checkpoint', 'shared', 'crowded', 'object'):
    for protocol in range(2, 6):
        torch.save(FILES[kind], folder / f'{kind}-{protocol}.pth', pickle_protocol=protocol)
        torch.save(
            FILES[kind], folder / f'{kind}-{protocol}-stream.pth', pickle_protocol=protocol, _use_new_zipfile_serialization=False
        )
torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(folder / 'script.pth'))
print(json.dumps({'torch': torch.__version__, 'tensors': [[name, list(tensor.shape)] for name, tensor in state.items()]}))
