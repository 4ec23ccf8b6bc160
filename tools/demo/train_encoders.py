"""Trains a frozen evaluation encoder to name what is in a scene; its logits are the features of the protocol.

usage: train_encoders.py WORLD OUT NAME STEPS     (vit 3000, nf_resnet 1500)
"""
import json
import os

import numpy as np
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from common import BACKDROPS, COLOURS, MEAN, SHAPES, SIZES, SLOTS, STD, World, arguments, autocast, clip_pixels, cosine, set_rate

BATCH = 128
KINDS = SHAPES * COLOURS
PARTS = [BACKDROPS] + [SHAPES + 1, COLOURS + 1, SIZES + 1] * SLOTS  # exclusive; 0: nothing in that slot
CLASSES = KINDS + sum(PARTS)
MODELS = {
    "vit": ("vit_tiny_patch16_224", 1.5e-3, dict(img_size=64, patch_size=8, embed_dim=96, depth=4, num_heads=3)),
    "nf_resnet": ("nf_resnet50", 2e-3, dict(depths=[1, 1, 1, 1], channels=[64, 128, 192, 256], stem_chs=32)),
}


def names(scene):
    """Which shape in which colour there is, and the class in each of PARTS."""
    kinds, parts = np.zeros(KINDS, np.float32), np.zeros(len(PARTS), np.int64)
    parts[0] = scene["backdrop_index"]
    for o in scene["objects"]:
        kinds[o["shape_index"] * COLOURS + o["colour_index"]] = 1
        at = 1 + 3 * o["slot_index"]
        parts[at:at + 3] = [o["shape_index"] + 1, o["colour_index"] + 1, o["size_index"] + 1]
    return kinds, parts


def all_names(scenes):
    kinds, parts = zip(*map(names, scenes))
    return torch.tensor(np.stack(kinds)), torch.tensor(np.stack(parts))


def error(logits, kinds, parts):
    """How badly logits [n, CLASSES] name n scenes."""
    several = F.binary_cross_entropy_with_logits(logits[:, :KINDS], kinds, reduction="none").sum(1).mean()
    one_of = zip(logits[:, KINDS:].split(PARTS, 1), parts.T)
    return several / 10 + sum(F.cross_entropy(logits, truth) for logits, truth in one_of) / len(PARTS)


@torch.no_grad()
def measure(model, images, kinds, parts):
    """Accuracy of the backdrop and F1 of the coloured shapes."""
    model.eval()
    logits = torch.cat([model(clip_pixels(images[i:i + 250])) for i in range(0, len(images), 250)])
    model.train()
    backdrop = (logits[:, KINDS:KINDS + BACKDROPS].argmax(1) == parts[:, 0]).float().mean().item()
    said, true = logits[:, :KINDS] > 0, kinds > 0
    return backdrop, 2 * (said & true).sum().item() / max(1, (said.sum() + true.sum()).item())


def export(model, folder, architecture, overrides):
    """As timm's models lie on a hub."""
    os.makedirs(folder, exist_ok=True)
    vit = architecture.startswith("vit")
    config = {
        "architecture": architecture, "num_classes": CLASSES, "num_features": model.num_features,
        "global_pool": "token" if vit else "avg", "model_args": overrides,
        "pretrained_cfg": {
            "input_size": [3, 64, 64], "fixed_input_size": vit, "interpolation": "bicubic", "crop_pct": 1.0,
            "mean": list(MEAN), "std": list(STD), "num_classes": CLASSES, "tag": "protostill_world"},
    }
    with open(f"{folder}/config.json", "w") as out:
        json.dump(config, out, indent=1)
    weights = {k: v.half().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, f"{folder}/model.safetensors", metadata={"format": "pt"})


def load(folder):
    """What `export` wrote there."""
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    model = timm.create_model(config["architecture"], num_classes=config["num_classes"], **config["model_args"])
    model.load_state_dict(load_file(f"{folder}/model.safetensors"))
    return model.eval()


def main():
    root, out, name, steps = arguments("world", "out", "name", "steps")
    steps = int(steps)
    torch.manual_seed(3)
    world = World(root)
    images, test = world.pixels("train"), world.pixels("test")
    kinds, parts = all_names(world.part("train"))
    test_names = all_names(world.part("test"))
    architecture, rate, overrides = MODELS[name]
    model = timm.create_model(architecture, num_classes=CLASSES, **overrides)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    for i in range(steps):
        set_rate(optimiser, cosine(i, steps, rate))
        rows = np.random.default_rng(i + 99).choice(len(images), BATCH, replace=False)
        with autocast():
            logits = model(clip_pixels(images[rows]))
        loss = error(logits.float(), kinds[rows], parts[rows])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if i % 50 == 0:
            print(i, f"loss {loss.item():.4f}", flush=True)
        if (i + 1) % 200 == 0 or i + 1 == steps:
            print(i + 1, "backdrop %.3f, coloured shapes F1 %.3f" % measure(model, test, *test_names), flush=True)
            export(model, f"{out}/encoders/{name}", architecture, overrides)


if __name__ == "__main__":
    main()
