"""Makes tests/golden/format/: files and numbers by other implementations of the formats that core/src/format reads.

    python3 -m venv venv && venv/bin/pip install numpy torch safetensors==0.8.0 gguf==0.19.0 compressed-tensors==0.20.0
    venv/bin/python tests/golden/make_format_golden.py

dtypes.safetensors       every dtype, a scalar, an empty tensor (safetensors)
sharded/                 two shards and their index (safetensors)
blocks.safetensors       per ggml type: inputs, blocks and values by the package gguf; K types from random bytes
ternary.safetensors      the same for TQ1_0 and TQ2_0; Q2_0 by a few lines of NumPy here, after block_q2_0, quantize_row_q2_0_ref and
                         dequantize_row_q2_0 of llama.cpp (ggml-common.h, ggml-quants.c; pull request 24448), as gguf 0.19 has no Q2_0
small.gguf               every metadata type, one tensor per ggml type (gguf.GGUFWriter); values in small_gguf.safetensors
compressed.safetensors   grids packed by compressed_tensors' PackedQuantizationCompressor, and what it decompresses
compressed_config.json   quantization_config that its QuantizationConfig accepts and gives back unchanged
"""

import json
import pathlib
import warnings

import gguf
import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "format"
Type = gguf.GGMLQuantizationType


def dtypes():
    ramp = torch.arange(6).reshape(2, 3)
    tensors = {
        "bool": ramp % 2 == 1,
        "u8": (ramp + 250).to(torch.uint8),
        "i8": (ramp - 3).to(torch.int8),
        "f8_e4m3": (ramp * 0.5).to(torch.float8_e4m3fn),
        "f8_e5m2": (ramp * 0.5).to(torch.float8_e5m2),
        "i16": (ramp - 300).to(torch.int16),
        "f16": (ramp * 0.25).half(),
        "bf16": (ramp * -0.25).bfloat16(),
        "i32": (ramp - 70000).to(torch.int32),
        "f32": ramp * 0.1,
        "i64": ramp - 2**40,
        "f64": ramp.double() * 0.1,
        "scalar": torch.tensor(7.0),
        "empty": torch.zeros(0, 5),
    }
    save_file(tensors, OUT / "dtypes.safetensors", metadata={"format": "pt", "note": "caf\u00e9 \"quoted\""})


