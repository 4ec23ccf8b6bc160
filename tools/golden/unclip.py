"""Makes tests/golden/unclip*: tiny random Stable unCLIP checkpoints and what diffusers computes with them.

Usage: python tools/golden/unclip.py   (see requirements.txt: diffusers 0.34.0, transformers 4.53.2, torch 2.7.1)

`unclip2` has two levels and linear projections; `unclip4` has four (the topology of Stable Diffusion 2.1), convolutional
projections, two transformer layers, uneven heads and a mid-block scale. Weights are seeded, so the files are
the same each time up to the rounding of the CPU at hand.
"""
import json
import os
import shutil
import sys
import tempfile

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, PNDMScheduler, StableUnCLIPImg2ImgPipeline, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden")
WIDTH = 24
PROMPT, NEGATIVE = "a man in a red shirt rides a horse", "text, watermark"
torch.set_grad_enabled(False)
torch.set_num_threads(1)


def randomise(model, seed):
    """Gains near 1, biases near 0, but none exactly: a forgotten one shows."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        r = torch.randn(p.shape, generator=g)
        if p.ndim >= 2:
            p.copy_(0.5 * r if "embedding.weight" in name else r / p[0].numel() ** 0.5)
        else:
            p.copy_(1 + 0.2 * r if name.endswith("weight") else 0.1 * r)
    return model.eval()


def write_tokenizer(folder):
    """CLIP's byte-level vocabulary with a few merges; pads with `!`, as Stable Diffusion 2.1 does."""
    byte = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = [chr(b) for b in byte] + [chr(256 + i) for i in range(256 - len(byte))]
    merges = [("t", "e"), ("te", "x"), ("tex", "t</w>"), ("r", "e"), ("re", "d</w>"), ("m", "a"), ("ma", "n</w>"), ("h", "o"),
              ("w", "a"), ("wa", "t"), ("wat", "e"), ("wate", "r"), ("r", "k</w>"), ("i", "n</w>"), ("s", "h")]
    vocab = chars + [c + "</w>" for c in chars] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    json.dump({t: i for i, t in enumerate(vocab)}, open(f"{folder}/vocab.json", "w"), ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    return CLIPTokenizer(f"{folder}/vocab.json", f"{folder}/merges.txt", pad_token="!", model_max_length=77), len(vocab)


def pipeline(levels, seed):
    if levels == 2:
        unet = dict(block_out_channels=(8, 16), layers_per_block=1, attention_head_dim=[2, 4], use_linear_projection=True, sample_size=8)
        down, up, vae = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D"), (8, 16)
    else:
        unet = dict(block_out_channels=(8, 8, 16, 16), layers_per_block=2, attention_head_dim=[1, 2, 4, 8], use_linear_projection=False,
                    sample_size=16, mid_block_scale_factor=1.5, transformer_layers_per_block=2)
        down = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
        up, vae = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, (8, 8, 16)
    unet = randomise(UNet2DConditionModel(in_channels=4, out_channels=4, down_block_types=down, up_block_types=up, norm_num_groups=4,
                                          cross_attention_dim=32, class_embed_type="projection", upcast_attention=True,
                                          projection_class_embeddings_input_dim=2 * WIDTH, **unet), seed)
    vae = randomise(AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * len(vae), up_block_types=("UpDecoderBlock2D",) * len(vae),
                                  block_out_channels=vae, layers_per_block=1, norm_num_groups=4, latent_channels=4), seed + 1)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer, vocab = write_tokenizer(folder)
    text = randomise(CLIPTextModel(CLIPTextConfig(
        vocab_size=vocab, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, hidden_act="gelu",
        projection_dim=16, bos_token_id=vocab - 2, eos_token_id=vocab - 1, pad_token_id=0)), seed + 2)
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=8, projection_dim=WIDTH))
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=WIDTH)
    g = torch.Generator().manual_seed(seed + 4)
    normalizer.mean.copy_(0.2 * torch.randn(1, WIDTH, generator=g))
    normalizer.std.copy_(0.5 + torch.rand(1, WIDTH, generator=g))
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
                              set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1)
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=CLIPImageProcessor(), image_encoder=vision, image_normalizer=normalizer, tokenizer=tokenizer, text_encoder=text,
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"), unet=unet, scheduler=scheduler, vae=vae)


def save_pipeline(pipe, folder):
    """The decoder half of the VAE and no vision tower: nothing else is read."""
    shutil.rmtree(folder, ignore_errors=True)
    pipe.save_pretrained(folder, safe_serialization=True)
    shutil.rmtree(f"{folder}/image_encoder")
    shutil.rmtree(f"{folder}/feature_extractor")
    half = {k: v.contiguous() for k, v in pipe.vae.state_dict().items() if k.startswith(("decoder", "post_quant"))}
    save_file(half, f"{folder}/vae/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def record(pipe, seed):
    g = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.randn(*shape, generator=g)
    n, out = pipe.unet.config.sample_size, {}
    latents, embeds, noise = rand(1, 4, n, n), rand(1, WIDTH), rand(1, WIDTH)
    out |= {"latents": latents, "image_embeds": embeds, "embed_noise": noise}
    prompt, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True, negative_prompt=NEGATIVE)
    out |= {"prompt_embeds": prompt, "negative_prompt_embeds": negative}
    out["input_ids"] = pipe.tokenizer(PROMPT, padding="max_length", max_length=77, return_tensors="pt").input_ids
    for level in (0, 10, 500, 999):
        out[f"noised_{level}"] = pipe.noise_image_embeddings(embeds, level, noise=noise)
    labels = torch.cat([torch.zeros_like(out["noised_10"]), out["noised_10"]])
    both, states = torch.cat([latents, latents]), torch.cat([negative, prompt])
    for t in (981, 1):
        out |= look(pipe.unet, both, t, states, labels, f"unet_{t}/")
    out["vae_in"] = rand(1, 4, n, n)
    out["vae_out"] = pipe.vae.decode(out["vae_in"] / pipe.vae.config.scaling_factor).sample
    pndm = pipe.scheduler
    for name, steps, scheduler in (("pipe5", 5, pndm), ("pipe100", 100, pndm), ("ddim10", 10, DDIMScheduler.from_config(pndm.config, clip_sample=False))):
        pipe.scheduler = scheduler
        out |= whole(pipe, latents, embeds, noise, prompt, negative, steps, name)
    pipe.scheduler = pndm
    return out


