#include "formats/hdf5_reader.h"

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "formats/array.h"
#include "formats/status.h"

namespace tconv::formats {
namespace {

using Json = nlohmann::json;

// Hard links can make a group a part of itself.
constexpr int kMostLevels = 64;
constexpr size_t kMostObjects = 1'000'000;
constexpr hsize_t kMostTexts = 1'000'000;
constexpr size_t kMostNameBytes = 1 << 16;
// No filter of HDF5 makes more of a byte: deflate packs 258 of them into two bits.
constexpr hsize_t kMostUnpacking = 1032;

// Closes what HDF5 has opened.
class Id {
 public:
  Id(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Id& operator=(Id&&) = delete;
  ~Id() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

// IEEE 754 binary16, which HDF5 has no name for.
Id MakeHalf(hid_t byte_order_of) {
  Id type(H5Tcopy(byte_order_of), H5Tclose);
  H5Tset_fields(type, /*spos=*/15, /*epos=*/10, /*esize=*/5, /*mpos=*/0, /*msize=*/10);
  H5Tset_size(type, 2);
  H5Tset_ebias(type, 15);
  return type;
}

bool Equal(hid_t a, hid_t b) { return H5Tequal(a, b) > 0; }

// The name of an attribute or a link, as one of the functions of HDF5 tells it.
template <typename Get>
absl::StatusOr<std::string> NameFrom(Get get) {
  const ssize_t length = get(nullptr, 0);
  if (length <= 0 || static_cast<size_t>(length) > kMostNameBytes) {
    return Malformed("it has a name that cannot be read");
  }
  std::string name(static_cast<size_t>(length) + 1, '\0');
  if (get(name.data(), name.size()) != length) return Malformed("it has a name that changes");
  name.pop_back();
  return name;
}

std::vector<std::string> TakeVariableTexts(hid_t attribute, hid_t space, size_t count) {
  const Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, H5T_VARIABLE);
  const Id file_type(H5Aget_type(attribute), H5Tclose);
  H5Tset_cset(type, H5Tget_cset(file_type));
  std::vector<char*> pointers(count, nullptr);
  std::vector<std::string> texts;
  if (H5Aread(attribute, type, pointers.data()) < 0) return texts;
  for (const char* pointer : pointers) texts.emplace_back(pointer == nullptr ? "" : pointer);
  H5Dvlen_reclaim(type, space, H5P_DEFAULT, pointers.data());
  return texts;
}

std::vector<std::string> TakeFixedTexts(hid_t attribute, hid_t type, size_t count) {
  const size_t bytes = H5Tget_size(type);
  std::vector<std::string> texts;
  // The elements of an attribute are in the file, in one message of it or a heap.
  if (bytes == 0 || H5Aget_storage_size(attribute) / bytes < count) return texts;
  std::vector<char> all(bytes * count);
  if (H5Aread(attribute, type, all.data()) < 0) return texts;
  for (size_t i = 0; i < count; ++i) {
    const char* text = &all[i * bytes];
    texts.emplace_back(text, strnlen(text, bytes));
  }
  return texts;
}

class Dump {
 public:
  Dump(hsize_t file_bytes, Attic& attic) : file_bytes_(file_bytes), attic_(attic) {}

  absl::Status TakeGroup(hid_t group, const std::string& path, int level) {
    TCONV_FORMATS_RETURN_IF_ERROR(TakeAttributes(group, path));
    H5G_info_t info;
    if (H5Gget_info(group, &info) < 0) return Malformed("the group \"{}\" cannot be read", path);
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      TCONV_FORMATS_RETURN_IF_ERROR(TakeMember(group, path, i, level));
    }
    return absl::OkStatus();
  }

  Json TakeAnswer() {
    return {{"datasets", std::move(datasets_)}, {"attributes", std::move(attributes_)}};
  }

 private:
  absl::Status TakeMember(hid_t group, const std::string& path, hsize_t index, int level) {
    TCONV_FORMATS_ASSIGN_OR_RETURN(const std::string name, NameFrom([&](char* out, size_t bytes) {
                                     return H5Lget_name_by_idx(group, ".", H5_INDEX_NAME,
                                                               H5_ITER_INC, index, out, bytes,
                                                               H5P_DEFAULT);
                                   }));
    const bool is_optimizer = level == 0 && (name == "optimizer" || name == "optimizer_weights");
    H5L_info_t link;
    if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0) {
      return Malformed("\"{}\" cannot be read", name);
    }
    if (is_optimizer || link.type != H5L_TYPE_HARD) return absl::OkStatus();
    if (++objects_ > kMostObjects || level == kMostLevels) {
      return Malformed("expected at most {} objects, {} levels deep", kMostObjects, kMostLevels);
    }
    const std::string member_path = path.empty() ? name : path + "/" + name;
    const Id object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
    if (!object.ok()) return Malformed("\"{}\" cannot be read", member_path);
    switch (H5Iget_type(object)) {
      case H5I_GROUP:
        return TakeGroup(object, member_path, level + 1);
      case H5I_DATASET:
        return TakeDataset(object, member_path);
      default:
        return absl::OkStatus();
    }
  }

