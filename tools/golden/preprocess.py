#!/usr/bin/env python
"""Pillow's and transformers' pixels for tests/golden/images. Usage: preprocess.py tests/golden

preprocess.safetensors: per image `rgb` (where small or JPEG), `clip` (CLIPImageProcessor at 32), `eval` (squashed to 32, CLIP's
constants), and resized bytes `<filter>_<w>x<h>`.

The crop is torchvision's, which CLIP was trained with and transformers' fast processors use: half of an odd margin is rounded,
half to even. transformers' older processor cuts it off, and so takes another pixel where the margin is 3, 7, 11...
"""
import sys, pathlib
import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms.functional import center_crop
from transformers import CLIPImageProcessor

out = pathlib.Path(sys.argv[1])
proc = CLIPImageProcessor.from_pretrained(out / "clip")
mean, std = np.array(proc.image_mean, np.float32), np.array(proc.image_std, np.float32)
SIZES = [(32, 32), (224, 60), (149, 250), (64, 113), (40, 200)]
FILTERS = {"bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS, "bilinear": Image.BILINEAR}


def processed(image, **changed):
    proc = CLIPImageProcessor.from_pretrained(out / "clip", **changed)
    kept = {"do_center_crop": False, "return_tensors": "np"}
    resized = proc(image, do_rescale=False, do_normalize=False, **kept)["pixel_values"]
    if proc.do_center_crop:
        side = [proc.crop_size["height"], proc.crop_size["width"]]
        resized = center_crop(torch.from_numpy(resized), side).numpy()
    return proc(list(resized), do_resize=False, input_data_format="channels_first", **kept)["pixel_values"][0]


def square(side):
    return {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}


t = {}
for path in sorted((out / "images").iterdir()):
    image = Image.open(path).convert("RGB")
    t[f"{path.name}/rgb"] = np.asarray(image)
    t[f"{path.name}/clip"] = processed(image)
    e = np.asarray(image.resize((32, 32), Image.BICUBIC)).astype(np.float32) / np.float32(255)
    t[f"{path.name}/eval"] = ((e - mean) / std).transpose(2, 0, 1)
    if path.name[0] in "bc":
        t[f"{path.name}/clip91"] = processed(image, **square(91))
        for name, f in FILTERS.items():
            for w, h in SIZES:
                t[f"{path.name}/{name}_{w}x{h}"] = np.asarray(image.resize((w, h), f))
first = Image.open(out / "images/a_150x113.png").convert("RGB")
# A margin of 11.
t["a_150x113.png/clip35"] = processed(first, **square(35))
# Crops larger than the resized image: padded on all sides, odd remainders included.
t["a_150x113.png/padded"] = processed(first, size={"shortest_edge": 20}, crop_size={"height": 33, "width": 40})
t["a_150x113.png/exact"] = processed(first, size={"height": 30, "width": 50}, do_center_crop=False)
save_file({k: np.ascontiguousarray(v) for k, v in t.items()}, out / "preprocess.safetensors")
