#include "bad_file.hpp"
#include "format/safetensors.hpp"
#include "format_fixtures.hpp"

#include <ATen/ATen.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace qtk::format {
namespace {

/// A header with one tensor entry "t", and as much data as asked for.
std::string with_entry(const std::string& entry, size_t data_bytes = 4) {
  return safetensors_bytes("{\"t\":" + entry + "}", data_bytes);
}

std::string with_metadata(const std::string& metadata) {
  return safetensors_bytes("{\"__metadata__\":" + metadata + "}");
}

/// Two one-dimensional U8 tensors with the given ranges.
std::string with_ranges(int a0, int a1, int b0, int b1, size_t data_bytes) {
  const auto entry = [](const char* name, int begin, int end) {
    return std::string("\"") + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
           R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  return safetensors_bytes("{" + entry("a", a0, a1) + "," + entry("b", b0, b1) + "}", data_bytes);
}

void expect_safetensors_refused(const std::vector<BadFile>& cases) {
  expect_refused(cases, "bad.safetensors", [](const auto& path) { SafetensorsFile::open(path); });
}

TEST(SafetensorsBadInput, FilesOfAnotherKindAreNamed) {
  expect_safetensors_refused({
      {"empty", "", "it is empty"},
      {"seven bytes", "1234567", "at least 8 bytes, this one has 7"},
      {"LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
       "found a Git LFS pointer"},
      {"torch.save", "PK\x03\x04 archive/data.pkl", "found a zip archive, as torch.save writes it"},
      {"pickle", "\x80\x02}q\x01(builtins", "found a Python pickle"},
      {"page", "<!DOCTYPE html><html>", "found a web page"},
      {"gguf", "GGUF\3\0\0\0\0\0\0\0", "found a GGUF file"},
  });
}

TEST(SafetensorsBadInput, HeaderLengthsThatLieAreRefused) {
  expect_safetensors_refused({
      {"one byte too long", raw(uint64_t{3}) + "{}",
       "header of 3 bytes reaches past the end of the file (10 bytes)"},
      {"beyond the limit", raw(uint64_t{100'000'001}) + "{}",
       "is 100000001, expected at most 100000000"},
      {"largest", raw(~uint64_t{0}) + "{}", "is 18446744073709551615, expected at most"},
      {"zero", raw(uint64_t{0}), "not valid JSON"},
      {"too short", raw(uint64_t{1}) + "{}", "not valid JSON"},
  });
}

TEST(SafetensorsBadInput, HeadersThatAreNoSuchJsonAreRefused) {
  expect_safetensors_refused({
      {"no JSON", safetensors_bytes("hello world"), "the header is not valid JSON: parse error"},
      {"list", safetensors_bytes("[1]"), "the header is a list, expected an object"},
      {"number", safetensors_bytes("12"), "the header is a number, expected an object"},
      {"two documents", safetensors_bytes("{}{}"), "not valid JSON"},
      {"trailing NUL", safetensors_bytes(std::string("{}\0", 3)), "the header has a NUL byte"},
      {"invalid UTF-8", safetensors_bytes("{\"\xff\":1}"), "ill-formed UTF-8"},
      {"deep", safetensors_bytes("{\"t\":" + std::string(1'000'000, '[')),
       "nested more than 8 levels"},
      {"long number", with_entry(R"({"shape":[)" + std::string(1000, '9') + "]}"),
       "more than 64 characters"},
      {"long name", safetensors_bytes("{\"" + std::string(17 << 20, 'n') + "\":1}"),
       "a string of more than"},
  });
}

TEST(SafetensorsBadInput, EntriesWithWrongFieldsAreRefused) {
  expect_safetensors_refused({
      {"not an object", with_entry("[1]"), "tensor 't': is a list, expected an object"},
      {"null", with_entry("null"), "tensor 't': is null, expected an object"},
      {"no dtype", with_entry(R"({"shape":[4],"data_offsets":[0,4]})"), "'t': dtype is missing"},
      {"no shape", with_entry(R"({"dtype":"U8","data_offsets":[0,4]})"), "'t': shape is missing"},
      {"no offsets", with_entry(R"({"dtype":"U8","shape":[4]})"), "data_offsets is missing"},
      {"one offset", with_entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0]})"),
       "does not hold two numbers"},
      {"three offsets", with_entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4,4]})"),
       "more than 2 numbers"},
      {"unknown field", with_entry(R"({"dtype":"U8","strides":[1]})"),
       "'t': unknown field 'strides'"},
      {"dtype twice", with_entry(R"({"dtype":"U8","dtype":"U8"})"), "'t': dtype appears twice"},
      {"shape twice", with_entry(R"({"shape":[4],"shape":[4]})"), "'t': shape appears twice"},
      {"unknown dtype", with_entry(R"({"dtype":"U16","shape":[2],"data_offsets":[0,4]})"),
       "dtype 'U16' is not supported, expected one of BOOL, U8, I8, F8_E4M3"},
      {"dtype a number", with_entry(R"({"dtype":3})"), "dtype is or holds a number, expected text"},
      {"shape a text", with_entry(R"({"shape":"4"})"),
       "shape is or holds text, expected a list of whole numbers"},
      {"shape a number", with_entry(R"({"shape":4})"), "shape is or holds a number"},
      {"shape of texts", with_entry(R"({"shape":["4"]})"), "shape is or holds text"},
      {"shape nested", with_entry(R"({"shape":[[4]]})"), "shape is or holds a list"},
      {"shape of objects", with_entry(R"({"shape":[{}]})"), "shape is or holds an object"},
      {"shape of null", with_entry(R"({"shape":[null]})"), "shape is or holds null"},
      {"shape of bool", with_entry(R"({"shape":[true]})"), "shape is or holds a truth value"},
      {"fraction", with_entry(R"({"shape":[4.0]})"), "a number that is no 64-bit integer"},
      {"beyond 2^64", with_entry(R"({"shape":[99999999999999999999]})"),
       "a number that is no 64-bit integer"},
      {"beyond 2^63", with_entry(R"({"shape":[9223372036854775808]})"), "which is beyond 2^63"},
      {"negative size", with_entry(R"({"shape":[-4]})"), "shape holds the negative number -4"},
      {"negative offset", with_entry(R"({"data_offsets":[-1,4]})"),
       "data_offsets holds the negative number -1"},
      {"nine dimensions", with_entry(R"({"shape":[1,1,1,1,1,1,1,1,1]})"),
       "shape has more than 8 numbers"},
  });
}

