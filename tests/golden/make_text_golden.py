"""Golden vectors for the text room: small tokenizers and what the `tokenizers` package makes of hard texts.

    python tests/golden/make_text_golden.py

Needs tokenizers 0.23, transformers 5.24 and sentencepiece 0.2 (versions are recorded in the output). Reads
tests/golden/text/training_text.txt and hard_texts.json; writes tests/golden/text/<base>.json (a tokenizer.json each) and
golden.json:

    {"versions": {...}, "texts": [...],
     "cases": [{"name", "base", "patch", "ids": [[...], ...], "decoded": [...]}]}

A case is the base with the members of `patch` in the place of its own; `model` is patched member by member (RFC 7386:
null removes). `ids` holds one list per text with special tokens added; `decoded` the decoding of the ids without them,
or null where it equals the text.
"""

import json
import pathlib
import tempfile

import sentencepiece
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = pathlib.Path(__file__).parent / "text"
TEXT = (FOLDER / "training_text.txt").read_text(encoding="utf-8")
HARD = json.loads((FOLDER / "hard_texts.json").read_text(encoding="utf-8"))

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(pre_tokenizer, special, vocab_size=520, normalizer=None, alphabet=True):
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(TEXT.splitlines(keepends=True), trainer)
    return tokenizer


def gpt2():
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])


def smollm2():
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    # Like the original: not every byte is in the vocabulary.
    return byte_level(pre_tokenizers.Sequence(steps), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], alphabet=False)


def split_then_bytes(expression):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(expression), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def llama3():
    content = json.loads(byte_level(split_then_bytes(LLAMA3), []).to_str())
    content["model"]["ignore_merges"] = True
    # A token that no merge leads to: found only because merges are ignored for whole words.
    content["model"]["vocab"]["\u0120antidisestablishmentarianism"] = len(content["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    bos = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{bos[0]} $A", pair=f"{bos[0]} $A {bos[0]}:1 $B:1", special_tokens=[bos])])
    return tokenizer


def qwen2():
    tokenizer = byte_level(split_then_bytes(QWEN2), [], normalizer=normalizers.NFC())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer


def sentencepiece_style():
    """A SentencePiece model converted as transformers does: merges rebuilt from the scores."""
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text.txt"
        text.write_text(TEXT, encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{folder}/m", vocab_size=640, model_type="bpe", byte_fallback=True,
            split_digits=True, character_coverage=0.98, add_dummy_prefix=True, minloglevel=2,
            normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True)
        model = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/m.model")
    pieces = [model.id_to_piece(i) for i in range(model.vocab_size())]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    scores = {piece: model.get_score(i) for i, piece in enumerate(pieces) if i > 2 + 256}
    merges = transformers.tokenization_utils_base.generate_merges(vocab, scores)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def llama2():
    tokenizer = sentencepiece_style()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return tokenizer


def added(content, token_id, **flags):
    token = dict(id=token_id, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False,
                 special=False)
    return {**token, **flags}


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def then_bytes(*steps, **flags):
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False, **flags}
    return {"type": "Sequence", "pretokenizers": [*steps, last]}


