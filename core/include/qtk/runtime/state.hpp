// State that a method wants in a checkpoint. Names are local to the object that writes them.
#pragma once

#include <qtk/runtime/export.hpp>

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace qtk {

/// Given by core for the time of one save. A name may be written once.
class QTK_API StateWriter {
 public:
  virtual ~StateWriter();
  /// Copied at once; any device, dtype and layout.
  virtual void tensor(std::string_view name, const at::Tensor& value) = 0;
  virtual void integer(std::string_view name, int64_t value) = 0;
  virtual void real(std::string_view name, double value) = 0;
  virtual void text(std::string_view name, std::string_view value) = 0;
};

/// Given by core for the time of one load. Reading a name that was not written throws DataError.
class QTK_API StateReader {
 public:
  virtual ~StateReader();
  virtual bool has(std::string_view name) const = 0;
  /// On the CPU, contiguous; shape and dtype as written.
  virtual at::Tensor tensor(std::string_view name) const = 0;
  virtual int64_t integer(std::string_view name) const = 0;
  virtual double real(std::string_view name) const = 0;
  virtual std::string text(std::string_view name) const = 0;
};

}  // namespace qtk