  absl::Status TakeAttributes(hid_t object, const std::string& path) {
    const int count = H5Aget_num_attrs(object);
    for (int i = 0; i < count; ++i) {
      const Id attribute(H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC,
                                        static_cast<hsize_t>(i), H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose);
      if (!attribute.ok()) return Malformed("an attribute of \"{}\" cannot be read", path);
      TCONV_FORMATS_ASSIGN_OR_RETURN(const std::string name, NameFrom([&](char* out, size_t bytes) {
                                       return H5Aget_name(attribute, bytes, out);
                                     }));
      TCONV_FORMATS_RETURN_IF_ERROR(TakeTexts(attribute, path, name));
    }
    return absl::OkStatus();
  }

  // An empty list has the type of numpy's, which is not a text.
  absl::Status TakeTexts(hid_t attribute, const std::string& path, const std::string& name) {
    const Id type(H5Aget_type(attribute), H5Tclose);
    const Id space(H5Aget_space(attribute), H5Sclose);
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    if (count == 0) attributes_[path][name] = Json::array();
    if (count <= 0 || H5Tget_class(type) != H5T_STRING) return absl::OkStatus();
    if (static_cast<hsize_t>(count) > kMostTexts) {
      return Malformed("{}: expected at most {} texts", name, kMostTexts);
    }
    const auto texts = H5Tis_variable_str(type) > 0
                           ? TakeVariableTexts(attribute, space, static_cast<size_t>(count))
                           : TakeFixedTexts(attribute, type, static_cast<size_t>(count));
    if (texts.empty()) return Malformed("the attribute \"{}\" cannot be read", name);
    attributes_[path][name] = texts;
    return absl::OkStatus();
  }

  // An error of one dataset matters only to who needs it, unless there is no room.
  absl::Status TakeDataset(hid_t dataset, const std::string& path) {
    auto described = Describe(dataset);
    if (absl::IsResourceExhausted(described.status())) return described.status();
    datasets_[path] = described.ok() ? *std::move(described)
                                     : Json{{"error", std::string(described.status().message())}};
    return absl::OkStatus();
  }

  absl::StatusOr<Json> Describe(hid_t dataset) {
    const Id file_type(H5Dget_type(dataset), H5Tclose);
    TCONV_FORMATS_ASSIGN_OR_RETURN(const DType dtype, TypeOf(dataset, file_type));
    TCONV_FORMATS_ASSIGN_OR_RETURN(const Shape shape, ShapeOf(dataset));
    TCONV_FORMATS_ASSIGN_OR_RETURN(const size_t bytes, SizeInBytes(dtype, shape));
    TCONV_FORMATS_RETURN_IF_ERROR(CheckStorage(dataset, bytes));
    std::vector<std::byte> elements(bytes);
    // Elements of no known type are taken as they are.
    const hid_t memory_type = dtype == DType::kBFloat16 ? hid_t{file_type} : MemoryTypeOf(dtype);
    if (H5Dread(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, elements.data()) < 0) {
      return Malformed("its elements cannot be read");
    }
    TCONV_FORMATS_RETURN_IF_ERROR(attic_.Begin());
    TCONV_FORMATS_RETURN_IF_ERROR(attic_.Append(elements));
    return Json{{"dtype", NameOf(dtype)}, {"shape", shape}, {"part", attic_.Part()}};
  }

  absl::StatusOr<DType> TypeOf(hid_t dataset, hid_t type) const {
    if (Equal(type, H5T_IEEE_F32LE) || Equal(type, H5T_IEEE_F32BE)) return DType::kFloat32;
    if (Equal(type, H5T_IEEE_F64LE) || Equal(type, H5T_IEEE_F64BE)) return DType::kFloat64;
    if (Equal(type, half_) || Equal(type, MakeHalf(H5T_IEEE_F32BE))) return DType::kFloat16;
    const bool is_opaque = H5Tget_class(type) == H5T_OPAQUE && H5Tget_size(type) == 2;
    if (is_opaque && SaysBFloat16(dataset)) return DType::kBFloat16;
    return Malformed("expected elements of float32, float64, float16 or bfloat16");
  }

