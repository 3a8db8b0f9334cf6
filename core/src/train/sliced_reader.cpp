#include "train/sliced_reader.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace qtk::train {
namespace {

struct Part {
  int64_t begin;
  at::Tensor values;  // [n], flat
};

/// Elements [begin, end) out of parts in ascending order, or nothing if some are missing.
at::Tensor assembled(const std::vector<Part>& parts, int64_t begin, int64_t end) {
  std::vector<at::Tensor> pieces;
  int64_t at = begin;
  for (const auto& [from, values] : parts) {
    const int64_t to = from + values.numel();
    if (to <= at || from > at) continue;
    const int64_t stop = std::min(to, end);
    pieces.push_back(values.narrow(0, at - from, stop - at));
    at = stop;
    if (at == end) return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
  }
  return {};
}

}  // namespace

std::string slice_name(const SliceName& slice) {
  return slice.tensor + "[" + std::to_string(slice.begin) + ":" + std::to_string(slice.end) + "]";
}

bool parse_slice_name(std::string_view name, SliceName& slice) {
  const size_t open = name.rfind('['), colon = name.rfind(':');
  if (!name.ends_with(']') || open == name.npos || colon == name.npos || colon < open) return false;
  const auto number = [&](size_t from, size_t to, int64_t& value) {
    const auto [end, error] = std::from_chars(name.data() + from, name.data() + to, value);
    return error == std::errc() && end == name.data() + to;
  };
  SliceName parsed{std::string(name.substr(0, open)), 0, 0};
  if (!number(open + 1, colon, parsed.begin) || !number(colon + 1, name.size() - 1, parsed.end))
    return false;
  slice = std::move(parsed);
  return true;
}

at::Tensor SlicedReader::tensor(std::string_view name) const {
  if (direct_.has(name)) return direct_.tensor(name);
  const size_t slash = name.rfind('/');
  if (slash == name.npos) return direct_.tensor(name);  // which says that it is missing
  const std::string moment(name.substr(slash));
  SliceName wanted{std::string(name.substr(0, slash)), 0, 0};
  const bool is_slice = parse_slice_name(name.substr(0, slash), wanted);
  const std::string whole = wanted.tensor + moment;
  if (is_slice && direct_.has(whole))
    return direct_.tensor(whole).reshape(-1).narrow(0, wanted.begin, wanted.end - wanted.begin);

  std::vector<Part> parts;
  int64_t most = 0;
  for (const auto& stored : state_.names_from(prefix_ + wanted.tensor + "[")) {
    SliceName slice;
    const std::string_view local = std::string_view(stored).substr(prefix_.size());
    if (!local.ends_with(moment) ||
        !parse_slice_name(local.substr(0, local.size() - moment.size()), slice))
      continue;
    parts.push_back({slice.begin, state_.tensor(stored).reshape(-1)});
    most = std::max(most, slice.end);
  }
  std::ranges::sort(parts, {}, &Part::begin);
  const auto found = assembled(parts, wanted.begin, is_slice ? wanted.end : most);
  return found.defined() ? found : direct_.tensor(name);
}

}  // namespace qtk::train
