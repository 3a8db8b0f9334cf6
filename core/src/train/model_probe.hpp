// A decoder as a function of the weights of some of its linear layers.
//
// Shapes: B samples of a batch, S tokens of a sample, S - 1 predictions each; K copies of the
// batch, each of which sees weights of its own where a layer has some.
#pragma once

#include "base/progress.hpp"
#include "model/decoder.hpp"
#include "train/work_journal.hpp"

#include <qtk/api/estimator.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qtk::train {

struct ProbeInit {
  std::vector<int64_t> sites;       // to measure, by LinearSite::index
  std::vector<at::Tensor> batches;  // each [B, S] int64 on the decoder's device
  WorkJournal* journal = nullptr;   // null: nothing outlives the process
  std::string label = "calibrate";  // of the progress bar
};

class DecoderProbe final : public ModelProbe {
 public:
  /// Stands in the measured sites of `decoder`, which must be dense and compute in fp32 or fp64,
  /// and gives them back when destroyed.
  /// @throws Error if a sample has fewer than two tokens or there is no batch
  DecoderProbe(model::Decoder& decoder, ProbeInit init);
  ~DecoderProbe() override;

  std::span<const LinearSite> sites() const override { return sites_; }
  std::span<const int64_t> batch_sizes() const override { return batch_sizes_; }
  at::Tensor weight(int64_t site) const override;
  double loss(int64_t batch, int64_t site, const at::Tensor& replacement) override;
  std::vector<at::Tensor> gradients(int64_t batch, std::span<const int64_t> sites,
                                    const GradientOptions& options) override;
  HessianProduct hessian(int64_t batch, std::span<const int64_t> sites,
                         const HessianOptions& options) override;
  std::vector<double> once(const WorkUnit& unit,
                           const std::function<std::vector<double>()>& compute) override;

  void repeat(const std::function<void()>& work) override;

  /// Of this estimate, units of an interrupted run included.
  const PassCounts& counts() const { return counts_; }

 private:
  class SiteLayer;
  /// What the first layers made of a batch; they hold no site that is being looked at.
  struct Prefix {
    int64_t layer;      // the next one
    at::Tensor hidden;  // [B, S - 1, D]
  };

  /// Puts `weights` in the places of `sites`; empty: the model's own.
  void place(std::span<const int64_t> sites, std::span<const at::Tensor> weights);
  std::vector<at::Tensor> leaves(std::span<const int64_t> sites) const;
  int64_t first_layer(std::span<const int64_t> sites) const;
  /// States in front of `layer`, made without gradients.
  at::Tensor prefix(int64_t batch, int64_t layer);
  /// Logits [K * B * (S - 1), V] of K copies, and the tokens that follow.
  struct Outputs {
    at::Tensor logits, targets;
  };
  Outputs outputs_of(int64_t batch, std::optional<int64_t> sample, int64_t first_layer,
                     int64_t copies);
  /// Sum over K copies of the mean loss.
  at::Tensor loss_of(int64_t batch, int64_t first_layer, int64_t copies = 1);
  at::Tensor loss_of(int64_t batch, int64_t first_layer, const GradientOptions& options);
  std::vector<at::Tensor> gradients_at(int64_t batch, std::span<const int64_t> sites,
                                       std::span<const at::Tensor> weights,
                                       const GradientOptions& options);
  HessianProduct by_double_backward(int64_t batch, std::vector<int64_t> sites, int64_t copies);
  HessianProduct by_finite_differences(int64_t batch, std::vector<int64_t> sites,
                                       double relative_step);
  void count_passes(int64_t count);
  void check_site(int64_t site) const;

  model::Decoder& decoder_;
  const ProbeInit init_;
  std::vector<LinearSite> sites_;
  std::vector<int64_t> batch_sizes_;
  std::vector<SiteLayer*> layers_;  // per site; owned by the decoder
  std::map<int64_t, Prefix> prefixes_;
  PassCounts counts_;
  int64_t found_units_ = 0;  // in the journal; they took no time
  std::unique_ptr<Progress> progress_;
};

}  // namespace qtk::train