  static bool SaysBFloat16(hid_t dataset) {
    if (H5Aexists(dataset, "dtype") <= 0) return false;
    const Id attribute(H5Aopen(dataset, "dtype", H5P_DEFAULT), H5Aclose);
    const Id type(H5Aget_type(attribute), H5Tclose);
    const Id space(H5Aget_space(attribute), H5Sclose);
    if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1) return false;
    const auto texts = H5Tis_variable_str(type) > 0 ? TakeVariableTexts(attribute, space, 1)
                                                    : TakeFixedTexts(attribute, type, 1);
    return texts == std::vector<std::string>{"bfloat16"};
  }

  static absl::StatusOr<Shape> ShapeOf(hid_t dataset) {
    const Id space(H5Dget_space(dataset), H5Sclose);
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > H5S_MAX_RANK || H5Sget_simple_extent_type(space) == H5S_NULL) {
      return Malformed("its shape cannot be read");
    }
    std::array<hsize_t, H5S_MAX_RANK> extents;
    if (H5Sget_simple_extent_dims(space, extents.data(), nullptr) < 0) {
      return Malformed("its shape cannot be read");
    }
    return Shape(extents.begin(), extents.begin() + rank);
  }

  // Nothing is believed that the file has no bytes for, or that lies in other files.
  absl::Status CheckStorage(hid_t dataset, size_t bytes) const {
    const Id list(H5Dget_create_plist(dataset), H5Pclose);
    if (H5Pget_layout(list) == H5D_VIRTUAL || H5Pget_external_count(list) != 0) {
      return Malformed("its elements are in another file");
    }
    const bool is_packed = H5Pget_nfilters(list) > 0;
    const hsize_t stored = std::min(H5Dget_storage_size(dataset), file_bytes_);
    if (bytes / (is_packed ? kMostUnpacking : 1) > stored) {
      return Malformed("its {} bytes are not in the file", bytes);
    }
    return absl::OkStatus();
  }

  hid_t MemoryTypeOf(DType dtype) const {
    switch (dtype) {
      case DType::kFloat64:
        return H5T_IEEE_F64LE;
      case DType::kFloat16:
        return half_;
      default:
        return H5T_IEEE_F32LE;
    }
  }

  const hsize_t file_bytes_;
  Attic& attic_;
  const Id half_ = MakeHalf(H5T_IEEE_F32LE);
  size_t objects_ = 0;
  Json datasets_ = Json::object();
  Json attributes_ = Json::object();
};

// The file is used where it lies: HDF5 would copy it twice.
Id OpenImage(std::span<const std::byte> image) {
  auto* bytes = const_cast<std::byte*>(image.data());
  H5FD_file_image_callbacks_t callbacks = {
      .image_malloc = [](size_t, H5FD_file_image_op_t, void* data) { return data; },
      .image_memcpy = [](void* to, const void*, size_t, H5FD_file_image_op_t, void*) { return to; },
      .image_realloc = [](void*, size_t, H5FD_file_image_op_t, void*) -> void* { return nullptr; },
      .image_free = [](void*, H5FD_file_image_op_t, void*) { return herr_t{0}; },
      .udata_copy = [](void* data) { return data; },
      .udata_free = [](void*) { return herr_t{0}; },
      .udata = bytes};
  constexpr size_t kIncrement = 1 << 16;
  constexpr hbool_t kWritesNothing = 0;
  const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access, kIncrement, kWritesNothing);
  H5Pset_file_image_callbacks(access, &callbacks);
  H5Pset_file_image(access, bytes, image.size());
  return {H5Fopen("image", H5F_ACC_RDONLY, access), H5Fclose};
}

}  // namespace

absl::StatusOr<Json> DumpHdf5(std::span<const std::byte> image, Attic& attic) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  // Filters that a file asks for are no reason to load code.
  H5PLset_loading_state(0);
  const Id file = OpenImage(image);
  if (!file.ok()) return Malformed("expected a HDF5 file, or it is damaged");
  const Id root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose);
  if (!root.ok()) return Malformed("the root group cannot be read");
  Dump dump(image.size(), attic);
  TCONV_FORMATS_RETURN_IF_ERROR(dump.TakeGroup(root, "", 0));
  return dump.TakeAnswer();
}

}  // namespace tconv::formats
