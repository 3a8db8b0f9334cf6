#include "plugin/elf_section.hpp"

#include <elf.h>

#include <cstring>

namespace qtk::plugin {
namespace {

/// Every offset and size in the file is a claim. All reads go through here.
class ElfFile {
 public:
  explicit ElfFile(const ByteSource& source) : source_(source) {}

  void read(uint64_t offset, std::span<std::byte> out, const char* what) const {
    // Subtraction instead of addition, because offset + size may overflow.
    if (offset > source_.size || out.size() > source_.size - offset)
      throw ElfProblem("is truncated: its " + std::string(what) + " lies at byte " +
                       std::to_string(offset) + ", the file has " + std::to_string(source_.size) +
                       " bytes");
    if (!source_.read(offset, out)) throw ElfProblem("cannot be read to its end");
  }

  template <class Record>
  Record record(uint64_t offset, const char* what) const {
    Record value;
    read(offset, std::as_writable_bytes(std::span(&value, 1)), what);
    return value;
  }

  uint64_t size() const { return source_.size; }

 private:
  const ByteSource& source_;
};

Elf64_Ehdr checked_header(const ElfFile& file) {
  if (file.size() == 0) throw ElfProblem("is empty");
  unsigned char mark[SELFMAG] = {};
  if (file.size() >= SELFMAG) file.read(0, std::as_writable_bytes(std::span(mark)), "ELF mark");
  if (std::memcmp(mark, ELFMAG, SELFMAG) != 0)
    throw ElfProblem("is not a shared library: it does not begin with the ELF mark");
  const auto header = file.record<Elf64_Ehdr>(0, "ELF header");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    throw ElfProblem("is for another kind of processor: expected a 64-bit little-endian ELF file");
  if (header.e_machine != EM_X86_64)
    throw ElfProblem("is for another processor: its ELF machine is " +
                     std::to_string(header.e_machine) + ", expected " + std::to_string(EM_X86_64) +
                     " (x86-64)");
  if (header.e_type != ET_DYN)
    throw ElfProblem("is not a shared library: its ELF type is " + std::to_string(header.e_type) +
                     ", expected " + std::to_string(ET_DYN));
  return header;
}

class SectionTable {
 public:
  explicit SectionTable(const ElfFile& file) : file_(file), header_(checked_header(file)) {
    if (header_.e_shoff == 0 || header_.e_shnum == 0)
      throw ElfProblem("has no section table, so its manifest cannot be found");
    if (header_.e_shentsize != sizeof(Elf64_Shdr) || header_.e_shstrndx >= header_.e_shnum)
      throw ElfProblem("is damaged: its ELF header describes no valid section table");
    names_ = at(header_.e_shstrndx);
  }

  uint64_t count() const { return header_.e_shnum; }

  Elf64_Shdr at(uint64_t index) const {
    // Checked on its own, because the sum below could overflow.
    if (header_.e_shoff > file_.size())
      throw ElfProblem("is truncated: its section table lies at byte " +
                       std::to_string(header_.e_shoff) + ", the file has " +
                       std::to_string(file_.size()) + " bytes");
    return file_.record<Elf64_Shdr>(header_.e_shoff + index * sizeof(Elf64_Shdr), "section table");
  }

  bool is_named(const Elf64_Shdr& section, std::string_view name) const {
    const uint64_t length = name.size() + 1;  // with the zero byte
    if (section.sh_name > names_.sh_size || length > names_.sh_size - section.sh_name) return false;
    if (names_.sh_offset > file_.size())
      throw ElfProblem("is truncated: it ends before its section names");
    std::string found(length, '\1');
    file_.read(names_.sh_offset + section.sh_name, std::as_writable_bytes(std::span(found)),
               "table of section names");
    return std::string_view(found).substr(0, name.size()) == name && found.back() == '\0';
  }

 private:
  const ElfFile& file_;
  Elf64_Ehdr header_;
  Elf64_Shdr names_{};
};

}  // namespace

std::string elf_section(const ByteSource& source, std::string_view name, uint64_t limit_bytes) {
  const ElfFile file(source);
  const SectionTable sections(file);
  for (uint64_t i = 0; i < sections.count(); ++i) {
    const Elf64_Shdr section = sections.at(i);
    if (!sections.is_named(section, name)) continue;
    if (section.sh_type == SHT_NOBITS || section.sh_size > limit_bytes)
      throw ElfProblem("is damaged: section " + std::string(name) + " has " +
                       std::to_string(section.sh_size) + " bytes, expected at most " +
                       std::to_string(limit_bytes));
    std::string content(section.sh_size, '\0');
    file.read(section.sh_offset, std::as_writable_bytes(std::span(content)), "manifest");
    return content;
  }
  throw ElfProblem("has no section " + std::string(name));
}

}  // namespace qtk::plugin
