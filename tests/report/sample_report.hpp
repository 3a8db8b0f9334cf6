// A report of the size people have: a model of 30 blocks with 7 roles, and three variants of it.
#pragma once

#include "report/run_report.hpp"

#include <cmath>
#include <string>

namespace qtk::report {

constexpr const char* kRoles[] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                  "gate_proj", "up_proj", "down_proj"};

inline void add_sites(ModelResult& model, int num_blocks, double level) {
  for (int block = 0; block < num_blocks; ++block) {
    for (int role = 0; role < 7; ++role) {
      SiteError site;
      site.site = "model.layers." + std::to_string(block) + (role < 4 ? ".self_attn." : ".mlp.") +
                  kRoles[role];
      site.block = block;
      site.role = kRoles[role];
      site.relative_error = level * (1 + 0.3 * std::sin(1.0 + block * 0.7 + role));
      site.bits_per_weight = model.bits_per_weight;
      model.sites.push_back(site);
    }
  }
}

inline ModelResult sample_base() {
  ModelResult base;
  base.name = "base";
  base.description = "bf16";
  base.tensor_bytes = 269060552;
  base.bits_per_weight = 16;
  base.quality = {{"ppl_token/ctx=512", 20.1042, 0.1173, 117974},
                  {"ppl_llamacpp/ctx=512", 18.3321, 0.1411, 59008}};
  base.tokens_per_second = 184211;
  return base;
}

inline ModelResult sample_variant(int bits, int64_t bytes, double perplexity, double error) {
  ModelResult variant;
  variant.name = "w" + std::to_string(bits);
  variant.description = "affine, " + std::to_string(bits) + " bit, group 64";
  variant.tensor_bytes = bytes;
  variant.bits_per_weight = bits + 0.28125;
  variant.quality = {{"ppl_token/ctx=512", perplexity, perplexity / 170, 117974},
                     {"ppl_llamacpp/ctx=512", 0.91 * perplexity, 0, 59008}};
  variant.agreement = Agreement{0.031237, 0.014189, 0.29812, 2.1134, 0.93142, "ppl_token/ctx=512"};
  variant.tokens_per_second = 171342;
  variant.files = {{"gguf Q4_0", "runs/a/export/" + variant.name + ".gguf", bytes + 1234,
                    "re-read, 272 tensors"}};
  add_sites(variant, 30, error);
  return variant;
}

inline RunReport sample_report() {
  RunReport report;
  report.name = "smollm2-sweep";
  report.started = "2025-11-03T14:12:09Z";
  report.seconds = 1487.3;
  report.command = "qtk run configs/sweep.yaml --set seed=7";
  report.model = "models/smollm2 (xxh3 3f9a61c0)";
  report.data = "persuasion.txt (xxh3 77c1d2e9)";
  report.machine = "NVIDIA H100, LibTorch 2.11.0";
  report.configuration = "quantizer:\n  use: affine\n";
  report.stage_seconds = {{"calibrate", 312.4}, {"quantize", 923.8}, {"eval", 188.6}};
  report.models = {sample_base(), sample_variant(4, 116508304, 20.9113, 0.082),
                   sample_variant(3, 103237504, 24.3391, 0.178),
                   sample_variant(2, 89966704, 310.218, 0.441)};
  return report;
}

}  // namespace qtk::report
