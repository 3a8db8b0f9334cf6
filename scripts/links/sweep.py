"""Step time of a pipeline of four processes over shaped links, for every compressor and rate, beside the bounds of links and
processors and beside what the simulator says. Needs root (network namespaces, tc) and a build; takes about 9 minutes.

    python3 scripts/links/sweep.py build/bin/qtk OUT [--rates 100,300,500,1000] [--only tah,fp32] [--steps 6]

OUT gets sweep.json and sweep.md. Run it on a quiet machine: four processes share its cores.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import network
import wide_model

STAGES = 4
WIRES = {  # forward and backward, as --set takes them
    "fp32": ("{use: none}", "{use: none}"),
    "bf16": ("{use: none, options: {dtype: bf16}}",) * 2,
    "fixpoint 8": ("{use: fixpoint, options: {bits: 8}}",) * 2,
    "fixpoint 6": ("{use: fixpoint, options: {bits: 6}}",) * 2,
    "fixpoint 4": ("{use: fixpoint, options: {bits: 4}}", "{use: fixpoint, options: {bits: 4}}"),
    "delta": ("{use: delta, options: {bits: 4}}", "{use: fixpoint, options: {bits: 6}}"),
    "tah": ("{use: tah}", "{use: fixpoint, options: {bits: 6}}"),
}
# Of 100 Mbit/s that tbf lets pass, what is left of Ethernet frames for TCP's payload: 1448 of 1514 bytes. Acknowledgements take
# next to nothing: what arrives is acknowledged some 64 kB at a time.
PAYLOAD = 1448 / 1514
# How unevenly two messages divide a device, by congestion control: what scripts/links/shares.py measured (reno 0.14, 0.35 and
# 0.47 at 100, 300 and 1000 Mbit/s, BBR 0.4 to 0.8). BBR takes the burst of a token bucket for the rate.
SHARE_SPREAD = {"bbr": 0.6, "reno": 0.3}
SIMULATED_STEPS = 21  # shares are random


def write_config(folder, options):
    wide_model.write(folder / "model", options.hidden, options.inner, STAGES, wide_model.ALPHABET)
    text = "".join(letter for letter in pathlib.Path(__file__).resolve().read_text().lower()
                   if letter in wide_model.ALPHABET) * 60
    (folder / "text.txt").write_text(text)
    (folder / "run.yaml").write_text(f"""qtk: 1
name: links
device: cpu
threads: 1
model: {{path: {folder}/model}}
data: {{train: {{files: [{folder}/text.txt], ctx: {options.ctx}}}}}
optimizer: {{lr: 1e-4}}
parallel: {{pipeline: {STAGES}, schedule: {options.schedule}, layers: [1, 1, 1, 1]}}
train: {{steps: {options.steps}, global_batch: {options.micro_batches * options.windows}, micro_batch: {options.windows}, log_every: 1, checkpoint_every: 0}}
stages: [train]
""")


def run_everywhere(machines, qtk, words, limit_s=600):
    """The same verb on every machine; rank 0's is the first."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    started = []
    for machine in machines:
        launch = [qtk, "launch", "--nproc", 1, "--nodes", len(machines), "--node-rank", machine.number, "--rendezvous",
                  f"{machines[0].address}:{network.PORT}", *words]
        started.append(subprocess.Popen(machine.command(launch), env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True))
    outputs = [process.communicate(timeout=limit_s)[0] for process in started]
    for process, output in zip(started, outputs):
        if process.returncode != 0:
            sys.exit(f"{' '.join(process.args)}\nended with {process.returncode}:\n{output}")
    return outputs[0]


def measure(machines, qtk, folder, rate, wire):
    forward, backward = WIRES[wire]
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    run_everywhere(machines, qtk, ["run", folder / "run.yaml", "--out", out, "-q", "--set", f"comm.forward={forward}",
                                   "--set", f"comm.backward={backward}"])
    timing = json.loads((out / "train/dense/timing.json").read_text())
    profile = folder / f"timing-{rate}-{wire.replace(' ', '_')}.json"
    profile.write_text(json.dumps(timing))
    return timing, profile


def simulated(qtk, folder, wire, rate, profile, congestion):
    forward, backward = WIRES[wire]
    words = [qtk, "simulate", folder / "run.yaml", "--set", f"comm.forward={forward}", "--set",
             f"comm.backward={backward}", "--profile", profile, "--rate-mbit", rate * PAYLOAD, "--latency-ms", 0.2,
             "--shared-egress", "--share-spread", SHARE_SPREAD.get(congestion, 0), "--cores", os.cpu_count(),
             "--ranks-per-host", STAGES, "--steps", SIMULATED_STEPS, "--json", "-q"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["step_s"]


def bounds(timing, rate):
    """Seconds that the busiest egress sends in one step, with the fill of the pipeline, and that all cores work for all."""
    count = timing["micro_batches"]
    egress = count * (timing["forward_bytes"] + timing["backward_bytes"]) * 8 / (rate * PAYLOAD * 1e6)
    busy = sum(stage["cpu"]["step_s"] + stage["cpu"]["kernel_s"] for stage in timing["stages"])
    fill = (STAGES - 1) / count  # of the pipeline: the first message's way forward, the last one's back
    return egress * (1 + fill), busy / os.cpu_count()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("qtk")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--rates", default="100,300,500,1000")
    parser.add_argument("--only", default=",".join(WIRES))
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--micro-batches", type=int, default=32)
    parser.add_argument("--windows", type=int, default=4, help="of a micro-batch")
    parser.add_argument("--ctx", type=int, default=128, help="tokens of a window; long ones make attention bind the cores")
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--inner", type=int, default=8)
    parser.add_argument("--schedule", default="1f1b")
    parser.add_argument("--congestion", default="reno", help="TCP's congestion control")
    options = parser.parse_args()
    qtk, folder = str(pathlib.Path(options.qtk).resolve()), options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, options)
    rows = []
    with network.machines(STAGES, options.congestion) as machines:
        for rate in map(int, options.rates.split(",")):
            for machine in machines:
                machine.set_rate(rate)
            for wire in options.only.split(","):
                timing, profile = measure(machines, qtk, folder, rate, wire)
                link, cores = bounds(timing, rate)
                rows.append({"rate_mbit": rate, "wire": wire, "step_s": timing["step_s"], "link_bound_s": link,
                             "core_bound_s": cores, "simulated_s": simulated(qtk, folder, wire, rate, profile,
                                                                              options.congestion),
                             "message_bytes": [timing["forward_bytes"], timing["backward_bytes"]]})
                print(json.dumps(rows[-1]), flush=True)
    (folder / "sweep.json").write_text(json.dumps(rows, indent=2))
    table = as_table(rows)
    (folder / "sweep.md").write_text(table)
    print(table)


def as_table(rows):
    lines = ["| Mbit/s | wire | step s | times fp32 | times bf16 | of the links' bound | of the bound of links and cores | simulator |",
             "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        same_rate = {other["wire"]: other["step_s"] for other in rows if other["rate_mbit"] == row["rate_mbit"]}
        ratio = [f"{same_rate[base] / row['step_s']:.2f}" if base in same_rate else "-" for base in ("fp32", "bf16")]
        bound = max(row["link_bound_s"], row["core_bound_s"])
        lines.append(f"| {row['rate_mbit']} | {row['wire']} | {row['step_s']:.3f} | {ratio[0]} | {ratio[1]} | "
                     f"{row['link_bound_s'] / row['step_s']:.0%} | {bound / row['step_s']:.0%} | "
                     f"{row['simulated_s'] / row['step_s'] - 1:+.1%} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
