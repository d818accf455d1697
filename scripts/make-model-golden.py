"""Asks PyTorch for a whole training step of a tiny GVSL: test/goldens/gvsl-tiny.safetensors.

  python3 scripts/make-model-golden.py [OUT]      (needs PyTorch; made with Debian's python3-torch 1.13)

Every width is 8; one pair of a size that is no multiple of 16, so that padding and cropping are met. Computed in float64 from inputs
and parameters that float32 holds exactly, stored as float32. The same PyTorch gives the same bytes. Tensors in the file:
  input.moving_view  input.fixed  input.moving     (1, 1, D, H, W)
  param.NAME                                       before the first step; names and shapes of the published checkpoints
  out.{global_a,local_a,global_b,local_b,affine,flow,dvf,warped,restored}
  loss.{ncc,smooth,mse,total}                      (1,)
  grad.NAME                                        d loss.total / d param.NAME
  after.NAME                                       after the metadata's steps of Adam on the same inputs
  loss_curve                                       loss.total before each step
`gvsl verify` replays it. What single operations are is said in make-op-goldens.py; here, only how they are put together.
"""
import importlib
import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

ops = importlib.import_module('make-op-goldens')

WIDTH = 8
SIZE = (9, 10, 19)
STEPS = 2
LEARNING_RATE = 1e-3
LEVELS = (1, 2, 3, 4)


class Parameters(dict):
    """Parameters by name, drawn one after another. Biases and normalisations are off their trivial start."""
    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def layer(self, name, *weight, gain=math.sqrt(2)):
        fan_in = math.prod(weight[1:])
        self[name + '.weight'] = self.draw.normal(*weight, scale=gain / math.sqrt(fan_in))
        self[name + '.bias'] = self.draw.normal(weight[0], scale=0.1)

    def normalisation(self, name, channels):
        self[name + '.weight'] = 1 + self.draw.normal(channels, scale=0.1)
        self[name + '.bias'] = self.draw.normal(channels, scale=0.1)

    def block(self, name, channels):
        for i, channels_in in ((0, channels), (3, WIDTH)):
            self.layer(f'{name}.double_conv.{i}', WIDTH, channels_in, 3, 3, 3)
            self.normalisation(f'{name}.double_conv.{i + 1}', WIDTH)

    def encoder(self):
        self.block('unet.inc', 1)
        for level in LEVELS:
            self.block(f'unet.down{level}.maxpool_conv.1', WIDTH)

    def decoder(self):
        for level in LEVELS:
            self.block(f'unet.up{level}.conv', 2 * WIDTH)

    def restoration(self):
        self.layer('res_conv.0', 16, WIDTH, 3, 3, 3)
        self.normalisation('res_conv.1', 16)
        self.layer('res_conv.3', 1, 16, 1, 1, 1)

    def leaves(self):
        return {name: value.float().double().requires_grad_() for name, value in self.items()}


def start(draw):
    """Every parameter by name; the affine is far from the identity."""
    parameters = Parameters(draw)
    parameters.encoder()
    parameters.decoder()
    parameters.block('f_conv', 2 * WIDTH)
    parameters.block('sp_conv', 2 * WIDTH)
    parameters.restoration()
    parameters.layer('out_flow', 3, WIDTH, 3, 3, 3)
    for name, count in (('rot', 3), ('scl', 3), ('trans', 3), ('shear', 6)):
        parameters.layer('fc_' + name, count, WIDTH, gain=0.1 if name == 'trans' else 0.7)
    return parameters.leaves()


