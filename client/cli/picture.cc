#include "client/cli/picture.h"

#include <fmt/format.h>
#include <png.h>

namespace tconv::cli {
namespace {

// Its float32 samples have to fit a message of 2 GiB.
constexpr int64_t kMostSamples = int64_t{1} << 29;

// The state of libpng's simplified interface, freed on every way out.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

}  // namespace

absl::StatusOr<Picture> ReadPng(const std::string& path) {
  PngImage image;
  const auto malformed = [&] {
    return absl::InvalidArgumentError(fmt::format("{}: {}", path, image.message));
  };
  if (!png_image_begin_read_from_file(&image, path.c_str())) return malformed();
  const bool has_alpha = (image.format & PNG_FORMAT_FLAG_ALPHA) != 0;
  image.format = has_alpha ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  Picture picture{.width = image.width, .height = image.height, .channels = has_alpha ? 4 : 3};
  if (picture.width > kMostSamples / picture.height / picture.channels) {
    return absl::InvalidArgumentError(
        fmt::format("{}: expected at most {} samples, got {} x {} x {}", path, kMostSamples,
                    picture.width, picture.height, picture.channels));
  }
  picture.samples.resize(static_cast<size_t>(picture.width * picture.height * picture.channels));
  if (!png_image_finish_read(&image, nullptr, picture.samples.data(), 0, nullptr)) {
    return malformed();
  }
  return picture;
}

absl::Status WritePng(const std::string& path, const Picture& picture) {
  PngImage image;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = picture.channels == 4 ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  if (!png_image_write_to_file(&image, path.c_str(), 0, picture.samples.data(), 0, nullptr)) {
    return absl::UnknownError(fmt::format("{}: {}", path, image.message));
  }
  return absl::OkStatus();
}

}  // namespace tconv::cli
