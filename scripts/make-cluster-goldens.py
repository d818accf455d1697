#!/usr/bin/env python3
"""Clusters, components, probes and rank tests computed by NumPy, SciPy and scikit-learn, for the tests of src/metrics/clustering, src/metrics/probe and
src/metrics/ranks.ts: writes src/metrics/testing/cluster-goldens.json.

Needs numpy, scipy (1.7 or later) and scikit-learn. What no library has (empty clusters that split the largest, the settling of ties, the collapse
measure) is computed here from its definition.

    python3 scripts/make-cluster-goldens.py && npx biome check --write src/metrics/testing
"""
import json
import os
import warnings

import numpy as np
import scipy
import sklearn
from scipy import optimize, special, stats
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler, normalize

random = np.random.default_rng(1)
out = {"components": [], "kMeans": [], "nearestNeighbour": [], "linearProbe": [], "collapse": [], "ranks": []}


def blobs(n, d, k, spread):
    """n points of d dimensions around k centres, rounded to three digits, and the blob of each."""
    centres = random.normal(size=(k, d))
    which = random.integers(0, k, n)
    return np.round(centres[which] + spread * random.normal(size=(n, d)), 3), which


# --- principal components, whitened, brought to unit length: more points than dimensions, fewer, and points of lower rank
for n, d, count, rank in ((24, 6, 6, 6), (24, 5, 3, 5), (9, 20, 4, 20), (8, 12, 7, 3)):
    points = random.normal(size=(n, rank)) @ random.normal(size=(rank, d)) + 2
    if rank == d:
        points = np.round(points, 3)
    kept = min(count, np.linalg.matrix_rank(points - points.mean(0)))
    pca = PCA(n_components=kept, whiten=True, svd_solver="full").fit(points)
    whitened = pca.transform(points)
    # the sign that is settled: each direction's greatest entry is positive
    sign = np.sign([row[np.argmax(np.abs(row))] for row in pca.components_])
    out["components"].append(
        {
            "points": points,
            "count": count,
            "variances": pca.explained_variance_,
            "explained": pca.explained_variance_ratio_,
            "directions": pca.components_ * sign[:, None],
            "whitened": whitened * sign,
            "normalised": normalize(whitened * sign),
        }
    )


# --- k-means
def lloyd(points, centres, iterations):
    """k-means by its definition: ties to the lower number, an empty cluster splits the largest."""
    assignment = np.full(len(points), -1)
    for done in range(1, iterations + 1):
        distance = ((points[:, None] - centres[None]) ** 2).sum(2)
        new = distance.argmin(1)
        for empty in range(len(centres)):
            sizes = np.bincount(new, minlength=len(centres))
            if sizes[empty]:
                continue
            members = np.flatnonzero(new == sizes.argmax())
            from_mean = ((points[members] - points[members].mean(0)) ** 2).sum(1)
            furthest = members[from_mean.argmax()]
            nearer = ((points[members] - points[furthest]) ** 2).sum(1) < from_mean
            new[members[nearer]] = empty
            new[furthest] = empty
        if (new == assignment).all():
            return assignment, centres, done, True
        assignment = new
        centres = np.array([points[assignment == c].mean(0) for c in range(len(centres))])
    return assignment, centres, iterations, False


