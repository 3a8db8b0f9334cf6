#include "config/diagnostics.hpp"

#include "config/utf8.hpp"

#include <algorithm>
#include <sstream>

namespace qtk::config {
namespace {

/// A hostile key can be a megabyte long.
std::string cut(const std::string& text) {
  constexpr size_t kLongest = 400;
  if (text.size() <= kLongest) return text;
  size_t end = kLongest;
  while (end > 0 && is_utf8_continuation(text[end])) --end;
  return text.substr(0, end) + "...";
}

std::vector<Problem> by_position(std::vector<Problem> problems) {
  std::ranges::stable_sort(problems, {}, &Problem::mark);
  return problems;
}

}  // namespace

std::string to_string(const Problem& problem) {
  std::string text = cut(problem.message);
  const std::string place = cut(to_string(problem.mark));
  if (!place.empty()) text += "\n  --> " + place;
  if (!problem.path.empty()) text += (place.empty() ? "\n  --> " : "   ") + cut(problem.path);
  std::istringstream lines(problem.remedy);
  for (std::string line; std::getline(lines, line);) text += "\n   " + cut(line);
  return text;
}

void Diagnostics::error(Problem problem) {
  const bool is_new_place = places_.emplace(problem.mark, problem.path).second;
  const bool is_new_sentence = sentences_.emplace(problem.mark, problem.message).second;
  if (is_new_place && is_new_sentence) errors_.push_back(std::move(problem));
}

void Diagnostics::warn(Problem problem) { warnings_.push_back(std::move(problem)); }

void Diagnostics::missing(Problem problem) {
  if (!has_gaps_) error(std::move(problem));
}

std::vector<Problem> Diagnostics::errors() const { return by_position(errors_); }
std::vector<Problem> Diagnostics::warnings() const { return by_position(warnings_); }

std::string Diagnostics::text() const {
  std::string text;
  const std::vector<Problem> sorted = errors();
  for (size_t i = 0; i < std::min(sorted.size(), kMostShown); ++i) {
    if (i) text += "\nerror[config]: ";
    text += to_string(sorted[i]);
  }
  if (sorted.size() > kMostShown)
    text += "\nand " + std::to_string(sorted.size() - kMostShown) + " more problems";
  return text;
}

void Diagnostics::throw_if_any() const {
  if (!ok()) throw ConfigError(text());
}

Problem located(const Error& error, SourceMark mark, std::string path) {
  return {error.what(), std::move(mark), std::move(path), error.remedy()};
}

}  // namespace qtk::config
