"""Trains a small image encoder on a distilled set's pictures and vectors: train_targets.py DIR

Each picture is to lie nearest to its own target. Targets are rows of `text` in prototypes.safetensors, [pairs, width],
float32 and not normalised; `image` holds the embeddings that the pictures stand for."""

import json
import sys

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

folder = sys.argv[1]
rows = [json.loads(line) for line in open(f"{folder}/metadata.jsonl", encoding="utf-8")]
pictures = [Image.open(f"{folder}/{row['file_name']}").convert("RGB").resize((32, 32)) for row in rows]
images = torch.tensor(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2).float() / 255  # [pairs, 3, 32, 32]
arrays = load_file(f"{folder}/prototypes.safetensors")
targets = torch.nn.functional.normalize(arrays["text"], dim=1)  # [pairs, width]
# Sets made with `--correspondence soft` say which pairs are alike; in all others each belongs to its own target alone.
belongs = arrays.get("correspondence", torch.eye(len(rows)))
belongs = belongs / belongs.sum(1, keepdim=True)

torch.manual_seed(0)
encoder = torch.nn.Sequential(
    torch.nn.Conv2d(3, 32, 5, 2), torch.nn.GELU(), torch.nn.Conv2d(32, 64, 5, 2), torch.nn.GELU(),
    torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(64 * 16, targets.shape[1]),
)
optimiser = torch.optim.AdamW(encoder.parameters(), 1e-3)
losses = []
for _ in range(100):
    cosines = torch.nn.functional.normalize(encoder(images), dim=1) @ targets.T / 0.07  # [pairs, pairs]
    loss = (torch.nn.functional.cross_entropy(cosines, belongs) + torch.nn.functional.cross_entropy(cosines.T, belongs.T)) / 2
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}")
