// The compressors of a run, from its section `comm`.
#pragma once

#include "config/run_config.hpp"
#include "plugin/registry.hpp"

#include <qtk/api/compressor.hpp>
#include <qtk/runtime/run_context.hpp>

#include <memory>
#include <optional>
#include <string>

namespace qtk::stage {

using CompressorNode = config::PluginNode<"comm">;

/// Checks options against the plugin's table, and that the exchange of replicas has a compressor
/// without memory of samples.
void check_compressors(const config::CommSection& section, config::Diagnostics& diagnostics);

/// A compressor as links use it: a plugin's, or the tensor as it is where no section names one.
class LinkCompressor {
 public:
  /// @param context  outlives it
  LinkCompressor(const std::optional<CompressorNode>& node, RunContext& context);
  Compressor& get() const { return *compressor_; }

 private:
  plugin::PluginPtr<Compressor> plugin_;
  std::unique_ptr<Compressor> uncompressed_;
  Compressor* compressor_;
};

/// "fixpoint {bits: 6}" as both ends of a link compare it, defaults included; "uncompressed".
std::string compressor_text(const std::optional<CompressorNode>& node);

}  // namespace qtk::stage
