#include "stage/live_scalars.hpp"

#include <nlohmann/json.hpp>

namespace qtk::stage {

LiveScalars::LiveScalars(std::filesystem::path folder) : folder_(std::move(folder)) {}

void LiveScalars::add(const nlohmann::json& row) {
  if (!events_)
    events_ = std::make_unique<report::EventFile>(folder_, row.value("step", int64_t{0}));
  events_->add_row(row);
  events_->flush();
}

}  // namespace qtk::stage
