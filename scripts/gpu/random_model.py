"""A model of the right shape with random weights, for measurements of time: random_model.py FOLDER with config.json in it."""
import json
import sys

import torch
from safetensors.torch import save_file

folder = sys.argv[1]
config = json.load(open(folder + "/config.json"))
hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
dim = config.get("head_dim") or hidden // heads
torch.manual_seed(0)


def matrix(rows, columns):
    return torch.randn(rows, columns) * 0.02


tensors = {"model.embed_tokens.weight": matrix(config["vocab_size"], hidden), "model.norm.weight": torch.ones(hidden)}
for layer in range(config["num_hidden_layers"]):
    block = f"model.layers.{layer}."
    for name, rows, columns in [("self_attn.q_proj", heads * dim, hidden), ("self_attn.k_proj", config["num_key_value_heads"] * dim, hidden),
                                ("self_attn.v_proj", config["num_key_value_heads"] * dim, hidden), ("self_attn.o_proj", hidden, heads * dim),
                                ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden), ("mlp.down_proj", hidden, inner)]:
        tensors[block + name + ".weight"] = matrix(rows, columns)
    for name in ["input_layernorm", "post_attention_layernorm"]:
        tensors[block + name + ".weight"] = torch.ones(hidden)
save_file(tensors, folder + "/model.safetensors", metadata={"format": "pt"})
