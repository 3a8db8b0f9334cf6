#include "config/interpolation.hpp"

#include "config/scalar.hpp"
#include "config/utf8.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace qtk::config {
namespace {

constexpr std::string_view kOpen = "${";
constexpr std::string_view kEnvironment = "env:";
constexpr int kLongestChain = 32;
constexpr int kMostReferences = 1000;  // each one searches the tree
constexpr size_t kLongestText = size_t{64} << 10;
constexpr size_t kMostText = size_t{4} << 20;  // that all references of a configuration may produce

struct Resolved {
  std::string text;
  ScalarStyle style;
};

class Interpolation {
 public:
  Interpolation(Node& root, Diagnostics& diagnostics) : root_(root), diagnostics_(diagnostics) {}

  void visit(Node& node, const std::string& path) {
    if (node.is_scalar()) resolve(node, path, 0);
    for (size_t i = 0; i < node.items().size(); ++i)
      visit(node.items()[i],
            node.is_map() ? child_path(path, node.keys()[i].text) : child_path(path, i));
  }

 private:
  enum class State { kOpen, kDone };

  /// False if the scalar cannot be resolved; it has been reported and marked then.
  bool resolve(Node& node, const std::string& path, int chain) {
    if (node.text().find(kOpen) == std::string::npos)
      return node.style() != ScalarStyle::kUnresolved;
    const auto [state, is_new] = states_.emplace(&node, State::kOpen);
    if (!is_new && state->second == State::kDone) return node.style() != ScalarStyle::kUnresolved;
    if (!is_new) return fail(node, path, "refers to itself", "break the circle of references");
    if (chain > kLongestChain)
      return fail(node, path, "is too long a chain of references", "refer to the value itself");
    std::optional<Resolved> resolved = expand(node, path, chain);
    if (resolved) node.assign(std::move(resolved->text), resolved->style);
    states_[&node] = State::kDone;
    return resolved.has_value();
  }

  std::optional<Resolved> expand(Node& node, const std::string& path, int chain) {
    const std::string text = node.text();
    Resolved result{{}, node.style()};
    for (size_t at = 0; at < text.size();) {
      const std::string_view rest = std::string_view(text).substr(at);
      if (rest.starts_with("$${")) {
        result.text += kOpen;
        at += 3;
      } else if (rest.starts_with(kOpen)) {
        const size_t close = rest.find('}');
        const bool is_whole = at == 0 && close + 1 == rest.size();
        auto part = close == rest.npos ? refuse(node, path, "has `${` without `}`",
                                                "write `$${` for the characters `${`")
                                       : look_up(node, path, rest.substr(2, close - 2), chain);
        if (!part || !append(node, path, *part, result)) return std::nullopt;
        result.style = is_whole ? part->style : mixed(result.style, part->style);
        at += close + 1;
      } else {
        result.text += text[at++];
      }
    }
    return result;
  }

  static ScalarStyle mixed(ScalarStyle whole, ScalarStyle part) {
    return whole == ScalarStyle::kQuoted || part == ScalarStyle::kQuoted ? ScalarStyle::kQuoted
                                                                         : ScalarStyle::kUntyped;
  }

  bool append(Node& node, const std::string& path, const Resolved& part, Resolved& result) {
    result.text += part.text;
    produced_ += part.text.size();
    if (result.text.size() <= kLongestText && produced_ <= kMostText) return true;
    return fail(node, path, "grows too long", "shorten what it refers to");
  }

  std::optional<Resolved> look_up(Node& node, const std::string& path, std::string_view name,
                                  int chain) {
    const std::string shown = "${" + std::string(name) + "}";
    if (++references_ > kMostReferences)
      return refuse(node, path, "is reference number " + std::to_string(references_),
                    "write values out");
    if (name.starts_with(kEnvironment))
      return environment(node, path, std::string(name.substr(kEnvironment.size())));
    Node* target = name.empty() ? nullptr : const_cast<Node*>(find_path(root_, name));
    if (!target)
      return refuse(node, path, "refers to `" + shown + "`, which is not there",
                    "give the full dotted path, or `${env:NAME}` for the environment");
    if (!target->is_scalar())
      return refuse(node, path, "refers to `" + shown + "`, which is " + found(*target),
                    "refer to a single value");
    if (!resolve(*target, std::string(name), chain + 1))
      return refuse(node, path, "refers to `" + shown + "`, which has no value",
                    "correct that one first");
    return Resolved{target->text(), target->style()};
  }

  std::optional<Resolved> environment(Node& node, const std::string& path,
                                      const std::string& name) {
    const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
    if (!value)
      return refuse(node, path, "refers to `${env:" + name + "}`, which is not set",
                    "export " + name + "=...");
    if (std::string_view(value).size() > kLongestText || !is_utf8(value))
      return refuse(node, path, "refers to `${env:" + name + "}`, which is too long or not UTF-8",
                    "correct the variable");
    return Resolved{value, ScalarStyle::kUntyped};
  }

  std::nullopt_t refuse(Node& node, const std::string& path, const std::string& problem,
                        std::string remedy) {
    fail(node, path, problem, std::move(remedy));
    return std::nullopt;
  }

  bool fail(Node& node, const std::string& path, const std::string& problem, std::string remedy) {
    diagnostics_.error(
        {"the value of `" + path + "` " + problem, node.mark(), path, std::move(remedy)});
    node.assign(node.text(), ScalarStyle::kUnresolved);
    return false;
  }

  Node& root_;
  Diagnostics& diagnostics_;
  std::unordered_map<const Node*, State> states_;
  size_t produced_ = 0;
  int references_ = 0;
};

}  // namespace

void interpolate(Node& root, Diagnostics& diagnostics) {
  Interpolation(root, diagnostics).visit(root, "");
}

}  // namespace qtk::config
