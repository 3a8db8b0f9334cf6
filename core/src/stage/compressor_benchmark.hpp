// What a compressor makes of a boundary tensor: size, error, time.
#pragma once

#include "dist/compressor_choice.hpp"
#include "stage/boundary_data.hpp"

#include <cstdint>
#include <string>

namespace qtk::stage {

/// Seconds over all repeats.
struct RepeatedTime {
  double median_s = 0, fastest_s = 0, slowest_s = 0;
};

/// Errors are of the decoded tensor: relative ones ||y - x|| / ||x||, the largest |y - x|.
struct CompressorFigures {
  int64_t bytes = 0;  // of every message
  double bits_per_element = 0;
  double relative_error = 0, largest_error = 0;  // first visit of the samples
  /// Second visit, of slightly changed values: better where a method remembers samples.
  double revisit_relative_error = 0;
  RepeatedTime encode, decode;
};

/// Encodes and decodes both visits, then times `repeats` further visits, alternately of the one and
/// the other; sender and receiver are objects of their own, as on two ranks.
/// @throws Error if the compressor refuses the tensor, PluginError if it cannot work on the device
CompressorFigures benchmark_compressor(const dist::CompressorChoice& choice,
                                       const BoundaryData& data, int64_t repeats,
                                       RunContext& context);

}  // namespace qtk::stage
