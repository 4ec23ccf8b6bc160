#!/usr/bin/env python
"""What timm's evaluation encoders compute, at their full size or of a few small layers, for weights that anyone can make again.

Usage: timm_full.py [full|small]   (writes tests/golden/timm/full.json and full.safetensors, or small.*)

Weights are not stored: every number is a hash of its tensor's name and its place, see `numbers`; the test makes the same
ones from names and shapes (small: timm 1.0.31). The images, 8 x 8 tiles hashed likewise, are 64 pixels a side, but for the vision transformer.
"""
import json
import os
import sys

import numpy as np
import timm
import torch
from safetensors.torch import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "timm")
NAMES = ["vit_tiny_patch16_224", "nf_resnet50", "resnet18", "resnet50", "mobilenetv2_100", "nf_regnet_b1", "nfnet_l0"]
CLASSES, SHOWN, SHOWS = 10, 32, 0.02
TINY = {"depth": 2, "embed_dim": 64, "num_heads": 2}
# Vision transformers, each in its own way of tokens, norms and pools; residual networks with stems, averages and gates.
SMALL = {
    "deit3_small_patch16_224": TINY | {"img_size": 64},
    "vit_small_patch14_reg4_dinov2": TINY | {"img_size": 56},
    "vit_base_patch32_clip_quickgelu_224": TINY | {"img_size": 64},
    "vit_base_patch16_clip_224": TINY | {"img_size": 64},
    "vit_base_patch16_siglip_224": TINY | {"img_size": 64},
    "vit_base_patch16_siglip_gap_224": TINY | {"img_size": 64},
    "resnet18d": {},
    "efficientnet_b0": {},
    "efficientnet_lite0": {},
    "mobilenetv3_large_100": {},
    "mobilenetv3_small_100": {},
    "convnext_atto_ols": {"depths": [1, 2, 1, 1], "dims": [16, 24, 32, 48]},
    "convnext_tiny": {"depths": [1, 1, 2, 1], "dims": [16, 32, 48, 64]},
    "convnext_tiny_hnf": {"depths": [1, 1, 2, 1], "dims": [16, 32, 48, 64]},
    "convnext_large_mlp": {"depths": [1, 1, 2, 1], "dims": [16, 32, 48, 64], "head_hidden_size": 40},
    "convnextv2_atto": {"depths": [1, 1, 2, 1], "dims": [16, 24, 32, 48]},
}


def numbers(name, count):
    """`count` numbers in [-1, 1): splitmix64 from the FNV-1a hash of `name`, of which the upper 24 bits count."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def weight(name, shape):
    """Gains and variances near 1, biases and means near 0, none of them exactly; matrices keep a signal's size."""
    u = numbers(name, int(np.prod(shape)))
    if name.endswith((".gain", "running_var")) or (name.endswith("weight") and len(shape) == 1):
        u = 1 + 0.2 * u
    elif len(shape) >= 2 and not name.endswith(("pos_embed", "cls_token")):
        u = u * np.sqrt(5 / np.prod(shape[1:]))
    else:
        u = 0.2 * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


@torch.no_grad()
def record(architecture, args):
    model = timm.create_model(architecture, pretrained=False, num_classes=CLASSES, **args).eval()
    shapes = {k: list(v.shape) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    model.load_state_dict({k: weight(k, s) for k, s in shapes.items()}, strict=False)
    side = args.get("img_size", 224 if architecture.startswith("vit") else 64)
    config = {"architecture": architecture, "num_classes": CLASSES, "num_features": model.num_features,
              "global_pool": getattr(model, "global_pool", "avg") if "vit" in architecture or "deit" in architecture else "avg",
              "pretrained_cfg": dict(model.pretrained_cfg, input_size=[3, side, side], num_classes=CLASSES)}
    if args:
        config["model_args"] = args
    tiles = torch.from_numpy(numbers("image", 2 * 3 * 8 * 8).astype(np.float32)).reshape(2, 3, 8, 8)
    # Gates leave little of a signal that was not trained.
    times = 100 if architecture.startswith(("efficientnet", "mobilenetv3")) else 1
    x = 2 * times * tiles.repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)
    features = model.forward_features(x)
    pooled, logits = model.forward_head(features, pre_logits=True), model(x)
    change = ((logits[0] - logits[1]).norm() / logits.norm()).item()
    print(f"{architecture:24} {sum(np.prod(s) for s in shapes.values()) / 1e6:6.1f} M weights; two images' logits differ by {change:.2g} of their norm")
    assert SHOWS < change and logits.isfinite().all(), "the image would not show in the result"
    return {"config": config, "times": times, "tensors": {k: ",".join(map(str, s)) for k, s in shapes.items()}}, {
        f"{architecture}/logits": logits, f"{architecture}/pooled": pooled[:, :SHOWN].contiguous()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    about, results = {}, {}
    which = (sys.argv[1:] or ["full"])[0]
    for name, args in SMALL.items() if which == "small" else ((name, {}) for name in NAMES):
        about[name], found = record(name, args)
        results |= found
    with open(os.path.join(OUT, which + ".json"), "w") as f:
        json.dump(about, f, indent=0)
        f.write("\n")
    save_file(results, os.path.join(OUT, which + ".safetensors"))
