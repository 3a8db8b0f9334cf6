"""A random Llama of a few thousand weights with a byte-level tokenizer, and texts for it; the same on every call.

    python3 tests/faults/tiny_model.py FOLDER
"""
import array
import json
import pathlib
import random
import struct
import sys

VOCABULARY, HIDDEN, INTERMEDIATE = 300, 64, 96
WORDS = ("the and of to sea ship captain wind a said never letter house old evening was walked quiet in stone river it "
         "morning without").split()


def byte_level_alphabet():
    """GPT-2's printable character for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


def tokenizer():
    alphabet = byte_level_alphabet()
    vocabulary = {token: number for number, token in enumerate(["<s>", "</s>", *alphabet])}
    merges = []
    for word in WORDS:
        for length in range(1, len(word) + 1):
            left, right = alphabet[32] + word[:length - 1], word[length - 1]
            if len(vocabulary) < VOCABULARY and left + right not in vocabulary:
                merges.append([left, right])
                vocabulary[left + right] = len(vocabulary)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": number, "content": token, **flags} for number, token in enumerate(["<s>", "</s>"])],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocabulary, "merges": merges}}


def config(layers):
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY,
            "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": layers,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "hidden_act": "silu",
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 0,
            "eos_token_id": 1, "torch_dtype": "float32"}


def shapes(layers):
    """Name, shape, mean and deviation of every tensor."""
    yield "model.embed_tokens.weight", [VOCABULARY, HIDDEN], 0, 0.5
    yield "lm_head.weight", [VOCABULARY, HIDDEN], 0, 0.15
    yield "model.norm.weight", [HIDDEN], 1, 0.1
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield at + norm + ".weight", [HIDDEN], 1, 0.1
        for name, rows in (("q_proj", HIDDEN), ("k_proj", HIDDEN // 2), ("v_proj", HIDDEN // 2), ("o_proj", HIDDEN)):
            yield at + f"self_attn.{name}.weight", [rows, HIDDEN], 0, 0.15
        for name in ("gate_proj", "up_proj"):
            yield at + f"mlp.{name}.weight", [INTERMEDIATE, HIDDEN], 0, 0.15
        yield at + "mlp.down_proj.weight", [HIDDEN, INTERMEDIATE], 0, 0.15


def safetensors(layers, seed):
    generator = random.Random(seed)
    header, blobs, end = {}, [], 0
    for name, shape, mean, deviation in shapes(layers):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = array.array("f", (generator.gauss(mean, deviation) for _ in range(count)))
        blobs.append(values.tobytes())
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(blobs)


def write_model(folder, layers=4, seed=1):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(layers), indent=2))
    (folder / "model.safetensors").write_bytes(safetensors(layers, seed))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": False}))


def write_text(path, count, seed):
    generator = random.Random(seed)
    ends = ["\n" if i % 13 == 12 else ".\n\n" if i % 90 == 89 else " " for i in range(count)]
    path.write_text("".join(generator.choice(WORDS) + end for end in ends))


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    write_model(target / "model")
    write_text(target / "text.txt", 3000, 7)
    write_text(target / "held_out.txt", 300, 11)
