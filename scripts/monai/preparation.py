"""How `gvsl prepare` makes an image ready for its network, and how `gvsl segment` brings probabilities back, in NumPy alone.

Images are arrays (X, Y, Z) with an affine (4, 4) from voxels to millimetres in RAS, as nibabel and MONAI have them. The order counts: axes to RAS;
resampling (smoothed first where the image is finer than the network's grid, then linear, the field of view keeping its centre); only then
intensities to [0, 1], so that percentiles are those of the resampled image; then the box around the patient.
"""
import itertools

import numpy as np

SAME_VOXELS = 1e-4
# by less than so many degrees axes depart from perpendicular because headers round their directions
PERPENDICULAR_DEG = 0.05
# so far, in voxels from the centre of the outermost one, an image may reach beyond a grid that was made for it: see grid_with_spacing
ROUNDED_AWAY = 0.75 + SAME_VOXELS
PERMUTATIONS = list(itertools.permutations(range(3)))


def _split(affine):
    """Spacing (3,) and direction (3, 3) of an affine."""
    matrix = np.asarray(affine, float)[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    return spacing, matrix / spacing


def _nearest_orthogonal(direction):
    u, _, v = np.linalg.svd(direction)
    return u @ v


def _join(direction, spacing, origin):
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = origin
    return affine


def ras_order(shape, affine):
    """How voxels are brought to RAS: axes of the image in the order of R, A, S, which of them run backwards, the affine then."""
    spacing, direction = _split(affine)
    nearest = np.abs(_nearest_orthogonal(direction))
    agreement = [sum(nearest[patient, k] for k, patient in enumerate(p)) for p in PERMUTATIONS]
    followed = PERMUTATIONS[0]
    best = agreement[0]
    for permutation, value in zip(PERMUTATIONS, agreement):
        if value > best + 1e-12:
            followed, best = permutation, value
    axes = [followed.index(patient) for patient in range(3)]
    flip = [direction[k, axis] < 0 for k, axis in enumerate(axes)]
    matrix = np.array(affine, float)
    first = np.zeros(3)
    columns = np.empty((3, 3))
    for k, axis in enumerate(axes):
        if flip[k]:
            first[axis] = shape[axis] - 1
        columns[:, k] = -matrix[:3, axis] if flip[k] else matrix[:3, axis]
    ras = np.eye(4)
    ras[:3, :3] = columns
    ras[:3, 3] = matrix[:3, :3] @ first + matrix[:3, 3]
    return axes, flip, ras


def to_ras(image, axes, flip):
    return image.transpose(axes)[tuple(slice(None, None, -1) if back else slice(None) for back in flip)]


def from_ras(image, axes, flip):
    return image[tuple(slice(None, None, -1) if back else slice(None) for back in flip)].transpose(np.argsort(axes))


def grid_with_spacing(shape, affine, spacing):
    """Shape and affine of the same field of view at another spacing, its centre kept.

    Sheared axes become perpendicular, and the grid reaches as far along them as the image does. What rounding in a header may have taken from a half
    or a whole voxel does not count.
    """
    own, direction = _split(affine)
    spacing = np.asarray(spacing, float)
    target = _nearest_orthogonal(direction)
    between = direction.T @ direction
    if np.degrees(np.arcsin(min(1, np.abs(between - np.diag(np.diag(between))).max()))) > PERPENDICULAR_DEG:
        reach = np.abs(target.T @ direction) @ (np.asarray(shape) * own)
        size = np.ceil(reach / spacing - SAME_VOXELS).astype(int)
    else:
        size = np.maximum(1, np.floor(np.asarray(shape) * own / spacing + 0.5 + SAME_VOXELS)).astype(int)
    centre = affine[:3, 3] + direction @ ((np.asarray(shape) - 1) / 2 * own)
    return size, _join(target, spacing, centre - target @ ((size - 1) / 2 * spacing))


def _weights(inputs, positions, sigma):
    """Linear interpolation at `positions` of an axis that was smoothed: first input and weights (outputs, taps) of each."""
    radius = int(np.ceil(4 * sigma))
    gaussian = np.exp(-((np.arange(-radius, radius + 1) / sigma) ** 2) / 2) if sigma > 0 else np.ones(1)
    gaussian /= gaussian.sum()
    inside = np.clip(positions, 0, inputs - 1)
    low = np.floor(inside).astype(int)
    fraction = inside - low
    taps = np.zeros((len(positions), 2 * radius + 2))
    taps[:, :-1] += (1 - fraction)[:, None] * gaussian
    taps[:, 1:] += fraction[:, None] * gaussian
    return low - radius, taps.astype(np.float32)


def _along(data, axis, start, weights):
    """Beyond its ends the data continue with their border values."""
    shape = [1] * data.ndim
    shape[axis] = len(start)
    out = 0
    for tap in range(weights.shape[1]):
        weight = weights[:, tap]
        if weight.any():
            index = np.clip(start + tap, 0, data.shape[axis] - 1)
            out = out + data.take(index, axis) * weight.reshape(shape)
    return out


def _positions(row, column, offset, outputs):
    position = row * np.arange(outputs) + offset
    whole = np.round(position)
    return np.where(np.abs(position - whole) < SAME_VOXELS, whole, position)


def _sigma(ratio):
    return np.sqrt(ratio * ratio - 1) / (2 * np.sqrt(2 * np.log(2))) if ratio > 1 + SAME_VOXELS else 0.0


def _is_outside(position, inputs):
    return (position < -0.5 - SAME_VOXELS) | (position > inputs - 0.5 + SAME_VOXELS)


def resample(data, affine, size, target, background):
    """`data` on the grid (size, target)."""
    matrix = np.linalg.inv(affine) @ target
    spans = np.linalg.norm(matrix[:3, :3], axis=1)
    off = np.abs(matrix[:3, :3] - np.diag(np.diag(matrix)[:3])) @ size
    if off.max() >= 10 * SAME_VOXELS:
        for axis in range(3):
            data = _along(data, axis, *_weights(data.shape[axis], np.arange(data.shape[axis]), _sigma(spans[axis])))
        return np.stack([_sample(data, matrix, size, z, background) for z in range(size[2])], axis=2)
    positions = [_positions(matrix[k, k], k, matrix[k, 3], size[k]) for k in range(3)]
    shape = data.shape
    for axis in sorted(range(3), key=lambda k: size[k] / shape[k]):
        data = _along(data, axis, *_weights(shape[axis], positions[axis], _sigma(spans[axis])))
    for axis in range(3):
        index = [slice(None)] * 3
        index[axis] = _is_outside(positions[axis], shape[axis])
        data[tuple(index)] = background
    return data


def _sample(data, matrix, size, z, background):
    """Plane z of the target, trilinear."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing='ij')
    place = np.einsum('ij,jxy->ixy', matrix[:3, :3], np.stack([x, y, np.full_like(x, z)])) + matrix[:3, 3, None, None]
    top = np.reshape(data.shape, (3, 1, 1)) - 1
    outside = _is_outside(place, top + 1).any(0)
    place = np.clip(place, 0, top)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, top)
    share = (place - low).astype(np.float32)
    out = 0
    for corner in itertools.product((0, 1), repeat=3):
        index = tuple(high[k] if side else low[k] for k, side in enumerate(corner))
        weight = np.prod([share[k] if side else 1 - share[k] for k, side in enumerate(corner)], axis=0)
        out = out + data[index] * weight
    return np.where(outside, background, out).astype(np.float32)


def _percentile(data, share):
    return float(np.percentile(data.astype(float), 100 * share))


def window(data, modality, intensity):
    """What becomes 0 and what becomes 1."""
    if modality == 'ct':
        return -1024.0, 1024.0
    if intensity == 'minmax':
        return max(0.0, float(data.min())), float(data.max())
    low, high = _percentile(data, 0.005), _percentile(data, 0.995)
    return low if intensity == 'signed' else max(0.0, low), high


def foreground(data, modality, spacing):
    """First voxel and size of the box outside which there is air or background alone."""
    threshold = (1024 - 400) / 2048 if modality == 'ct' else 0.1 * _percentile(data, 0.99)
    limit = np.float32(threshold)
    mask = data > (limit if limit <= threshold else np.nextafter(limit, np.float32(-1)))
    start, size = [], []
    for axis in range(3):
        count = mask.sum(tuple(k for k in range(3) if k != axis))
        found = np.flatnonzero(count >= max(1, 0.002 * data.size / data.shape[axis]))
        first, last = (found[0], found[-1]) if len(found) else (0, data.shape[axis] - 1)
        margin = int(np.ceil(5 / spacing[axis])) if len(found) else 0
        first, last = max(0, first - margin), min(data.shape[axis] - 1, last + margin)
        start.append(int(first))
        size.append(int(last - first + 1))
    return start, size


def _scaled(image, affine, spacing, modality, intensity):
    """The whole image on the network's grid, float32 in [0, 1], and its affine."""
    axes, flip, ras = ras_order(image.shape, affine)
    data = to_ras(np.asarray(image, np.float32), axes, flip)
    lowest = float(data.min(where=np.isfinite(data), initial=np.inf)) if intensity == 'signed' else 0.0
    background = -1024.0 if modality == 'ct' else lowest
    data = np.where(np.isfinite(data), data, np.float32(background))
    size, target = grid_with_spacing(data.shape, ras, spacing)
    data = resample(data, ras, size, target, background).astype(np.float32)
    low, high = window(data, modality, intensity)
    if not high > low:
        raise ValueError(f'no contrast: intensities from {low} to {high}')
    return np.clip((data.astype(float) - low) / (high - low), 0, 1).astype(np.float32), target


def prepare(image, affine, spacing, modality='mr', intensity='minmax', crop='foreground'):
    """The image (X, Y, Z) as the network takes it, float32 in [0, 1], and its affine."""
    data, target = prepare_channels([image], affine, spacing, modality, intensity, crop)
    return data[0], target


def prepare_channels(images, affine, spacing, modality='mr', intensity='minmax', crop='foreground', scales=None):
    """Channels on one grid (C, X, Y, Z), each scaled by itself: 'hounsfield', 'minmax', 'percentile' or 'signed'. The first one gives the box."""
    if scales is None:
        kinds = [(modality, intensity)] * len(images)
    elif len(scales) != len(images):
        raise ValueError(f'{len(images)} channels, expected {len(scales)}')
    else:
        kinds = [('ct', intensity) if scale == 'hounsfield' else ('mr', scale) for scale in scales]
    channels, affines = zip(*(_scaled(image, affine, spacing, *kind) for image, kind in zip(images, kinds)))
    data, target = np.stack(channels), affines[0]
    if crop == 'foreground':
        start, size = foreground(data[0], kinds[0][0], spacing)
        data = data[(slice(None), *(slice(first, first + n) for first, n in zip(start, size)))]
        target = target.copy()
        target[:3, 3] += target[:3, :3] @ start
    return np.ascontiguousarray(data), target


def restore(probabilities, affine, shape, image_affine, codes):
    """Probabilities (classes, X, Y, Z) of a prepared image as codes on the image's own grid: linear, then the most probable class."""
    codes = np.asarray(codes)
    axes, flip, ras = ras_order(shape, image_affine)
    size = [shape[axis] for axis in axes]
    matrix = np.linalg.inv(affine) @ ras
    off = np.abs(matrix[:3, :3] - np.diag(np.diag(matrix)[:3])) * np.reshape(size, (1, 3))
    inputs = probabilities.shape[1:]
    if off.max() > 1e-2:
        found = probabilities.argmax(0)
        labels = np.full(size, codes[0])
        x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing='ij')
        for z in range(size[2]):
            place = np.einsum('ij,jxy->ixy', matrix[:3, :3], np.stack([x, y, np.full_like(x, z)])) + matrix[:3, 3, None, None]
            top = np.reshape(inputs, (3, 1, 1))
            inside = ~_is_outside(place, top).any(0)
            nearest = np.clip(np.ceil(place - 0.5 - SAME_VOXELS).astype(int), 0, top - 1)
            labels[:, :, z] = np.where(inside, codes[found[tuple(nearest)]], codes[0])
        return np.ascontiguousarray(from_ras(labels, axes, flip))
    low, share, inside = [], [], []
    for k in range(3):
        position = matrix[k, k] * np.arange(size[k]) + matrix[k, 3]
        # a grid of whole voxels ends up to a quarter of one before the image does; where it was cropped, the image goes on further
        first, last = position[0] < -ROUNDED_AWAY, position[-1] > inputs[k] - 1 + ROUNDED_AWAY
        low_end, high_end = (0.5 if beyond else ROUNDED_AWAY for beyond in (first, last))
        inside.append((position >= -low_end) & (position <= inputs[k] - 1 + high_end))
        position = np.clip(position, 0, inputs[k] - 1)
        low.append(np.minimum(max(0, inputs[k] - 2), np.floor(position)).astype(int))
        share.append((position - low[k]).astype(np.float32))
    high = [np.minimum(at + 1, n - 1) for at, n in zip(low, inputs)]
    labels = np.full(size, codes[0])
    wide, tall = np.ix_(inside[0], inside[1])
    for z in np.flatnonzero(inside[2]):
        plane = probabilities[..., low[2][z]]
        plane = plane + share[2][z] * (probabilities[..., high[2][z]] - plane)
        plane = plane[:, low[0]] + share[0][:, None] * (plane[:, high[0]] - plane[:, low[0]])
        plane = plane[:, :, low[1]] + share[1] * (plane[:, :, high[1]] - plane[:, :, low[1]])
        labels[wide, tall, z] = codes[plane.argmax(0)][wide, tall]
    return np.ascontiguousarray(from_ras(labels, axes, flip))


def post_process(labels, affine, rules):
    """What helped on the validation subjects of the training: the largest part of a code alone, no parts below a volume. Needs SciPy."""
    from scipy import ndimage
    voxel_mm3 = abs(np.linalg.det(np.asarray(affine, float)[:3, :3]))
    for rule in rules:
        # voxels that touch at a face, an edge or a corner; parts in the order of a file's voxels, the first of equal ones stays
        parts, count = ndimage.label(labels.T == rule['code'], np.ones((3, 3, 3)))
        if count == 0:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        kept = sizes * voxel_mm3 >= rule['minVolumeMm3']
        if rule['keepLargest']:
            kept &= np.arange(count) == sizes.argmax()
        labels.T[~np.concatenate([[True], kept])[parts]] = 0
    return labels


def window_starts(size, side, overlap):
    """Starts of windows along an axis: evenly apart, every voxel covered."""
    if size <= side:
        return [-((side - size) // 2)]
    count = 1 + int(np.ceil((size - side) / max(1, side * (1 - overlap))))
    return [int(np.floor(k * (size - side) / (count - 1) + 0.5)) for k in range(count)]
