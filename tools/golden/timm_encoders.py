#!/usr/bin/env python
"""Random image encoders in timm's hub layout, and timm's logits for random images.

Usage: timm_encoders.py OUT
  OUT/<name>/{config.json,model.safetensors,golden.safetensors}; golden holds x [2, 3, n, n] and their logits, and an image
  rgb [h, w, 3] with the logits of it squashed by Pillow's bicubic and standardised with CLIP's constants.
  `tests/golden/timm` holds them; timm_full.py makes those at full size.
"""
import json
import os
import sys

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
VIT = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3)
NF = dict(depths=[1, 2, 1, 1], channels=[32, 64, 64, 128], stem_chs=16)
# Odd sizes meet the pooling windows over the edge; grouped convolution, a final one and the other stem.
NF_ODD = dict(depths=[2, 1, 1, 1], channels=[16, 32, 32, 64], stem_chs=16, stem_type="3x3", group_size=4, num_features=48, alpha=0.3, bottle_ratio=0.5)
REDUCED = [
    ("vit", "vit_tiny_patch16_224", VIT, 32, 40, 23),
    ("nf_resnet", "nf_resnet50", NF, 64, 40, 24),
    ("nf_resnet_odd", "nf_resnet50", NF_ODD, 75, 12, 25),
]


@torch.no_grad()
def randomise(model, seed):
    """No parameter keeps a trivial value, so that a forgotten bias or gain shows."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        r = torch.randn(p.shape, generator=g)
        if name.endswith(".gain"):
            p.copy_(1 + 0.2 * r)
        elif name in ("pos_embed", "cls_token"):
            p.copy_(0.5 * r)
        elif p.ndim >= 2:
            p.copy_(r / p[0].numel() ** 0.5)
        else:
            p.copy_((1 + 0.2 * r) if name.endswith("weight") else 0.1 * r)
    return model.eval()


@torch.no_grad()
def write(out, name, architecture, args, side, classes, seed):
    model = randomise(timm.create_model(architecture, pretrained=False, num_classes=classes, **args), seed)
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    config = {"architecture": architecture, "num_classes": classes, "model_args": args,
              "pretrained_cfg": {"input_size": [3, side, side], "interpolation": "bicubic", "mean": CLIP_MEAN, "std": CLIP_STD}}
    if not args:
        del config["model_args"]
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed + 100))
    rgb = torch.randint(0, 256, (37, 50, 3), generator=torch.Generator().manual_seed(seed + 200), dtype=torch.uint8)
    squashed = Image.fromarray(rgb.numpy()).resize((side, side), Image.BICUBIC)
    pixels = torch.from_numpy(np.asarray(squashed).copy()).permute(2, 0, 1)[None] / 255
    pixels = (pixels - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    save_file({"x": x, "logits": model(x), "rgb": rgb, "rgb_logits": model(pixels)}, os.path.join(folder, "golden.safetensors"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model in REDUCED:
        write(sys.argv[1], *model)
