#include "base/atomic_file.hpp"
#include "base/hash.hpp"
#include "base/mapped_file.hpp"
#include "temporary_folder.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

namespace qtk {
namespace {

namespace fs = std::filesystem;

int entries(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicFile, AppearsOnlyWithCommitAndReplacesTheOldFile) {
  const TemporaryFolder folder;
  const auto path = folder / "sub" / "file.txt";
  write_file_atomically(path, "old");

  {
    AtomicFile file(path);
    file.write(std::string_view("new"));
    EXPECT_EQ(read_text_file(path), "old");
    file.commit();
  }

  EXPECT_EQ(read_text_file(path), "new");
  EXPECT_EQ(entries(path.parent_path()), 1);
}

TEST(AtomicFile, LeavesNothingBehindWithoutCommit) {
  const TemporaryFolder folder;

  { AtomicFile(folder / "file").write(std::string_view("lost")); }

  EXPECT_EQ(entries(folder.path()), 0);
}

TEST(AtomicFile, AWriteBeyondTheSizeLimitIsAnIoErrorThatKeepsTheOldFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{1000, limit.rlim_max};

  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string sentence;
  try {
    write_file_atomically(folder / "file", std::string(5000, 'x'));
  } catch (const IoError& error) {
    sentence = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &limit);

  EXPECT_EQ(sentence, "cannot write " + (folder / "file").string() + ": File too large");
  EXPECT_EQ(read_text_file(folder / "file"), "old");
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(AtomicFile, NamesAFolderThatCannotBeCreated) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "plain", "");

  EXPECT_THROW(AtomicFile(folder / "plain" / "below" / "file"), IoError);
}

TEST(CopyFile, CopiesEveryByteAndNamesAMissingSource) {
  const TemporaryFolder folder;
  std::string content(3'000'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 >> 3);
  write_file_atomically(folder / "a", content);

  copy_file_atomically(folder / "a", folder / "b");

  EXPECT_EQ(read_text_file(folder / "b"), content);
  EXPECT_THROW(copy_file_atomically(folder / "missing", folder / "c"), DataError);
}

TEST(ReadTextFile, RefusesMissingFilesFoldersAndFilesBeyondTheLimit) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "12345");

  EXPECT_THROW(read_text_file(folder / "missing"), DataError);
  EXPECT_THROW(read_text_file(folder.path()), DataError);
  EXPECT_THROW(read_text_file(folder / "file", 4), DataError);
  EXPECT_EQ(read_text_file(folder / "file", 5), "12345");
}

TEST(MappedFile, ShowsTheContentAndRefusesEmptyMissingAndFolders) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "content");
  write_file_atomically(folder / "empty", "");

  const auto bytes = MappedFile::open(folder / "file")->bytes();

  EXPECT_EQ(bytes.size(), 7u);
  EXPECT_THROW(MappedFile::open(folder / "empty"), DataError);
  EXPECT_THROW(MappedFile::open(folder / "missing"), DataError);
  EXPECT_THROW(MappedFile::open(folder.path()), DataError);
}

// SHA-256 of "abc" from FIPS 180-4.
TEST(Hash, MatchesThePublishedDigest) {
  EXPECT_EQ(sha256(std::as_bytes(std::span("abc", 3))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, FileAndTextFingerprintsAgreeAndDependOnEveryByte) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "hello");
  write_file_atomically(folder / "empty", "");

  EXPECT_EQ(fingerprint_file(folder / "a"), fingerprint("hello"));
  EXPECT_EQ(fingerprint_file(folder / "empty"), fingerprint(""));
  EXPECT_NE(fingerprint("hello"), fingerprint("hellp"));
  EXPECT_EQ(fingerprint("hello").size(), 32u);
}

}  // namespace
}  // namespace qtk
