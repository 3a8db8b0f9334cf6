// The decoder behind decoder.hpp, assembled from a family's row, a config and named weights.
#pragma once

#include "model/attention.hpp"
#include "model/decoder.hpp"
#include "model/mlp.hpp"
#include "model/norm.hpp"
#include "model/rotary.hpp"

#include <map>
#include <string>
#include <vector>

namespace qtk::model {

/// x + attention(norm(x)), then y + mlp(norm(y)).
struct DecoderBlock {
  Norm attention_norm;
  Attention attention;
  Norm mlp_norm;
  Mlp mlp;
};

class DecoderModel final : public Decoder {
 public:
  /// @param weights  one tensor per slot of tensor_layout(), checked
  DecoderModel(const Family& family, DecoderConfig config,
               const std::map<std::string, at::Tensor>& weights,
               std::optional<at::ScalarType> compute_dtype = {},
               std::optional<ModelPart> part = {});

  const DecoderConfig& config() const override { return config_; }
  const Family& family() const override { return family_; }
  at::ScalarType compute_dtype() const override { return compute_dtype_; }
  const ModelPart& part() const override { return part_; }
  const std::vector<LinearSite>& sites() const override { return sites_; }

  at::Tensor embed(const at::Tensor& ids) override;
  at::Tensor block(int64_t layer, const at::Tensor& x) override;
  at::Tensor final_norm(const at::Tensor& x) override {
    return final_norm_.forward(x, attention_form_);
  }
  at::Tensor head(const at::Tensor& x) override;
  void set_attention(AttentionForm form) override { attention_form_ = form; }

  at::Tensor dense_weight(int64_t site) const override { return slot(site).weight(); }
  at::Tensor bias(int64_t site) const override { return slot(site).bias(); }
  at::Tensor head_weight() const override;
  void attach(int64_t site, std::unique_ptr<QuantizedLinear> layer) override;
  QuantizedLinear* attached(int64_t site) const override { return slot(site).attached(); }
  void detach(int64_t site) override;
  void fuse(const std::function<Quantizer*(int64_t site)>& quantizer_of) override;

  std::vector<NamedParameter> parameters() const override { return parameters_; }

 private:
  struct Place {
    LinearGroup* group;
    size_t index;
  };
  const Place& place(int64_t site) const;
  const LinearSlot& slot(int64_t site) const { return place(site).group->slot(place(site).index); }
  void list_places();
  std::vector<LinearGroup*> groups();

  const Family& family_;
  const DecoderConfig config_;
  const ModelPart part_;
  std::vector<LinearSite> sites_;
  std::vector<NamedParameter> parameters_;
  at::Tensor embedding_;       // [V, D]
  at::Tensor position_table_;  // [max_positions, D], or undefined
  std::vector<DecoderBlock> blocks_;
  Norm final_norm_;
  std::unique_ptr<LinearGroup> head_;  // null if tied
  std::unique_ptr<Rotary> rotary_;     // null for learned positions
  AttentionForm attention_form_ = AttentionForm::kFused;
  at::ScalarType compute_dtype_;
  std::vector<Place> places_;  // per site
};

}  // namespace qtk::model
