"""Trains a small model of images and words on a distilled set's pictures and captions: train_captions.py DIR

For those who bring a text encoder of their own; this one is a bag of words."""

import json
import sys

import numpy as np
import torch
from PIL import Image

folder = sys.argv[1]
rows = [json.loads(line) for line in open(f"{folder}/metadata.jsonl", encoding="utf-8")]
pictures = [Image.open(f"{folder}/{row['file_name']}").convert("RGB").resize((32, 32)) for row in rows]
images = torch.tensor(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2).float() / 255  # [pairs, 3, 32, 32]
words = sorted({word for row in rows for word in row["text"].lower().split()})
bags = torch.zeros(len(rows), len(words))  # [pairs, words]
for i, row in enumerate(rows):
    for word in row["text"].lower().split():
        bags[i, words.index(word)] = 1

torch.manual_seed(0)
width = 64
image_encoder = torch.nn.Sequential(
    torch.nn.Conv2d(3, 32, 5, 2), torch.nn.GELU(), torch.nn.Conv2d(32, 64, 5, 2), torch.nn.GELU(),
    torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(64 * 16, width),
)
text_encoder = torch.nn.Linear(len(words), width)
optimiser = torch.optim.AdamW([*image_encoder.parameters(), *text_encoder.parameters()], 1e-3)
own, losses = torch.arange(len(rows)), []
for _ in range(100):
    seen = torch.nn.functional.normalize(image_encoder(images), dim=1)
    read = torch.nn.functional.normalize(text_encoder(bags), dim=1)
    cosines = seen @ read.T / 0.07  # [pairs, pairs]
    loss = (torch.nn.functional.cross_entropy(cosines, own) + torch.nn.functional.cross_entropy(cosines.T, own)) / 2
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}")
