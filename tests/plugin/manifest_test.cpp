#include "plugin/manifest.hpp"

#include "plugin_files.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/random.hpp>

#include <elf.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

namespace qtk::plugin {
namespace {

ByteSource source_of(const std::string& bytes) {
  return {bytes.size(), [&bytes](uint64_t offset, std::span<std::byte> out) {
            EXPECT_LE(offset + out.size(), bytes.size()) << "read beyond the file";
            std::memcpy(out.data(), bytes.data() + offset, out.size());
            return true;
          }};
}

std::string sound_bytes() { return content_of(built_plugin("scheduler", "sound")); }

template <class Change>
std::string with_header(Change change) {
  std::string bytes = sound_bytes();
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  change(header);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

TEST(Manifest, HoldsWhatTheMacroWasGiven) {
  const Manifest manifest = read_manifest(built_plugin("scheduler", "sound"));

  EXPECT_EQ(manifest.kind, "scheduler");
  EXPECT_EQ(manifest.name, "sound");
  EXPECT_EQ(manifest.version, "1.2.3");
  EXPECT_EQ(manifest.summary, "Nothing is wrong with it");
  EXPECT_EQ(manifest.paper, "M\xc3\xbcller, 2024");
  EXPECT_EQ(manifest.build.at("torch"), "2.11.0");
  EXPECT_EQ(manifest.build.at("cxx11abi"), "1");
  EXPECT_EQ(manifest.build.at("cuda_archs"), "none");
}

TEST(Manifest, PaperMayBeEmpty) {
  EXPECT_EQ(read_manifest(built_plugin("scheduler", "throws_in_method")).paper, "");
}

TEST(Manifest, EveryKindOfWrongFileIsNamed) {
  const std::string sound = sound_bytes();
  struct Case {
    std::string bytes, expected;
  };
  const Case cases[] = {
      {"", "is empty"},
      {"#!/bin/sh\necho hello\n", "is not a shared library: it does not begin with the ELF mark"},
      {"\x7f", "is not a shared library"},
      {"\x7f"
       "ELF",
       "is truncated: its ELF header lies at byte 0, the file has 4 bytes"},
      {sound.substr(0, 1000), "is truncated: its section table lies at byte"},
      {sound.substr(0, sound.size() - 1), "is truncated: its section table"},
      {with_header([](auto& h) { h.e_machine = EM_AARCH64; }),
       "is for another processor: its ELF machine is 183, expected 62 (x86-64)"},
      {with_header([](auto& h) { h.e_ident[EI_CLASS] = ELFCLASS32; }),
       "is for another kind of processor"},
      {with_header([](auto& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; }),
       "is for another kind of processor"},
      {with_header([](auto& h) { h.e_type = ET_REL; }),
       "is not a shared library: its ELF type is 1, expected 3"},
      {with_header([](auto& h) { h.e_shoff = 0; }), "has no section table"},
      {with_header([](auto& h) { h.e_shnum = 0; }), "has no section table"},
      {with_header([](auto& h) { h.e_shentsize = 63; }), "is damaged: its ELF header"},
      {with_header([](auto& h) { h.e_shstrndx = h.e_shnum; }), "is damaged: its ELF header"},
      {with_header([](auto& h) { h.e_shoff = ~uint64_t{0} - 8; }),
       "is truncated: its section table lies at byte 18446744073709551607"},
      {patched(sound, ".qtk_manifest", ".qtk_manifesX"), "has no section .qtk_manifest"},
      {patched(sound, "qtk_manifest=1", "qtk_manifest=7"),
       "has a manifest of format 7, expected 1"},
      {patched(sound, "\nkind=scheduler", "\nkind=schedulex"),
       "kind is 'schedulex', expected one of quantizer, scheduler"},
      {patched(sound, "\nname=sound", "\nname=Sound"),
       "name is 'Sound', expected lower snake case"},
      {patched(sound, "\nname=sound", "\nnane=sound"), "'name' is missing"},
      {patched(sound, "\nname=sound", "\nname\nsound"), "a line is not of the form key=value"},
      {patched(sound, "\nversion=1.2.3", "\nname=1.2.3456"), "two lines for 'name'"},
      {patched_manifest(sound, "Nothing is", "Noth\x1b[31mX"),
       "a line is not of the form key=value"},
      {patched_manifest(sound, "Nothing is", "Nothing\xff\xfe "),
       "a line is not of the form key=value"},
  };

  for (const Case& c : cases) {
    const std::string text =
        sentence_of<PluginError>([&] { read_manifest(source_of(c.bytes), "/plugins/x.so"); });

    EXPECT_TRUE(text.starts_with("plugin file /plugins/x.so ")) << text;
    EXPECT_CONTAINS(text, c.expected);
  }
}

TEST(Manifest, FilesThatCannotBeReadAreNamed) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "fifo.so").c_str(), 0600), 0);

  EXPECT_CONTAINS(sentence_of<PluginError>([&] { read_manifest(folder / "absent.so"); }),
                  "cannot be opened: No such file");
  EXPECT_CONTAINS(sentence_of<PluginError>([&] { read_manifest(folder.path()); }),
                  "is not a regular file");
  EXPECT_CONTAINS(sentence_of<PluginError>([&] { read_manifest(folder / "fifo.so"); }),
                  "is not a regular file");
}

