#!/usr/bin/env python
"""A tiny SigLIP 2 of one image size with transformers' features of it. Usage: siglip.py tests/golden

siglip/            the checkpoint as transformers 5 saves it, with a tokenizer of Gemma's kind
siglip.safetensors pixels [2, 3, 20, 20] and image_features [2, 16]; ids [texts, 12] and text_features [texts, 16] of siglip.json
(transformers 5.24; the older one of requirements.txt has no such tokenizer)
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, normalizers, trainers
from transformers import Siglip2Tokenizer, SiglipConfig, SiglipImageProcessor, SiglipModel

TEXTS = ["a red circle", "A RED Circle", "", "two green trees under a night sky", "  wide   space ", "İstanbul ΣΑΣ straße",
         "emoji 🦀 and 日本語", "a very long caption " * 5, "punctuation, too! (here)"]
out = pathlib.Path(sys.argv[1])
folder = out / "siglip"
torch.manual_seed(3)

# Byte-pair encoding over whole captions, spaces as ▁, unknown letters as bytes: Gemma's kind.
special = ["<pad>", "<eos>", "<bos>", "<unk>"]
trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
trained.normalizer = normalizers.Replace(" ", "▁")
trained.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
words = "a red circle green trees under night sky two blue the of and with long caption very"
trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special + [f"<0x{b:02X}>" for b in range(256)], min_frequency=1)
trained.train_from_iterator([words, words.replace(" ", "  ")], trainer)
model = json.loads(trained.to_str())["model"]
merges = [tuple(m) for m in model["merges"]]
tokenizer = Siglip2Tokenizer(vocab=model["vocab"], merges=merges, padding_side="right", model_max_length=12, add_eos_token=True)
length = 12
config = SiglipConfig(
    text_config=dict(vocab_size=len(model["vocab"]), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                     max_position_embeddings=length, pad_token_id=0, bos_token_id=2, eos_token_id=1),
    vision_config=dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, image_size=20, patch_size=5))
network = SiglipModel(config).eval()
with torch.no_grad():
    # No parameter keeps a trivial value, so that a forgotten bias or gain shows.
    for name, p in network.named_parameters():
        r = torch.randn(p.shape)
        gain = p.ndim == 1 and name.endswith("weight")
        p.copy_(1 + 0.2 * r if gain else r / p[0].numel() ** 0.5 if p.ndim >= 2 else 0.1 * r)
network.save_pretrained(folder)
tokenizer.save_pretrained(folder)
SiglipImageProcessor(size={"height": 20, "width": 20}).save_pretrained(folder)

ids = torch.tensor(tokenizer(TEXTS, padding="max_length", truncation=True, max_length=length).input_ids)
pixels = torch.randn(2, 3, 20, 20)
with torch.no_grad():
    image = network.get_image_features(pixel_values=pixels)
    text = network.get_text_features(input_ids=ids)
    pooled = lambda x: x if isinstance(x, torch.Tensor) else x.pooler_output
    save_file({"pixels": pixels, "image_features": pooled(image).contiguous(), "ids": ids, "text_features": pooled(text).contiguous()},
              out / "siglip.safetensors")
with open(out / "siglip.json", "w") as f:
    json.dump(TEXTS, f)
