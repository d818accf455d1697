#!/usr/bin/env python3
"""Scores computed by SciPy, scikit-learn and statsmodels, for the tests of src/metrics: writes src/metrics/testing/goldens.json.

Needs numpy, scipy (1.9 or later), scikit-learn and statsmodels. DeLong's test is computed here from its definition (the kernel of every pair, and
covariance matrices), and its AUC compared with scikit-learn's; no library of Debian has it. Masks are made by a rule that the tests repeat: voxel (z, y, x) belongs to an ellipsoid if
sum(((p - centre) / radius)^2) <= 1, with a hole where (7 z + 5 y + 3 x) mod 11 = 0 near the border.

    python3 scripts/make-score-goldens.py
"""
import json
import os

import numpy as np
from scipy import ndimage, stats
from sklearn import metrics
from statsmodels.stats.multitest import multipletests

SIZE = (17, 22, 19)
SPACINGS = [(1.0, 1.0, 1.0), (2.5, 0.7, 1.1)]
# predicted and reference: centre, radius
CASES = [
    (((8, 11, 9), (5, 7, 6)), ((8, 11, 9), (5, 7, 6))),
    (((8, 11, 9), (5, 7, 6)), ((9, 10, 8), (4, 8, 6))),
    (((2, 3, 3), (3, 4, 4)), ((13, 17, 15), (3, 4, 3))),
    (((8, 11, 9), (9, 12, 10)), ((8, 11, 9), (2, 2, 2))),
    (((8, 11, 9), (0.4, 0.4, 0.4)), ((8, 12, 9), (3, 3, 3))),
]


