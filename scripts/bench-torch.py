"""Times training steps of the same network in PyTorch: what `gvsl bench` is compared with.

  python3 scripts/bench-torch.py [--size 64] [--width 1] [--threads 2] [--steps 2] [--warmup 1] [--device cpu|cuda] [--amp] [--forward [--batch 4]]
  python3 scripts/bench-torch.py --check test/goldens/gvsl-tiny.safetensors

The whole step: A and B through one U-Net, affine and deformable heads, restoration, the three losses, backward, Adam. Float32, PyTorch's own
kernels; memory layout and algorithms are PyTorch's choice. --forward: the backbone alone, without gradients, on as many images at a time as --batch says; seconds are those of one image.
The pair of a step goes through the backbone as one batch (GroupNorm works within a sample, so it is the same mathematics).
With glibc, set MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ high (`gvsl bench` does): memory that is given back to the system after every
tensor costs a third of a small network's time.
On a CUDA device convolutions may use TF32, as is PyTorch's default; --amp: bfloat16 by autocast.
Prints one JSON document: seconds of every step, their median, peak resident memory in bytes.
--check: that this is the same network and the same losses: the parameters, inputs, losses and gradients of a golden file (what is in one
says make-model-golden.py) against those computed here. Exit code 1 if they differ.
"""
import argparse
import json
import math
import resource
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def block(channels_in, channels_out):
    """Two times convolution, GroupNorm in groups of 8 channels, LeakyReLU."""
    layers = []
    for channels in (channels_in, channels_out):
        layers += [nn.Conv3d(channels, channels_out, 3, padding=1), nn.GroupNorm(channels_out // 8, channels_out), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers)


class Backbone(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.down = nn.ModuleList(block(i, o) for i, o in zip([1, *widths[:4]], widths[:5]))
        self.up = nn.ModuleList(block(widths[3 - k] + widths[4 + k], widths[5 + k]) for k in range(4))

    def forward(self, image):
        """Global and local feature; sizes that are no multiples of 16 are padded with zeros, the lesser half before."""
        before = [-n % 16 // 2 for n in image.shape[2:]]
        after = [-n % 16 - b for n, b in zip(image.shape[2:], before)]
        x = F.pad(image, [n for b, a in zip(before[::-1], after[::-1]) for n in (b, a)])
        skips = []
        for level, layers in enumerate(self.down):
            x = layers(F.max_pool3d(x, 2) if level else x)
            skips.append(x)
        for level, layers in enumerate(self.up):
            x = F.interpolate(x, scale_factor=2, mode='trilinear', align_corners=True)
            x = layers(torch.cat([skips[3 - level], x], 1))
        d, h, w = (slice(b, b + n) for b, n in zip(before, image.shape[2:]))
        return skips[4], x[:, :, d, h, w]


def elementary(angles, axis):
    """Rotation matrices (N, 3, 3) about one axis of (x, y, z)."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    cosine, sine = torch.cos(angles), torch.sin(angles)
    rows = [[torch.ones_like(angles) if i == j else torch.zeros_like(angles) for j in range(3)] for i in range(3)]
    rows[a][a], rows[b][b], rows[a][b], rows[b][a] = cosine, cosine, -sine, sine
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


class Network(nn.Module):
    def __init__(self, widths, hidden, matching=16):
        super().__init__()
        self.backbone = Backbone(widths)
        self.describe = block(2 * widths[4], hidden)
        self.numbers = nn.ModuleList(nn.Linear(hidden, count) for count in (3, 3, 3, 6))
        for layer in self.numbers:
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)
        self.match = block(2 * widths[8], matching)
        self.flow = nn.Conv3d(matching, 3, 3, padding=1)
        self.restore = nn.Sequential(
            nn.Conv3d(widths[8], 16, 3, padding=1), nn.GroupNorm(4, 16), nn.LeakyReLU(0.2, inplace=True), nn.Conv3d(16, 1, 1))

    def affine(self, a, b, half):
        """(N, 3, 4) on voxels (x, y, z) about the centre; `half` of the extent in voxels, (x, y, z)."""
        feature = self.describe(torch.cat([a, b], 1)).mean((2, 3, 4))
        rotation, factors, offset, shear = (layer(feature) for layer in self.numbers)
        rotation = torch.tanh(rotation) * math.pi / 9
        turn = elementary(rotation[:, 2], 2) @ elementary(rotation[:, 1], 1) @ elementary(rotation[:, 0], 0)
        stretch = torch.diag_embed(1 + 0.25 * torch.tanh(factors))
        # xy, xz, yx, yz, zx, zy: the first letter's axis pulls the second's along, so they fill column after column
        tangents = torch.tan(torch.tanh(shear) * math.pi / 18)
        one = torch.ones_like(tangents[:, 0])
        slant = torch.stack([
            torch.stack([one, tangents[:, 0], tangents[:, 1]], 1),
            torch.stack([tangents[:, 2], one, tangents[:, 3]], 1),
            torch.stack([tangents[:, 4], tangents[:, 5], one], 1)], 2)
        linear = turn @ stretch @ slant
        return torch.cat([linear, linear @ (offset * half)[:, :, None]], 2)

    def forward(self, view, fixed, moving):
        features, local = self.backbone(torch.cat([view, fixed]))
        (global_a, global_b), (a, b) = features.chunk(2), local.chunk(2)
        extent = torch.tensor(view.shape[:1:-1], dtype=view.dtype, device=view.device)
        matrix = self.affine(global_a, global_b, extent / 2)
        # PyTorch samples at -1 .. 1 from the first voxel to the last: voxels about the centre over these
        halves = (extent - 1) / 2
        scaled = torch.cat([matrix[:, :, :3] * halves, matrix[:, :, 3:]], 2) / halves[:, None]
        grid = F.affine_grid(scaled, list(view.shape), align_corners=True)
        aligned = F.grid_sample(a, grid, align_corners=True)
        flow = self.flow(self.match(torch.cat([aligned, b], 1)))
        # affine(p + flow(p)): the flow, (z, y, x) in voxels, turned by the linear part, in the same units
        shift = torch.einsum('nij,njdhw->ndhwi', matrix[:, :, :3], flow.flip(1)) / halves
        warped = F.grid_sample(moving, grid + shift, align_corners=True)
        return flow, warped, self.restore(a)


def correlation_loss(a, b, window=9):
    def sums(x):
        for axis in range(3):
            kernel = [1, 1, 1]
            kernel[axis] = window
            x = F.conv3d(x, torch.ones(1, 1, *kernel, dtype=x.dtype, device=x.device), padding=[k // 2 for k in kernel])
        return x

    count = window ** 3
    sum_a, sum_b = sums(a), sums(b)
    cross = sums(a * b) - sum_a * sum_b / count
    variance_a = sums(a * a) - sum_a * sum_a / count
    variance_b = sums(b * b) - sum_b * sum_b / count
    return 1 - (cross * cross / (variance_a * variance_b + 1e-5)).mean()


def smoothness(flow):
    return sum((flow.diff(dim=axis) ** 2).mean() for axis in (2, 3, 4)) / 3


def total_loss(network, view, fixed, moving):
    flow, warped, restored = network(view, fixed, moving)
    return correlation_loss(warped, fixed) + smoothness(flow) + F.mse_loss(restored, moving)


def published_name(name):
    """'backbone.up.0.3.weight' is 'unet.up1.conv.double_conv.3.weight' in checkpoints."""
    part, *rest = name.split('.')
    if part == 'backbone':
        way, level, *rest = rest
        number = int(level) + (way == 'up')
        part = 'unet.' + ('inc' if number == 0 else f'{way}{number}.' + ('conv' if way == 'up' else 'maxpool_conv.1')) + '.double_conv'
    elif part == 'numbers':
        part = ('fc_rot', 'fc_scl', 'fc_trans', 'fc_shear')[int(rest.pop(0))]
    else:
        part = {'describe': 'f_conv.double_conv', 'match': 'sp_conv.double_conv', 'flow': 'out_flow', 'restore': 'res_conv'}[part]
    return '.'.join([part, *rest])


def read_safetensors(path):
    """Float32 tensors by name, as float64, and the metadata."""
    with open(path, 'rb') as file:
        content = file.read()
    start = 8 + int.from_bytes(content[:8], 'little')
    header = json.loads(content[8:start])
    metadata = header.pop('__metadata__')
    read = lambda entry: torch.frombuffer(bytearray(content[slice(*(start + i for i in entry['data_offsets']))]), dtype=torch.float32)
    return {name: read(entry).view(entry['shape']).double() for name, entry in header.items()}, metadata


def check(path):
    """Loss and gradients in float64 against a golden file's: their largest differences."""
    golden, metadata = read_safetensors(path)
    network = Network(json.loads(metadata['widths']), int(metadata['f_hidden']), int(metadata['s_hidden'])).double()
    parameters = {published_name(name): parameter for name, parameter in network.named_parameters()}
    expected = {name[len('param.'):] for name in golden if name.startswith('param.')}
    if set(parameters) != expected:
        sys.exit(f'{path}: other parameters: {sorted(set(parameters) ^ expected)}')
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(golden['param.' + name])
    loss = total_loss(network, *(golden['input.' + name] for name in ('moving_view', 'fixed', 'moving')))
    loss.backward()
    # relative to the largest of all gradients: those of biases before a normalisation are nothing but rounding
    largest = max(golden['grad.' + name].abs().max().item() for name in parameters)
    worst = max((parameter.grad - golden['grad.' + name]).abs().max().item() for name, parameter in parameters.items()) / largest
    difference = abs(loss.item() - golden['loss.total'].item())
    print(json.dumps({
        'golden': path, 'loss': loss.item(), 'lossDifference': difference, 'worstGradientDifference': worst,
        'parameters': sum(p.numel() for p in parameters.values())}))
    if not (difference < 1e-4 and worst < 1e-4):
        sys.exit(f'{path}: loss or gradients differ')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--size', type=int, default=64)
    parser.add_argument('--width', type=float, default=1)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--steps', type=int, default=2)
    parser.add_argument('--warmup', type=int, default=1)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--amp', action='store_true')
    parser.add_argument('--forward', action='store_true')
    parser.add_argument('--batch', type=int, default=1, help='--forward: images at a time')
    parser.add_argument('--check', metavar='GOLDEN')
    options = parser.parse_args()
    if options.check:
        check(options.check)
        return
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    cuda = options.device == 'cuda'
    torch.backends.cudnn.benchmark = True

    scaled = lambda channels: max(8, int(channels * options.width) // 8 * 8)
    network = Network([scaled(c) for c in (32, 64, 128, 256, 512, 256, 128, 64, 32)], scaled(256)).to(options.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    view, fixed, moving = (torch.rand(1, 1, *[options.size] * 3, device=options.device) for _ in range(3))
    windows = view.expand(options.batch, -1, -1, -1, -1).contiguous()

    autocast = lambda: torch.autocast(options.device, torch.bfloat16, enabled=options.amp)

    def step():
        if options.forward:
            with torch.no_grad(), autocast():
                network.backbone(windows)
            return
        with autocast():
            loss = total_loss(network, view, fixed, moving)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    seconds = []
    for _ in range(options.warmup + options.steps):
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / (options.batch if options.forward else 1))
    counted = seconds[options.warmup:]
    # macOS counts in bytes, others in KiB
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    peak = torch.cuda.max_memory_allocated() if cuda else resident
    print(json.dumps({
        'peer': 'PyTorch ' + torch.__version__ + (f', {torch.cuda.get_device_name()}' if cuda else '') + (', bfloat16' if options.amp else ''), 'device': options.device, 'threads': torch.get_num_threads(), 'size': options.size,
        'width': options.width, 'parameters': sum(p.numel() for p in network.parameters()), 'seconds': counted,
        'medianS': statistics.median(counted), 'peakBytes': peak}))


if __name__ == '__main__':
    main()
