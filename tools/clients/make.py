"""Makes the sets that clients.py loads: make.py BINARY FOLDER. Real pairs of the demo, so that it takes seconds, in every
combination of --format, one of them evaluated twice."""

import itertools
import subprocess
import sys
from pathlib import Path

binary, folder = sys.argv[1], Path(sys.argv[2])
FORMS = ["webdataset", "parquet", "open_clip"]


def run(*args):
    subprocess.run([binary, "--progress", "none", *map(str, args)], check=True, stdout=subprocess.DEVNULL)


for n in range(len(FORMS) + 1):
    for forms in itertools.combinations(FORMS, n):
        name = "-".join(["imagefolder", *forms])
        run("distill", "--method", "random", "--pairs", 12, "--out", folder / name,
            "--format", ",".join(["imagefolder", *forms]))
# Targets that are no captions, and odd words in captions.
run("distill", "--method", "need+real", "--pairs", 12, "--out", folder / "solved")
odd = folder / "imagefolder-webdataset-parquet-open_clip"
for seed in (1, 2):
    run("evaluate", odd, "--seed", seed, "--runs", 1, "--encoders", "vit",
        "--metrics", folder / f"curves{seed}.jsonl", "--tensorboard", folder / "tb")
