"""Preparing and segmenting a large CT in Python as well as it can simply be done: what scripts/bench-large-scans.mjs compares gvsl with.

  python3 scripts/bench-large-scans.py prepare SCAN OUT
  python3 scripts/bench-large-scans.py segment SCAN WEIGHTS OUT [--window 48] [--threads 1] [--batch 4]

prepare: nibabel and scipy.ndimage: RAS, Gaussian before down-sampling, 2 mm, (HU + 1024) / 2048, the box of the body, float16.
segment: the same preparation, then the network of gvsl_torch.py (weights from `gvsl export --pth`) in windows that overlap by half, several in a
batch, blended with Gaussian weights; probabilities brought to the scan's own grid plane by plane, the most probable class, .nii.gz.
"""
import argparse
import json
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

SPACING = 2.0


def prepared(path):
    """The image in RAS at 2 mm in [0, 1], its body's box (slices), the RAS image's size, and the box's place in it."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    data = np.asanyarray(image.dataobj)
    ratio = SPACING / np.array(image.header.get_zooms()[:3])
    sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / (2 * np.sqrt(2 * np.log(2)))
    smooth = ndimage.gaussian_filter(data, sigma, output=np.float32, mode='nearest')
    size = np.round(np.array(data.shape) / ratio).astype(int)
    offset = (np.array(data.shape) - 1) / 2 - ratio * (size - 1) / 2
    whole = ndimage.affine_transform(smooth, ratio, offset, tuple(size), order=1, mode='nearest')
    whole = np.clip((whole + 1024) / 2048, 0, 1)
    body = whole > (1024 - 400) / 2048
    box = []
    for axis in range(3):
        count = body.sum(axis=tuple(a for a in range(3) if a != axis))
        there = np.flatnonzero(count >= 0.002 * body.size / size[axis])
        margin = int(np.ceil(5 / SPACING))
        box.append(slice(max(0, there[0] - margin), min(size[axis], there[-1] + 1 + margin)))
    return image, whole[tuple(box)], box, ratio, offset


def prepare(arguments):
    _, data, *_ = prepared(arguments.scan)
    np.save(arguments.out, data.T.astype(np.float16))


def starts(size, side):
    count = 1 + int(np.ceil((size - side) / (side / 2))) if size > side else 1
    return [round(i * (size - side) / (count - 1)) for i in range(count)] if count > 1 else [0]


def segment(arguments):
    import torch
    import torch.nn.functional as F
    sys.path.insert(0, str(Path(__file__).parent))
    from gvsl_torch import load
    torch.set_num_threads(arguments.threads)
    network = load(arguments.weights)
    image, data, box, ratio, offset = prepared(arguments.scan)
    side = arguments.window
    volume = torch.from_numpy(np.ascontiguousarray(data.T))[None, None]
    missing = [max(0, side - n) for n in volume.shape[2:]]
    volume = F.pad(volume, [m for total in reversed(missing) for m in (0, total)])
    depth, height, width = volume.shape[2:]
    axis = torch.exp(-0.5 * ((torch.arange(side) - (side - 1) / 2) / (side / 8)) ** 2).clamp(min=1e-3)
    weight = axis[:, None, None] * axis[:, None] * axis
    places = [(z, y, x) for z in starts(depth, side) for y in starts(height, side) for x in starts(width, side)]
    total, weights, network_seconds = None, torch.zeros(depth, height, width), 0.0
    with torch.no_grad():
        for first in range(0, len(places), arguments.batch):
            some = places[first : first + arguments.batch]
            windows = torch.cat([volume[:, :, z : z + side, y : y + side, x : x + side] for z, y, x in some])
            begun = time.perf_counter()
            found = network(windows)
            network_seconds += time.perf_counter() - begun
            if total is None:
                total = torch.zeros(found.shape[1], depth, height, width)
            for (z, y, x), probabilities in zip(some, found):
                part = (slice(z, z + side), slice(y, y + side), slice(x, x + side))
                total[(slice(None), *part)] += probabilities * weight
                weights[part] += weight
        total /= weights
        # onto the scan's own grid: two planes become one, which is brought to the finer plane
        nx, ny, nz = image.shape
        labels = np.empty((nz, ny, nx), np.uint8)
        position = [(np.arange(n) - o) / r - b.start for n, o, r, b in zip(image.shape, offset, ratio, box)]
        gridX = torch.from_numpy(2 * position[0] / (width - 1) - 1).float()
        gridY = torch.from_numpy(2 * position[1] / (height - 1) - 1).float()
        grid = torch.stack(torch.broadcast_tensors(gridX[None, :], gridY[:, None]), -1)[None]
        for k, z in enumerate(position[2]):
            low = int(min(max(np.floor(z), 0), depth - 2))
            plane = torch.lerp(total[:, low], total[:, low + 1], float(min(max(z - low, 0), 1)))
            fine = F.grid_sample(plane[None], grid, mode='bilinear', padding_mode='border', align_corners=True)
            labels[k] = fine[0].argmax(0).numpy()
    nibabel.save(nibabel.Nifti1Image(labels.T, image.affine), arguments.out)
    print(json.dumps({'network_seconds': network_seconds, 'windows': len(places)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    one = commands.add_parser('prepare')
    one.add_argument('scan')
    one.add_argument('out')
    one.set_defaults(run=prepare)
    other = commands.add_parser('segment')
    other.add_argument('scan')
    other.add_argument('weights')
    other.add_argument('out')
    other.add_argument('--window', type=int, default=48)
    other.add_argument('--threads', type=int, default=1)
    other.add_argument('--batch', type=int, default=4)
    other.set_defaults(run=segment)
    arguments = parser.parse_args()
    arguments.run(arguments)


main()