def sharded():
    folder = OUT / "sharded"
    folder.mkdir(exist_ok=True)
    shards = [{"b": torch.full((2, 2), 2.0), "a": torch.full((3,), 1.0)}, {"c": torch.full((4,), 3.0)}]
    weight_map = {}
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, name)
    index = {"metadata": {"total_size": 44}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def hard_inputs(rng):
    """24 rows of 64: random of many scales, and the corners where rounding rules differ."""
    x = rng.standard_normal((24, 64)).astype(np.float32) * np.exp(rng.uniform(-6, 3, (24, 1))).astype(np.float32)
    x[0] = 0
    x[1] = 0.75                                        # a constant block
    x[2] = np.arange(-32, 32, dtype=np.float32)        # ties in the magnitude of neighbours
    x[3] = np.where(np.arange(64) % 2, 3.0, -3.0)      # the largest magnitude with both signs
    x[4] = (np.arange(64) - 31.5) / 8                  # halves after scaling
    x[5] = rng.standard_normal(64) * 1e-6              # scales that are fp16 denormals
    x[6] = np.abs(x[6])
    x[7] = -np.abs(x[7])
    x[8] = np.linspace(-127, 127, 64)
    x[9, 0] = 1000.0                                   # one outlier
    return x


def quantized_types():
    return [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]


def random_k_blocks(rng, kind, rows):
    """Any bytes are a valid K block as long as its fp16 scales are finite."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = rng.integers(0, 256, (rows, size), dtype=np.uint8)
    scales = (rng.standard_normal((rows, 2)) * 0.05).astype(np.float16).view(np.uint8)
    if kind == Type.Q4_K:
        blocks[:, :4] = scales
    else:
        blocks[:, -2:] = scales[:, :2]
    return blocks


def blocks(rng):
    tensors = {"input": torch.from_numpy(hard_inputs(rng))}
    for kind in quantized_types():
        encoded = gguf.quantize(tensors["input"].numpy(), kind)
        tensors[f"{kind.name}.blocks"] = torch.from_numpy(encoded.view(np.uint8).copy())
        tensors[f"{kind.name}.values"] = torch.from_numpy(gguf.dequantize(encoded, kind).copy())
    for kind in (Type.Q4_K, Type.Q6_K):
        encoded = random_k_blocks(rng, kind, 6)
        tensors[f"{kind.name}.blocks"] = torch.from_numpy(encoded)
        tensors[f"{kind.name}.values"] = torch.from_numpy(gguf.dequantize(encoded, kind).copy())
    save_file(tensors, OUT / "blocks.safetensors")


def q2_0_blocks(x):
    """[rows, 64 * n] fp32 -> uint8 [rows, 18 * n]"""
    groups = x.reshape(x.shape[0], -1, 64)
    d = np.abs(groups).max(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        inverse = np.where(d == 0, np.float32(0), 1 / d)
    codes = (gguf.quants.np_roundf(groups * inverse) + 1).astype(np.uint8).reshape(*groups.shape[:2], 16, 4)
    packed = np.bitwise_or.reduce(codes << np.array([0, 2, 4, 6], dtype=np.uint8), axis=-1)
    return np.concatenate([d.astype(np.float16).view(np.uint8), packed], axis=-1).reshape(x.shape[0], -1)


def q2_0_values(encoded):
    rows = encoded.reshape(encoded.shape[0], -1, 18)
    d = np.ascontiguousarray(rows[..., :2]).view(np.float16).astype(np.float32)
    codes = (rows[..., 2:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & 3
    return ((codes.reshape(*rows.shape[:2], 64).astype(np.float32) - 1) * d).reshape(encoded.shape[0], -1)


def ternary(rng):
    """Inputs: ternary rows with scales that fp16 holds and that it rounds, and rows that are not ternary at all."""
    levels = rng.integers(-1, 2, (10, 512)).astype(np.float32)
    scales = np.exp(rng.uniform(-7, 2, (10, 1))).astype(np.float32)
    scales[0] = 0.0625
    levels[1, :256] = 0
    scales[2] = 3e-6                                   # an fp16 denormal
    x = np.concatenate([levels * scales, np.pad(hard_inputs(rng)[:6], ((0, 0), (0, 448)), mode="wrap")])
    x[-1, :4] = [0.5, -0.5, 1, -1]                     # halves after scaling
    x[-1, 4:] = 0
    tensors = {"input": torch.from_numpy(x)}
    for name, encode, decode in [
            ("TQ1_0", lambda x: gguf.quantize(x, Type.TQ1_0), lambda b: gguf.dequantize(b, Type.TQ1_0)),
            ("TQ2_0", lambda x: gguf.quantize(x, Type.TQ2_0), lambda b: gguf.dequantize(b, Type.TQ2_0)),
            ("Q2_0", q2_0_blocks, q2_0_values)]:
        encoded = encode(x)
        tensors[f"{name}.blocks"] = torch.from_numpy(encoded.copy())
        tensors[f"{name}.values"] = torch.from_numpy(decode(encoded).copy())
    save_file(tensors, OUT / "ternary.safetensors")


def small_gguf(rng):
    writer = gguf.GGUFWriter(OUT / "small.gguf", "llama")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_uint64("t.u64", 2**63 + 5)
    writer.add_int64("t.i64", -(2**62))
    writer.add_float32("t.f32", 0.1)
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.text", "caf\u00e9")
    writer.add_array("t.texts", ["a", "", "\u2581the"])
    writer.add_array("t.ints", [1, -2, 3])
    writer.add_array("t.reals", [0.5, -1.25])
    writer.add_array("t.flags", [True, False, True])
    x = hard_inputs(rng)[:4]
    tensors = {}
    for kind in [Type.F32] + quantized_types():
        encoded = gguf.quantize(x, kind)
        name = f"blk.0.{kind.name.lower()}.weight"
        writer.add_tensor(name, encoded, raw_dtype=kind)
        tensors[name] = torch.from_numpy(gguf.dequantize(encoded, kind).reshape(x.shape).copy())
    for kind in (Type.Q4_K, Type.Q6_K):
        encoded = random_k_blocks(rng, kind, 2)
        writer.add_tensor(f"blk.0.{kind.name.lower()}.weight", encoded, raw_dtype=kind)
        tensors[f"blk.0.{kind.name.lower()}.weight"] = torch.from_numpy(gguf.dequantize(encoded, kind).copy())
    norm = rng.standard_normal(7).astype(np.float32)
    writer.add_tensor("norm.weight", norm)
    tensors["norm.weight"] = torch.from_numpy(norm)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(tensors, OUT / "small_gguf.safetensors")


def compressed():
    """Case names: w<bits>_<sym|asym>_<group size, or channel>."""
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            for group_size in (16, None):
                out, columns = 22, 32  # release 0.20.0 cannot unpack 4-bit zero points of 8 rows or fewer
                case = f"w{bits}_{'sym' if symmetric else 'asym'}_{group_size or 'channel'}"
                groups = columns // group_size if group_size else 1
                low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
                args = QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, group_size=group_size,
                                        strategy="group" if group_size else "channel")
                codes = torch.randint(low, high, (out, columns), generator=generator)
                scale = torch.rand((out, groups), generator=generator) + 0.01
                zero = torch.zeros((out, groups), dtype=torch.int8)
                if not symmetric:
                    zero = torch.randint(low, high, (out, groups), generator=generator).to(torch.int8)
                spread = columns // groups
                weight = (codes - zero.repeat_interleave(spread, 1)) * scale.repeat_interleave(spread, 1)
                scheme = QuantizationScheme(targets=["Linear"], weights=args)
                packed = PackedQuantizationCompressor.compress(
                    {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}, scheme)
                back = PackedQuantizationCompressor.decompress(packed, scheme)["weight"]
                assert torch.equal(back, weight), case
                tensors[f"{case}.codes"] = codes.to(torch.int8)
                tensors[f"{case}.zeros"] = zero
                tensors[f"{case}.weight"] = back
                tensors |= {f"{case}.{name}": tensor.contiguous() for name, tensor in packed.items()}
    save_file(tensors, OUT / "compressed.safetensors")


def compressed_config():
    def group(targets, bits, symmetric, group_size):
        return {
            "targets": targets,
            "weights": {"num_bits": bits, "type": "int", "symmetric": symmetric, "group_size": group_size,
                        "strategy": "group" if group_size else "channel", "dynamic": False},
            "input_activations": None,
            "output_activations": None,
        }

    config = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": group(["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"], 4, True, 128),
            "group_1": group(["model.layers.0.mlp.down_proj"], 8, False, None),
        },
    }
    dumped = QuantizationConfig(**config).model_dump()
    for name, value in config.items():
        if name != "config_groups":
            assert dumped[name] == value, (name, dumped[name])
    for name, expected in config["config_groups"].items():
        for key, value in expected.items():
            assert dumped["config_groups"][name][key] == value, (name, key, dumped["config_groups"][name][key])
    (OUT / "compressed_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    OUT.mkdir(exist_ok=True)
    dtypes()
    sharded()
    blocks(np.random.default_rng(1))
    ternary(np.random.default_rng(3))
    small_gguf(np.random.default_rng(2))
    compressed()
    compressed_config()
