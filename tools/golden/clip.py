#!/usr/bin/env python
"""transformers' features of the tiny CLIP in tests/golden/clip. Usage: clip.py tests/golden (after preprocess.py and tokens.py)

clip.safetensors: pixel_values and image_features; text features of the first 18 rows of tokens.json; the text tower's last hidden
states padded to 77 with the end token; text features with `gelu` and with an end token named by its own id.
"""
import sys, json, pathlib
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

out = pathlib.Path(sys.argv[1])
model = CLIPModel.from_pretrained(out / "clip").eval()
pre = load_file(out / "preprocess.safetensors")
pixels = torch.stack([v for k, v in sorted(pre.items()) if k.endswith("/clip")])
ids = [r["fast_raw"] for r in json.load(open(out / "tokens.json"))[:18]]
pad = lambda n: torch.tensor([i + [833] * (n - len(i)) for i in ids])
with torch.no_grad():
    t = {"pixel_values": pixels, "image_features": model.get_image_features(pixels),
         "text_features": torch.cat([model.get_text_features(torch.tensor([i])) for i in ids]),
         "text_hidden": model.text_model(pad(77)).last_hidden_state[:4]}
    for act in ["gelu", "gelu_new"]:
        m = CLIPModel.from_pretrained(out / "clip")
        from transformers.activations import ACT2FN
        for l in [*m.text_model.encoder.layers, *m.vision_model.encoder.layers]:
            l.mlp.activation_fn = ACT2FN[act]
        t[f"image_features_{act}"] = m.eval().get_image_features(pixels)
    m = CLIPModel.from_pretrained(out / "clip").eval()
    m.text_model.eos_token_id = 320  # " a": pooled at its first occurrence, at 0 where there is none
    t["text_features_eos320"] = torch.cat([m.get_text_features(torch.tensor([i])) for i in ids])
save_file({k: v.contiguous() for k, v in t.items()}, out / "clip.safetensors")
