"""What the demo's training scripts share: the world on disk, pixels, networks, schedules, resumable state."""
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
BACKDROPS, SHAPES, COLOURS, SIZES, SLOTS = 8, 12, 10, 2, 3
WIDTH, LENGTH, LATENT = 128, 32, 16  # of embeddings; tokens of a prompt; channels of a latent pixel


class World:
    """A folder written by `protostill world --out WORLD --pairs 40000`."""

    def __init__(self, root):
        self.root = Path(root)
        with open(self.root / "scenes.jsonl") as lines:
            self.scenes = [json.loads(line) for line in lines]

    def part(self, name):
        return [s for s in self.scenes if s["split"] == name]

    def pixels(self, name):
        """uint8 [n, 64, 64, 3], decoded once and cached beside the images."""
        cache = self.root / f"{name}.npy"
        if not cache.exists():
            np.save(cache, np.stack([np.asarray(Image.open(self.root / s["file"])) for s in self.part(name)]))
        return np.load(cache)

    def objects(self, name):
        """bool [n, 64, 64]: where a picture differs from its backdrop, the median of 400 pictures."""
        images, backdrop = self.pixels(name), np.array([s["backdrop_index"] for s in self.part(name)])
        empty = np.stack([np.median(images[backdrop == b][:400], 0) for b in range(BACKDROPS)]).astype(np.float32)
        return np.concatenate([np.abs(images[i:i + 500].astype(np.float32) - empty[backdrop[i:i + 500]]).max(-1) > 25
                               for i in range(0, len(images), 500)])

    def captions(self, name):
        """Five captions for each image."""
        rows = json.load(open(self.root / f"world_{name}.json"))
        if name != "train":
            return [row["caption"] for row in rows]
        captions = [[] for _ in self.part(name)]
        for row in rows:
            captions[int(row["image_id"])].append(row["caption"])
        return captions


def token_ids(tok, texts):
    return tok(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="np")["input_ids"]


def normalised(x):
    """[n, 3, 64, 64] in 0..1 as CLIP's processor leaves them."""
    shape = (3, 1, 1)
    return (x - torch.tensor(MEAN).view(shape)) / torch.tensor(STD).view(shape)


def clip_pixels(a):
    """[n, 3, 64, 64] of bytes [n, 64, 64, 3], as CLIP's processor leaves them."""
    return normalised(torch.from_numpy(a).permute(0, 3, 1, 2).float() / 255)


def vae_pixels(a):
    """[n, 3, 64, 64] in -1..1."""
    return torch.from_numpy(a).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(x):
    """The reverse of vae_pixels."""
    return ((x.clamp(-1, 1) / 2 + 0.5) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def cosine(step, steps, peak, warmup=100, floor=0.03):
    rate = 0.5 * (1 + math.cos(math.pi * step / steps)) * (1 - floor) + floor
    return peak * min(1, (step + 1) / warmup) * rate


def set_rate(optimiser, rate):
    for group in optimiser.param_groups:
        group["lr"] = rate


def save(path, **state):
    """Whole or not at all: training is stopped and resumed at will."""
    torch.save(state, f"{path}.tmp")
    os.replace(f"{path}.tmp", path)


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


def vae_network(scaling=1.0):
    from diffusers import AutoencoderKL
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=LATENT, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(16, 32, 64, 96), layers_per_block=1,
        norm_num_groups=8, sample_size=64, act_fn="silu", scaling_factor=scaling)


def unet_network():
    from diffusers import UNet2DConditionModel
    return UNet2DConditionModel(
        sample_size=8, in_channels=LATENT, out_channels=LATENT,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(96, 144), layers_per_block=1, norm_num_groups=16, cross_attention_dim=WIDTH,
        attention_head_dim=[3, 4], use_linear_projection=True, class_embed_type="projection",
        projection_class_embeddings_input_dim=2 * WIDTH, act_fn="silu")


def schedulers():
    """The sampler's and the noising schedule of Stable unCLIP."""
    from diffusers import DDPMScheduler, PNDMScheduler
    sampler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1)
    return sampler, DDPMScheduler(beta_schedule="squaredcos_cap_v2")


def arguments(*names):
    """Positional arguments by name; `--resume` is looked for by whoever can."""
    given = [a for a in sys.argv[1:] if not a.startswith("--")]
    if len(given) != len(names):
        sys.exit(f"usage: {sys.argv[0]} {' '.join(n.upper() for n in names)} [--resume]")
    return given