def look(unet, x, t, states, labels, name):
    """Every block's output of one call."""
    out, hooks = {}, []
    blocks = [("conv_in", unet.conv_in), ("time_embedding", unet.time_embedding), ("class_embedding", unet.class_embedding), ("mid", unet.mid_block)]
    blocks += [(f"down{i}", b) for i, b in enumerate(unet.down_blocks)] + [(f"up{i}", b) for i, b in enumerate(unet.up_blocks)]
    for key, block in blocks:
        keep = lambda _m, _i, o, key=key: out.__setitem__(name + key, o[0] if isinstance(o, tuple) else o)
        hooks.append(block.register_forward_hook(keep))
    out[name + "out"] = unet(x, t, encoder_hidden_states=states, class_labels=labels).sample
    for hook in hooks:
        hook.remove()
    return out


def whole(pipe, latents, embeds, noise, prompt, negative, steps, name):
    fixed = pipe.noise_image_embeddings
    pipe.noise_image_embeddings = lambda image_embeds, noise_level, noise=None, generator=None, _n=noise: fixed(image_embeds, noise_level, noise=_n)
    seen = []
    pixels = pipe(prompt_embeds=prompt, negative_prompt_embeds=negative, image_embeds=embeds, latents=latents.clone(), noise_level=10,
                  guidance_scale=5.0, num_inference_steps=steps, output_type="np", callback=lambda i, t, x: seen.append(x.clone())).images[0]
    pipe.noise_image_embeddings = fixed
    few = seen if steps < 20 else seen[9::10]
    return {f"{name}_latents": torch.cat(few), f"{name}_last": seen[-1],
            f"{name}_pixels": torch.from_numpy((pixels * 255).round().astype("uint8"))}


def schedulers():
    out = {"cosine": DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod}
    common = dict(beta_start=0.00085, beta_end=0.012, steps_offset=1)
    kinds = {
        "pndm": (PNDMScheduler, dict(skip_prk_steps=True, beta_schedule="scaled_linear", prediction_type="v_prediction")),
        "prk": (PNDMScheduler, dict(skip_prk_steps=False, beta_schedule="scaled_linear", prediction_type="epsilon", set_alpha_to_one=True)),
        "ddim": (DDIMScheduler, dict(beta_schedule="linear", prediction_type="epsilon", clip_sample=True, clip_sample_range=2.0)),
        "ddim_v": (DDIMScheduler, dict(beta_schedule="scaled_linear", prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False)),
        "ddim_x": (DDIMScheduler, dict(beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False, timestep_spacing="trailing")),
        "ddim_l": (DDIMScheduler, dict(beta_schedule="linear", prediction_type="epsilon", clip_sample=False, timestep_spacing="linspace")),
    }
    for name, (make, options) in kinds.items():
        for steps in (1, 2, 3, 4, 5, 6, 7, 10, 20, 50, 100):
            if name == "prk" and steps < 4:
                continue
            scheduler = make(**common, **options)
            scheduler.set_timesteps(steps)
            g = torch.Generator().manual_seed(steps)
            x, samples, outputs = torch.randn(2, 3, generator=g), [], []
            for t in scheduler.timesteps:
                # Made-up network outputs.
                outputs.append(0.5 * torch.randn(2, 3, generator=g))
                x = scheduler.step(outputs[-1], t, x).prev_sample
                samples.append(x)
            out |= {f"{name}/{steps}/timesteps": scheduler.timesteps.to(torch.int64), f"{name}/{steps}/outputs": torch.stack(outputs),
                    f"{name}/{steps}/start": torch.randn(2, 3, generator=torch.Generator().manual_seed(steps)),
                    f"{name}/{steps}/samples": torch.stack(samples)}
        shown = scheduler.config
        json.dump({k: v for k, v in shown.items() if not k.startswith("_")} | {"_class_name": make.__name__}, open(f"{OUT}/unclip_{name}.json", "w"), indent=1)
    return out


def write(name, tensors):
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, f"{OUT}/{name}.safetensors")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    write("unclip_schedulers", schedulers())
    for levels, seed in ((2, 11), (4, 31)):
        pipe = pipeline(levels, seed)
        pipe.set_progress_bar_config(disable=True)
        save_pipeline(pipe, f"{OUT}/unclip{levels}")
        write(f"unclip{levels}_golden", record(pipe, seed + 9))
    sys.exit(0)