def byte_level_variants():
    """Name -> (base, patch): every behaviour and flag at least once."""
    variants = {}
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            name = f"split_{behavior}{'_inverted' if invert else ''}"
            pattern = {"Regex": r"\p{N}|[\r\n]"} if not invert else {"Regex": r"\w+"}
            variants[name] = ("gpt2", {"pre_tokenizer": then_bytes(split(pattern, behavior, invert))})
    variants["split_string"] = ("gpt2", {"pre_tokenizer": then_bytes(split({"String": ". "}, "MergedWithPrevious"))})
    variants["split_empty_matches"] = ("gpt2", {"pre_tokenizer": then_bytes(split({"Regex": "x*"}, "Isolated"))})
    variants["split_lines"] = ("gpt2", {"pre_tokenizer": then_bytes(split({"Regex": r"^\s*|\S$"}, "Isolated"))})
    variants["digits_together"] = ("gpt2", {"pre_tokenizer": then_bytes(
        {"type": "Digits", "individual_digits": False}, use_regex=True)})
    variants["prefix_space"] = ("gpt2", {"pre_tokenizer": {
        "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}})
    variants["tekken"] = ("gpt2", {"pre_tokenizer": then_bytes(split({"Regex": TEKKEN}, "Isolated"))})
    variants["no_pre_tokenizer"] = ("gpt2", {"pre_tokenizer": None})
    variants["merged_ranks"] = ("gpt2", {"pre_tokenizer": then_bytes()})
    for form in ("NFD", "NFKC", "NFKD"):
        variants[form] = ("qwen2", {"normalizer": {"type": form}})
    return variants


def added_token_variants(vocab_size):
    """Flags of added tokens over an existing tokenizer with `vocab_size` tokens."""
    tokens = [
        added("<tool>", vocab_size, lstrip=True), added("<strip>", vocab_size + 1, lstrip=True, rstrip=True),
        added("word", vocab_size + 2, single_word=True), added("caf\u00e9token", vocab_size + 3, normalized=True),
        added("  ", vocab_size + 4), added("   ", vocab_size + 5), added("<word>", vocab_size + 6, rstrip=True)]
    return {"added_tokens": tokens}


def sentencepiece_variants():
    plain = {"normalizer": None}
    first = {**plain, "pre_tokenizer": metaspace("first", False)}
    words = {**plain, "pre_tokenizer": metaspace("always", True), "decoder": metaspace("always", True)}
    never = {**plain, "pre_tokenizer": metaspace("never", True), "decoder": metaspace("never", True)}
    old = {**plain, "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}}
    lines = {"type": "Sequence", "pretokenizers": [split({"Regex": r"\n"}, "Isolated"), metaspace("first", False)]}
    return {
        "mistral_v3": ("llama2", first),
        "metaspace_always": ("llama2", words),
        "metaspace_never": ("llama2", never),
        "metaspace_flag": ("llama2", old),
        "metaspace_lines": ("llama2", {**plain, "pre_tokenizer": lines}),
        "unknown_fused": ("llama2", {"model": {"byte_fallback": False, "fuse_unk": True}}),
        "unknown_single": ("llama2", {"model": {"byte_fallback": False, "fuse_unk": False}}),
        "unknown_dropped": ("llama2", {"model": {"byte_fallback": False, "unk_token": None}}),
        # Without this byte's token some characters fall back and others become unknown.
        "unknown_beside_bytes": ("llama2", {"model": {"vocab": {"<0xE4>": None, "<0xE5>": None},
                                                      "fuse_unk": True}}),
        "no_decoder": ("llama2", {"decoder": None}),
        "replace_expression": ("llama2", {"normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"Regex": r" {2,}|\s*\d"}, "content": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}}),
    }


def merge_patch(target, patch):
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            merge_patch(target[key], value)
        else:
            target[key] = value


def patched(content, patch):
    for key, value in patch.items():
        if key == "model":
            merge_patch(content["model"], value)
        else:
            content[key] = value
    return content


def fill_holes(content):
    """Tokens removed by a patch leave holes, which qtk refuses: other names take their ids."""
    vocab = content["model"]["vocab"]
    taken = set(vocab.values()) | {token["id"] for token in content.get("added_tokens", [])}
    return {f"<hole{i}>": i for i in range(max(taken)) if i not in taken}


def run_case(name, base, patch):
    content = patched(json.loads((FOLDER / f"{base}.json").read_text(encoding="utf-8")), patch)
    holes = fill_holes(content)
    if holes:
        content["model"]["vocab"].update(holes)
        patch["model"]["vocab"].update(holes)
    tokenizer = Tokenizer.from_str(json.dumps(content))
    ids = [tokenizer.encode(text).ids for text in HARD]
    decoded = []
    for text in HARD:
        back = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)
        decoded.append(None if back == text else back)
    return {"name": name, "base": base, "patch": patch, "ids": ids, "decoded": decoded}


def main():
    cases = {}
    for make in (gpt2, smollm2, llama3, qwen2, llama2):
        name = make.__name__
        tokenizer = make()
        content = json.dumps(json.loads(tokenizer.to_str()), separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(content + "\n", encoding="utf-8")
        cases[name] = (name, {})
    cases.update(byte_level_variants())
    cases.update(sentencepiece_variants())
    for base in ("gpt2", "qwen2", "llama2"):
        content = json.loads((FOLDER / f"{base}.json").read_text(encoding="utf-8"))
        size = len(set(content["model"]["vocab"].values()) | {token["id"] for token in content["added_tokens"]})
        patch = added_token_variants(size)
        patch["added_tokens"] = content["added_tokens"] + patch["added_tokens"]
        cases[f"added_tokens_{base}"] = (base, patch)
    golden = {
        "versions": {m.__name__: m.__version__ for m in (tokenizers, transformers, sentencepiece)},
        "texts": HARD,
        "cases": [run_case(name, base, patch) for name, (base, patch) in cases.items()],
    }
    (FOLDER / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
