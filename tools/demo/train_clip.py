"""Trains the demo's CLIP. Contrast alone would need far more pictures than a processor sees in half an hour, so both
towers also learn to name the scene, by linear heads that are thrown away.

usage: train_clip.py WORLD OUT STEPS [--resume]     (STEPS 5300)
"""
import os
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

import tokenizer
from common import BACKDROPS, COLOURS, SHAPES, SIZES, SLOTS, WIDTH, World, arguments, autocast, clip_pixels, cosine, save, set_rate, token_ids

BATCH = 192
PARTS = [BACKDROPS] + [SHAPES + 1, COLOURS + 1, SIZES + 1] * SLOTS  # 0: nothing in that slot


def attributes(scenes):
    table = np.zeros((len(scenes), len(PARTS)), np.int64)
    for row, scene in zip(table, scenes):
        row[0] = scene["backdrop_index"]
        for o in scene["objects"]:
            at = 1 + 3 * o["slot_index"]
            row[at:at + 3] = [o["shape_index"] + 1, o["colour_index"] + 1, o["size_index"] + 1]
    return table


def named(logits, truth):
    parts = zip(logits.split(PARTS, 1), truth.T)
    return sum(F.cross_entropy(logits, t) for logits, t in parts) / len(PARTS)


def network(vocabulary):
    text = CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=WIDTH, bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1)
    vision = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=4, num_attention_heads=4, image_size=64,
        patch_size=8, hidden_act="quick_gelu", projection_dim=WIDTH)
    config = CLIPConfig.from_text_vision_configs(text, vision, projection_dim=WIDTH)
    return CLIPModel._from_config(config, attn_implementation="eager")  # on a CPU, at so few positions, half again as fast


@torch.no_grad()
def recall(model, images, texts):
    """IR@1, 5, 10, TR@1, 5, 10 over n images with five captions each, in percent."""
    model.eval()
    n = len(images)
    image = torch.cat([model.get_image_features(clip_pixels(images[i:i + 250])) for i in range(0, n, 250)])
    text = torch.cat([model.get_text_features(torch.tensor(texts[i:i + 1000])) for i in range(0, 5 * n, 1000)])
    model.train()
    scores = F.normalize(text, dim=1) @ F.normalize(image, dim=1).T
    own = scores[torch.arange(5 * n), torch.arange(5 * n) // 5]
    rank = (scores > own[:, None]).sum(1)
    best = own.view(n, 5).max(1).values
    back = (scores.T > best[:, None]).sum(1)
    return [round(100 * (r < k).float().mean().item(), 1) for r in (rank, back) for k in (1, 5, 10)]


def main():
    root, out, steps = arguments("world", "out", "steps")
    steps = int(steps)
    torch.manual_seed(0)
    world, folder = World(root), f"{out}/tok"
    captions = world.captions("train")
    extra = ["text, watermark a photo of the and is are in with"] * 3
    vocabulary = tokenizer.write(folder, [c for five in captions[:4000] for c in five] + extra)
    tok = CLIPTokenizer(f"{folder}/vocab.json", f"{folder}/merges.txt")
    if not os.path.exists(f"{out}/ids.npy"):
        np.save(f"{out}/ids.npy", np.stack([token_ids(tok, five) for five in captions]).astype(np.int16))
    tokens, test_tokens = np.load(f"{out}/ids.npy"), token_ids(tok, [c for five in world.captions("test") for c in five])
    images, test_images = world.pixels("train"), world.pixels("test")
    truth = attributes(world.part("train"))

    model = network(vocabulary)
    image_head, text_head = nn.Linear(WIDTH, sum(PARTS)), nn.Linear(WIDTH, sum(PARTS))
    heads = list(image_head.parameters()) + list(text_head.parameters())
    groups = [{"params": [p for p in model.parameters() if p.ndim > 1] + heads, "weight_decay": 0.05},
              {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0}]
    optimiser, start = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98)), 0
    if "--resume" in sys.argv:
        state = torch.load(f"{out}/clip.pt")
        model.load_state_dict(state["m"]), image_head.load_state_dict(state["h"]), text_head.load_state_dict(state["t"])
        optimiser.load_state_dict(state["o"])
        start = state["i"]
    for i in range(start, steps):
        set_rate(optimiser, cosine(i, steps, 1.2e-3, warmup=200))
        rows = np.random.default_rng(i).choice(len(images), BATCH, replace=False)
        which = np.random.default_rng(i + 10**7).integers(0, 5, BATCH)
        with autocast():
            image = model.get_image_features(clip_pixels(images[rows])).float()
            text = model.get_text_features(torch.tensor(tokens[rows, which].astype(np.int64))).float()
        scores = model.logit_scale.exp().clamp(max=100) * F.normalize(image, dim=1) @ F.normalize(text, dim=1).T
        own, y = torch.arange(BATCH), torch.tensor(truth[rows])
        contrast = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
        loss = contrast + 2 * named(image_head(image), y) + named(text_head(text), y)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if i % 25 == 0:
            print(i, f"contrast {contrast.item():.3f} loss {loss.item():.3f}", flush=True)
        if (i + 1) % 100 == 0:
            print(i + 1, "IR@1,5,10 TR@1,5,10:", *recall(model, test_images, test_tokens), flush=True)
            save(f"{out}/clip.pt", m=model.state_dict(), h=image_head.state_dict(), t=text_head.state_dict(),
                 o=optimiser.state_dict(), i=i + 1)
            model.save_pretrained(f"{out}/clip")


if __name__ == "__main__":
    main()
