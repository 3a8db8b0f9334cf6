"""A random Llama whose layers compute little and whose activations are wide, so that links decide: what the sweep of links trains."""
import array
import json
import random
import struct

ALPHABET = "abcdefghijklmnopqrstuvwxyz .\n"  # of the texts of the sweep


def shapes(hidden, inner, layers, vocabulary):
    yield "model.embed_tokens.weight", [vocabulary, hidden], 0, 0.3
    yield "lm_head.weight", [vocabulary, hidden], 0, 0.02
    yield "model.norm.weight", [hidden], 1, 0.1
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield at + norm + ".weight", [hidden], 1, 0.1
        for name in ("q_proj", "k_proj", "v_proj"):
            yield at + f"self_attn.{name}.weight", [inner, hidden], 0, 0.02
        yield at + "self_attn.o_proj.weight", [hidden, inner], 0, 0.05
        for name in ("gate_proj", "up_proj"):
            yield at + f"mlp.{name}.weight", [inner, hidden], 0, 0.02
        yield at + "mlp.down_proj.weight", [hidden, inner], 0, 0.05


def write_settings(folder, hidden, inner, layers, is_tied=False, alphabet=None):
    """config.json and a tokenizer with one token per byte: all of them, or those of an alphabet. Returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    heads = max(2, inner // 64)
    tokenizer = byte_tokenizer(alphabet)
    vocabulary = len(tokenizer["model"]["vocab"])
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary, "hidden_size": hidden,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": heads, "head_dim": inner // heads, "max_position_embeddings": 2048, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": is_tied, "bos_token_id": 0, "eos_token_id": 1,
        "torch_dtype": "float32"}))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": False}))
    return vocabulary


def write(folder, hidden, inner, layers, alphabet=None):
    vocabulary = write_settings(folder, hidden, inner, layers, alphabet=alphabet)
    generator = random.Random(1)
    header, blobs, end = {}, [], 0
    for name, shape, mean, deviation in shapes(hidden, inner, layers, vocabulary):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        blobs.append(array.array("f", (generator.gauss(mean, deviation) for _ in range(count))).tobytes())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def byte_tokenizer(alphabet=None):
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    printed = [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]
    tokens = [printed[ord(letter)] for letter in alphabet] if alphabet else printed
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": number, "content": token, **flags} for number, token in enumerate(["<s>", "</s>"])],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {token: n for n, token in enumerate(["<s>", "</s>", *tokens])}, "merges": []}}
