"""Loss of a small model after training over links with every compressor, against uncompressed links: 200 steps on a novel.

    python3 scripts/links/convergence.py build/bin/qtk OUT TEXT [--steps 200] [--seeds 1,2] [--only none,tah]

Trains on the first 51,200 characters of TEXT; the held-out last tenth is measured at the end. OUT gets convergence.json and convergence.md.
"""
import argparse
import json
import pathlib
import shutil
import subprocess

import wide_model

WINDOWS, CTX, BATCH = 400, 128, 8  # of the training text: every sample is seen four times in 200 steps
# Delta methods send a change since the last visit: the first pass over the data is uncompressed, as in AQ-SGD.
EPOCH_OF_WARMUP = f"comm.warmup_steps={WINDOWS // BATCH}"
WIRES = {
    "none": [],
    "tah": ["comm.forward={use: tah}", "comm.backward={use: fixpoint, options: {bits: 6}}"],
    "tah both ways": ["comm.forward={use: tah}",
                      "comm.backward={use: tah, options: {high_precision_bits: 6, low_precision_bits: 6}}"],
    "fixpoint 8": ["comm.forward={use: fixpoint}", "comm.backward={use: fixpoint}"],
    "fixpoint 4": ["comm.forward={use: fixpoint, options: {bits: 4}}", "comm.backward={use: fixpoint, options: {bits: 6}}"],
    "delta": ["comm.forward={use: delta}", "comm.backward={use: fixpoint, options: {bits: 6}}", EPOCH_OF_WARMUP],
    "delta_lowbits": ["comm.forward={use: delta_lowbits}", "comm.backward={use: fixpoint, options: {bits: 6}}",
                      EPOCH_OF_WARMUP],
}


def train(options, folder, wire, seed):
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    words = [options.qtk, "launch", "--nproc", "2", "run", folder / "run.yaml", "--out", out, "-q", "--set", f"seed={seed}"]
    for override in WIRES[wire]:
        words += ["--set", override]
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in (out / "train/dense/metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    epoch = losses[-(WINDOWS // BATCH):]
    return {"wire": wire, "seed": seed, "train_loss": sum(epoch) / len(epoch),
            "val_loss": [row["val_loss"] for row in rows if "val_loss" in row][-1]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("qtk")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--only", default=",".join(WIRES))
    options = parser.parse_args()
    folder = options.out.resolve()
    wide_model.write(folder / "model", hidden=128, inner=128, layers=4)
    text = options.text.read_text(errors="replace")
    (folder / "train.txt").write_text(text[:WINDOWS * CTX + 1])  # a token is a byte
    (folder / "held_out.txt").write_text(text[len(text) * 9 // 10:])
    (folder / "run.yaml").write_text(f"""qtk: 1
name: convergence
device: cpu
threads: 1
model: {{path: {folder}/model}}
data:
  train: {{files: [{folder}/train.txt], ctx: {CTX}}}
  eval: {{files: [{folder}/held_out.txt], ctx: {CTX}, windows: 64}}
optimizer: {{lr: 2e-3}}
parallel: {{pipeline: 2}}
train: {{steps: {options.steps}, global_batch: {BATCH}, micro_batch: 2, log_every: 1, eval_every: {options.steps}, checkpoint_every: 0,
        lr_schedule: {{use: linear}}}}
stages: [train]
""")
    rows = []
    for seed in map(int, options.seeds.split(",")):
        for wire in options.only.split(","):
            rows.append(train(options, folder, wire, seed))
            print(json.dumps(rows[-1]), flush=True)
    (folder / "convergence.json").write_text(json.dumps(rows, indent=2))
    lines = ["| wire | seed | loss of the last pass over the data | against none | held-out loss | against none |", "|---|---|---|---|---|---|"]
    for row in rows:
        base = next(other for other in rows if other["wire"] == "none" and other["seed"] == row["seed"])
        lines.append(f"| {row['wire']} | {row['seed']} | {row['train_loss']:.4f} | {row['train_loss'] / base['train_loss'] - 1:+.2%} | "
                     f"{row['val_loss']:.4f} | {row['val_loss'] / base['val_loss'] - 1:+.2%} |")
    (folder / "convergence.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
