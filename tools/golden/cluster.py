"""Golden numbers for pruning, clustering, matching, prototypes and captions, by scikit-learn and scipy.

    python tools/golden/cluster.py tests/golden

Two correlated sets X ("images") and Y ("captions") of 1,500 x 32 with overlapping, uneven clusters.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import scipy
import sklearn
from safetensors.numpy import save_file
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.mixture import GaussianMixture

N, D, K = 1500, 32, 20
out = Path(sys.argv[1])
warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)

shares = rng.dirichlet(np.full(30, 1.5))
hidden = rng.choice(30, N, p=shares)
centres = rng.normal(0, 1.0, (30, D))
mixed = centres @ (0.6 * np.eye(D) + 0.1 * rng.normal(0, 1, (D, D)))
shared = rng.normal(0, 0.5, (N, D))
X = (centres[hidden] + shared + rng.normal(0, 0.6, (N, D)) + 0.4).astype(np.float32)
# One caption in six belongs to another image.
mismatched = np.where(rng.random(N) < 1 / 6, rng.integers(0, N, N), np.arange(N))
Y = (mixed[hidden][mismatched] + shared[mismatched] + rng.normal(0, 0.6, (N, D)) - 0.2).astype(np.float32)

arrays, numbers = {"X": X, "Y": Y}, {}
numbers["made_by"] = {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "numpy": np.__version__}


def unit(a):
    return a / np.linalg.norm(a, axis=-1, keepdims=True)


sim = (unit(X.astype(np.float64)) * unit(Y.astype(np.float64))).sum(1)
order = np.argsort(sim, kind="stable")
kept = np.sort(order[int(0.2 * N):])
arrays["self_sim"] = sim.astype(np.float32)
arrays["kept"] = kept.astype(np.int64)

labels = {}
for name, Z in {"X": X, "Y": Y}.items():
    for k in (K, 50, 200):
        mini = MiniBatchKMeans(k, batch_size=10000, n_init=20, random_state=42).fit(Z)
        lloyd = KMeans(k, n_init=20, random_state=42).fit(Z)
        numbers[f"minibatch_{name}_k{k}"] = float(mini.inertia_)
        numbers[f"lloyd_{name}_k{k}"] = float(lloyd.inertia_)
    start = Z[:K]
    given = KMeans(K, init=start, n_init=1, algorithm="lloyd").fit(Z)
    numbers[f"given_{name}"] = {"inertia": float(given.inertia_), "rounds": int(given.n_iter_)}
    arrays[f"given_{name}_labels"] = given.labels_.astype(np.int64)
    weights = 1 + np.arange(N) % 4
    weighted = KMeans(K, init=start, n_init=1, algorithm="lloyd").fit(Z, sample_weight=weights)
    numbers[f"weighted_{name}"] = {"inertia": float(weighted.inertia_), "rounds": int(weighted.n_iter_)}
    arrays[f"weighted_{name}_labels"] = weighted.labels_.astype(np.int64)
    # Clusters of the kept rows, for what follows.
    part = KMeans(K, init=Z[kept][:K], n_init=1, algorithm="lloyd").fit(Z[kept])
    labels[name] = part.labels_
    arrays[f"kept_{name}_labels"] = part.labels_.astype(np.int64)

table = np.zeros((K, K), np.int64)
np.add.at(table, (labels["X"], labels["Y"]), 1)
rows, columns = linear_sum_assignment(-table)
arrays["table"] = table
arrays["columns"] = columns.astype(np.int64)
numbers["gain"] = int(table[rows, columns].sum())

images, texts, support = [], [], []
for i, j in zip(rows, columns):
    both = (labels["X"] == i) & (labels["Y"] == j)
    support.append(int(both.sum()))
    images.append(X[kept][both].astype(np.float64).mean(0) if both.any() else np.full(D, 0.0))
    texts.append(Y[kept][both].astype(np.float64).mean(0) if both.any() else np.full(D, 0.0))
arrays["prototype_image"] = np.array(images, np.float32)
arrays["prototype_text"] = np.array(texts, np.float32)
arrays["support"] = np.array(support, np.int64)
safe = np.where(np.linalg.norm(texts, axis=1, keepdims=True) > 0, texts, 1.0)
ranking = np.argsort(-(unit(safe) @ unit(Y.astype(np.float64)).T), axis=1, kind="stable")
arrays["captions"] = ranking[:, :5].astype(np.int64)

gain = rng.integers(0, 9, (60, 60))
r, c = linear_sum_assignment(gain, maximize=True)
arrays["ties"] = gain.astype(np.int64)
numbers["ties_gain"] = int(gain[r, c].sum())

spectrum = np.linalg.eigvalsh(np.cov(X.T.astype(np.float64), bias=True))
share = spectrum / spectrum.sum()
numbers["effective_rank_X"] = float(np.exp(-(share * np.log(share)).sum()))
numbers["modality_gap"] = float(np.linalg.norm(unit(X).mean(0) - unit(Y).mean(0)))
numbers["norms_X"] = np.quantile(np.linalg.norm(X, axis=1), [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist()
loss = 1 - sim
loss = ((loss - loss.min()) / (loss.max() - loss.min()))[:, None]
mixture = GaussianMixture(2, max_iter=500, tol=1e-5, reg_covar=1e-3, random_state=0).fit(loss)
clean = mixture.predict_proba(loss)[:, mixture.means_.argmin()]
arrays["clean"] = clean.astype(np.float32)
near = unit(X.astype(np.float64))
numbers["pairs_above_0.9"] = int((np.triu(near @ near.T, 1) > 0.9).sum())

save_file({k: np.ascontiguousarray(v.astype(np.int32) if v.dtype == np.int64 else v) for k, v in arrays.items()}, out / "cluster.safetensors")
(out / "cluster.json").write_text(json.dumps(numbers, indent=1) + "\n")
