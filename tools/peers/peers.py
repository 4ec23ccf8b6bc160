"""Times clustering and matching against the libraries anyone would use instead: same rows, same threads, alternating.

    python tools/peers/peers.py target/release/examples/peers [--large] [--rounds 3] [--sklearn-rounds 1]

Prints Markdown tables. All inertias are computed here, from the centres each side returns, in double precision.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = 2
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = str(THREADS)

import faiss
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import MiniBatchKMeans
from superkmeans import SuperKMeans

D = 768


def rows(n, seed=5):
    """Rows as CLIP's are: off the origin, a falling spectrum, 1,000 uneven topics of 40 themes that overlap."""
    rng = np.random.default_rng(seed)
    topics, themes = 1000, 40
    spectrum = (1 + np.arange(D)) ** -0.4
    spectrum *= np.sqrt(D / (spectrum**2).sum())
    theme = rng.normal(0, 1, (themes, D)) * spectrum
    topic = 0.55 * theme[rng.integers(0, themes, topics)] + 0.45 * rng.normal(0, 1, (topics, D)) * spectrum
    share = rng.dirichlet(np.full(topics, 1.5))
    turn = np.linalg.qr(rng.normal(0, 1, (D, D)))[0].astype(np.float32)
    mean = rng.normal(0, 1, D).astype(np.float32)
    out = np.empty((n, D), np.float32)
    for a in range(0, n, 8192):
        part = out[a : a + 8192]
        noise = 0.75 * rng.standard_normal(part.shape, np.float32) * spectrum
        part[:] = ((topic[rng.choice(topics, len(part), p=share)] + noise).astype(np.float32) @ turn + mean) * 0.35
    return out


def inertia(x, centres):
    mean = x.mean(0, dtype=np.float64)
    c, total = centres - mean, 0.0
    for a in range(0, len(x), 8192):
        part = x[a : a + 8192] - mean
        gap = (part**2).sum(1)[:, None] - 2 * part @ c.T + (c**2).sum(1)
        total += gap.min(1).sum()
    return total


def ours(binary, *args):
    out = subprocess.run([binary, *map(str, args)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def measured(work):
    """Wall and CPU seconds, and what the work made."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    made = work()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, made


def sklearn_kmeans(x, m, seed):
    return MiniBatchKMeans(m, batch_size=10000, n_init=20, random_state=seed).fit(x).cluster_centers_


def faiss_kmeans(x, m, seed):
    fit = faiss.Kmeans(D, m, niter=25, seed=seed, max_points_per_centroid=len(x))
    fit.train(x)
    return fit.centroids


def superkmeans(x, m, seed):
    fit = SuperKMeans(m, D, hierarchical=False, iters=25, sampling_fraction=1.0, n_threads=THREADS, seed=seed)
    return np.asarray(fit.train(x))


def kmeans(binary, n, m, args, work):
    file, centres = work / f"rows{n}.npy", work / "centres.npy"
    if not file.exists():
        np.save(file, rows(n))
    x = np.load(file)
    sides = {
        "protostill": lambda seed: ours(binary, "kmeans", file, m, 3, 5, centres, seed, 300),
        "protostill, n_init 1, breath 0": lambda seed: ours(binary, "kmeans", file, m, 1, 0, centres, seed, 300),
        "protostill, the same, 5 rounds": lambda seed: ours(binary, "kmeans", file, m, 1, 0, centres, seed, 5),
        "superkmeans 0.2, 25 rounds, all rows": superkmeans,
        "faiss-cpu 1.15, 25 rounds": faiss_kmeans,
        "scikit-learn 1.9 MiniBatchKMeans": sklearn_kmeans,
    }
    found = {name: [] for name in sides}
    for turn in range(args.rounds):
        for name, side in sides.items():
            if name.startswith("protostill"):
                told = side(42 + turn)
                found[name].append((told["wall"], told["cpu"], inertia(x, np.load(centres)), 1 + (told["peak"] - told["before"]) / x.nbytes))
            elif not name.startswith("scikit") or turn < args.sklearn_rounds:
                wall, cpu, made = measured(lambda: side(x, m, 42 + turn))
                found[name].append((wall, cpu, inertia(x, made), None))
            print(f"{n} {m} {name}: {found[name][-1:]}", file=sys.stderr, flush=True)
    base = [np.median([f[k] for f in found["protostill"]]) for k in range(3)]
    print(f"\n### k-means, {n:,} x {D}, M = {m}\n")
    print("| | wall s | CPU s | inertia / ours | time / ours | peak memory / data |\n|---|---|---|---|---|---|")
    for name, runs in found.items():
        if runs:
            wall, cpu, value = (np.median([f[k] for f in runs]) for k in range(3))
            peak = "" if runs[0][3] is None else f"{max(f[3] for f in runs):.2f}"
            print(f"| {name} | {wall:.2f} | {cpu:.2f} | {value / base[2]:.4f} | {wall / base[0]:.2f} | {peak} |")
    for to in (m * 4 // 5, m * 6 // 5):
        runs = [ours(binary, "warm", file, m, to, 1, centres, 42 + turn) for turn in range(args.rounds)]
        print(f"| from there to M = {to} | {np.median([r['wall'] for r in runs]):.3f} | {np.median([r['cpu'] for r in runs]):.2f} | | | |")
    sys.stdout.flush()


def matching(binary, args, work):
    """The table of two related clusterings of 29,000 rows, as the method makes it; and a dense one."""
    rng, m = np.random.default_rng(7), 1000
    a = rng.integers(0, m, 29000)
    b = np.where(rng.random(29000) < 0.4, a, rng.integers(0, m, 29000))
    counts = np.zeros((m, m), np.int64)
    np.add.at(counts, (a, b), 1)
    print(f"\n### matching, M = {m:,}\n\n| table | protostill ms | scipy ms | scipy / ours |\n|---|---|---|---|")
    for name, table in {"shared rows": counts, "uniform 0 to 10^6": rng.integers(0, 10**6, (m, m))}.items():
        file, times = work / "table.npy", ([], [])
        np.save(file, table)
        for _ in range(2 * args.rounds + 1):
            told = ours(binary, "match", file)
            wall, _, (i, j) = measured(lambda: linear_sum_assignment(table, maximize=True))
            assert told["value"] == table[i, j].sum(), "gains differ"
            times[0].append(told["wall"])
            times[1].append(wall)
        us, them = (1000 * np.median(t) for t in times)
        print(f"| {name} | {us:.1f} | {them:.1f} | {them / us:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", help="target/release/examples/peers")
    parser.add_argument("--large", action="store_true", help="145,000 rows too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sklearn-rounds", type=int, default=1, help="scikit-learn's call takes minutes")
    parser.add_argument("--clusters", type=int, nargs="*", default=[100, 500])
    args = parser.parse_args()
    faiss.omp_set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        matching(args.binary, args, Path(folder))
        for n in (29000, 145000) if args.large else (29000,):
            for m in args.clusters:
                kmeans(args.binary, n, m, args, Path(folder))


if __name__ == "__main__":
    main()
