"""PyTorch's side of the tests of `gvsl import` and `gvsl export` (src/weights/peer.test.ts): python3 scripts/check-weights.py FOLDER

Reads FOLDER/model.pth (a segmenter that gvsl wrote), FOLDER/image.bin (float32) and FOLDER/size.json ([D, H, W]); writes
  probabilities.bin   what the network of gvsl_torch.py makes of the image
  NAME.pth            the same weights as PyTorch's users save them (see FILES)
and prints one JSON document: PyTorch's version, and [name, shape] of every tensor as torch.load gave them.
"""
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
}
for name, content in FILES.items():
    torch.save(content, folder / f'{name}.pth')
torch.save(FILES['checkpoint'], folder / 'stream.pth', _use_new_zipfile_serialization=False)
torch.save(FILES['shared'], folder / 'stream-shared.pth', _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(folder / 'script.pth'))
print(json.dumps({'torch': torch.__version__, 'tensors': [[name, list(tensor.shape)] for name, tensor in state.items()]}))
