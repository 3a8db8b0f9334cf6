// Quantizers: what stands in the place of a linear layer, and the factory that puts it there.
//
// Call order: attach() or unpack() once per site; then forward(), weight() and pack() in any order.
// While training, per step: set(knobs), forward() of every micro-batch, backward, before_step(),
// the optimizer, after_step(). Thread-safety: one thread per object. Calls on different objects may
// run at the same time.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/api/packed_weight.hpp>
#include <qtk/api/param_storage.hpp>
#include <qtk/runtime/run_context.hpp>
#include <qtk/runtime/state.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk {

class JointForward;

/// One linear layer with a quantized weight.
class QTK_API QuantizedLinear {
 public:
  virtual ~QuantizedLinear();

  /// x [..., in] in the compute dtype -> [..., out], bias included. On CUDA: no host
  /// synchronisation.
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  /// The weight as deployed now, [out, in] fp32, every value on the grid; no gradient.
  virtual at::Tensor weight() const = 0;
  /// The same weight at its true width; Quantizer::unpack() rebuilds weight() from it bit for bit.
  virtual PackedWeight pack() const = 0;
  /// The uniform grid behind weight(), for exporters; nothing if the method has none.
  virtual std::optional<UniformGrid> grid() const;

  virtual void save(StateWriter& out) const;
  virtual void load(StateReader& in);
};

/// Values of the run's knobs (temperature, pressure, ...) at one step, for one site.
class QTK_API Knobs {
 public:
  void set(std::string_view name, double value);
  bool has(std::string_view name) const;
  /// @throws Error if no scheduler drives `name`
  double at(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, double>> values_;
};

struct StepInfo {
  int64_t step = 0;  // optimizer steps finished before this one
  int64_t total_steps = 0;
  double learning_rate = 0;  // of the default group
};

/// A tensor that a method hands to the optimizer, or only wants gradients for.
struct TrainableTensor {
  std::string name;               // local to the site: "weight", "codebooks"
  std::string group = "default";  // optimizer settings: optimizer.groups.<group>
  at::Tensor leaf;                // requires_grad; its grad is filled by backward
  std::shared_ptr<ParamStorage>
      storage;                   // where the optimizer reads and writes; empty: the leaf itself
  bool is_collect_only = false;  // gradients are wanted, the optimizer leaves it alone
};

/// A quantized layer whose forward() is differentiable.
class QTK_API TrainableLinear : public QuantizedLinear {
 public:
  ~TrainableLinear() override;

  virtual std::vector<TrainableTensor> trainable() = 0;
  /// The knobs of the step that begins. Without any knob, and before the first call, forward() is
  /// the deployed form: it multiplies by weight(). Evaluation during training relies on that.
  virtual void set(const Knobs& knobs);
  /// Gradients are final: accumulated over micro-batches, reduced over ranks, clipped.
  virtual void before_step(const StepInfo& info);
  /// The optimizer has written its update; for PV's V step, requantization and the like.
  virtual void after_step(const StepInfo& info);
};

/// Layers that read the same input (q, k, v; gate, up), called together.
class QTK_API JointForward {
 public:
  virtual ~JointForward();
  /// One output per member, in the order given to Quantizer::fuse().
  virtual std::vector<at::Tensor> forward(const at::Tensor& x) = 0;
};

/// From what a quantized layer is made.
struct LinearInit {
  at::Tensor weight;  // [out, in], a floating dtype, on the run's device; may be kept
  at::Tensor bias;    // [out] or undefined
  at::Tensor gram;    // [in, in] fp32, mean of x x^T over calibration tokens; only if
                      // QuantizerTraits::needs_gram
};

struct QuantizerTraits {
  bool is_trainable = false;   // attach() returns TrainableLinear objects
  bool needs_gram = false;     // LinearInit::gram is filled
  bool is_graph_safe = false;  // forward and step code may be captured in a CUDA graph
};

/// A method. Stateless apart from its options: attach() may be called in any order and from several
/// threads.
class QTK_API Quantizer {
 public:
  virtual ~Quantizer();

  virtual QuantizerTraits traits() const = 0;
  /// Exactly the bits that pack() will hold for this site, scales and other metadata included.
  /// @throws ConfigError if the options do not fit the site (a group size that does not divide its
  /// columns)
  virtual int64_t storage_bits(const LinearSite& site) const = 0;
  /// From a dense weight. If traits().is_trainable, the result is a TrainableLinear.
  virtual std::unique_ptr<QuantizedLinear> attach(const LinearSite& site, LinearInit init) = 0;
  /// From a packed weight, for inference. `bias` [out] or undefined.
  /// @throws DataError if a tensor is missing or has another shape or dtype than pack() writes
  virtual std::unique_ptr<QuantizedLinear> unpack(const LinearSite& site, PackedWeight packed,
                                                  at::Tensor bias) = 0;
  /// Called with layers of one input; nothing means that core calls them one by one.
  virtual std::unique_ptr<JointForward> fuse(std::span<QuantizedLinear* const> layers);
};

}  // namespace qtk
