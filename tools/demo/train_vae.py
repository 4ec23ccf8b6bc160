"""Trains the demo's autoencoder: 64x64 pixels to 8x8 latents of 16 channels. Objects are a small part of a picture and
all that captions speak of, so their pixels weigh five times the backdrop's.

Afterwards its decoder goes on alone, so that the latents, and with them the unCLIP decoder, stay as they are: on latents
somewhat off, as the unCLIP decoder draws them, and towards pictures in which CLIP's layers see what they see in the truth.

usage: train_vae.py WORLD OUT STEPS [--resume]     (STEPS 2400)
       train_vae.py WORLD OUT STEPS --decoder      (STEPS 9500, after train_decoder.py)
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPModel

from common import World, arguments, autocast, cosine, normalised, save, set_rate, vae_network, vae_pixels

BATCH, OFF = 16, 0.5  # latents have a standard deviation of 2


@torch.no_grad()
def psnr(model, images):
    model.eval()
    x = vae_pixels(images)
    y = model.decode(model.encode(x).latent_dist.mean).sample.clamp(-1, 1)
    model.train()
    return (10 * torch.log10(4 / ((x - y) ** 2).mean((1, 2, 3)))).mean().item()


def edges(x, y):
    across = F.l1_loss(y[..., 1:] - y[..., :-1], x[..., 1:] - x[..., :-1])
    down = F.l1_loss(y[..., 1:, :] - y[..., :-1, :], x[..., 1:, :] - x[..., :-1, :])
    return across + down


def unlike(clip, x, y):
    """How far apart CLIP's layers see x and y, [n, 3, 64, 64] in -1..1."""
    def layers(pixels):
        seen = clip.vision_model(normalised(pixels / 2 + 0.5), output_hidden_states=True).hidden_states[1:]
        return [F.layer_norm(s.float(), s.shape[-1:]) for s in seen]

    with torch.no_grad():
        truth = layers(x)
    return sum((a - b).abs().mean() for a, b in zip(layers(y), truth)) / len(truth)


def main():
    root, out, steps = arguments("world", "out", "steps")
    steps = int(steps)
    torch.manual_seed(1)
    world = World(root)
    images, objects, test = world.pixels("train"), world.objects("train"), world.pixels("test")
    model = vae_network()
    optimiser, start = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01), 0
    fixed = "--decoder" in sys.argv
    if fixed:
        model.load_state_dict(torch.load(f"{out}/vae.pt")["m"])
        for part in (model.encoder, model.quant_conv):
            part.requires_grad_(False)
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, betas=(0.9, 0.99))
        clip = CLIPModel.from_pretrained(f"{out}/clip", attn_implementation="eager").eval().requires_grad_(False)
        cached = torch.load(f"{out}/cache.pt")["Z"]
    elif "--resume" in sys.argv:
        state = torch.load(f"{out}/vae.pt")
        model.load_state_dict(state["m"]), optimiser.load_state_dict(state["o"])
        start = state["i"]
    for i in range(start, steps):
        set_rate(optimiser, cosine(i, steps, 1e-3 if fixed else 2e-3))
        draw = np.random.default_rng(i + (9 if fixed else 5))
        rows = draw.choice(len(images), BATCH, replace=False)
        x = vae_pixels(images[rows])
        weight = 1 + 4 * torch.from_numpy(objects[rows].astype(np.float32))[:, None]
        weight = weight / weight.mean()
        with autocast():
            if fixed:
                z = cached[rows].float()
                off = torch.from_numpy(draw.uniform(0, OFF, (BATCH, 1, 1, 1)).astype(np.float32))
                y = model.decode(z + off * torch.randn(z.shape)).sample.float()
                more = 0.3 * unlike(clip, x, y)
            else:
                latents = model.encode(x).latent_dist
                y, mean, var = model.decode(latents.sample()).sample.float(), latents.mean.float(), latents.var.float()
                more = 1e-4 * (mean**2 + var - 1 - var.log()).mean() / 2
        loss = (weight * ((y - x).abs() + (y - x) ** 2)).mean() + edges(x, y) / 2 + more
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if i % 50 == 0:
            print(i, f"loss {loss.item():.4f}", flush=True)
        if (i + 1) % 100 == 0:
            print(i + 1, f"psnr {psnr(model, test[:200]):.2f}", flush=True)
            save(f"{out}/vae.pt", m=model.state_dict(), o=optimiser.state_dict(), i=i + 1)


if __name__ == "__main__":
    main()
