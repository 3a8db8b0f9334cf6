"""A Hugging Face folder of a Llama with random weights, without any library: what measurements and fault tests train."""
import array
import json
import random
import struct


def byte_letters():
    """GPT-2's printable character for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


def tokenizer(tokens, merges=()):
    """tokenizer.json of a byte-level BPE; <s> and </s> come before the tokens."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": number, "content": token, **flags} for number, token in enumerate(["<s>", "</s>"])],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {token: number for number, token in enumerate(["<s>", "</s>", *tokens])},
                      "merges": list(merges)}}


def config(**sizes):
    """config.json; sizes: vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, ..."""
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1,
            "torch_dtype": "float32", **sizes}


def block_shapes(hidden, heads, keys, inner, deviation_in, deviation_out):
    """Name behind "model.layers.N.", shape, mean and deviation of every tensor of a block."""
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield norm + ".weight", [hidden], 1, 0.1
    for name, rows in (("q_proj", heads), ("k_proj", keys), ("v_proj", keys)):
        yield f"self_attn.{name}.weight", [rows, hidden], 0, deviation_in
    yield "self_attn.o_proj.weight", [hidden, heads], 0, deviation_out
    for name in ("gate_proj", "up_proj"):
        yield f"mlp.{name}.weight", [inner, hidden], 0, deviation_in
    yield "mlp.down_proj.weight", [hidden, inner], 0, deviation_out


def safetensors(shapes, seed):
    generator = random.Random(seed)
    header, blobs, end = {}, [], 0
    for name, shape, mean, deviation in shapes:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        blobs.append(array.array("f", (generator.gauss(mean, deviation) for _ in range(count))).tobytes())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(blobs)


def write_settings(folder, settings, vocabulary):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings, indent=2))
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": False}))
