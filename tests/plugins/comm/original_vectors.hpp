// Messages made with the original program (TAH-Quant revision 9e44e04).
#pragma once

#include "generated.hpp"
#include "link.hpp"

#include <ATen/ATen.h>
#include <original_stream/original_tah.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace qtk::testing {

struct SmallMessage {
  original::TahOptions options;
  std::string hex;
  uint32_t crc;
  double max_error, mean_square;
};

struct GeneratedMessage {
  const char* name;
  int64_t batch, sequence, channels;
  original::TahOptions options;
  int64_t rotated, bytes;
  uint32_t crc;
  std::string first_bytes;
  double max_error, mean_square;
  float entropies[4], decoded[4];

  at::Tensor x() const {
    return generated(12345, batch * sequence * channels).view({batch, sequence, channels});
  }
};

inline at::Tensor small_vector() {
  return tensor({1.0,   1.5,   -1.25,   0.5,  -2.0, 1.75, 0.25, -0.5,   //
                 0.5,   -0.25, 8.0,     0.75, 1.0,  -1.0, 1.25, -0.75,  //
                 -6.0,  0.5,   0.25,    -0.5, 3.0,  -2.5, 2.25, -1.75,  //
                 0.125, 0.0,   -0.0625, 4.0,  0.25, 0.0,  0.0,  0.125},
                {1, 4, 8});
}

inline at::Tensor small_decoded() {
  return tensor(
      {0.95019531, 1.5002441,  -1.25,       0.58349609,  -2,         1.75, 0.25,      -0.5,
       0.44647217, -0.2678833, 8.0180054,   0.8036499,   0.92919922, -1,   1.2507324, -0.6784668,
       -6.0169678, 0.49987793, 0.23327637,  -0.49987793, 3.0004883,  -2.5, 2.2670898, -1.7666016,
       0.13389587, 0,          -0.05355835, 3.9999542,   0.24996948, 0,    0,         0.12496948},
      {1, 4, 8});
}

inline std::vector<SmallMessage> small_messages() {
  return {
      {{4, 4, 3, 0.5},
       "f06c39a17e07cf0a0f96bbf0f0d2804200bca03f002c00bd00c040c300c1b7312535db269224de310034442cde3"
       "5"
       "5b20e0",
       0x31d417ac,
       0.0834960938,
       0.000852019337},
      {{4, 3, 2, 0.5},
       "e2cc87c3dc41e3b78e31804200bca03f002c00bd00c040c300c1ab36003a002c5529493649389230493a5b20e0",
       0x34868327,
       0.25,
       0.00722482993},
      {{4, 6, 4, 0.5},
       "f90cd0f2a05ff00fd3f02803f999beffc0fc0d89804200bca03f002c00bd00c040c300c1552dcd3066224420"
       "96299e2b1024962d5b20e0",
       0x985cfdf2,
       0.0500488281,
       0.000259461158}};
}

inline std::vector<GeneratedMessage> generated_messages() {
  return {{"B",
           2,
           10,
           64,
           {16, 4, 3, 0.8},
           14,
           964,
           0x748dc1de,
           "9af92c6e50398c497ea41c9a5d06814d",
           0.416503906,
           0.00591457101,
           {2.8104718F, 2.9762230F, 3.9530722F, 2.7592732F},
           {-1.802124F, -1.973755F, -0.08581543F, 0.4290771F}},
          {"C",
           1,
           64,
           256,
           {64, 4, 3, 0.8},
           164,
           8995,
           0xbab4b9b4,
           "8db80d69d6cb7476ea0d178d524498d5",
           0.838806152,
           0.0148010453,
           {4.3719639F, 4.5817742F, 4.8075969F, 4.7460060F},
           {-1.80542F, -1.985962F, 0.180542F, 0.361084F}},
          {"D",
           1,
           64,
           256,
           {64, 3, 2, 0.5},
           164,
           6307,
           0x0ebcc9c0,
           "95865651635914726a54a6556a456569",
           1.97851562,
           0.137373775,
           {4.3719639F, 4.5817742F, 4.8075969F, 4.7460060F},
           {-1.473999F, -1.895142F, 0.2105713F, 0.2105713F}},
          {"E6",
           1,
           64,
           256,
           {64, 6, 5, 0.8},
           164,
           13091,
           0x27679f29,
           "9b1ef984d561d946b46b6e03f6b2ca03",
           0.180130005,
           0.000808733388,
           {4.3719639F, 4.5817742F, 4.8075969F, 4.7460060F},
           {-1.977417F, -1.936646F, 0.1834717F, 0.5911865F}},
          {"F",
           1,
           5,
           128,
           {64, 4, 3, 0.8},
           7,
           368,
           0x5137c8d6,
           "9677903a636a66256c1f66b506317d1a",
           0.308685303,
           0.00910239154,
           {3.5878328F, 3.8213233F, 4.0439475F, 3.7670711F},
           {-2.021484F, -1.853027F, 0.08422852F, 0.3369141F}}};
}

}  // namespace qtk::testing