TEST(SafetensorsBadInput, RepeatedNamesAndMetadataThatIsNotTextAreRefused) {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_safetensors_refused({
      {"tensor twice",
       safetensors_bytes("{\"t\":" + entry + ",\"u\":" + entry + ",\"t\":" + entry + "}"),
       "tensor 't' appears twice in the header"},
      {"escaped name twice", safetensors_bytes("{\"t\":" + entry + ",\"\\u0074\":" + entry + "}"),
       "tensor 't' appears twice in the header"},
      {"metadata twice", safetensors_bytes(R"({"__metadata__":{},"__metadata__":{}})"),
       "__metadata__ appears twice"},
      {"metadata key twice", with_metadata(R"({"a":"1","a":"2"})"),
       "__metadata__ 'a' appears twice"},
      {"metadata a list", with_metadata("[]"), "__metadata__ is a list, expected an object"},
      {"metadata number", with_metadata(R"({"a":1})"),
       "__metadata__ 'a' is a number, expected text"},
      {"metadata negative", with_metadata(R"({"a":-1})"),
       "__metadata__ 'a' is a number, expected text"},
      {"metadata null", with_metadata(R"({"a":null})"), "__metadata__ 'a' is null, expected text"},
      {"metadata object", with_metadata(R"({"a":{}})"),
       "__metadata__ 'a' is an object, expected text"},
      {"metadata list inside", with_metadata(R"({"a":[]})"),
       "__metadata__ 'a' is a list, expected text"},
  });
}

TEST(SafetensorsBadInput, SizesThatOverflowOrDisagreeAreRefused) {
  expect_safetensors_refused({
      {"product overflows",
       with_entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})"),
       "shape [4294967296,4294967296] has more bytes than 2^63"},
      {"bytes overflow",
       with_entry(R"({"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]})"),
       "has more bytes than 2^63"},
      {"zero hides it",
       with_entry(R"({"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]})", 0),
       "has more bytes than 2^63"},
      {"range too short", with_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
       "data_offsets [0, 4] should span 8 bytes for shape [2] of F32"},
      {"range too long", with_entry(R"({"dtype":"U8","shape":[2],"data_offsets":[0,4]})"),
       "should span 2 bytes"},
      {"range reversed", with_entry(R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})"),
       "[4, 0] should span 4"},
      {"zero size with bytes", with_entry(R"({"dtype":"U8","shape":[0],"data_offsets":[0,4]})"),
       "should span 0 bytes"},
  });
}

