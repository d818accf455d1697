"""Asks PyTorch for the right answer of every engine operation: test/goldens/ops.safetensors.

  python3 scripts/make-op-goldens.py [OUT]      (needs PyTorch; made with Debian's python3-torch 1.13)

Computed in float64 from inputs that float32 holds exactly, stored as float32. For a case NAME the file has
  NAME.in.INPUT   the inputs                NAME.out        the result
  NAME.weight     fixed random weights      NAME.grad.INPUT d sum(out * weight) / d input
The same PyTorch gives the same bytes. Every family of cases draws from a generator of its own.
"""
import json
import struct
import sys
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F

SEED = 20230300
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
tensors = {}


class Draw:
    """Random inputs of a family of cases, rounded to float32."""

    def __init__(self, name):
        self.generator = torch.Generator().manual_seed(SEED + zlib.crc32(name.encode()))

    def normal(self, *shape, scale=1.0):
        return (scale * torch.randn(shape, generator=self.generator)).float().double()

    def uniform(self, *shape, low=0.0, high=1.0):
        return (low + (high - low) * torch.rand(shape, generator=self.generator)).float().double()

    def image(self, *shape):
        """Smooth with some texture, in [0, 1]."""
        coarse = torch.rand((*shape[:2], 3, 3, 3), generator=self.generator)
        smooth = F.interpolate(coarse, size=shape[2:], mode='trilinear', align_corners=True)
        return (0.8 * smooth + 0.2 * torch.rand(shape, generator=self.generator)).float().double()

    def one_hot(self, batch, classes, *size):
        labels = torch.randint(classes, (batch, *size), generator=self.generator)
        return F.one_hot(labels, classes).movedim(-1, 1).double()


def case(name, function, fixed=(), **inputs):
    """Stores one case; inputs named in `fixed` get no gradient."""
    leaves = {key: value.clone().requires_grad_(key not in fixed) for key, value in inputs.items()}
    out = function(**leaves)
    weight = Draw(name + '.weight').normal(*out.shape)
    (out * weight).sum().backward()
    for key, leaf in leaves.items():
        tensors[f'{name}.in.{key}'] = leaf
        if key not in fixed:
            tensors[f'{name}.grad.{key}'] = leaf.grad
    tensors[f'{name}.weight'] = weight
    tensors[f'{name}.out'] = out


def affine_matrix(rotation, scale, translation, shear):
    """[A | A t], A = Rz Ry Rx S H: rotations as exponentials of their generators, shears placed by hand."""
    matrices = []
    places = [(1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2)]  # row, column of xy, xz, yx, yz, zx, zy
    for angles, factors, offset, slants in zip(rotation, scale, translation, shear):
        a = torch.eye(3)
        for axis in (2, 1, 0):
            generator = torch.zeros(3, 3)
            generator[(axis + 2) % 3, (axis + 1) % 3] = 1
            generator[(axis + 1) % 3, (axis + 2) % 3] = -1
            a = a @ torch.matrix_exp(angles[axis] * generator)
        h = torch.eye(3)
        for (row, column), slant in zip(places, slants):
            unit = torch.zeros(3, 3)
            unit[row, column] = 1
            h = h + torch.tan(slant) * unit
        a = a @ torch.diag(factors) @ h
        matrices.append(torch.cat([a, (a @ offset)[:, None]], 1))
    return torch.stack(matrices)


def voxels(size):
    """Every voxel's index, (3, voxels), components z, y, x."""
    return torch.cartesian_prod(*[torch.arange(float(n)) for n in size]).T


def affine_displacement(matrix, size, flow=None):
    """c + A (p + flow - c) + A t - p in components z, y, x."""
    p = voxels(size)
    centre = (torch.tensor(size, dtype=torch.float64)[:, None] - 1) / 2
    moved = p[None] if flow is None else p[None] + flow.flatten(2)
    xyz = (moved - centre).flip(1).expand(len(matrix), 3, -1)
    result = (matrix[:, :, :3] @ xyz + matrix[:, :, 3:]).flip(1) + centre - p
    return result.reshape(len(matrix), 3, *size)


