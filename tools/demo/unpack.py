"""The reverse of export.py: what the training scripts resume from, out of exported checkpoints. The optimisers' state is lost.

usage: unpack.py WORLD ASSETS OUT     (then train_decoder.py WORLD OUT STEPS --resume)
"""
import os
import shutil

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPModel, CLIPTokenizer

from common import World, arguments, save, token_ids


def main():
    root, assets, out = arguments("world", "assets", "out")
    os.makedirs(f"{out}/tok", exist_ok=True)
    CLIPModel.from_pretrained(f"{assets}/clip").float().save_pretrained(f"{out}/clip")
    for file in ("vocab.json", "merges.txt"):
        shutil.copy(f"{assets}/clip/{file}", f"{out}/tok/{file}")
    tok = CLIPTokenizer(f"{out}/tok/vocab.json", f"{out}/tok/merges.txt")
    ids = [token_ids(tok, five) for five in World(root).captions("train")]
    np.save(f"{out}/ids.npy", np.stack(ids).astype(np.int16))
    save(f"{out}/vae.pt", m=AutoencoderKL.from_pretrained(f"{assets}/unclip/vae").float().state_dict(), o=None, i=0)
    unet = UNet2DConditionModel.from_pretrained(f"{assets}/unclip/unet").float().state_dict()
    save(f"{out}/unet.pt", m=unet, o=None, e={k: w.clone() for k, w in unet.items()}, i=0)
    shutil.copytree(f"{assets}/encoders", f"{out}/encoders", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
