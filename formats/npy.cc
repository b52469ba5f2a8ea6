#include "formats/npy.h"

#include <algorithm>
#include <charconv>
#include <istream>
#include <numeric>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "formats/status.h"

namespace tconv::formats {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
// numpy itself refuses headers beyond 10000 bytes.
constexpr size_t kLargestHeader = 65536;
constexpr size_t kMostAxes = 32;
constexpr size_t kTransferBytes = 4 << 20;
// The elements of a file begin at a multiple of this.
constexpr size_t kAlignment = 64;

struct Descr {
  std::string_view text;
  DType dtype;
};
// The first entry of a type is the one that is written.
constexpr Descr kDescrs[] = {
    {"<f4", DType::kFloat32},  {"<f8", DType::kFloat64},  {"<f2", DType::kFloat16},
    {"<V2", DType::kBFloat16}, {"|V2", DType::kBFloat16}, {"bfloat16", DType::kBFloat16},
};

struct Header {
  DType dtype = DType::kFloat32;
  bool fortran_order = false;
  Shape shape;
};

absl::StatusOr<DType> ParseDescr(std::string_view text) {
  for (const Descr& descr : kDescrs) {
    if (descr.text == text) return descr.dtype;
  }
  if (text.starts_with('>')) {
    return Malformed(
        "expected little-endian elements, got dtype '{}': save x.astype(x.dtype.newbyteorder('<'))",
        text);
  }
  return Malformed(
      "expected elements of '<f4', '<f8', '<f2' or '<V2' (bfloat16), got dtype '{}': save "
      "x.astype('<f4')",
      text);
}

// The header is a Python literal, {'descr': '<f4', 'fortran_order': False,
// 'shape': (2, 3), }. This reads exactly such dictionaries and nothing more of
// the language.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  absl::StatusOr<Header> Parse() {
    Header header;
    std::optional<DType> dtype;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    TCONV_FORMATS_RETURN_IF_ERROR(Expect('{'));
    while (!Take('}')) {
      TCONV_FORMATS_ASSIGN_OR_RETURN(const std::string_view key, ParseString());
      TCONV_FORMATS_RETURN_IF_ERROR(Expect(':'));
      if (key == "descr" && !dtype) {
        TCONV_FORMATS_ASSIGN_OR_RETURN(dtype, ParseDtype());
      } else if (key == "fortran_order" && !fortran_order) {
        TCONV_FORMATS_ASSIGN_OR_RETURN(fortran_order, ParseBool());
      } else if (key == "shape" && !shape) {
        TCONV_FORMATS_ASSIGN_OR_RETURN(shape, ParseShape());
      } else {
        return Malformed(
            "header: expected each of 'descr', 'fortran_order' and 'shape' once, got '{}'", key);
      }
      if (!Take(',')) {
        TCONV_FORMATS_RETURN_IF_ERROR(Expect('}'));
        break;
      }
    }
    SkipSpace();
    if (!rest_.empty()) return Malformed("header: expected nothing after the dictionary");
    if (!dtype || !fortran_order || !shape) {
      return Malformed("header: expected 'descr', 'fortran_order' and 'shape'");
    }
    return Header{*dtype, *fortran_order, *std::move(shape)};
  }

 private:
  void SkipSpace() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n\t"), rest_.size()));
  }

  bool Take(char c) {
    SkipSpace();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  absl::Status Expect(char c) {
    if (Take(c)) return absl::OkStatus();
    return Malformed("header: expected '{}' before \"{}\"", c, Upcoming());
  }

  absl::StatusOr<std::string_view> ParseString() {
    SkipSpace();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    const size_t end =
        quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) {
      return Malformed("header: expected a string before \"{}\"", Upcoming());
    }
    const std::string_view value = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return value;
  }

  absl::StatusOr<DType> ParseDtype() {
    SkipSpace();
    if (rest_.starts_with('[')) return Malformed("expected plain elements, got a structured dtype");
    TCONV_FORMATS_ASSIGN_OR_RETURN(const std::string_view descr, ParseString());
    return ParseDescr(descr);
  }

  absl::StatusOr<bool> ParseBool() {
    SkipSpace();
    for (const auto& [word, value] : {std::pair("True", true), std::pair("False", false)}) {
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(std::string_view(word).size());
        return value;
      }
    }
    return Malformed("header: expected True or False before \"{}\"", Upcoming());
  }

  absl::StatusOr<Shape> ParseShape() {
    Shape shape;
    TCONV_FORMATS_RETURN_IF_ERROR(Expect('('));
    while (!Take(')')) {
      if (shape.size() == kMostAxes) return Malformed("shape: expected at most {} axes", kMostAxes);
      TCONV_FORMATS_ASSIGN_OR_RETURN(const int64_t extent, ParseExtent());
      shape.push_back(extent);
      if (!Take(',')) {
        TCONV_FORMATS_RETURN_IF_ERROR(Expect(')'));
        break;
      }
    }
    return shape;
  }

  absl::StatusOr<int64_t> ParseExtent() {
    SkipSpace();
    int64_t extent = -1;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
    if (error != std::errc() || extent < 0) {
      return Malformed("shape: expected an extent from 0 to 2^63 - 1 before \"{}\"", Upcoming());
    }
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return extent;
  }

  // The next characters, for messages; other bytes than ASCII as '?'.
  std::string Upcoming() const {
    std::string text(rest_.substr(0, 20));
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
  }

  std::string_view rest_;
};

