"""Trains the demo's unCLIP decoder on cached latents and image embeddings. At use it is given a *prototype*, the mean of
many embeddings, so half of its training embeddings are means over neighbours.

usage: train_decoder.py WORLD OUT STEPS [--resume]     (STEPS 57000; after train_clip.py and train_vae.py)
       torchrun --nproc-per-node 2 train_decoder.py ...  (a process for each core: each takes its share of every batch)
"""
import math
import os
import sys

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPModel, CLIPTokenizer

from common import LENGTH, WIDTH, World, arguments, autocast, clip_pixels, cosine, save, schedulers, set_rate, unet_network, vae_network, vae_pixels

BATCH, NEIGHBOURS = 64, 32


@torch.no_grad()
def cache(out, world, clip):
    """Latents, embeddings, each embedding's nearest others, and the latents' scaling factor."""
    path = f"{out}/cache.pt"
    if not os.path.exists(path):
        vae = vae_network()
        vae.load_state_dict(torch.load(f"{out}/vae.pt")["m"])
        vae.eval()
        images = world.pixels("train")
        latents, embeddings = [], []
        for i in range(0, len(images), 200):
            with autocast():
                latents.append(vae.encode(vae_pixels(images[i:i + 200])).latent_dist.mean.float())
            embeddings.append(clip.get_image_features(clip_pixels(images[i:i + 200])))
        latents, embeddings = torch.cat(latents), torch.cat(embeddings)
        unit = F.normalize(embeddings, dim=1)
        near = [(unit[i:i + 500] @ unit.T).topk(NEIGHBOURS + 1, dim=1).indices[:, 1:].int() for i in range(0, len(unit), 500)]
        save(path, Z=latents.half(), E=embeddings, N=torch.cat(near), sf=1 / latents.std().item())
    return torch.load(path)


def noise_levels(levels):
    """The sinusoidal embedding of noise levels that Stable unCLIP appends."""
    rate = torch.exp(-math.log(10000) * torch.arange(WIDTH // 2).float() / (WIDTH // 2))
    angle = levels[:, None].float() * rate
    return torch.cat([angle.cos(), angle.sin()], 1)


def main():
    root, out, steps = arguments("world", "out", "steps")
    steps = int(steps)
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    share = slice(rank, None, ranks)
    if ranks > 1:
        dist.init_process_group("gloo")
    torch.manual_seed(2)
    clip = CLIPModel.from_pretrained(f"{out}/clip", attn_implementation="eager").eval()
    if rank > 0:
        dist.barrier()  # until the first has filled the cache
    made = cache(out, World(root), clip)
    if rank == 0 and ranks > 1:
        dist.barrier()
    latents, embeddings, near = made["Z"].float() * made["sf"], made["E"], made["N"].long()
    mean, std = embeddings.mean(0), embeddings.std(0)
    tokens = torch.from_numpy(np.load(f"{out}/ids.npy").astype(np.int64))
    tok = CLIPTokenizer(f"{out}/tok/vocab.json", f"{out}/tok/merges.txt")
    negative = torch.tensor(tok("text, watermark", padding="max_length", max_length=LENGTH)["input_ids"])
    sampler, noising = schedulers()
    alpha, noise_alpha = sampler.alphas_cumprod.float(), noising.alphas_cumprod.float()

    unet = unet_network()
    unet.set_attn_processor(AttnProcessor())  # on a CPU, at so few positions, a third faster than torch's fused attention
    parameters = list(unet.parameters())
    optimiser, start = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True), 0
    if "--resume" in sys.argv:
        state = torch.load(f"{out}/unet.pt")
        unet.load_state_dict(state["m"])
        if state["o"]:
            optimiser.load_state_dict(state["o"])
        average, start = state["e"], state["i"]
    else:
        average = {k: v.clone() for k, v in unet.state_dict().items()}
    recent = None
    for i in range(start, steps):
        set_rate(optimiser, cosine(i, steps, 1.2e-3, warmup=200))
        draw, g = np.random.default_rng(i + 77), torch.Generator().manual_seed(i)
        chance = lambda p: torch.from_numpy(draw.random(BATCH) < p)
        rows = torch.from_numpy(draw.choice(len(latents), BATCH, replace=False))
        which = torch.from_numpy(draw.integers(0, 5, BATCH))
        embedding, many = embeddings[rows].clone(), torch.from_numpy(draw.integers(2, NEIGHBOURS + 1, BATCH))
        for j in torch.nonzero(chance(0.5)).flatten().tolist():
            embedding[j] = torch.cat([embedding[j:j + 1], embeddings[near[rows[j], :many[j]]]]).mean(0)
        level = torch.from_numpy(np.where(draw.random(BATCH) < 0.7, draw.integers(0, 60, BATCH), draw.integers(0, 1000, BATCH)))
        keep = noise_alpha[level][:, None]
        noised = keep.sqrt() * (embedding - mean) / std + (1 - keep).sqrt() * torch.randn(embedding.shape, generator=g)
        labels = torch.cat([noised * std + mean, noise_levels(level)], 1)
        neither = chance(0.08)  # what guidance leads away from has no embedding and the negative prompt
        labels[neither | chance(0.04)] = 0
        prompt = tokens[rows, which].clone()
        prompt[neither | chance(0.04)] = negative
        # More of the noisy steps: what is drawn where is settled there.
        t, noise = torch.from_numpy((1000 * draw.random(BATCH) ** 0.7).astype(np.int64)), torch.randn(latents[rows].shape, generator=g)
        a, latent, noise = alpha[t[share]].view(-1, 1, 1, 1), latents[rows[share]], noise[share]
        with autocast():
            with torch.no_grad():
                states = clip.text_model(prompt[share]).last_hidden_state
            guess = unet(a.sqrt() * latent + (1 - a).sqrt() * noise, t[share], encoder_hidden_states=states, class_labels=labels[share]).sample
        loss = F.mse_loss(guess.float(), a.sqrt() * noise - (1 - a).sqrt() * latent)  # v-prediction
        optimiser.zero_grad()
        loss.backward()
        if ranks > 1:
            flat = torch.cat([p.grad.flatten() for p in parameters])
            dist.all_reduce(flat)
            for p, grad in zip(parameters, (flat / ranks).split([p.numel() for p in parameters])):
                p.grad.copy_(grad.view_as(p))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        decay = min(0.9985, (i + 1) / (i + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), list(unet.state_dict().values()), 1 - decay)
        recent = loss.item() if recent is None else 0.98 * recent + 0.02 * loss.item()
        if rank == 0 and i % 50 == 0:
            print(i, f"loss {recent:.4f}", flush=True)
        if rank == 0 and (i + 1) % 250 == 0:
            save(f"{out}/unet.pt", m=unet.state_dict(), o=optimiser.state_dict(), e=average, i=i + 1)


if __name__ == "__main__":
    main()
