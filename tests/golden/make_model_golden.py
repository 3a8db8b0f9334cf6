"""Makes tests/golden/model/: one tiny random decoder per family with the logits that `transformers` computes for it.

    python tests/golden/make_model_golden.py tests/golden/model

Needs torch, safetensors and transformers (made with torch 2.15.0 and transformers 5.24.0). Every folder holds
config.json and the weights as save_pretrained writes them, and expected.safetensors with `ids` [2, 12] int64 and
`logits` [2, 12, vocabulary] fp32 (fp32 arithmetic, eager attention). Norms and biases are random too, so that leaving
one out shows.
"""

import pathlib
import shutil
import sys

import safetensors.torch
import torch
import transformers

SMALL = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=None)
GQA = SMALL | dict(num_key_value_heads=2)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)

MODELS = {
    "llama": transformers.LlamaConfig(**GQA, tie_word_embeddings=True, rms_norm_eps=1e-5),
    "llama_llama3_rope": transformers.LlamaConfig(**GQA, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-2,
                                                  rope_parameters=LLAMA3),
    "llama_linear_rope": transformers.LlamaConfig(
        **GQA, head_dim=12, rope_parameters=dict(rope_type="linear", rope_theta=500.0, factor=2.0)),
    "llama_bf16": transformers.LlamaConfig(**GQA, tie_word_embeddings=True, rms_norm_eps=1e-5),
    "mistral": transformers.MistralConfig(**GQA, sliding_window=4, rms_norm_eps=1e-5),
    "qwen2": transformers.Qwen2Config(**GQA, use_sliding_window=True, sliding_window=5, max_window_layers=1,
                                      tie_word_embeddings=True),
    "qwen3": transformers.Qwen3Config(**GQA, head_dim=16, attention_bias=True,
                                      rope_parameters=dict(rope_type="default", rope_theta=1e6)),
    "phi3": transformers.Phi3Config(**GQA, rope_parameters=dict(
        rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)),
    "gpt2": transformers.GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=48,
                                    bos_token_id=0, eos_token_id=1),
}
SHARDED = "qwen2"


def randomize(model, generator):
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm_weight = parameter.dim() == 1 and name.endswith("weight")
        parameter.data.copy_(1 + 0.3 * noise if is_norm_weight else 0.25 * noise)


def make(name, config, folder):
    generator = torch.Generator().manual_seed(20240601)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    randomize(model, generator)
    if name.endswith("bf16"):
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder, **(dict(max_shard_size="40KB") if name == SHARDED else {}))
    (folder / "generation_config.json").unlink(missing_ok=True)

    # Read back: a conversion in memory would have rounded the rotary frequencies too.
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    ids = torch.randint(0, config.vocab_size, (2, 12), generator=generator)
    with torch.inference_mode():
        logits = model.eval()(ids).logits
    safetensors.torch.save_file({"ids": ids, "logits": logits.contiguous()}, folder / "expected.safetensors")


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    for name, config in MODELS.items():
        make(name, config, out / name)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{len(MODELS)} models, {size} bytes")


main()
