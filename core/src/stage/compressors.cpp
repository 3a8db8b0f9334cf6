#include "stage/compressors.hpp"

#include "config/emit.hpp"
#include "config/options.hpp"
#include "dist/link.hpp"
#include "plugin/run_context.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

namespace qtk::stage {
namespace {

constexpr const char* kCompressorKind = "comm";

OptionValues option_values(const CompressorNode& node, config::Diagnostics& diagnostics) {
  return config::resolve_options(plugin::registry().option_table(kCompressorKind, node.use),
                                 &node.options, node.path + ".options",
                                 "compressor `" + node.use + "`", diagnostics);
}

/// The bytes of the tensor.
class Uncompressed final : public Compressor {
 public:
  int64_t wire_bytes(const TensorSpec& spec) const override { return dist::raw_bytes(spec); }
  void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo&) override {
    wire.copy_(x.contiguous().view(-1).view(at::kByte));
  }
  at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) override {
    at::Tensor x = at::empty(info.spec.shape, wire.options().dtype(info.spec.dtype));
    x.view(-1).view(at::kByte).copy_(wire);
    return x;
  }
};

/// Counts what an object would put into a checkpoint.
class StateCounter final : public StateWriter {
 public:
  void tensor(std::string_view, const at::Tensor&) override { ++entries; }
  void integer(std::string_view, int64_t) override { ++entries; }
  void real(std::string_view, double) override { ++entries; }
  void text(std::string_view, std::string_view) override { ++entries; }
  int64_t entries = 0;
};

void check(const CompressorNode& node, bool may_remember, config::Diagnostics& diagnostics) {
  try {
    const auto values = option_values(node, diagnostics);
    if (!diagnostics.ok()) return;
    plugin::CoreRunContext context{plugin::RunContextInit{}};
    const auto compressor = plugin::registry().make<Compressor>(node.use, values, context);
    StateCounter state;
    compressor->save(state);
    if (!may_remember && state.entries > 0)
      diagnostics.error({"compressor `" + node.use + "` remembers samples, and gradients of " +
                             "replicas belong to none",
                         node.mark, node.path + ".use", "use one without memory"});
  } catch (const PluginError& error) {
    diagnostics.error(config::located(error, node.mark, node.path + ".use"));
  } catch (const ConfigError& error) {
    diagnostics.error(config::located(error, node.options.mark(), node.path + ".options"));
  }
}

}  // namespace

void check_compressors(const config::CommSection& section, config::Diagnostics& diagnostics) {
  if (section.forward) check(*section.forward, /*may_remember=*/true, diagnostics);
  if (section.backward) check(*section.backward, /*may_remember=*/true, diagnostics);
  if (section.data) check(*section.data, /*may_remember=*/false, diagnostics);
}

LinkCompressor::LinkCompressor(const std::optional<CompressorNode>& node, RunContext& context) {
  if (node) {
    config::Diagnostics diagnostics;
    const auto values = option_values(*node, diagnostics);
    diagnostics.throw_if_any();
    plugin_ = plugin::registry().make<Compressor>(node->use, values, context);
    compressor_ = plugin_.get();
  } else {
    uncompressed_ = std::make_unique<Uncompressed>();
    compressor_ = uncompressed_.get();
  }
}

std::string compressor_text(const std::optional<CompressorNode>& node) {
  if (!node) return "uncompressed";
  config::Diagnostics ignored;
  const auto& table = plugin::registry().option_table(kCompressorKind, node->use);
  std::string text = config::to_yaml(config::options_node(table, option_values(*node, ignored)));
  for (size_t at = 0; (at = text.find('\n')) != std::string::npos;) text.replace(at, 1, ", ");
  if (text.ends_with(", ")) text.resize(text.size() - 2);
  return node->use + " {" + text + "}";
}

}  // namespace qtk::stage
