// The events of one YAML document, flat and in order, with the limits that aliases could break
// already checked.
#pragma once

#include "config/yaml_guard.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/mark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace qtk::config {

struct YamlEvent {
  enum class Type { kNull, kScalar, kAlias, kSequence, kMap, kEnd };

  Type type;
  size_t offset = 0;  // byte in the text
  std::string text = {};
  bool is_quoted = false;
  size_t target = 0;  // of an alias: the event it stands for
};

/// Thrown through yaml-cpp to stop it.
struct YamlRefusal {
  YamlHazard hazard;
};

class YamlEvents final : public YAML::EventHandler {
 public:
  const std::vector<YamlEvent>& events() const { return events_; }
  /// Nodes whose tag was not understood; they are read as if it were absent.
  const std::vector<size_t>& tagged_offsets() const { return tagged_offsets_; }

  void OnDocumentStart(const YAML::Mark& mark) override;
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override;
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override;
  void OnMapEnd() override { close(); }

 private:
  /// What an anchor stands for once it is complete.
  struct Anchored {
    size_t event = 0;
    int64_t nodes = 0;
    int height = 0;  // nested collections
    bool is_open = false;
  };
  struct Open {
    YAML::anchor_t anchor;
    int64_t nodes_before;
    int height = 1;
  };

  void add(YamlEvent event, int64_t nodes = 1);
  void add_scalar(YamlEvent event, YAML::anchor_t anchor);
  void open(YamlEvent::Type type, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor);
  void close();
  void check_tag(const std::string& tag, size_t offset);
  Anchored& anchored(YAML::anchor_t anchor);

  std::vector<YamlEvent> events_;
  std::vector<size_t> tagged_offsets_;
  std::vector<Open> open_;
  std::vector<Anchored> anchors_;  // by yaml-cpp's number
  int64_t nodes_ = 0;              // as if every alias had been written out
  bool has_document_ = false;
};

}  // namespace qtk::config