def warp(image, displacement):
    """grid_sample at p + displacement, which wants positions in [-1, 1] as (x, y, z), last."""
    size = displacement.shape[2:]
    positions = voxels(size)[None] + displacement.flatten(2)
    half = (torch.tensor(size, dtype=torch.float64)[:, None] - 1) / 2
    grid = (positions / half - 1).flip(1).movedim(1, 2).reshape(len(image), *size, 3)
    return F.grid_sample(image, grid, mode='bilinear', padding_mode='zeros', align_corners=True)


def ncc(a, b, window):
    """1 - mean cross^2 / (var_a var_b + 1e-5) from unfolded windows: moments about the window's mean, zeros counted."""
    def windows(x):
        half = window // 2
        x = F.pad(x, [half] * 6)
        for axis in (2, 3, 4):
            x = x.unfold(axis, window, 1)
        return x.flatten(5)
    wa, wb = windows(a), windows(b)
    da, db = wa - wa.mean(-1, keepdim=True), wb - wb.mean(-1, keepdim=True)
    cross, var_a, var_b = (da * db).sum(-1), (da * da).sum(-1), (db * db).sum(-1)
    return 1 - (cross ** 2 / (var_a * var_b + 1e-5)).mean()


def smoothness(flow):
    return sum(torch.diff(flow, dim=axis).square().mean() for axis in (2, 3, 4)) / 3


