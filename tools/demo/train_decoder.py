"""Trains the demo's unCLIP decoder on cached latents and image embeddings. At use it is given a *prototype*, the mean of
many embeddings, and the caption nearest to that of their captions, whose scene lies aside of it (of 50 prototypes in 2,000
scenes at a cosine of 0.77 in the middle, 0.56 in the tenth that is farthest). So seven in ten embeddings are means here,
half of those about a scene with the training scene in them, half about a neighbour, and every fourth is dropped: the caption
then says what is drawn. What is rare or black is drawn more often, and objects count up to five times as much as backdrops.

usage: train_decoder.py WORLD OUT STEPS [--resume]     (STEPS 57000; after train_clip.py and train_vae.py)
       torchrun --nproc-per-node 2 train_decoder.py ...  (a process for each core: each takes its share of every batch)
"""
import math
import os
import sys
from collections import Counter

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPModel, CLIPTokenizer

from common import COLOURS, WIDTH, World, arguments, autocast, clip_pixels, cosine, save, schedulers, set_rate, token_ids, unet_network, vae_network, vae_pixels

BATCH, NEIGHBOURS, SUPPORT = 64, 400, 32


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


def weights(world):
    """How much each latent pixel of each scene counts, [n, 1, 8, 8]: up to five times as much where an object is."""
    share = torch.from_numpy(world.objects("train").reshape(-1, 8, 8, 8, 8).mean((2, 4), dtype=np.float32))
    weight = 1 + 4 * (2 * share).clamp(max=1)
    return (weight / weight.mean())[:, None]


def chances(scenes):
    """How often each scene is drawn: by the root of how rare its rarest coloured shape is, twice that for a black one."""
    names = [[(o["shape_index"], o["colour_index"]) for o in s["objects"]] for s in scenes]
    count = Counter(name for scene in names for name in scene)
    black = COLOURS - 1
    chance = np.array([max((2 if colour == black else 1) / count[shape, colour] ** 0.5 for shape, colour in scene) for scene in names])
    return chance / chance.sum()


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
    world = World(root)
    made = cache(out, world, clip)
    if rank == 0 and ranks > 1:
        dist.barrier()
    latents, embeddings, near = made["Z"].float() * made["sf"], made["E"], made["N"]
    weight, chance_of = weights(world), chances(world.part("train"))
    mean, std = embeddings.mean(0), embeddings.std(0)
    tokens = torch.from_numpy(np.load(f"{out}/ids.npy").astype(np.int64))
    tok = CLIPTokenizer(f"{out}/tok/vocab.json", f"{out}/tok/merges.txt")
    negative = torch.from_numpy(token_ids(tok, "text, watermark")[0])
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
    model, recent = torch.compile(unet), None
    for i in range(start, steps):
        set_rate(optimiser, cosine(i, steps, 1.2e-3, warmup=200))
        draw, g = np.random.default_rng(i + 77), torch.Generator().manual_seed(i)
        chance = lambda p: torch.from_numpy(draw.random(BATCH) < p)
        rows = torch.from_numpy(draw.choice(len(latents), BATCH, replace=False, p=chance_of))
        which = torch.from_numpy(draw.integers(0, 5, BATCH))
        embedding, alone, aside = embeddings[rows].clone(), chance(0.3), chance(0.5)
        for j in torch.nonzero(~alone).flatten().tolist():
            about = near[rows[j], int(NEIGHBOURS ** draw.random()) - 1] if aside[j] else rows[j]
            reach, many = int(8 * (NEIGHBOURS / 8) ** draw.random()), draw.integers(1, SUPPORT + 1)
            support = near[about, draw.permutation(reach)[:many]].long()
            embedding[j] = embeddings[torch.cat([about.view(1), support])].mean(0)
        level = torch.from_numpy(np.where(draw.random(BATCH) < 0.7, draw.integers(0, 60, BATCH), draw.integers(0, 1000, BATCH)))
        keep = noise_alpha[level][:, None]
        noised = keep.sqrt() * (embedding - mean) / std + (1 - keep).sqrt() * torch.randn(embedding.shape, generator=g)
        labels = torch.cat([noised * std + mean, noise_levels(level)], 1)
        neither = chance(0.08)  # what guidance leads away from has no embedding and the negative prompt
        labels[neither | chance(0.2)] = 0
        prompt = tokens[rows, which].clone()
        prompt[neither | chance(0.04)] = negative
        # More of the noisy steps: what is drawn where is settled there.
        t, noise = torch.from_numpy((1000 * draw.random(BATCH) ** 0.7).astype(np.int64)), torch.randn(latents[rows].shape, generator=g)
        a, latent, noise = alpha[t[share]].view(-1, 1, 1, 1), latents[rows[share]], noise[share]
        with autocast():
            with torch.no_grad():
                states = clip.text_model(prompt[share]).last_hidden_state
            guess = model(a.sqrt() * latent + (1 - a).sqrt() * noise, t[share], encoder_hidden_states=states, class_labels=labels[share]).sample
        velocity = a.sqrt() * noise - (1 - a).sqrt() * latent  # v-prediction
        loss = (weight[rows[share]] * (guess.float() - velocity) ** 2).mean()
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
