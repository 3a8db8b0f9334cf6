// Destructors and default members of the SDK's interfaces: their type information has its one home
// here.
#include <qtk/plugin.hpp>

#include <algorithm>

namespace qtk {

Logger::~Logger() = default;
Collectives::~Collectives() = default;
RunContext::~RunContext() = default;
StateWriter::~StateWriter() = default;
StateReader::~StateReader() = default;
ParamStorage::~ParamStorage() = default;

QuantizedLinear::~QuantizedLinear() = default;
std::optional<UniformGrid> QuantizedLinear::grid() const { return std::nullopt; }
void QuantizedLinear::save(StateWriter&) const {}
void QuantizedLinear::load(StateReader&) {}

TrainableLinear::~TrainableLinear() = default;
void TrainableLinear::set(const Knobs&) {}
void TrainableLinear::before_step(const StepInfo&) {}
void TrainableLinear::after_step(const StepInfo&) {}

JointForward::~JointForward() = default;
Quantizer::~Quantizer() = default;
std::unique_ptr<JointForward> Quantizer::fuse(std::span<QuantizedLinear* const>) { return nullptr; }

Scheduler::~Scheduler() = default;
void Scheduler::prepare(const SchedulePlan&) {}

ModelProbe::~ModelProbe() = default;
void ModelProbe::repeat(const std::function<void()>& work) { work(); }
Estimator::~Estimator() = default;
SearchStrategy::~SearchStrategy() = default;

Compressor::~Compressor() = default;
void Compressor::save(StateWriter&) const {}
void Compressor::load(StateReader&) {}

int64_t PackedWeight::storage_bits() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  return 8 * bytes;
}

void Knobs::set(std::string_view name, double value) {
  const auto known = std::ranges::find(values_, name, &std::pair<std::string, double>::first);
  if (known == values_.end())
    values_.emplace_back(name, value);
  else
    known->second = value;
}

bool Knobs::has(std::string_view name) const {
  return std::ranges::find(values_, name, &std::pair<std::string, double>::first) != values_.end();
}

double Knobs::at(std::string_view name) const {
  const auto known = std::ranges::find(values_, name, &std::pair<std::string, double>::first);
  QTK_CHECK(known != values_.end(), "no scheduler drives the knob '", name, "'");
  return known->second;
}

std::optional<SensitivityEntry> SensitivityTable::find(std::string_view site) const {
  const auto entry = std::ranges::find(entries, site, &SensitivityEntry::site);
  if (entry == entries.end()) return std::nullopt;
  return *entry;
}

}  // namespace qtk