for n, d, k, spread, iterations, far in ((60, 3, 4, 0.5, 20, False), (60, 2, 5, 2.0, 2, False), (40, 2, 6, 1.0, 20, True)):
    points, _ = blobs(n, d, k, spread)
    start = points[random.choice(n, k, replace=False)].copy()
    if far:
        # two centres that no point is near to
        start[1], start[4] = 50, 60
    assignment, centres, done, converged = lloyd(points, start, iterations)
    inertia = ((points - centres[assignment]) ** 2).sum()
    if converged and not far:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sk = KMeans(k, init=start, n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(points)
        assert (sk.labels_ == assignment).all() and abs(sk.inertia_ - inertia) < 1e-9 and np.allclose(sk.cluster_centers_, centres)
    out["kMeans"].append(
        {
            "points": points,
            "start": start,
            "iterations": iterations,
            "assignment": assignment,
            "centres": centres,
            "inertia": inertia,
            "done": done,
            "converged": converged,
        }
    )


# --- nearest neighbours
def vote(cosines, classes, k):
    order = sorted(range(len(cosines)), key=lambda i: (-cosines[i], i))[:k]
    return max(set(classes[order]), key=lambda c: ((classes[order] == c).sum(), cosines[order][classes[order] == c].sum(), -c))


for n, m, d, k, neighbours in ((30, 20, 4, 3, 5), (25, 0, 5, 2, 4), (12, 6, 3, 4, 20)):
    points, classes = blobs(n + m, d, k, 0.9)
    reference, queries = points[:n], points[n:]
    unit = normalize(points)
    if m:
        cosines = unit[n:] @ unit[:n].T
        predicted = [vote(row, classes[:n], neighbours) for row in cosines]
        # scikit-learn's neighbours are the same ones
        count = min(neighbours, n)
        found = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute").fit(reference).kneighbors(queries, return_distance=False)
        assert all(set(f) == set(np.argsort(-row, kind="stable")[:count]) for f, row in zip(found, cosines))
        truth = classes[n:]
    else:
        cosines = unit @ unit.T
        predicted = [vote(np.delete(row, i), np.delete(classes, i), neighbours) for i, row in enumerate(cosines)]
        truth = classes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out["nearestNeighbour"].append(
            {
                "reference": {"points": reference, "classes": classes[:n]},
                "queries": {"points": queries, "classes": classes[n:]} if m else None,
                "neighbours": neighbours,
                "predicted": predicted,
                "accuracy": accuracy_score(truth, predicted),
                "balancedAccuracy": balanced_accuracy_score(truth, predicted),
            }
        )

# --- linear probe: the objective minimised by SciPy, and scikit-learn's logistic regression where it has the same one
for n, m, d, k, l2, standardise in ((40, 20, 4, 3, 1.0, True), (30, 30, 5, 2, 0.1, True), (12, 12, 20, 3, 1.0, True), (30, 15, 3, 3, 2.0, False)):
    points, classes = blobs(n + m, d, k, 1.2)
    points = np.round(points * random.uniform(0.1, 10, d) + 5, 3)
    classes[:k] = np.arange(k)
    scaler = StandardScaler(with_mean=standardise, with_std=standardise).fit(points[:n])
    x, y = scaler.transform(points[:n]), classes[:n]
    target = np.eye(k)[y]

    def objective(flat):
        w, b = flat[: k * d].reshape(k, d), flat[k * d :]
        logits = x @ w.T + b
        error = special.softmax(logits, axis=1) - target
        value = (special.logsumexp(logits, axis=1) - (logits * target).sum(1)).sum() + l2 / 2 * (w**2).sum()
        return value, np.concatenate([(error.T @ x + l2 * w).ravel(), error.sum(0)])

    best = optimize.minimize(objective, np.zeros(k * d + k), jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 10000})
    w, b = best.x[: k * d].reshape(k, d), best.x[k * d :]
    probabilities = special.softmax(scaler.transform(points[n:]) @ w.T + b, axis=1)
    if k > 2:
        sk = LogisticRegression(C=1 / l2, multi_class="multinomial", solver="newton-cg", tol=1e-8, max_iter=10000).fit(x, y)
        assert np.abs(sk.predict_proba(scaler.transform(points[n:])) - probabilities).max() < 1e-6
    truth, predicted = classes[n:], probabilities.argmax(1)
    assert len(set(truth)) == k
    auc = roc_auc_score(truth, probabilities[:, 1]) if k == 2 else roc_auc_score(truth, probabilities, multi_class="ovr")
    out["linearProbe"].append(
        {
            "training": {"points": points[:n], "classes": y},
            "heldOut": {"points": points[n:], "classes": truth},
            "l2": l2,
            "standardise": standardise,
            "loss": best.fun,
            "weights": w,
            "probabilities": probabilities,
            "accuracy": accuracy_score(truth, predicted),
            "balancedAccuracy": balanced_accuracy_score(truth, predicted),
            "auc": auc,
        }
    )

# --- collapse: what SimSiam's authors plot
for n, d, common in ((8, 16, 0.0), (4, 10, 3.0)):
    z = np.round(random.normal(size=(n, d)) + common, 3)
    out["collapse"].append({"z": z, "measure": normalize(z).std(0, ddof=1).mean() * np.sqrt(d)})

# --- ranks: Friedman's test, Nemenyi's critical difference
for tasks, methods, digits in ((6, 5, 6), (14, 4, 1), (4, 14, 3), (5, 3, 6)):
    scores = np.round(random.random((tasks, methods)) + 0.1 * np.arange(methods), digits)
    test = stats.friedmanchisquare(*scores.T)
    out["ranks"].append(
        {
            "scores": scores,
            "ranks": stats.rankdata(-scores, axis=1).mean(0),
            "statistic": test.statistic,
            "p": test.pvalue,
            "criticalDifference": stats.studentized_range.isf(0.05, methods, np.inf) / np.sqrt(2) * np.sqrt(methods * (methods + 1) / (6 * tasks)),
        }
    )


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


path = os.path.join(os.path.dirname(__file__), "..", "src", "metrics", "testing", "cluster-goldens.json")
with open(path, "w") as file:
    # one case a line: matrices would be a number a line otherwise
    cases = {name: ",\n".join("  " + json.dumps(plain(case)) for case in list_) for name, list_ in out.items()}
    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
    file.write(f'{{\n "madeWith": {json.dumps(versions)},\n' + ",\n".join(f' "{name}": [\n{text}\n ]' for name, text in cases.items()) + "\n}\n")
print({name: len(list_) for name, list_ in out.items()})
