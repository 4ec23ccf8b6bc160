#!/usr/bin/env python
"""The projection head trained by PyTorch on given batches, without dropout.

Usage: train_head.py OUT    (OUT = tests/golden)
  OUT/train_{full,batched}.safetensors: init/…, final/… (parameters), syn_*, test_* (data), batch_indices, losses;
  OUT/train_{full,batched}.json: recalls after every second epoch. 40 pairs, 21 epochs of SGD 0.2 (a tenth from epoch
  11), momentum 0.9, weight decay 5e-4, temperature 0.07; one batch of 40, or three of 16, an epoch.
"""
import json
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

from recall import recalls

PAIRS, TEXT, CLASSES, EPOCHS, IMAGES, EACH = 40, 24, 20, 21, 150, 5


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(TEXT, CLASSES)
        self.fc = nn.Linear(CLASSES, CLASSES)
        self.layer_norm = nn.LayerNorm(CLASSES)

    def forward(self, t):
        p = self.projection(t)
        return self.layer_norm(self.fc(F.gelu(p)) + p)


def data():
    """Images are a fixed random nonlinear view of what their captions say, with noise on both sides."""
    view = torch.randn(TEXT, CLASSES)
    topics = torch.randn(PAIRS + IMAGES, TEXT)
    features = torch.tanh(topics @ view / 3) + 0.3 * torch.randn(PAIRS + IMAGES, CLASSES)
    captions = topics[PAIRS:].repeat_interleave(EACH, 0) + 0.8 * torch.randn(IMAGES * EACH, TEXT)
    return {"syn_image_features": features[:PAIRS].clone(), "syn_text_embeds": topics[:PAIRS] + 0.1 * torch.randn(PAIRS, TEXT),
            "test_image_features": features[PAIRS:].clone(), "test_text_embeds": captions}


@torch.no_grad()
def test(head, d):
    scores = F.normalize(d["test_image_features"]) @ F.normalize(head(d["test_text_embeds"])).t()
    return recalls(scores.numpy(), torch.arange(IMAGES).repeat_interleave(EACH).numpy())


def train(out, name, size, per_epoch):
    torch.manual_seed(5)
    d, head = data(), Head()
    batches = torch.stack([torch.randperm(PAIRS)[:size] for _ in range(EPOCHS * per_epoch)])
    result = {**d, "batch_indices": batches, **{f"init/{k}": v.clone() for k, v in head.state_dict().items()}}
    sgd = torch.optim.SGD(head.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4)
    drop = torch.optim.lr_scheduler.MultiStepLR(sgd, [11], 0.1)
    losses, evals = [], []
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in batches[epoch * per_epoch : (epoch + 1) * per_epoch]:
            image, text = F.normalize(d["syn_image_features"][rows]), F.normalize(head(d["syn_text_embeds"][rows]))
            logits, truth = image @ text.t() / 0.07, torch.arange(size)
            loss = (F.cross_entropy(logits, truth) + F.cross_entropy(logits.t(), truth)) / 2
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            total += loss.item() / per_epoch
        drop.step()
        losses.append(total)
        if epoch % 2 == 0:
            evals.append(test(head, d))
    result.update({f"final/{k}": v for k, v in head.state_dict().items()}, losses=torch.tensor(losses, dtype=torch.float64))
    save_file(result, f"{out}/{name}.safetensors")
    with open(f"{out}/{name}.json", "w") as f:
        json.dump({"evals": evals}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[1], "train_full", 40, 1)
    train(sys.argv[1], "train_batched", 16, 3)
