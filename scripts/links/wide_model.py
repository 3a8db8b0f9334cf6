"""A random Llama whose layers compute little and whose activations are wide, so that links decide: what the sweep of links trains."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import random_llama  # noqa: E402

ALPHABET = "abcdefghijklmnopqrstuvwxyz .\n"  # of the texts of the sweep


def shapes(hidden, inner, layers, vocabulary):
    yield "model.embed_tokens.weight", [vocabulary, hidden], 0, 0.3
    yield "lm_head.weight", [vocabulary, hidden], 0, 0.02
    yield "model.norm.weight", [hidden], 1, 0.1
    for layer in range(layers):
        for name, *rest in random_llama.block_shapes(hidden, inner, inner, inner, 0.02, 0.05):
            yield f"model.layers.{layer}.{name}", *rest


def write_settings(folder, hidden, inner, layers, is_tied=False, alphabet=None):
    """config.json and a tokenizer with one token per byte: all of them, or those of an alphabet. Returns their number."""
    letters = random_llama.byte_letters()
    tokens = [letters[ord(letter)] for letter in alphabet] if alphabet else letters
    heads = max(2, inner // 64)
    settings = random_llama.config(
        vocab_size=len(tokens) + 2, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, head_dim=inner // heads, max_position_embeddings=2048,
        tie_word_embeddings=is_tied)
    random_llama.write_settings(folder, settings, random_llama.tokenizer(tokens))
    return len(tokens) + 2


def write(folder, hidden, inner, layers, alphabet=None):
    vocabulary = write_settings(folder, hidden, inner, layers, alphabet=alphabet)
    (folder / "model.safetensors").write_bytes(
        random_llama.safetensors(shapes(hidden, inner, layers, vocabulary), seed=1))
