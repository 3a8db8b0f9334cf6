"""Perplexity and token ids of a GGUF model or a Hugging Face folder, by `transformers` and `gguf`.

    python -m venv /tmp/reference && /tmp/reference/bin/pip install torch transformers gguf accelerate
    /tmp/reference/bin/python tests/golden/reference_smollm2.py MODEL TEXT --ctx 512 --windows 32

MODEL is a .gguf file or a folder. Prints JSON with the keys of `qtk eval --json` and `qtk inspect --tokenize --json`, and the seconds
of the forward passes (fp32, two threads, batches of --batch windows).
"""
import argparse
import hashlib
import json
import pathlib
import struct
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(path, attention):
    path = pathlib.Path(path)
    where = dict(pretrained_model_name_or_path=path.parent, gguf_file=path.name) if path.suffix == ".gguf" else dict(
        pretrained_model_name_or_path=path)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, attn_implementation=attention)
    return model.eval(), AutoTokenizer.from_pretrained(**where)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--ctx", type=int, default=512)
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--attention", default="sdpa")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer = load(args.model, args.attention)
    ids = tokenizer(pathlib.Path(args.text).read_text(encoding="utf-8"))["input_ids"]
    windows = torch.tensor(ids[:len(ids) // args.ctx * args.ctx]).view(-1, args.ctx)
    if args.windows:
        windows = windows[:args.windows]
    total, seconds = 0.0, 0.0
    with torch.inference_mode():
        model(windows[:1])  # warm-up
        for batch in windows.split(args.batch):
            start = time.perf_counter()
            logits = model(batch).logits
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten(),
                                                     reduction="none")
            seconds += time.perf_counter() - start
            total += loss.double().sum().item()
    tokens = windows.shape[0] * (args.ctx - 1)
    print(json.dumps({
        "protocol": f"ppl_token/ctx={args.ctx}", "ppl": torch.tensor(total / tokens).double().exp().item(),
        "nll": total / tokens, "tokens": tokens, "seconds": seconds, "count": len(ids),
        "sha256": hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest(), "head": ids[:16]}))


if __name__ == "__main__":
    main()
