#include "formats/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <span>
#include <string_view>

#include "formats/status.h"
#include "formats/strict_json.h"

namespace tconv::formats {
namespace {

using Json = nlohmann::json;

constexpr size_t kLengthBytes = 8;
// As of the reference implementation.
constexpr size_t kLargestHeader = 100'000'000;
constexpr size_t kHeaderLevels = 4;
constexpr size_t kAlignment = 64;
constexpr char kMetadata[] = "__metadata__";

struct TypeName {
  std::string_view text;
  DType dtype;
};
constexpr TypeName kTypeNames[] = {{"F32", DType::kFloat32},
                                   {"F64", DType::kFloat64},
                                   {"F16", DType::kFloat16},
                                   {"BF16", DType::kBFloat16}};

std::string_view TypeNameOf(DType dtype) {
  for (const TypeName& name : kTypeNames) {
    if (name.dtype == dtype) return name.text;
  }
  return "";
}

// Numbers from 0 to 2^63 - 1.
absl::StatusOr<std::vector<int64_t>> ReadSizes(const Json& entry, const char* key) {
  const auto list = entry.find(key);
  if (list == entry.end() || !list->is_array()) return Malformed("{}: expected a list", key);
  std::vector<int64_t> sizes;
  for (const Json& item : *list) {
    const bool is_size = item.is_number_unsigned() && item.get<uint64_t>() <= INT64_MAX;
    if (!is_size) return Malformed("{}: expected sizes, got {}", key, Excerpt(item));
    sizes.push_back(item.get<int64_t>());
  }
  return sizes;
}

// What the entry of the header describes. `data` is the part of the file behind it.
absl::StatusOr<Array> ReadEntry(const Json& entry, std::span<const std::byte> data,
                                const std::shared_ptr<const void>& owner) {
  if (!entry.is_object()) return Malformed("expected an object, got {}", Excerpt(entry));
  const std::string type = entry.value("dtype", Json()).dump();
  TCONV_FORMATS_ASSIGN_OR_RETURN(Shape shape, ReadSizes(entry, "shape"));
  TCONV_FORMATS_ASSIGN_OR_RETURN(const auto offsets, ReadSizes(entry, "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1] ||
      static_cast<size_t>(offsets[1]) > data.size()) {
    return Malformed("data_offsets: expected a range of the {} bytes of the file, got [{}]",
                     data.size(), fmt::join(offsets, ", "));
  }
  const auto begin = static_cast<size_t>(offsets[0]);
  const auto bytes = data.subspan(begin, static_cast<size_t>(offsets[1]) - begin);
  for (const TypeName& name : kTypeNames) {
    if (type == fmt::format("\"{}\"", name.text)) {
      return MakeArray(name.dtype, std::move(shape), bytes, owner);
    }
  }
  return Malformed("expected elements of F32, F64, F16 or BF16, got {}", type);
}

}  // namespace

absl::StatusOr<Arrays> ReadSafetensors(std::shared_ptr<const std::string> file) {
  const std::string_view text = *file;
  uint64_t header_bytes = 0;
  for (size_t i = std::min(text.size(), kLengthBytes); i-- > 0;) {
    header_bytes = header_bytes << 8 | static_cast<unsigned char>(text[i]);
  }
  if (text.size() < kLengthBytes || header_bytes > kLargestHeader ||
      header_bytes > text.size() - kLengthBytes) {
    return Malformed("expected a .safetensors file, which begins with the length of its header");
  }
  const auto parsed = ParseStrictJson(text.substr(kLengthBytes, header_bytes),
                                      {.bytes = kLargestHeader, .levels = kHeaderLevels});
  if (!parsed.ok()) return At("header", parsed.status());
  if (!parsed->is_object()) return Malformed("header: expected an object");
  const auto data = std::as_bytes(std::span(*file)).subspan(kLengthBytes + header_bytes);
  Arrays arrays;
  for (const auto& [name, entry] : parsed->items()) {
    if (name != kMetadata) arrays.emplace(name, ReadEntry(entry, data, file));
  }
  return arrays;
}

absl::Status WriteSafetensors(std::ostream& out,
                              const std::vector<std::pair<std::string, Array>>& arrays) {
  Json header = Json::object();
  size_t offset = 0;
  for (const auto& [name, array] : arrays) {
    header[name] = {{"dtype", TypeNameOf(array.dtype)},
                    {"shape", array.shape},
                    {"data_offsets", {offset, offset + array.bytes.size()}}};
    offset += array.bytes.size();
  }
  std::string text = header.dump();
  text.resize(
      (kLengthBytes + text.size() + kAlignment - 1) / kAlignment * kAlignment - kLengthBytes, ' ');
  for (size_t i = 0; i < kLengthBytes; ++i) out.put(static_cast<char>(text.size() >> (8 * i)));
  out << text;
  for (const auto& [name, array] : arrays) {
    out.write(reinterpret_cast<const char*>(array.bytes.data()),
              static_cast<std::streamsize>(array.bytes.size()));
  }
  out.flush();
  return out ? absl::OkStatus() : absl::UnknownError("not everything could be written");
}

}  // namespace tconv::formats
