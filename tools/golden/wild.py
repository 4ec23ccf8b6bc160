"""Golden numbers for pairs in the wild: trust by a permutation null, choice by need, solved targets, soft correspondences.

    python tools/golden/wild.py tests/golden

numpy alone, float64, straight from the formulas. Shapes: U [n, d] unit image rows; T [N, dt] text rows, raw; io [N] the image of
each caption; w [N] weights in [0, 1]. What chance decides (the halves, the re-pairings) is drawn here and given to the program.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

DRAWS, BINS = 5, 60


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def ridge(A, B, w, lam):
    """Weighted, centred ridge A -> B; lam relative to the mean eigenvalue. -> map [da, db], mean of A, mean of B"""
    mA, mB = np.average(A, 0, w), np.average(B, 0, w)
    a = A - mA
    C = (a * w[:, None]).T @ a / w.sum()
    D = (a * w[:, None]).T @ (B - mB) / w.sum()
    return np.linalg.solve(C + lam * np.trace(C) / len(C) * np.eye(len(C)), D), mA, mB


def judge(U, T, io, w, half, order, partners, both):
    """Raw cosine and agreement of the pairs of one half, by maps fitted on the other (the one from images to texts, or both),
    and of their re-pairings."""
    inside = np.zeros(len(U), bool)
    inside[order[half]] = True
    taught = np.where(inside[io], 0, w)
    W, _, _ = ridge(T, U[io], taught, 0.1)
    M, mU, mT = ridge(U[io], T, taught, 0.1)
    seen, expected = unit(U - mU), unit((U - mU) @ M)

    def pair(rows, images):
        asked, own = unit((T[rows] - mT) @ W), unit(T[rows] - mT)
        agreement = both * (asked * seen[images]).sum(1) + (own * expected[images]).sum(1)
        return np.stack([(U[images] * T[rows]).sum(1), agreement], 1)

    rows = np.flatnonzero(inside[io])
    again, other = np.repeat(rows, DRAWS), partners[rows].ravel()
    true = other != io[again]
    return rows, pair(rows, io[rows]), pair(again[true], other[true])


def scores(U, T, io, w, order, partners, both):
    """Scores of the pairs [N], and of the re-pairings, in units of the latter."""
    out, null, n = np.zeros(len(io)), [], len(order)
    for half in (slice(0, n // 2), slice(n // 2, n)):
        rows, own, others = judge(U, T, io, w, half, order, partners, both)
        mean, deviation = others.mean(0), others.std(0)
        told = ((own - mean) / deviation).sum(0)
        used = np.array([told[0] > 0.25 * told[1], True])  # a cosine that tells nothing is left out
        raw = lambda x: ((x - mean) / deviation)[:, used].sum(1)
        base, scale = raw(others).mean(), raw(others).std()
        out[rows] = (raw(own) - base) / scale
        null.append((raw(others) - base) / scale)
    return out, np.concatenate(null)


def share_of(s, null):
    """Read at the highest quantile of the null at which it is not above what is read at the lower ones."""
    high, best, n = np.inf, 0.0, len(s)
    for q in np.arange(2, 20) / 20:
        below = (s <= np.quantile(null, q)).mean()
        read, error = below / q, np.sqrt((below + 1 / n) * (1 - below) / n) / q
        if read - 1.5 * error > high:
            break
        high, best = min(high, read + 1.5 * error), read
    return float(np.clip(best, 0, 1))


def weights_of(s, null, share):
    """1 - local false discovery rate, smoothed, never falling with the score."""
    low = min(np.quantile(x, 0.001) for x in (s, null)) - 1e-6
    high = max(np.quantile(x, 0.999) for x in (s, null)) + 1e-6
    step = (high - low) / BINS
    count = lambda x: np.bincount(np.clip((x - low) / step, 0, BINS - 1).astype(int), minlength=BINS) / len(x)
    smooth = lambda h: np.convolve(np.pad(h, 2, mode="edge"), np.array([1, 2, 3, 2, 1]) / 9, "valid")
    f, f0 = smooth(count(s)), smooth(count(null))
    rate = np.clip(share * f0 / np.maximum(f, 1e-9), 0, 1)
    rate = np.maximum.accumulate(rate[::-1])[::-1]
    return 1 - np.interp((s - low) / step - 0.5, np.arange(BINS), rate)


def upper_of(s, null, share, images):
    """The 95 % bound of the share: Dvoretzky, Kiefer and Wolfowitz on both distributions."""
    off, best = np.sqrt(np.log(1 / 0.025) / (2 * images)), 1.0
    for k in range(1, 201):
        at = np.quantile(null, k / 200)
        left = (null <= at).mean() - off
        best = min(best, ((s <= at).mean() + off) / left) if left > 0 else best
    return max(best, share)


def by_need(U, T, io, w, M, lam=0.3):
    """Greedy A-optimal choice: the images that best explain what the trusted captions ask for. -> image indices [M]"""
    B, mT, _ = ridge(T, U[io], w, 0.1)
    F = U - U.mean(0)
    scale = np.sqrt((F**2).sum(1).mean())
    F, need = F / scale, (T - mT) @ B / scale
    need = need - np.average(need, 0, w)
    C = (need * w[:, None]).T @ need / w.sum()
    trusted = np.zeros(len(U))
    np.maximum.at(trusted, io, w)
    free, A, chosen = trusted >= 0.5, np.eye(F.shape[1]), []
    for _ in range(M):
        FA = F @ A
        gain = np.einsum("nd,nd->n", FA @ C, FA) / (lam + np.einsum("nd,nd->n", FA, F))
        gain[~free] = -1
        j = int(gain.argmax())
        chosen.append(j)
        free[j] = False
        v = A @ F[j]
        A -= np.outer(v, v) / (lam + F[j] @ v)
    return np.array(chosen)


def coreset(U, T, io, w, M, lam=0.1, nu=1.0, rounds=2):
    """Trusted pairs, each of another image, from which a ridge student learns most: B = S' (S S' + nu)^-1 Y comes nearest to the
    map W of all pairs, by the squared error of its answers to all captions. -> rows [M]"""
    W, mT, mU = ridge(T, U[io], w, lam)
    S = T - mT
    C = (S * w[:, None]).T @ S / w.sum()
    scale = np.sqrt(np.trace(C))
    S, C, W = S / scale, C / scale**2, W * scale
    rows, Y = np.flatnonzero(w >= 0.5), U - mU

    def best(others):
        """By the Woodbury identity, for all candidates at once."""
        s, y = S[others], Y[io[others]]
        K = np.linalg.inv(s @ s.T + nu * np.eye(len(s)))
        B, Q = s.T @ K @ y, np.eye(len(C)) - s.T @ K @ s
        G = S[rows] @ Q
        G /= (nu + (G * S[rows]).sum(1))[:, None]
        error, D = Y[io[rows]] - S[rows] @ B, C @ (B - W)
        loss = 2 * ((G @ D) * error).sum(1) + ((G @ C) * G).sum(1) * (error**2).sum(1)
        loss[np.isin(io[rows], io[others])] = np.inf
        return rows[loss.argmin()]

    chosen = []
    for _ in range(M):
        chosen.append(best(np.array(chosen, int)))
    for _ in range(rounds):
        for slot in range(M):
            chosen[slot] = best(np.array(chosen[:slot] + chosen[slot + 1 :]))
    return np.array(chosen)


def solved_targets(S, U, T, io, w, lam=1.0, mu=1.0):
    """Text targets for pictures whose CLIP rows are S [M, d]. -> [M, dt]"""
    W, mT, mX = ridge(T, U[io], w, lam)
    Y = unit(S) - mX
    Y = Y - Y.mean(0)
    K = Y @ Y.T
    R = np.linalg.solve(K + mu * np.trace(K) / len(K) * np.eye(len(K)), Y @ W.T)
    return mT + R * np.sqrt(np.average(((T - mT) ** 2).sum(1), weights=w) / (R**2).sum(1).mean())


def soft_correspondence(targets, T, w, eps=0.3, tau=0.3):
    """[M, M], symmetric."""
    b = unit(targets - np.average(T, 0, w))
    A = np.exp((b @ b.T - 1) / tau)
    np.fill_diagonal(A, 0)
    A /= A.sum(1, keepdims=True)
    S = np.eye(len(A)) * (1 - eps) + eps * A
    return (S + S.T) / 2


def main(out):
    rng = np.random.default_rng(5)
    n, per, d, k, rho = 400, 3, 24, 12, 0.3
    hidden = rng.normal(size=(n, k))
    mix = rng.normal(size=(k, d))
    image = (hidden @ mix + 0.5 * rng.normal(size=(n, d)) + 1.5).astype(np.float32)
    io = np.repeat(np.arange(n), per)
    text = (hidden[io] @ (mix + 0.3 * rng.normal(size=(k, d))) + 0.5 * rng.normal(size=(n * per, d)) - 0.8).astype(np.float32)
    moved = rng.choice(n * per, int(rho * n * per), replace=False)
    io[moved] = io[rng.permutation(moved)]
    order = rng.permutation(n)
    place = np.empty(n, int)
    place[order] = np.arange(n)
    first = place[io] < n // 2
    mates = [np.flatnonzero(~first), np.flatnonzero(first)]
    partners = np.stack([io[rng.choice(mates[int(f)], DRAWS)] for f in first])

    U, T = unit(image.astype(np.float64)), text.astype(np.float64)
    w = np.ones(len(io))
    for last in (False, True):
        s, null = scores(U, unit(T), io, w, order, partners, last)
        share = share_of(s, null)
        w = weights_of(s, null, share)
    kept = s[w >= 0.5].min()
    numbers = [share, upper_of(s, null, share, n), len(s) * share * (null >= kept).mean()]
    print("share, upper, expected:", numbers, "truly mismatched:", (io != np.repeat(np.arange(n), per)).mean())
    chosen = by_need(U, unit(T), io, w, 30)
    targets = solved_targets(image[chosen].astype(np.float64), U, T, io, w)
    save_file(
        {
            "image": image, "text": text, "image_of": io.astype(np.int32),
            "order": order.astype(np.int32), "partners": partners.ravel().astype(np.int32),
            "scores": s.astype(np.float32), "weights": w.astype(np.float32), "numbers": np.array(numbers, np.float32),
            "chosen": chosen.astype(np.int32), "coreset": coreset(U, T, io, w, 30).astype(np.int32),
            "targets": targets.astype(np.float32),
            "correspondence": soft_correspondence(targets, T, w).astype(np.float32),
        },
        Path(out) / "wild.safetensors",
    )


if __name__ == "__main__":
    main(sys.argv[1])
