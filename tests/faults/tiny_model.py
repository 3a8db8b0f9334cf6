"""A random Llama of a few thousand weights with a byte-level tokenizer, and texts for it; the same on every call.

    python3 tests/faults/tiny_model.py FOLDER
"""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import random_llama  # noqa: E402

VOCABULARY, HIDDEN, INTERMEDIATE = 300, 64, 96
WORDS = ("the and of to sea ship captain wind a said never letter house old evening was walked quiet in stone river it "
         "morning without").split()


def tokenizer():
    """One token per byte and, as far as the vocabulary reaches, those that spell the words from the left."""
    letters = random_llama.byte_letters()
    tokens, merges = list(letters), []
    for word in WORDS:
        for length in range(1, len(word) + 1):
            left, right = letters[32] + word[:length - 1], word[length - 1]
            if len(tokens) + 2 < VOCABULARY and left + right not in tokens:
                merges.append([left, right])
                tokens.append(left + right)
    return random_llama.tokenizer(tokens, merges)


def shapes(layers):
    yield "model.embed_tokens.weight", [VOCABULARY, HIDDEN], 0, 0.5
    yield "lm_head.weight", [VOCABULARY, HIDDEN], 0, 0.15
    yield "model.norm.weight", [HIDDEN], 1, 0.1
    for layer in range(layers):
        for name, *rest in random_llama.block_shapes(HIDDEN, HIDDEN, HIDDEN // 2, INTERMEDIATE, 0.15, 0.15):
            yield f"model.layers.{layer}.{name}", *rest


def write_model(folder, layers=4, seed=1):
    settings = random_llama.config(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)
    random_llama.write_settings(folder, settings, tokenizer())
    (folder / "model.safetensors").write_bytes(random_llama.safetensors(shapes(layers), seed))


def write_text(path, count, seed):
    generator = random.Random(seed)
    ends = ["\n" if i % 13 == 12 else ".\n\n" if i % 90 == 89 else " " for i in range(count)]
    path.write_text("".join(generator.choice(WORDS) + end for end in ends))


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    write_model(target / "model")
    write_text(target / "text.txt", 3000, 7)
    write_text(target / "held_out.txt", 300, 11)
