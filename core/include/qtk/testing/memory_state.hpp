// A checkpoint in memory.
#pragma once

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/state.hpp>

#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace qtk::testing {

class MemoryState final : public StateWriter, public StateReader {
 public:
  void tensor(std::string_view name, const at::Tensor& value) override {
    put(name, value.detach().to(at::kCPU).clone(at::MemoryFormat::Contiguous));
  }
  void integer(std::string_view name, int64_t value) override { put(name, value); }
  void real(std::string_view name, double value) override { put(name, value); }
  void text(std::string_view name, std::string_view value) override {
    put(name, std::string(value));
  }

  bool has(std::string_view name) const override { return values_.contains(name); }
  at::Tensor tensor(std::string_view name) const override { return get<at::Tensor>(name); }
  int64_t integer(std::string_view name) const override { return get<int64_t>(name); }
  double real(std::string_view name) const override { return get<double>(name); }
  std::string text(std::string_view name) const override { return get<std::string>(name); }

  bool empty() const { return values_.empty(); }

 private:
  using Value = std::variant<at::Tensor, int64_t, double, std::string>;

  void put(std::string_view name, Value value) {
    if (!values_.emplace(name, std::move(value)).second)
      throw Error("state '" + std::string(name) + "' was written twice");
  }
  template <class T>
  T get(std::string_view name) const {
    const auto value = values_.find(name);
    if (value == values_.end() || !std::holds_alternative<T>(value->second))
      throw DataError("state '" + std::string(name) + "' was not written, or as another type");
    return std::get<T>(value->second);
  }

  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace qtk::testing