def mask(centre, radius):
    z, y, x = np.ogrid[: SIZE[0], : SIZE[1], : SIZE[2]]
    r = ((z - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 + ((x - centre[2]) / radius[2]) ** 2
    hole = ((7 * z + 5 * y + 3 * x) % 11 == 0) & (r > 0.6)
    return (r <= 1) & ~hole


def surface(m):
    # voxels of the mask with one of six neighbours outside it; the volume's border counts as outside
    return m & ~ndimage.binary_erosion(m, ndimage.generate_binary_structure(3, 1), border_value=0)


def segmentation(p, r, spacing, tolerance):
    sp, sr = surface(p), surface(r)
    there = ndimage.distance_transform_edt(~sr, sampling=spacing)[sp]
    back = ndimage.distance_transform_edt(~sp, sampling=spacing)[sr]
    both, total = (p & r).sum(), p.sum() + r.sum()
    return {
        "dice": 2 * both / total,
        "jaccard": both / (total - both),
        "hd95Mm": max(np.percentile(there, 95), np.percentile(back, 95)),
        "surfaceDistanceMm": np.concatenate([there, back]).mean(),
        "surfaceDice": ((there <= tolerance).sum() + (back <= tolerance).sum()) / (len(there) + len(back)),
        "volumeError": (p.sum() - r.sum()) / r.sum(),
        "predictedMl": p.sum() * np.prod(spacing) / 1000,
        "referenceMl": r.sum() * np.prod(spacing) / 1000,
    }


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value


out = {"size": SIZE, "segmentation": [], "classification": [], "wilcoxon": []}
for spacing in SPACINGS:
    for predicted, reference in CASES:
        scores = segmentation(mask(*predicted), mask(*reference), spacing, 1.5)
        out["segmentation"].append(
            {"spacingMm": spacing, "toleranceMm": 1.5, "predicted": predicted, "reference": reference, "scores": scores}
        )

random = np.random.default_rng(1)
for n, digits in ((12, 6), (40, 1), (7, 1)):
    score = np.round(random.random(n), digits)
    positive = random.random(n) < 0.4
    positive[0], positive[1] = True, False
    called = score > 0.5
    out["classification"].append(
        {
            "scores": score.tolist(),
            "positive": positive.tolist(),
            "auc": metrics.roc_auc_score(positive, score),
            "averagePrecision": metrics.average_precision_score(positive, score),
            "sensitivity": metrics.recall_score(positive, called),
            "specificity": metrics.recall_score(~positive, ~called),
            "accuracy": metrics.accuracy_score(positive, called),
        }
    )
def signed_rank(a, b):
    """Wilcoxon's p, two-sided, zeros left out: of up to 50 differences exact, by SciPy, or with ties by all choices of signs; else normal."""
    d = (b - a)[b != a]
    n = len(d)
    if n > 50:
        return {"p": stats.wilcoxon(d, correction=False, mode="approx").pvalue, "exact": False}
    if len(np.unique(np.abs(d))) == n:
        return {"p": stats.wilcoxon(d, mode="exact").pvalue, "exact": True}
    ranks = stats.rankdata(np.abs(d))
    sums = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) @ ranks
    least = min(ranks[d > 0].sum(), ranks[d < 0].sum())
    return {"p": min(1, 2 * (sums <= least + 1e-9).mean()), "exact": True}


# steps of 1/8 are exact in binary, so equal differences are ties to the last bit
for n, steps in ((6, 2**20), (20, 2**20), (40, 2**20), (15, 8), (50, 2**20), (51, 2**20)):
    a, b = np.round(random.random(n) * steps) / steps, np.round((random.random(n) + 0.15) * steps) / steps
    out["wilcoxon"].append({"a": a.tolist(), "b": b.tolist(), **signed_rank(a, b)})
# every difference the same, one of them zero, ties among few and among many
for a, b in (
    ([0.0] * 5, [0.125] * 5),
    ([0.5] * 5, [0.5, 0.625, 0.75, 0.875, 1.0]),
    ([0.5] * 6, [0.625, 0.625, 0.75, 0.875, 0.375, 1.0]),
    ((np.arange(60) % 7) / 8, (np.arange(60) % 5) / 4),
):
    a, b = np.array(a), np.array(b)
    out["wilcoxon"].append({"a": a.tolist(), "b": b.tolist(), **signed_rank(a, b)})



def delong(positive, first, second):
    """AUCs of two scores, their covariance matrix, z and two-sided p: DeLong, DeLong and Clarke-Pearson (1988), equations 3 to 5."""
    areas, v10, v01 = [], [], []
    for score in (first, second):
        kernel = np.array([[1.0 if p > q else 0.5 if p == q else 0.0 for q in score[~positive]] for p in score[positive]])
        areas.append(kernel.mean())
        v10.append(kernel.mean(axis=1))
        v01.append(kernel.mean(axis=0))
        assert abs(areas[-1] - metrics.roc_auc_score(positive, score)) < 1e-12
    covariance = np.cov(v10) / positive.sum() + np.cov(v01) / (~positive).sum()
    contrast = np.array([-1, 1])
    variance = contrast @ covariance @ contrast
    z = (areas[1] - areas[0]) / np.sqrt(variance)
    return {
        "areas": areas,
        "variances": np.diag(covariance).tolist(),
        "difference": areas[1] - areas[0],
        "variance": variance,
        "p": 2 * stats.norm.sf(abs(z)),
    }


out["delong"] = []
for n, digits, shift in ((12, 6, 0.3), (40, 1, 0.1), (113, 2, 0.5), (150, 3, 0.02)):
    positive = random.random(n) < 0.4
    positive[:2], positive[2:4] = True, False
    latent = random.random(n) + 0.3 * positive
    first = np.round(latent + 0.5 * random.random(n), digits)
    second = np.round(latent + 0.5 * random.random(n) + shift * positive, digits)
    out["delong"].append(
        {"positive": positive.tolist(), "first": first.tolist(), "second": second.tolist(), **delong(positive, first, second)}
    )
out["holm"] = []
for n in (1, 4, 20):
    p = random.random(n) ** 4
    if n > 4:
        p[3] = p[7]
    out["holm"].append({"p": p.tolist(), "adjusted": multipletests(p, method="holm")[1].tolist()})

def clustered(positive, patient, first, second):
    """Variances of two AUCs and of their difference where patients have several cases: Obuchowski (Biometrics 53, 1997), equations 3 to 6."""
    patients = np.unique(patient)
    m = np.array([(positive & (patient == p)).sum() for p in patients])
    n = np.array([(~positive & (patient == p)).sum() for p in patients])
    sums = {}
    for name, score in (("first", first), ("second", second)):
        kernel = np.array([[1.0 if p > q else 0.5 if p == q else 0.0 for q in score[~positive]] for p in score[positive]])
        area, v10, v01 = kernel.mean(), kernel.mean(axis=1), kernel.mean(axis=0)
        x = np.array([v10[patient[positive] == p].sum() for p in patients]) - m * area
        y = np.array([v01[patient[~positive] == p].sum() for p in patients]) - n * area
        sums[name] = (area, x, y)

    def covariance(a, b):
        (_, xa, ya), (_, xb, yb) = sums[a], sums[b]
        i10, i01, i = (m > 0).sum(), (n > 0).sum(), len(patients)
        s10 = i10 / ((i10 - 1) * m.sum()) * (xa * xb).sum()
        s01 = i01 / ((i01 - 1) * n.sum()) * (ya * yb).sum()
        s11 = i / (i - 1) * ((xa * yb).sum() + (xb * ya).sum())
        return s10 / m.sum() + s01 / n.sum() + s11 / (m.sum() * n.sum())

    a, b, c = covariance("first", "first"), covariance("second", "second"), covariance("first", "second")
    variance = a + b - 2 * c
    difference = sums["second"][0] - sums["first"][0]
    return {"areas": [sums["first"][0], sums["second"][0]], "variances": [a, b], "difference": difference, "variance": variance,
            "p": 2 * stats.norm.sf(abs(difference) / np.sqrt(variance))}


out["clustered"] = []
for patients, most in ((12, 4), (40, 2), (25, 1)):
    patient = np.repeat(np.arange(patients), random.integers(1, most + 1, patients))
    # some patients fall ill between scans
    positive = random.random(len(patient)) < random.random(patients)[patient]
    own = random.random(patients)[patient]
    latent = random.random(len(patient)) + 0.4 * positive + own
    first = np.round(latent + 0.5 * random.random(len(patient)), 2)
    second = np.round(latent + 0.5 * random.random(len(patient)) + 0.2 * positive, 2)
    out["clustered"].append(
        {"positive": positive.tolist(), "patient": patient.tolist(), "first": first.tolist(), "second": second.tolist(),
         **clustered(positive, patient, first, second)}
    )

# scores of patients with several scans: the cluster bootstrap, with NumPy's own draws; ends agree up to the noise of resampling
out["patients"] = []
for patients, most in ((30, 4), (8, 3)):
    sizes = random.integers(1, most + 1, patients)
    values = [np.round(0.8 + 0.1 * random.standard_normal() + 0.02 * random.standard_normal(size), 4) for size in sizes]
    sums, draws = np.array([v.sum() for v in values]), random.integers(0, patients, (200000, patients))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    out["patients"].append(
        {"values": [v.tolist() for v in values], "mean": sums.sum() / sizes.sum(), "ends": np.percentile(means, [2.5, 97.5]).tolist(),
         "error": means.std()}
    )

path = os.path.join(os.path.dirname(__file__), "..", "src", "metrics", "testing", "goldens.json")
os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, "w") as file:
    json.dump(plain(out), file, indent=1)
    file.write("\n")
print(len(out["segmentation"]), "segmentations,", len(out["classification"]), "classifications,", len(out["wilcoxon"]), "tests")