def nt_xent(temperature):
    """Cross-entropy of every view's cosines to all others over the temperature, the class being its partner."""
    def function(z):
        views = len(z)
        cosines = F.cosine_similarity(z[:, None], z[None], dim=2)
        others = cosines.masked_fill(torch.eye(views, dtype=torch.bool), float('-inf'))
        return F.cross_entropy(others / temperature, torch.arange(views).roll(views // 2))
    return function


def masked_mse(a, b, mask):
    return ((mask * (a - b) ** 2).flatten(1).sum(1) / mask.flatten(1).sum(1)).mean()


def dice(probabilities, truth):
    overlap = torch.einsum('ncdhw,ncdhw->nc', probabilities, truth)
    total = torch.einsum('ncdhw,ncdhw->nc', probabilities, probabilities) + truth.square().sum((2, 3, 4))
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()


def group_norm(groups, slope):
    def function(x, gamma, beta):
        return F.leaky_relu(F.group_norm(x, groups, gamma, beta, eps=1e-5), slope)
    return function


def main(out):
    d = Draw('conv3d')
    for name, x, weight in (
        ('conv3d.odd', (2, 3, 5, 4, 7), (8, 3, 3, 3, 3)),
        ('conv3d.wide', (2, 8, 3, 4, 3), (16, 8, 3, 3, 3)),
        ('conv3d.image', (2, 1, 4, 3, 5), (8, 1, 3, 3, 3)),
        ('conv3d.flow', (2, 16, 3, 4, 5), (3, 16, 3, 3, 3)),
        ('conv3d.point', (2, 16, 3, 4, 5), (1, 16, 1, 1, 1)),
    ):
        case(name, lambda x, weight, bias: F.conv3d(x, weight, bias, padding=weight.shape[2] // 2),
             x=d.normal(*x), weight=d.normal(*weight, scale=0.3), bias=d.normal(weight[0]))

    d = Draw('groupNorm')
    for name, shape, groups, slope in (('groupNorm.leaky', (2, 16, 3, 3, 4), 2, 0.2), ('groupNorm.plain', (2, 8, 3, 3, 5), 4, 1.0)):
        case(name, group_norm(groups, slope), x=d.normal(*shape, scale=2) + 0.5, gamma=1 + d.normal(shape[1], scale=0.25), beta=d.normal(shape[1], scale=0.25))

    d = Draw('elementwise')
    case('add', lambda a, b: a + b, a=d.normal(2, 3, 5), b=d.normal(2, 3, 5))
    case('multiply', lambda a, b: a * b, a=d.normal(2, 3, 5), b=d.normal(2, 3, 5))
    case('scale', lambda x: 2.5 * x - 0.5, x=d.normal(2, 3, 5))
    case('tanh', torch.tanh, x=d.normal(2, 3, 5, scale=2))
    case('sigmoid', torch.sigmoid, x=d.normal(2, 3, 5, scale=3))
    case('leakyRelu', lambda x: F.leaky_relu(x, 0.2), x=d.normal(2, 3, 5))

    d = Draw('shape')
    case('concat.channels', lambda a, b: torch.cat([a, b], 1), a=d.normal(2, 8, 3, 2, 3), b=d.normal(2, 16, 3, 2, 3))
    case('concat.batch', lambda a, b: torch.cat([a, b], 0), a=d.normal(1, 8, 3, 2, 3), b=d.normal(2, 8, 3, 2, 3))
    case('slice.channels', lambda x: x[:, 3:8], x=d.normal(2, 9, 3, 2, 3))
    case('slice.batch', lambda x: x[1:3], x=d.normal(3, 8, 3, 2, 3))
    case('pad', lambda x: F.pad(x, [0, 3, 2, 1, 1, 0]), x=d.normal(2, 8, 3, 4, 3))
    case('crop', lambda x: x[:, :, 1:, 2:-1, :-2], x=d.normal(2, 8, 4, 5, 4))

    d = Draw('resample')
    case('maxPool', lambda x: F.max_pool3d(x, 2), x=d.normal(2, 8, 5, 4, 3))
    for name, shape in (('upsample.odd', (2, 8, 2, 3, 5)), ('upsample.flat', (1, 3, 1, 4, 2))):
        case(name, lambda x: F.interpolate(x, scale_factor=2, mode='trilinear', align_corners=True), x=d.normal(*shape))

    d = Draw('reduce')
    case('linear', F.linear, input=d.normal(3, 13), weight=d.normal(6, 13), bias=d.normal(6))
    case('globalAverage', lambda x: x.mean((2, 3, 4)), x=d.normal(2, 8, 3, 5, 4))
    case('mean', lambda x: x.mean(), x=d.normal(2, 3, 5))

    d = Draw('rows')
    case('relu', lambda x: F.relu(x), x=d.normal(2, 3, 5))
    case('matmul', lambda a, b: a @ b, a=d.normal(3, 7), b=d.normal(7, 6))
    case('matmul.transposedA', lambda a, b: a.T @ b, a=d.normal(7, 3), b=d.normal(7, 6))
    case('matmul.transposedB', lambda a, b: a @ b.T, a=d.normal(3, 7), b=d.normal(6, 7))
    case('layerNorm', lambda x, gamma, beta: F.layer_norm(x, x.shape[1:], gamma, beta), x=d.normal(4, 19, scale=2) + 0.5, gamma=1 + d.normal(19, scale=0.25), beta=d.normal(19, scale=0.25))
    case('layerNorm.plain', lambda x: F.layer_norm(x, x.shape[1:]), x=d.normal(4, 19, scale=2) + 0.5)
    case('l2Normalize', lambda x: F.normalize(x, dim=1), x=d.normal(4, 19))
    case('cosineSimilarity', lambda a, b: F.cosine_similarity(a, b)[:, None], a=d.normal(4, 19), b=d.normal(4, 19))
    case('softmax.rows', lambda x: x.softmax(1), x=d.normal(4, 7, scale=2))
    case('crossEntropy.rows', lambda logits, truth: F.cross_entropy(logits, truth.argmax(1)), fixed=['truth'], logits=d.normal(4, 7, scale=2), truth=d.one_hot(4, 7))

    d = Draw('affine')
    case('affineMatrix', affine_matrix, rotation=d.normal(2, 3, scale=0.4), scale=1 + d.normal(2, 3, scale=0.2), translation=d.normal(2, 3, scale=4), shear=d.normal(2, 6, scale=0.2))
    matrix = torch.cat([torch.eye(3).expand(2, 3, 3) + d.normal(2, 3, 3, scale=0.2), d.normal(2, 3, 1, scale=2)], 2)
    case('affineDisplacement.alone', lambda matrix: affine_displacement(matrix, (4, 3, 6)), matrix=matrix)
    case('affineDisplacement.flow', lambda matrix, flow: affine_displacement(matrix, (5, 4, 3), flow), matrix=matrix, flow=d.normal(2, 3, 5, 4, 3))

    d = Draw('warp')
    case('warp.image', warp, image=d.image(2, 1, 6, 5, 7), displacement=d.normal(2, 3, 6, 5, 7, scale=1.5))
    case('warp.features', warp, image=d.normal(2, 8, 4, 5, 3), displacement=d.normal(2, 3, 4, 5, 3))

    d = Draw('losses')
    case('ncc.nine', lambda a, b: ncc(a, b, 9), a=d.image(2, 1, 10, 5, 11), b=d.image(2, 1, 10, 5, 11))
    case('ncc.three', lambda a, b: ncc(a, b, 3), a=d.image(2, 1, 4, 5, 3), b=d.image(2, 1, 4, 5, 3))
    case('smoothness', smoothness, flow=d.normal(2, 3, 4, 5, 3))
    case('mse', F.mse_loss, input=d.normal(2, 1, 4, 5, 3), target=d.normal(2, 1, 4, 5, 3))
    case('dice', dice, fixed=['truth'], probabilities=d.normal(2, 5, 4, 3, 3).softmax(1).float().double(), truth=d.one_hot(2, 5, 4, 3, 3))
    case('softmax', lambda x: x.softmax(1), x=d.normal(2, 5, 4, 3, 3, scale=2))
    case('crossEntropy', lambda logits, truth: -(truth * logits.log_softmax(1)).sum(1).mean(), fixed=['truth'], logits=d.normal(2, 5, 4, 3, 3, scale=2), truth=d.one_hot(2, 5, 4, 3, 3))
    case('binaryCrossEntropy', F.binary_cross_entropy_with_logits, fixed=['target'], input=d.normal(3, 4, scale=3), target=d.uniform(3, 4))

    d = Draw('pairs')
    case('ntXent', nt_xent(0.5), z=d.normal(6, 11))
    case('ntXent.sharp', nt_xent(0.05), z=d.normal(8, 5))
    case('meanCosine', lambda prediction, target: F.cosine_similarity(prediction, target).mean(), fixed=['target'], prediction=d.normal(4, 9), target=d.normal(4, 9))

    d = Draw('maskedMse')
    case('maskedMse', masked_mse, fixed=['mask'], a=d.normal(2, 1, 4, 5, 3), b=d.normal(2, 1, 4, 5, 3), mask=d.one_hot(2, 2, 4, 5, 3)[:, :1])

    # Adam: three steps with given gradients, learning rate 0.01.
    d = Draw('adam')
    parameters = d.normal(37)
    tensors['adam.before'] = parameters
    leaf = parameters.clone().requires_grad_()
    optimizer = torch.optim.Adam([leaf], lr=0.01)
    for step in (1, 2, 3):
        leaf.grad = d.normal(37, scale=0.1)
        tensors[f'adam.gradient.{step}'] = leaf.grad
        optimizer.step()
        tensors[f'adam.after.{step}'] = leaf.detach().clone()

    # A moving average: two steps, the first 16 elements by tau 0.99, the others by 0.5.
    d = Draw('movingAverage')
    target, source = d.normal(37), d.normal(37)
    tensors['movingAverage.target'], tensors['movingAverage.source'] = target, source
    follower = target.clone()
    for step in (1, 2):
        for part, tau in ((slice(0, 16), 0.99), (slice(16, 37), 0.5)):
            follower[part].mul_(tau).add_(source[part], alpha=1 - tau)
        tensors[f'movingAverage.after.{step}'] = follower.clone()

    write(out, {'seed': str(SEED), 'torch': torch.__version__, 'computed': 'float64', 'script': 'scripts/make-op-goldens.py'})


def write(path, metadata):
    """Safetensors: the header's length (8 bytes), the header, the bytes."""
    header, data = {'__metadata__': metadata}, b''
    for name, tensor in tensors.items():
        array = tensor.detach().to(torch.float32).contiguous().numpy().astype('<f4')
        header[name] = {'dtype': 'F32', 'shape': list(array.shape), 'data_offsets': [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    Path(path).write_bytes(struct.pack('<Q', len(text)) + text + data)
    print(f'{path}: {len(tensors)} tensors, {8 + len(text) + len(data)} bytes')


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / 'test/goldens/ops.safetensors')