TEST(Manifest, SurvivesStrip) {
  const TemporaryFolder folder;
  const fs::path stripped = folder / "stripped.so";
  fs::copy_file(built_plugin("scheduler", "sound"), stripped);
  if (std::system(("strip " + stripped.string()).c_str()) != 0) GTEST_SKIP() << "no program strip";

  EXPECT_EQ(read_manifest(stripped).name, "sound");
}

/// Changes one field or stretch of the file in a way that readers of ELF files trip over.
void mutate(std::string& bytes, RandomStream& random) {
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto anywhere = [&](uint64_t begin, uint64_t length) {
    return std::min<uint64_t>(begin + random.below(std::max<uint64_t>(1, length)),
                              bytes.size() - 1);
  };
  const uint64_t table_bytes = uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  const size_t manifest = std::min(bytes.find("qtk_manifest=1"), bytes.size() - 1);
  uint64_t at = 0;
  switch (random.below(5)) {
    case 0:
      at = anywhere(0, sizeof header);
      break;
    case 1:
      at = anywhere(std::min<uint64_t>(header.e_shoff, bytes.size() - 1), table_bytes);
      break;
    case 2:
      at = anywhere(manifest, 400);
      break;
    case 3:
      at = anywhere(0, bytes.size());
      break;
    default:
      bytes.resize(sizeof header + random.below(bytes.size() - sizeof header + 1));
      return;
  }
  constexpr uint64_t kValues[] = {
      0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, ~uint64_t{0}};
  const uint64_t value =
      random.below(2) ? kValues[random.below(std::size(kValues))] : random.next_u64();
  const uint64_t width = uint64_t{1} << random.below(4);
  std::memcpy(bytes.data() + at, &value, std::min(width, bytes.size() - at));
}

TEST(Manifest, ReaderSurvivesEveryMutationOfAFile) {
  constexpr int kMutations = 100'000;
  const std::string sound = sound_bytes();
  RandomStream random({.seed = 1, .purpose = "test.mutation"});
  int refused = 0;
  auto slowest = std::chrono::nanoseconds::zero();

  for (int i = 0; i < kMutations; ++i) {
    std::string bytes = sound;
    for (uint64_t changes = 1 + random.below(3); changes > 0; --changes) mutate(bytes, random);
    const auto begin = std::chrono::steady_clock::now();
    try {
      read_manifest(source_of(bytes), "x.so");
    } catch (const PluginError&) {
      ++refused;
    }
    slowest = std::max<std::chrono::nanoseconds>(slowest, std::chrono::steady_clock::now() - begin);
  }

  EXPECT_GT(refused, kMutations / 4) << "the mutations change too little to mean anything";
  EXPECT_LT(refused, kMutations) << "the mutations change too much to mean anything";
  EXPECT_LT(slowest, std::chrono::seconds(1));
}

TEST(Fingerprint, IsSplitAtSemicolonsAndEquals) {
  const Fingerprint fingerprint = parse_fingerprint("a=1;b=x=y;;nothing;c=");

  EXPECT_EQ(fingerprint, (Fingerprint{{"a", "1"}, {"b", "x=y"}, {"c", ""}}));
}

}  // namespace
}  // namespace qtk::plugin
