"""The peers of scripts/bench-data.mjs: what `gvsl inspect` and `gvsl evaluate` find out, as somebody who knows NumPy and SciPy writes it.

  python3 scripts/bench-data.py versions
  python3 scripts/bench-data.py start                             # loads its packages and ends
  python3 scripts/bench-data.py headers FOLDER                    # nibabel's headers alone
  python3 scripts/bench-data.py inspect FILE_OR_FOLDER
  python3 scripts/bench-data.py evaluate PREDICTIONS REFERENCES   # folders, files paired by name

Results go to stdout as JSON; scripts/bench-data.mjs times whole processes.
"""

import json
import os
import sys

import nibabel
import numpy
from scipy import ndimage
import scipy


def files_of(path):
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith((".nii", ".nii.gz"))]


def header_facts(image):
    return {
        "size": [int(n) for n in image.shape],
        "spacing": [float(s) for s in image.header.get_zooms()],
        "axes": "".join(nibabel.aff2axcodes(image.affine)),
        "type": str(image.get_data_dtype()),
    }


def headers(path):
    return [header_facts(nibabel.load(file)) for file in files_of(path)]


def inspect_one(file):
    """Header, range, 1st and 99th percentile, values that are no numbers, label codes if it is a label map."""
    image = nibabel.load(file)
    data = numpy.asanyarray(image.dataobj)
    facts = header_facts(image)
    if data.dtype.kind in "iu" and data.dtype.itemsize <= 2:
        # one pass gives range, percentiles and codes: counts of all values of 16 bits
        low = int(data.min())
        counts = numpy.bincount(data.ravel(order="K") - low if low >= 0 else (data.ravel(order="K").astype(numpy.int32) - low))
        (values,) = numpy.nonzero(counts)
        upto = numpy.cumsum(counts)
        at = lambda share: int(numpy.searchsorted(upto, share * (data.size - 1), side="right")) + low
        facts.update(min=low, max=int(values[-1]) + low, percentile1=at(0.01), percentile99=at(0.99), nonFinite=0)
        codes = values + low
    else:
        finite = data[numpy.isfinite(data)]
        p1, p99 = numpy.percentile(finite, [1, 99])
        facts.update(min=float(finite.min()), max=float(finite.max()), percentile1=float(p1), percentile99=float(p99))
        facts["nonFinite"] = int(data.size - finite.size)
        codes = numpy.unique(finite[:100000]) if data.size > 100000 else numpy.unique(finite)
    facts["labels"] = None
    if len(codes) <= 512:
        # neighbours along x, those that are not both background: are they mostly equal?
        shown = (data[1:] != 0) | (data[:-1] != 0)
        equal = numpy.count_nonzero((data[1:] == data[:-1]) & shown)
        if len(codes) <= 2 or equal >= 0.4 * numpy.count_nonzero(shown):
            facts["labels"] = [int(code) for code in codes]
    return facts


def inspect(path):
    return [inspect_one(file) for file in files_of(path)]


SIX = ndimage.generate_binary_structure(3, 1)


def surface_of(mask):
    """Voxels of the mask with one of six neighbours outside it; what is outside the volume is outside."""
    return mask & ~ndimage.binary_erosion(mask, SIX)


def scores(predicted, reference, code, box, spacing, tolerance=1.0):
    """What gvsl evaluate says of one class. `box` holds all of it on both sides, with one voxel around where there is one."""
    p, r = predicted[box] == code, reference[box] == code
    of_p, of_r, both = (int(numpy.count_nonzero(m)) for m in (p, r, p & r))
    ml = float(numpy.prod(spacing)) / 1000
    found = {
        "label": int(code),
        "dice": 2 * both / (of_p + of_r),
        "jaccard": both / (of_p + of_r - both),
        "volumeError": (of_p - of_r) / of_r if of_r else None,
        "predictedMl": of_p * ml,
        "referenceMl": of_r * ml,
    }
    if of_p == 0 or of_r == 0:
        return {**found, "hd95Mm": None, "surfaceDistanceMm": None, "surfaceDice": 0}
    surface_p, surface_r = surface_of(p), surface_of(r)
    there = ndimage.distance_transform_edt(~surface_r, sampling=spacing)[surface_p]
    back = ndimage.distance_transform_edt(~surface_p, sampling=spacing)[surface_r]
    voxels = there.size + back.size
    found["hd95Mm"] = float(max(numpy.percentile(there, 95), numpy.percentile(back, 95)))
    found["surfaceDistanceMm"] = float((there.sum() + back.sum()) / voxels)
    found["surfaceDice"] = (numpy.count_nonzero(there <= tolerance) + numpy.count_nonzero(back <= tolerance)) / voxels
    return found


def evaluate_one(predicted_file, reference_file):
    predicted_image, reference_image = nibabel.load(predicted_file), nibabel.load(reference_file)
    if predicted_image.shape != reference_image.shape or not numpy.allclose(predicted_image.affine, reference_image.affine, atol=1e-3):
        raise SystemExit(f"{predicted_file}: on another grid than {reference_file}")
    predicted, reference = (numpy.asanyarray(image.dataobj) for image in (predicted_image, reference_image))
    spacing = [float(s) for s in reference_image.header.get_zooms()]
    # one call finds the boxes of all classes
    boxes = [ndimage.find_objects(data) for data in (predicted, reference)]
    found = []
    for code in range(1, max(len(b) for b in boxes) + 1):
        own = [b[code - 1] for b in boxes if len(b) >= code and b[code - 1] is not None]
        if not own:
            continue
        box = tuple(
            slice(max(0, min(s[axis].start for s in own) - 1), max(s[axis].stop for s in own) + 1) for axis in range(3)
        )
        found.append(scores(predicted, reference, code, box, spacing))
    return found


def evaluate(predictions, references):
    pairs = zip(files_of(predictions), files_of(references))
    cases = [{"case": os.path.basename(r), "labels": evaluate_one(p, r)} for p, r in pairs]
    return {"cases": cases, "summary": summary_of(cases)}


MEASURES = ("dice", "jaccard", "hd95Mm", "surfaceDistanceMm", "surfaceDice", "volumeError")


def summary_of(cases, resamples=10000):
    """Means over the cases with their 95 % intervals by the bootstrap, as many resamples as gvsl evaluate takes."""
    draws = {}
    found = []
    for code in sorted({label["label"] for case in cases for label in case["labels"]}):
        row = {"label": code}
        for measure in MEASURES:
            values = [label[measure] for case in cases for label in case["labels"] if label["label"] == code]
            values = numpy.array([value for value in values if value is not None])
            if values.size == 0:
                row[measure] = None
                continue
            # drawn once for all measures of as many cases
            if values.size not in draws:
                draws[values.size] = numpy.random.default_rng(1).integers(0, values.size, (resamples, values.size))
            means = values[draws[values.size]].mean(axis=1)
            row[measure] = [float(values.mean()), *(float(edge) for edge in numpy.percentile(means, [2.5, 97.5]))]
        found.append(row)
    return found


def main(task, *paths):
    if task == "versions":
        version = ".".join(str(n) for n in sys.version_info[:3])
        print(f"Python {version}, NumPy {numpy.__version__}, SciPy {scipy.__version__}, nibabel {nibabel.__version__}")
    elif task != "start":
        json.dump({"headers": headers, "inspect": inspect, "evaluate": evaluate}[task](*paths), sys.stdout)


main(*sys.argv[1:])
