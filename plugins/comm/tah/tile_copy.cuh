// Tiles of 64 elements from memory to shared memory by the card's copy engine (TMA), laid out so
// that the lanes of a warp, each with a tile of its own, read vectors from different banks.
//
// A row of shared memory is 128 bytes: a tile of 16-bit numbers, or half a tile of f32. Halves lie
// in planes of their own. Within row r, the vector of 16 bytes number k lies at place k ^ (r % 8);
// this is what the engine calls a swizzle of 128 bytes.
#pragma once

#include <qtk/cuda/launch.hpp>

#include <boundary_codec/device_values.cuh>
#include <cuda.h>

#include <cstdint>

namespace qtk::tah {

constexpr int kRowBytes = 128;

/// Vectors of 16 bytes of a tile, and planes that they lie in.
template <class T>
struct TileRows {
  static constexpr int kPlanes = 64 * static_cast<int>(sizeof(T)) / kRowBytes;
  static constexpr int kVectors = 8 * kPlanes;
};

// ---- on the host ------------------------------------------------------------------------------

inline auto tensor_map_encoder() {
  static const auto encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    QTK_CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                                    cudaEnableDefault, &result));
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(found);
  }();
  return encode;
}

inline CUtensorMapDataType tensor_map_type(boundary::Number type) {
  if (type == boundary::Number::kFloat) return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  return type == boundary::Number::kHalf ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                         : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
}

/// Describes `tiles` tiles from `x` on, of which `box` are copied at once.
/// @param x  aligned to 16 bytes. @param box  at most 256
template <class T>
CUtensorMap tile_map(const void* x, boundary::Number type, int64_t tiles, int box) {
  constexpr auto kPlanes = static_cast<cuuint64_t>(TileRows<T>::kPlanes);
  const cuuint64_t sizes[] = {kRowBytes / sizeof(T), kPlanes, static_cast<cuuint64_t>(tiles)},
                   strides[] = {kRowBytes, kRowBytes * kPlanes};  // of all but the first dimension
  const cuuint32_t box_sizes[] = {kRowBytes / sizeof(T), 1, static_cast<cuuint32_t>(box)},
                   steps[] = {1, 1, 1};
  CUtensorMap map;
  const CUresult status = tensor_map_encoder()(
      &map, tensor_map_type(type), 3, const_cast<void*>(x), sizes, strides, box_sizes, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw Error("the copy engine refuses tiles at this address", "report this", ExitCode::kFailed,
                "cuda");
  return map;
}

// ---- on the device ----------------------------------------------------------------------------

/// Counts the bytes of one copy. In shared memory.
class Arrival {
 public:
  /// By one thread, before a barrier of the block.
  __device__ void open() {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(address()) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  /// By the same thread: starts the copy of a box of tiles from number `tile` on. Where there are
  /// none any more, zeros come. @param box  tiles, a multiple of eight
  template <class T>
  __device__ void start(const CUtensorMap& map, void* shared, int tile, int box) {
    constexpr int kPlanes = TileRows<T>::kPlanes;
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address()),
                 "r"(kPlanes * plane_bytes(box))
                 : "memory");
    const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
#pragma unroll
    for (int plane = 0; plane < kPlanes; ++plane)
      asm volatile(
          "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
          "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to + plane * plane_bytes(box)),
          "l"(&map), "r"(0), "r"(plane), "r"(tile), "r"(address())
          : "memory");
  }
  /// By all, after the barrier.
  __device__ void wait() {
    asm volatile(
        "{\n.reg .pred done;\nwaiting:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], 0;\n"
        "@!done bra waiting;\n}" ::"r"(address())
        : "memory");
  }
  __host__ __device__ static int plane_bytes(int box) { return box * kRowBytes; }

 private:
  __device__ unsigned address() const {
    return static_cast<unsigned>(__cvta_generic_to_shared(&count_));
  }
  uint64_t count_;
};

/// A lane's tile in shared memory. Read anew each time, so that no registers hold it.
template <class T>
class TileView {
 public:
  /// @param row  address of the tile's row. @param plane_bytes  from a plane to the next
  __device__ TileView(unsigned row, int index, int plane_bytes)
      : row_(row + static_cast<unsigned>(index % 8 * 16)),
        plane_bytes_(static_cast<unsigned>(plane_bytes)) {}

  __device__ uint4 vector(int k) const {
    uint4 v;
    const unsigned address = (row_ ^ (k % 8 * 16)) + k / 8 * plane_bytes_;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(address));
    return v;
  }
  /// Eight elements, from 8 k on.
  __device__ void octet(int k, boundary::Octet& v) const {
    if constexpr (sizeof(T) == 4) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4 raw = vector(2 * k + half);
        v[4 * half] = __uint_as_float(raw.x), v[4 * half + 1] = __uint_as_float(raw.y);
        v[4 * half + 2] = __uint_as_float(raw.z), v[4 * half + 3] = __uint_as_float(raw.w);
      }
    } else {
      boundary::unpack(vector(k), v, static_cast<const T*>(nullptr));
    }
  }

 private:
  unsigned row_, plane_bytes_;
};

/// All tiles of a block in shared memory.
template <class T>
struct StagedTiles {
  const uint8_t* shared;  // aligned to 1024 bytes
  int plane_bytes;

  __device__ TileView<T> view(int row) const {
    return {static_cast<unsigned>(__cvta_generic_to_shared(shared + row * kRowBytes)), row,
            plane_bytes};
  }
  /// Of a lane of this warp.
  __device__ TileView<T> of_warp(int lane) const {
    return view(static_cast<int>(threadIdx.x) / 32 * 32 + lane);
  }
};

}  // namespace qtk::tah
