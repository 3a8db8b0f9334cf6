// Temporary: reads and writes without checks, until the format room brings its own.
#include "format/safetensors.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cstring>

namespace qtk::format {
namespace {

const std::vector<std::pair<std::string, at::ScalarType>> kDtypes = {
    {"F32", at::kFloat}, {"F64", at::kDouble}, {"F16", at::kHalf}, {"BF16", at::kBFloat16},
    {"I64", at::kLong},  {"I32", at::kInt},    {"U8", at::kByte},  {"I8", at::kChar}};

std::string text_of(at::ScalarType dtype) {
  for (const auto& [name, value] : kDtypes)
    if (value == dtype) return name;
  throw DataError("unsupported dtype");
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile file;
  file.file_ = MappedFile::open(path);
  const auto* data = reinterpret_cast<const char*>(file.file_->bytes().data());
  uint64_t length = 0;
  std::memcpy(&length, data, 8);
  const auto header = nlohmann::ordered_json::parse(data + 8, data + 8 + length);
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    TensorInfo info{.name = name};
    for (const auto& [text, dtype] : kDtypes)
      if (text == entry["dtype"]) info.dtype = dtype;
    info.shape = entry["shape"].get<std::vector<int64_t>>();
    file.index_[name] = file.tensors_.size();
    file.offsets_.push_back(static_cast<int64_t>(8 + length) + entry["data_offsets"][0].get<int64_t>());
    file.tensors_.push_back(std::move(info));
  }
  return file;
}

bool SafetensorsFile::has(std::string_view name) const { return index_.find(name) != index_.end(); }
const TensorInfo& SafetensorsFile::info(std::string_view name) const { return tensors_.at(index_.find(name)->second); }

at::Tensor SafetensorsFile::tensor(std::string_view name) const {
  const size_t i = index_.find(name)->second;
  auto* data = const_cast<std::byte*>(file_->bytes().data() + offsets_[i]);
  return at::from_blob(data, tensors_[i].shape, [owner = file_](void*) {},
                       at::TensorOptions(tensors_[i].dtype));
}

TensorFolder TensorFolder::open(const std::filesystem::path& folder) {
  TensorFolder result;
  result.folder_ = folder;
  std::vector<std::string> names = {"model.safetensors"};
  if (std::filesystem::exists(folder / "model.safetensors.index.json")) {
    const auto index = nlohmann::json::parse(read_text_file(folder / "model.safetensors.index.json"));
    names.clear();
    for (const auto& [name, file] : index["weight_map"].items())
      if (std::ranges::count(names, file.get<std::string>()) == 0) names.push_back(file);
  }
  for (const auto& name : names) {
    result.files_.push_back(SafetensorsFile::open(folder / name));
    result.file_bytes_ += static_cast<int64_t>(std::filesystem::file_size(folder / name));
    for (const auto& info : result.files_.back().tensors()) {
      result.file_of_[info.name] = result.files_.size() - 1;
      result.tensors_.push_back(info);
    }
  }
  return result;
}

bool TensorFolder::has(std::string_view name) const { return file_of_.find(name) != file_of_.end(); }
at::Tensor TensorFolder::tensor(std::string_view name) const {
  return files_.at(file_of_.find(name)->second).tensor(name);
}
const TensorInfo& TensorFolder::info(std::string_view name) const {
  return files_.at(file_of_.find(name)->second).info(name);
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(std::move(path)), tensors_(std::move(tensors)) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  for (const auto& info : tensors_) {
    header[info.name] = {{"dtype", text_of(info.dtype)},
                         {"shape", info.shape},
                         {"data_offsets", {data_bytes_, data_bytes_ + info.nbytes()}}};
    data_bytes_ += info.nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  file_.write(std::string_view(reinterpret_cast<const char*>(&length), 8));
  file_.write(text);
}

void SafetensorsWriter::write(std::string_view, const at::Tensor& tensor) {
  const auto dense = tensor.cpu().contiguous();
  file_.write(std::string_view(static_cast<const char*>(dense.const_data_ptr()), dense.nbytes()));
}

void SafetensorsWriter::commit() { file_.commit(); }

}  // namespace qtk::format
