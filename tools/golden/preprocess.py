#!/usr/bin/env python
"""Pillow's and transformers' pixels for tests/golden/images. Usage: preprocess.py tests/golden

preprocess.safetensors: per image `rgb` (where small or JPEG), `clip` (CLIPImageProcessor at 32), `eval` (squashed to 32, CLIP's
constants), and resized bytes `<filter>_<w>x<h>`.
"""
import sys, pathlib
import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers import CLIPImageProcessor

out = pathlib.Path(sys.argv[1])
proc = CLIPImageProcessor.from_pretrained(out / "clip")
big = CLIPImageProcessor.from_pretrained(out / "clip", size={"shortest_edge": 91}, crop_size={"height": 91, "width": 91})
mean, std = np.array(proc.image_mean, np.float32), np.array(proc.image_std, np.float32)
SIZES = [(32, 32), (224, 60), (149, 250), (64, 113), (40, 200)]
FILTERS = {"bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS, "bilinear": Image.BILINEAR}
t = {}
for path in sorted((out / "images").iterdir()):
    image = Image.open(path).convert("RGB")
    t[f"{path.name}/rgb"] = np.asarray(image)
    t[f"{path.name}/clip"] = proc(image, return_tensors="np")["pixel_values"][0]
    e = np.asarray(image.resize((32, 32), Image.BICUBIC)).astype(np.float32) / np.float32(255)
    t[f"{path.name}/eval"] = ((e - mean) / std).transpose(2, 0, 1)
    if path.name[0] in "bc":
        t[f"{path.name}/clip91"] = big(image, return_tensors="np")["pixel_values"][0]
        for name, f in FILTERS.items():
            for w, h in SIZES:
                t[f"{path.name}/{name}_{w}x{h}"] = np.asarray(image.resize((w, h), f))
# Crops larger than the resized image: padded on all sides, odd remainders included.
pad = CLIPImageProcessor.from_pretrained(out / "clip", size={"shortest_edge": 20}, crop_size={"height": 33, "width": 40})
t["a_150x113.png/padded"] = pad(Image.open(out / "images/a_150x113.png").convert("RGB"), return_tensors="np")["pixel_values"][0]
exact = CLIPImageProcessor.from_pretrained(out / "clip", size={"height": 30, "width": 50}, do_center_crop=False)
t["a_150x113.png/exact"] = exact(Image.open(out / "images/a_150x113.png").convert("RGB"), return_tensors="np")["pixel_values"][0]
save_file({k: np.ascontiguousarray(v) for k, v in t.items()}, out / "preprocess.safetensors")