def convolution(p, name, x):
    weight = p[name + '.weight']
    return F.conv3d(x, weight, p[name + '.bias'], padding=weight.shape[-1] // 2)


def normalised(p, name, groups, x):
    return ops.group_norm(groups, 0.2)(x, p[name + '.weight'], p[name + '.bias'])


def block(p, name, x):
    for i in (0, 3):
        x = normalised(p, f'{name}.double_conv.{i + 1}', WIDTH // 8, convolution(p, f'{name}.double_conv.{i}', x))
    return x


def padding(x):
    """How many zeros stand before each axis, and PyTorch's list of margins, which counts axes from the last."""
    missing = [-size % 16 for size in x.shape[2:]]
    before = [count // 2 for count in missing]
    return before, [margin for b, count in zip(before, missing) for margin in (count - b, b)][::-1]


def encoder(p, x):
    """The features of the five levels."""
    skips = [block(p, 'unet.inc', F.pad(x, padding(x)[1]))]
    for level in LEVELS:
        skips.append(block(p, f'unet.down{level}.maxpool_conv.1', F.max_pool3d(skips[-1], 2)))
    return skips


def unet(p, x):
    """The global and the local feature."""
    skips = encoder(p, x)
    feature = skips[4]
    for level in LEVELS:
        upsampled = F.interpolate(feature, scale_factor=2, mode='trilinear', align_corners=True)
        feature = block(p, f'unet.up{level}.conv', torch.cat([skips[4 - level], upsampled], 1))
    inside = [slice(b, b + size) for b, size in zip(padding(x)[0], x.shape[2:])]
    return skips[4], feature[(..., *inside)]


def restoration(p, local):
    return convolution(p, 'res_conv.3', normalised(p, 'res_conv.1', 4, convolution(p, 'res_conv.0', local)))


def network(p, view, fixed, moving):
    """All outputs by name; `p` are the parameters."""
    global_a, local_a = unet(p, view)
    global_b, local_b = unet(p, fixed)

    described = block(p, 'f_conv', torch.cat([global_a, global_b], 1)).mean((2, 3, 4))
    rotation, factors, offset, shear = (
        F.linear(described, p[f'fc_{name}.weight'], p[f'fc_{name}.bias']) for name in ('rot', 'scl', 'trans', 'shear'))
    half_extent = torch.tensor(SIZE[::-1]) / 2
    affine = ops.affine_matrix(
        math.pi / 9 * torch.tanh(rotation), 1 + torch.tanh(factors) / 4, offset * half_extent, math.pi / 18 * torch.tanh(shear))

    aligned = ops.warp(local_a, ops.affine_displacement(affine, SIZE))
    flow = convolution(p, 'out_flow', block(p, 'sp_conv', torch.cat([aligned, local_b], 1)))
    field = ops.affine_displacement(affine, SIZE, flow)
    restored = restoration(p, local_a)
    return {'global_a': global_a, 'local_a': local_a, 'global_b': global_b, 'local_b': local_b, 'affine': affine,
            'flow': flow, 'dvf': field, 'warped': ops.warp(moving, field), 'restored': restored}


def losses(out, fixed, moving):
    parts = {'ncc': ops.ncc(out['warped'], fixed, 9), 'smooth': ops.smoothness(out['flow']), 'mse': F.mse_loss(out['restored'], moving)}
    return {**parts, 'total': sum(parts.values())}


def take_steps(parameters, step):
    """Adam's steps on the same inputs; `step` gives outputs and losses, 'total' among them. Stores results; returns the last ones and the curve."""
    optimizer = torch.optim.Adam(parameters.values(), lr=LEARNING_RATE)
    tensors, curve = ops.tensors, []
    for number in range(STEPS):
        optimizer.zero_grad()
        out, loss = step()
        loss['total'].backward()
        curve.append(loss['total'].item())
        if number == 0:
            tensors.update({f'out.{name}': value for name, value in out.items()})
            tensors.update({f'loss.{name}': value.reshape(1) for name, value in loss.items()})
            tensors.update({f'grad.{name}': value.grad.clone() for name, value in parameters.items()})
        optimizer.step()
    tensors.update({f'after.{name}': value for name, value in parameters.items()})
    tensors['loss_curve'] = torch.tensor(curve)
    return out, loss, curve


def main(path):
    draw = ops.Draw('model')
    parameters = start(draw)
    moving, fixed = draw.image(1, 1, *SIZE), draw.image(1, 1, *SIZE)
    view = (moving + draw.normal(1, 1, *SIZE, scale=0.1)).clamp(0, 1).float().double()
    tensors = ops.tensors
    tensors.update({'input.moving_view': view, 'input.fixed': fixed, 'input.moving': moving})
    tensors.update({f'param.{name}': value.detach().clone() for name, value in parameters.items()})

    def step():
        out = network(parameters, view, fixed, moving)
        return out, losses(out, fixed, moving)

    out, loss, curve = take_steps(parameters, step)
    ops.write(path, {
        'widths': json.dumps([WIDTH] * 9), 'f_hidden': str(WIDTH), 's_hidden': str(WIDTH), 'lr': str(LEARNING_RATE), 'steps': str(STEPS),
        'seed': str(ops.SEED), 'torch': torch.__version__, 'computed': 'float64', 'script': 'scripts/make-model-golden.py'})
    print({name: round(value.item(), 4) for name, value in loss.items()}, [round(each, 4) for each in curve],
          {name: round(out[name].abs().max().item(), 3) for name in ('flow', 'dvf', 'affine')})


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / 'test/goldens/gvsl-tiny.safetensors')