// Reads up to `bytes`, growing with what really comes.
std::string ReadUpTo(std::istream& in, size_t bytes, const TransferObserver& observer) {
  std::string data;
  while (data.size() < bytes) {
    const size_t begin = data.size();
    const size_t part = std::min(bytes - begin, kTransferBytes);
    data.resize(begin + part);
    in.read(data.data() + begin, static_cast<std::streamsize>(part));
    data.resize(begin + static_cast<size_t>(in.gcount()));
    if (observer) observer(static_cast<int64_t>(data.size()), static_cast<int64_t>(bytes));
    if (data.size() < begin + part) break;
  }
  return data;
}

size_t LittleEndian(std::string_view bytes) {
  size_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

absl::StatusOr<Header> ReadHeader(std::istream& in) {
  const std::string start = ReadUpTo(in, kMagic.size() + 2, {});
  if (!start.starts_with(kMagic) || start.size() != kMagic.size() + 2) {
    return Malformed("expected a .npy file, which begins with \\x93NUMPY");
  }
  const int version = static_cast<unsigned char>(start[kMagic.size()]);
  if (version < 1 || version > 3) {
    return Malformed("expected .npy version 1, 2 or 3, got {}", version);
  }
  const size_t length_bytes = version == 1 ? 2 : 4;
  const std::string length_field = ReadUpTo(in, length_bytes, {});
  const size_t length = LittleEndian(length_field);
  if (length_field.size() != length_bytes || length > kLargestHeader) {
    return Malformed("header: expected at most {} bytes, got {}", kLargestHeader, length);
  }
  const std::string text = ReadUpTo(in, length, {});
  if (text.size() != length) {
    return Malformed("header: expected {} bytes, got {}: the file is truncated", length,
                     text.size());
  }
  return HeaderParser(text).Parse();
}

}  // namespace

absl::StatusOr<Array> ReadNpy(std::istream& in, const TransferObserver& observer) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(Header header, ReadHeader(in));
  const absl::StatusOr<size_t> bytes = SizeInBytes(header.dtype, header.shape);
  if (!bytes.ok()) return At("shape", bytes.status());
  std::string data = ReadUpTo(in, *bytes, observer);
  if (data.size() != *bytes) {
    return Malformed("data: expected {} bytes for the shape {}, got {}: the file is truncated",
                     *bytes, ToString(header.shape), data.size());
  }
  if (in.peek() != std::istream::traits_type::eof()) {
    return Malformed("data: expected {} bytes for the shape {}, got more", *bytes,
                     ToString(header.shape));
  }
  if (!header.fortran_order) {
    return MakeArray(header.dtype, std::move(header.shape), std::move(data));
  }
  // Fortran order, the first index fastest, is C order with the axes the other way round.
  std::reverse(header.shape.begin(), header.shape.end());
  std::vector<size_t> order(header.shape.size());
  std::iota(order.rbegin(), order.rend(), size_t{0});
  TCONV_FORMATS_ASSIGN_OR_RETURN(const Array reversed,
                                 MakeArray(header.dtype, std::move(header.shape), std::move(data)));
  return Transposed(reversed, order);
}

absl::Status WriteNpy(std::ostream& out, const Array& array, const TransferObserver& observer) {
  const auto* descr =
      std::find_if(std::begin(kDescrs), std::end(kDescrs),
                   [&array](const Descr& candidate) { return candidate.dtype == array.dtype; });
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}",
                                   descr->text, ToString(array.shape));
  const size_t prefix = kMagic.size() + 4;
  header.resize((prefix + header.size() + kAlignment) / kAlignment * kAlignment - prefix, ' ');
  header.back() = '\n';
  out << kMagic << '\x01' << '\x00' << static_cast<char>(header.size() & 0xff)
      << static_cast<char>(header.size() >> 8) << header;
  for (size_t done = 0; done < array.bytes.size() && out;) {
    const auto part =
        array.bytes.subspan(done).first(std::min(array.bytes.size() - done, kTransferBytes));
    out.write(reinterpret_cast<const char*>(part.data()),
              static_cast<std::streamsize>(part.size()));
    done += part.size();
    if (observer) observer(static_cast<int64_t>(done), static_cast<int64_t>(array.bytes.size()));
  }
  out.flush();
  return out ? absl::OkStatus() : absl::UnknownError("not everything could be written");
}

}  // namespace tconv::formats
