// A port of this machine that nobody else gets while this object lives, except who asks for it by
// number: the store of rank 0.
#pragma once

#include "base/descriptor.hpp"

namespace qtk::dist {

/// Holds the port bound but does not listen, with SO_REUSEADDR: Linux then lets another socket with
/// that option bind and listen, but hands the number to nobody who takes any.
class ReservedPort {
 public:
  /// @throws IoError
  ReservedPort();
  int number() const { return number_; }

 private:
  Descriptor socket_;
  int number_ = 0;
};

}  // namespace qtk::dist
