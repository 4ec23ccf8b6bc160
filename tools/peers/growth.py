"""How time and memory of clustering and matching grow with rows and prototypes: a table, exponents and a picture.

    python tools/peers/growth.py target/release/examples/peers [--picture tools/peers/growth.svg] [--work FOLDER]

Rows are those of peers.py, 768 wide; 3 GB of disk and 4 GB of memory for a million of them.
"""

import argparse
import tempfile
from pathlib import Path

import matplotlib
import numpy as np

from peers import ours, rows

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none"})
import matplotlib.pyplot as plt

ROWS, PROTOTYPES = (10_000, 30_000, 100_000, 300_000, 1_000_000), (50, 100, 200, 500, 1000, 2000)
FIXED_ROWS, FIXED_PROTOTYPES = 100_000, 100


def exponent(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


def clustered(binary, work, n, m):
    file = work / f"rows{n}.npy"
    if not file.exists():
        np.save(file, rows(n))
    told = ours(binary, "kmeans", file, m, 3, 5, work / "centres.npy", 42, 300)
    return told["wall"], (told["peak"] - told["before"]) / 1e6


def matched(binary, work, m):
    """The table of shared rows of two related clusterings of 100,000 rows."""
    rng, file = np.random.default_rng(7), work / "table.npy"
    a = rng.integers(0, m, FIXED_ROWS)
    table = np.zeros((m, m), np.int64)
    np.add.at(table, (a, np.where(rng.random(FIXED_ROWS) < 0.4, a, rng.integers(0, m, FIXED_ROWS))), 1)
    np.save(file, table)
    told = ours(binary, "match", file)
    return told["wall"], (told["peak"] - told["before"]) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", help="target/release/examples/peers")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--work", type=Path, help="keeps the rows there")
    args = parser.parse_args()
    figure, panels = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        sweeps = [
            (f"rows, M = {FIXED_PROTOTYPES}", "clustering", ROWS, lambda n: clustered(args.binary, work, n, FIXED_PROTOTYPES)),
            (f"prototypes, {FIXED_ROWS:,} rows", "clustering", PROTOTYPES, lambda m: clustered(args.binary, work, FIXED_ROWS, m)),
            ("prototypes", "matching", PROTOTYPES, lambda m: matched(args.binary, work, m)),
        ]
        print("| stage | against | | seconds | MB besides the data |\n|---|---|---|---|---|")
        for column, (axis, stage, sizes, run) in enumerate(sweeps):
            found = []
            for size in sizes:
                found.append(run(size))
                print(f"| {stage} | {axis} | {size:,} | {found[-1][0]:.3g} | {found[-1][1]:.3g} |", flush=True)
            for (name, values), panel in zip((("seconds", [f[0] for f in found]), ("MB besides the data", [f[1] for f in found])), panels[:, column]):
                slope = exponent(sizes, np.maximum(values, 1e-9))
                print(f"| {stage} | {axis} | exponent | {slope:.2f} | |" if name == "seconds" else f"| {stage} | {axis} | exponent | | {slope:.2f} |", flush=True)
                panel.loglog(sizes, values, "o-")
                panel.set(xlabel=axis, ylabel=name, title=f"{stage}: exponent {slope:.2f}")
                panel.grid(True, which="major", alpha=0.3)
    if args.picture:
        figure.savefig(args.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
