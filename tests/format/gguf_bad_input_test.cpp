#include "bad_file.hpp"
#include "format/gguf.hpp"
#include "gguf_bytes.hpp"

#include <ATen/ATen.h>

namespace qtk::format {
namespace {

void expect_gguf_refused(const std::vector<BadFile>& cases) {
  expect_refused(cases, "bad.gguf", [](const auto& path) { GgufFile::open(path); });
}

/// One key with the given rest after its name.
std::string with_key(const std::string& rest) {
  return gguf_preamble(0, 1) + gguf_text("k") + rest;
}

std::string with_tensor(const std::string& entry, size_t data_bytes = 64) {
  return gguf_bytes({}, {entry}, data_bytes);
}

std::string with_alignment(uint32_t alignment) {
  return gguf_bytes({gguf_key("general.alignment", GgufType::kU32, raw(alignment))});
}

TEST(GgufBadInput, FilesOfAnotherKindOrVersionAreNamed) {
  expect_gguf_refused({
      {"empty", "", "it is empty"},
      {"three bytes", "GGU", "the file ends within the magic number"},
      {"safetensors", std::string("\x40\0\0\0\0\0\0\0{", 9),
       "expected a GGUF file, found other content"},
      {"LFS pointer", "version https://git-lfs.github.com/spec/v1", "found a Git LFS pointer"},
      {"version 1", gguf_preamble(0, 0, 1), "the GGUF version is 1, expected 2 or 3"},
      {"version 4", gguf_preamble(0, 0, 4), "the GGUF version is 4, expected 2 or 3"},
      {"version 0", gguf_preamble(0, 0, 0), "the GGUF version is 0"},
      {"big-endian", gguf_preamble(0, 0, 0x03000000), "the file is big-endian"},
  });
}

TEST(GgufBadInput, CountsAndLengthsThatLieAreRefused) {
  constexpr uint64_t kHuge = ~uint64_t{0};
  expect_gguf_refused({
      {"tensors", gguf_preamble(1, 0), "claims 1 tensors, which it has no room for"},
      {"huge tensors", gguf_preamble(kHuge, 0), "claims 18446744073709551615 tensors"},
      {"keys", gguf_preamble(0, 1), "claims 1 keys, which it has no room for"},
      {"huge keys", gguf_preamble(0, kHuge), "claims 18446744073709551615 keys"},
      {"one key too many",
       gguf_preamble(0, 2) + gguf_key("a", GgufType::kU32, raw(uint32_t{1})) + gguf_text("bcdef"),
       "the file ends within the key 'bcdef'"},
      {"key name", gguf_preamble(0, 1) + raw(uint64_t{1000}) + std::string(50, 'k'),
       "the file ends within key 0 of 1"},
      {"key name too long", gguf_preamble(0, 1) + raw(uint64_t{65536}) + std::string(70000, 'k'),
       "key 0 of 1 has a text of 65536 bytes, expected at most 65535"},
      {"huge key name", gguf_preamble(0, 1) + raw(kHuge) + std::string(50, 'k'),
       "expected at most 65535"},
      {"text value", with_key(raw(GgufType::kText) + raw(uint64_t{100}) + "abc"),
       "the file ends within the key 'k'"},
      {"huge text value", with_key(raw(GgufType::kText) + raw(kHuge) + "abc"),
       "'k' has a text of 18446744073709551615"},
      {"list", with_key(raw(GgufType::kList) + gguf_list(GgufType::kU32, 3, std::string(8, '\0'))),
       "the key 'k' claims 3 elements, but only 8 bytes are left"},
      {"huge list",
       with_key(raw(GgufType::kList) +
                gguf_list(GgufType::kU64, kHuge / 8 + 1, std::string(16, '\0'))),
       "claims 2305843009213693952 elements"},
      {"list of texts",
       with_key(raw(GgufType::kList) + gguf_list(GgufType::kText, 1, raw(uint64_t{9}))),
       "the file ends within the key 'k'"},
      {"tensor name", gguf_preamble(1, 0) + raw(uint64_t{1000}) + std::string(50, 't'),
       "the file ends within tensor 0"},
  });
}

TEST(GgufBadInput, KeysOfNoTypeOrGivenTwiceAreRefused) {
  const auto a = gguf_key("a", GgufType::kU32, raw(uint32_t{1}));
  expect_gguf_refused({
      {"type 13", with_key(raw(uint32_t{13}) + std::string(8, '\0')),
       "the key 'k' has the type 13, expected 0 to 12"},
      {"list of type 99", with_key(raw(GgufType::kList) + raw(uint32_t{99}) + raw(uint64_t{0})),
       "has the type 99"},
      {"list of lists",
       with_key(raw(GgufType::kList) + gguf_list(GgufType::kList, 1, std::string(64, '\0'))),
       "the key 'k' is a list of lists"},
      {"bool 2", with_key(raw(GgufType::kBool) + "\2"),
       "the key 'k' is the truth value 2, expected 0 or 1"},
      {"list with bool 7", with_key(raw(GgufType::kList) + gguf_list(GgufType::kBool, 2, "\1\7")),
       "truth value 7"},
      {"list beyond 2^63",
       with_key(raw(GgufType::kList) + gguf_list(GgufType::kU64, 1, raw(uint64_t{1} << 63))),
       "holds 9223372036854775808, which is beyond 2^63"},
      {"twice", gguf_bytes({a, a}), "the key 'a' appears twice"},
  });
}

TEST(GgufBadInput, AlignmentsThatAreNoneAreRefused) {
  expect_gguf_refused({
      {"zero", with_alignment(0),
       "general.alignment is 0, expected a power of two from 8 to 1048576"},
      {"four", with_alignment(4), "general.alignment is 4"},
      {"forty-eight", with_alignment(48), "general.alignment is 48"},
      {"2^31", with_alignment(1u << 31), "general.alignment is 2147483648"},
  });
  TemporaryFolder scratch;
  const auto text = gguf_bytes({gguf_key("general.alignment", GgufType::kText, gguf_text("32"))});
  expect_contains(message_of([&] { GgufFile::open(write_bytes(scratch / "t.gguf", text)); }),
                  "'general.alignment' is text, expected a whole number");
}

TEST(GgufBadInput, TensorEntriesThatMakeNoSenseAreRefused) {
  constexpr uint64_t kHalf = uint64_t{1} << 32;
  expect_gguf_refused({
      {"no dimensions", with_tensor(gguf_tensor("t", {}, 0, 0)),
       "the tensor 't' has 0 dimensions, expected 1 to 4"},
      {"five dimensions", with_tensor(gguf_tensor("t", {1, 1, 1, 1, 1}, 0, 0)), "has 5 dimensions"},
      {"product overflows", with_tensor(gguf_tensor("t", {kHalf, kHalf}, 0, 0)),
       "more bytes than 2^63"},
      {"zero hides it", with_tensor(gguf_tensor("t", {0, kHalf, kHalf}, 0, 0)),
       "more bytes than 2^63"},
      {"negative size", with_tensor(gguf_tensor("t", {~uint64_t{0}}, 0, 0)),
       "has the size 18446744073709551615"},
      {"unknown type", with_tensor(gguf_tensor("t", {32}, 4, 0)),
       "has the ggml type 4, which qtk does not know"},
      {"huge type", with_tensor(gguf_tensor("t", {32}, 0xffffffff, 0)),
       "has the ggml type 4294967295"},
      {"ragged row", with_tensor(gguf_tensor("t", {33}, 8, 0)),
       "rows of 33 weights, which is no whole number of Q8_0"},
      {"twice", gguf_bytes({}, {gguf_tensor("t", {8}, 0, 0), gguf_tensor("t", {8}, 0, 32)}, 64),
       "the tensor 't' appears twice"},
  });
}

TEST(GgufBadInput, TensorsWithoutBytesOfTheirOwnAreRefused) {
  const auto two = [](uint64_t first, uint64_t second, size_t data_bytes) {
    return gguf_bytes({}, {gguf_tensor("a", {16}, 0, first), gguf_tensor("b", {16}, 0, second)},
                      data_bytes);
  };
  expect_gguf_refused({
      {"unaligned", with_tensor(gguf_tensor("t", {8}, 0, 16)),
       "the tensor 't' at offset 16 is not aligned to 32 bytes"},
      {"past the end", with_tensor(gguf_tensor("t", {17}, 0, 0)),
       "needs 68 bytes, but the tensor data has 64"},
      {"offset past the end", with_tensor(gguf_tensor("t", {1}, 0, 96)),
       "at offset 96 needs 4 bytes"},
      {"offset at the end", with_tensor(gguf_tensor("t", {1}, 0, 64)),
       "at offset 64 needs 4 bytes"},
      {"offset overflows", with_tensor(gguf_tensor("t", {16}, 0, ~uint64_t{31})), "needs 64 bytes"},
      {"no data", gguf_bytes({}, {gguf_tensor("t", {1}, 0, 0)}, 0), "the tensor data has 0"},
      {"overlap", two(0, 32, 128), "'b' at offset 32 overlaps another tensor, which ends at 64"},
      {"overlap backwards", two(32, 0, 128), "'a' at offset 32 overlaps another tensor"},
      {"same bytes", two(0, 0, 128), "at offset 0 overlaps another tensor"},
  });
}

TEST(GgufBadInput, EveryTruncationOfAFileIsRefused) {
  TemporaryFolder scratch;
  const auto whole = read_bytes(golden("small.gguf"));
  const auto last = GgufFile::open(golden("small.gguf")).tensors().back();
  const size_t padding = static_cast<size_t>(32 - last.nbytes() % 32) % 32;

  for (size_t size = 0; size < whole.size() - padding; ++size) {
    SCOPED_TRACE(size);
    const auto path = write_bytes(scratch / "cut.gguf", std::string_view(whole).substr(0, size));
    EXPECT_THROW(GgufFile::open(path), DataError);
  }
}

TEST(GgufBadInput, MemoryForMetadataIsBounded) {
  TemporaryFolder scratch;
  const std::string empty_texts(8 * 4'000'000, '\0');
  const auto many =
      with_key(raw(GgufType::kList) + gguf_list(GgufType::kText, 4'000'000, empty_texts));
  const auto wide =
      with_key(raw(GgufType::kList) + gguf_list(GgufType::kU8, 32'000'000, empty_texts));

  for (const auto& bytes : {many, wide}) {
    const auto path = write_bytes(scratch / "big.gguf", bytes);
    expect_contains(message_of([&] { GgufFile::open(path); }),
                    "the metadata needs more than 192 MiB of memory at the key 'k'");
  }
}

}  // namespace
}  // namespace qtk::format