TEST(SafetensorsBadInput, RangesThatDoNotTileTheDataAreRefused) {
  expect_safetensors_refused({
      {"overlap", with_ranges(0, 4, 2, 6, 6),
       "'b': data_offsets [2, 6] overlap another tensor, which ends at 4"},
      {"same bytes twice", with_ranges(0, 4, 0, 4, 4), "overlap another tensor"},
      {"contained", with_ranges(0, 8, 2, 4, 8), "'b': data_offsets [2, 4] overlap"},
      {"hole", with_ranges(0, 4, 5, 8, 8), "'b': data_offsets [5, 8] leave a hole after 4"},
      {"hole at the start", with_ranges(2, 4, 4, 8, 8),
       "'a': data_offsets [2, 4] leave a hole after 0"},
      {"data left over", with_ranges(0, 4, 4, 8, 9),
       "the tensors use 8 bytes of data but the file has 9"},
      {"data missing", with_ranges(0, 4, 4, 8, 7),
       "'b': data_offsets [4, 8] reach past the end of the data"},
      {"no tensors but data", safetensors_bytes("{}", 1),
       "the tensors use 0 bytes of data but the file has 1"},
      {"empty inside another",
       safetensors_bytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                         R"("b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
                         4),
       "'b': data_offsets [2, 2] overlap"},
      {"far away",
       with_entry(
           R"({"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]})"),
       "leave a hole after 0"},
  });
}

TEST(SafetensorsBadInput, EveryTruncationOfAFileIsRefused) {
  TemporaryFolder scratch;
  const auto whole = read_bytes(golden("dtypes.safetensors"));

  for (size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    const auto path =
        write_bytes(scratch / "cut.safetensors", std::string_view(whole).substr(0, size));
    EXPECT_THROW(SafetensorsFile::open(path), DataError);
  }
}

TEST(SafetensorsBadInput, EveryFlippedBitOfAHeaderEitherReadsOrIsADataError) {
  TemporaryFolder scratch;
  const auto whole = read_bytes(golden("sharded/model-00001-of-00002.safetensors"));
  int refused = 0;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    SCOPED_TRACE(bit);
    auto flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto path = write_bytes(scratch / "flip.safetensors", flipped);
    try {
      const auto file = SafetensorsFile::open(path);
      for (const auto& tensor : file.tensors()) file.tensor(tensor.name).sum();
    } catch (const DataError&) {
      ++refused;
    }
  }

  EXPECT_GT(refused, 500);  // the rest are letters of names and bits of data
}

TEST(SafetensorsBadInput, AMillionTensorsReadAndOneMoreIsRefused) {
  TemporaryFolder scratch;
  const auto header_of = [](int count) {
    std::string header = "{";
    for (int i = 0; i < count; ++i) {
      if (i) header += ',';
      header += '"' + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    }
    return safetensors_bytes(header + "}");
  };

  const auto file =
      SafetensorsFile::open(write_bytes(scratch / "many.safetensors", header_of(1'000'000)));
  EXPECT_EQ(file.tensors().size(), 1'000'000u);
  EXPECT_TRUE(file.has("999999"));

  write_bytes(scratch / "many.safetensors", header_of(1'000'001));
  expect_contains(message_of([&] { SafetensorsFile::open(scratch / "many.safetensors"); }),
                  "the header names more than 1000000 tensors");
}

int64_t address_space_bytes() {
  std::ifstream status("/proc/self/statm");
  int64_t pages = 0;
  status >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

TEST(SafetensorsBadInput, AHeaderAtAllLimitsReadsWithin256MiB) {
  TemporaryFolder scratch;
  std::string header = "{\"__metadata__\":{}";
  for (int i = 0; i < 950'000; ++i)
    header += ",\"" + std::string(29, 'n') + std::to_string(1'000'000 + i) +
              R"(":{"dtype":"U8","shape":[0,1,1,1,1,1,1,1],"data_offsets":[0,0]})";
  ASSERT_LE(header.size(), 99'999'999u);
  const auto path = write_bytes(scratch / "full.safetensors", safetensors_bytes(header + "}"));

  const pid_t child = ::fork();
  if (child == 0) {
    const auto allowed =
        static_cast<rlim_t>(address_space_bytes() + (int64_t{100} << 20) + (int64_t{256} << 20));
    const rlimit limit{allowed, allowed};
    ::setrlimit(RLIMIT_AS, &limit);  // the mapping of the file, and 256 MiB
    try {
      ::_exit(SafetensorsFile::open(path).tensors().size() == 950'000 ? 0 : 1);
    } catch (...) {
      ::_exit(2);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);

  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace qtk::format
