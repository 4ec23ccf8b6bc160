"""Saves what was trained in the libraries' own layouts, float16.

usage: export.py OUT ASSETS
"""
import shutil

import torch
from diffusers import StableUnCLIPImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTokenizer, CLIPTokenizerFast, CLIPVisionModelWithProjection

from common import LENGTH, WIDTH, arguments, schedulers, unet_network, vae_network


def main():
    out, assets = arguments("out", "assets")
    clip = CLIPModel.from_pretrained(f"{out}/clip")
    processor = CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})

    def tokenizer(folder, length):
        made = CLIPTokenizer(f"{out}/tok/vocab.json", f"{out}/tok/merges.txt", model_max_length=length)
        made.save_pretrained(folder)
        return made

    text = CLIPTextModel(clip.config.text_config)
    vision = CLIPVisionModelWithProjection(clip.config.vision_config)
    for tower in (text, vision):
        tower.load_state_dict({k: v for k, v in clip.state_dict().items() if k in tower.state_dict()})
    made = torch.load(f"{out}/cache.pt")
    vae, unet = vae_network(float(made["sf"])), unet_network()
    vae.load_state_dict(torch.load(f"{out}/vae.pt")["m"])
    unet.load_state_dict(torch.load(f"{out}/unet.pt")["e"])
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=WIDTH)
    normalizer.mean.data.copy_(made["E"].mean(0)[None])
    normalizer.std.data.copy_(made["E"].std(0)[None])
    sampler, noising = schedulers()
    pipeline = StableUnCLIPImg2ImgPipeline(
        feature_extractor=processor, image_encoder=vision, image_normalizer=normalizer, image_noising_scheduler=noising,
        tokenizer=tokenizer(f"{out}/tokenizer", LENGTH), text_encoder=text, unet=unet, scheduler=sampler, vae=vae)
    pipeline.to(torch.float16).save_pretrained(f"{assets}/unclip", safe_serialization=True)

    clip.half().save_pretrained(f"{assets}/clip")
    tokenizer(f"{assets}/clip", 77)
    processor.save_pretrained(f"{assets}/clip")
    CLIPTokenizerFast.from_pretrained(f"{assets}/clip").backend_tokenizer.save(f"{assets}/clip/tokenizer.json")
    for name in ("vit", "nf_resnet"):
        shutil.copytree(f"{out}/encoders/{name}", f"{assets}/encoders/{name}", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
