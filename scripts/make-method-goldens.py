"""Asks PyTorch for a whole training step of the methods of pre-training beside GVSL: test/goldens/METHOD-tiny.safetensors.

  python3 scripts/make-method-goldens.py [FOLDER]      (needs PyTorch; made with Debian's python3-torch 1.13)

Laid out as make-model-golden.py's file, with the metadata `method`; of the losses there is only loss.total. Two samples at once, of
a size that is no multiple of 16.
  restore   masked squared error: input.{view,target,mask}, out.restored
  classify  cross-entropy of three classes: input.view, input.class (N,), out.logits; the metadata name `classes`
"""
import importlib
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

ops = importlib.import_module('make-op-goldens')
model = importlib.import_module('make-model-golden')

SAMPLES = 2
SHAPE = (SAMPLES, 1, *model.SIZE)
CLASSES = 3


def restore(draw):
    parameters = model.Parameters(draw)
    parameters.encoder()
    parameters.decoder()
    parameters.restoration()
    mask = torch.zeros(SHAPE, dtype=torch.float64)
    # different shares of the two samples, so that a mean over all masked voxels is another number
    mask[0, :, 2:6, :, 3:9] = 1
    mask[1, :, :, 5:, :] = 1
    inputs = {'view': draw.image(*SHAPE), 'target': draw.image(*SHAPE), 'mask': mask}

    def step(p):
        restored = model.restoration(p, model.unet(p, inputs['view'])[1])
        squares = (mask * (restored - inputs['target']) ** 2).sum((1, 2, 3, 4))
        return {'restored': restored}, (squares / mask.sum((1, 2, 3, 4))).mean()

    return parameters, inputs, step, {}


def classify(draw):
    parameters = model.Parameters(draw)
    parameters.encoder()
    parameters.layer('fc', CLASSES, model.WIDTH)
    inputs = {'view': draw.image(*SHAPE), 'class': torch.tensor([2.0, 0.0], dtype=torch.float64)}

    def step(p):
        logits = F.linear(model.encoder(p, inputs['view'])[4].mean((2, 3, 4)), p['fc.weight'], p['fc.bias'])
        return {'logits': logits}, F.cross_entropy(logits, inputs['class'].long())

    return parameters, inputs, step, {'classes': str(CLASSES)}


def main(folder):
    for method in (restore, classify):
        name = method.__name__
        ops.tensors.clear()
        # a draw in which no activation is so near zero that rounding decides its slope (LeakyReLU has two)
        drawn, inputs, step, metadata = method(ops.Draw('a ' + name))
        parameters = drawn.leaves()
        ops.tensors.update({f'input.{key}': value for key, value in inputs.items()})
        ops.tensors.update({f'param.{key}': value.detach().clone() for key, value in parameters.items()})

        def total():
            out, loss = step(parameters)
            return out, {'total': loss}

        _, _, curve = model.take_steps(parameters, total)
        ops.write(Path(folder) / f'{name}-tiny.safetensors', {
            'method': name, 'widths': json.dumps([model.WIDTH] * 9), 'lr': str(model.LEARNING_RATE), 'steps': str(model.STEPS),
            'seed': str(ops.SEED), 'torch': torch.__version__, 'computed': 'float64', 'script': 'scripts/make-method-goldens.py', **metadata})
        print(name, [round(each, 4) for each in curve])


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / 'test/goldens')
