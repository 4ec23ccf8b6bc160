#!/usr/bin/env python
"""Every network at full architecture against the library that defines it, in one table.

Usage: cargo build --release --example parity
       OMP_NUM_THREADS=1 python tools/parity/parity.py SCRATCH [NAME ...]

Makes one random checkpoint at a time under SCRATCH (up to 6 GB on disk, 8 GB of memory), runs
`cargo run --release --example parity -- SCRATCH/case` on it, then again on its weights in float16 and bfloat16, and
deletes it. Without names, all of them: a quarter of an hour on two cores; table.txt is what they gave. PARITY may name
the example's binary, DEVICE a GPU (`cuda:0`, with an example built with `--features cuda`). Exits with 1 if a relative
error is above its target: 1e-4 for float32, 1e-2 for weights in half precision.
"""
import json
import os
import shutil
import subprocess
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = ["cargo", "run", "--release", "--quiet", "--example", "parity", "--"]
if "PARITY" in os.environ:
    EXAMPLE = [os.environ["PARITY"]]


def rounded(case, dtype):
    """The case beside it with weights of another type; the truth stays float32's."""
    other = f"{case}-{dtype}"
    for root, _, files in os.walk(case):
        to = os.path.join(other, os.path.relpath(root, case))
        os.makedirs(to, exist_ok=True)
        for name in files:
            path, target = os.path.join(root, name), os.path.join(to, name)
            if not name.endswith(".safetensors") or name == "golden.safetensors":
                shutil.copy(path, target)
                continue
            with safe_open(path, "pt") as f:
                tensors = {k: f.get_tensor(k) for k in f.keys()}
            cast = {k: t.to(getattr(torch, dtype)) if t.is_floating_point() else t for k, t in tensors.items()}
            save_file(cast, target, metadata={"format": "pt"})
    with open(f"{other}/case.json", "r+") as f:
        about = json.load(f) | {"weights": dtype}
        f.seek(0)
        json.dump(about, f)
        f.truncate()
    return other


def main(scratch, names):
    case, good, header = os.path.join(scratch, "case"), True, True
    for name in names:
        shutil.rmtree(case, ignore_errors=True)
        os.makedirs(case)
        # Another process, so that its memory is free again when ours is measured against it.
        subprocess.run([sys.executable, os.path.join(HERE, "make.py"), case, name], check=True)
        for dtype in ("float32", "float16", "bfloat16"):
            at = case if dtype == "float32" else rounded(case, dtype)
            run = subprocess.run(EXAMPLE + [at], stdout=subprocess.PIPE, text=True)
            lines = run.stdout.splitlines()
            print("\n".join(lines if header else lines[1:]), flush=True)
            good, header = good and run.returncode == 0, False
            if at != case:
                shutil.rmtree(at)
        shutil.rmtree(case)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    from make import NAMES
    main(sys.argv[1], sys.argv[2:] or NAMES)
