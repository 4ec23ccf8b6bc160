"""Fits a decoder that was trained on one CLIP to another: the first layers that see image embeddings and prompts take the
linear map, by least squares, from what the new one says to what the old one said. Training goes on from there.

usage: adapt_decoder.py WORLD OLD OUT     (OLD/clip, OLD/cache.pt, OLD/unet.pt; OUT/clip, OUT/vae.pt -> OUT/unet.pt)
"""
import numpy as np
import torch
from transformers import CLIPModel

from common import WIDTH, World, arguments, save
from train_decoder import cache


def fit(new, old):
    """[d, d]: old as a linear map of new."""
    eye = 1e-3 * len(new) * new.pow(2).mean() * torch.eye(new.shape[1])
    solution = torch.linalg.solve(new.T @ new + eye, new.T @ old)
    print(f"{tuple(new.shape)}: residual {((new @ solution - old).pow(2).sum() / (old - old.mean(0)).pow(2).sum()).item():.3f}")
    return solution


@torch.no_grad()
def main():
    root, old, out = arguments("world", "old", "out")
    before, now = (CLIPModel.from_pretrained(f"{f}/clip").eval() for f in (old, out))
    tokens = torch.from_numpy(np.load(f"{out}/ids.npy")[:1000, 0].astype(np.int64))
    words = [clip.text_model(tokens).last_hidden_state.flatten(0, 1) for clip in (now, before)]
    image = fit(cache(out, World(root), now)["E"], torch.load(f"{old}/cache.pt")["E"])
    prompt = fit(*words)
    weights = torch.load(f"{old}/unet.pt")["e"]
    for name, w in weights.items():
        if name == "class_embedding.linear_1.weight":
            w[:, :WIDTH] = w[:, :WIDTH] @ image.T
        elif name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            w.copy_(w @ prompt.T)
    save(f"{out}/unet.pt", m=weights, o=None, e={k: w.clone() for k, w in weights.items()}, i=0)


if __name__ == "__main__":
    main()
