#!/usr/bin/env python
"""Score matrices and their recalls, counted by sorting every row as retrieval code commonly does.

Usage: recall.py OUT    (OUT = tests/golden)
  OUT/itm.safetensors: full/{scores [images, texts], image_of [texts]}, tied/…; OUT/itm.json: recalls in percent.
  `tied` has few distinct scores and images with one to nine captions.
"""
import json
import sys

import numpy as np
from safetensors.numpy import save_file


def ranks(scores, partners):
    """Best rank of a partner, per row; equal scores: the later column first (a stable argsort, reversed)."""
    best = []
    for row, own in zip(scores, partners):
        order = np.argsort(row, kind="stable")[::-1]
        best.append(min(int(np.where(order == i)[0][0]) for i in own))
    return np.array(best)


def recalls(scores, image_of):
    images, texts = scores.shape
    text = ranks(scores, [np.flatnonzero(image_of == i) for i in range(images)])
    image = ranks(scores.T, [[i] for i in image_of])
    at = lambda r: [100.0 * int((r < k).sum()) / len(r) for k in (1, 5, 10)]
    return {"ir": at(image), "tr": at(text)}


def main(out):
    rng = np.random.default_rng(7)
    latent = rng.standard_normal((60, 12))
    image_of = np.repeat(np.arange(60), 5)
    text = latent[image_of] + 1.2 * rng.standard_normal((300, 12))
    full = (latent @ text.T).astype(np.float32)
    uneven = np.concatenate([np.arange(60), rng.integers(0, 60, 180)])
    tied = np.round(latent @ (latent[uneven] + 0.8 * rng.standard_normal((240, 12))).T / 4).astype(np.float32)
    save_file({"full/scores": full, "full/image_of": image_of.astype(np.int64),
               "tied/scores": tied, "tied/image_of": uneven.astype(np.int64)}, f"{out}/itm.safetensors")
    with open(f"{out}/itm.json", "w") as f:
        json.dump({"full": recalls(full, image_of), "tied": recalls(tied, uneven)}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
