#include "client/cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "client/cli/npy.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {
namespace {

bool IsStandardStream(const std::string& path) { return path == "-"; }

absl::Status Annotate(const std::string& path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("{}: {}", path, std::string(status.message())));
}

// Calls read(std::istream&) on the file or on standard input.
template <typename Read>
auto WithInput(const std::string& path, std::istream& standard_input, Read read)
    -> decltype(read(standard_input)) {
  if (IsStandardStream(path)) {
    auto result = read(standard_input);
    if (!result.ok()) return Annotate("standard input", result.status());
    return result;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(fmt::format("{}: {}", path, std::strerror(errno)));
  auto result = read(file);
  if (!result.ok()) return Annotate(path, result.status());
  return result;
}

}  // namespace

absl::StatusOr<std::string> Session::ReadText(const std::string& path) {
  return WithInput(path, streams_.in, [](std::istream& in) -> absl::StatusOr<std::string> {
    std::string text(std::istreambuf_iterator<char>(in), {});
    if (in.bad()) return absl::InvalidArgumentError("cannot be read");
    return text;
  });
}

absl::StatusOr<Tensor> Session::ReadTensor(const std::string& path) {
  Progress progress(streams_.terminal, fmt::format("reading {}", path));
  return WithInput(path, streams_.in, [&progress](std::istream& in) {
    return ReadNpy(in, [&progress](int64_t done, int64_t total) { progress.Advance(done, total); });
  });
}

absl::StatusOr<Weights> Session::ReadWeights(const std::string& kernel_path,
                                             const std::string& bias_path) {
  Weights weights;
  TCONV_CLI_ASSIGN_OR_RETURN(weights.kernel, ReadTensor(kernel_path));
  if (!bias_path.empty()) {
    TCONV_CLI_ASSIGN_OR_RETURN(weights.bias, ReadTensor(bias_path));
  }
  return weights;
}

absl::Status Session::Write(const std::string& path,
                            const std::function<absl::Status(std::ostream&)>& write) {
  if (IsStandardStream(path)) return Annotate("standard output", write(streams_.out));
  std::ofstream file(path, std::ios::binary);
  if (!file) return absl::UnknownError(fmt::format("{}: {}", path, std::strerror(errno)));
  return Annotate(path, write(file));
}

absl::Status Session::WriteText(const std::string& path, const std::string& text) {
  return Write(path, [&text](std::ostream& out) {
    return out << text << std::flush ? absl::OkStatus() : absl::UnknownError("cannot be written");
  });
}

absl::Status Session::WriteTensor(const std::string& path, const Tensor& tensor) {
  Progress progress(streams_.terminal, fmt::format("writing {}", path));
  return Write(path, [&](std::ostream& out) {
    return WriteNpy(out, tensor,
                    [&progress](int64_t done, int64_t total) { progress.Advance(done, total); });
  });
}

absl::Status Session::WriteWeights(const std::string& kernel_path, const std::string& bias_path,
                                   const Weights& weights) {
  if (!bias_path.empty() && !weights.bias) {
    return absl::FailedPreconditionError(
        fmt::format("{}: the layer does not use a bias", bias_path));
  }
  if (!kernel_path.empty()) {
    TCONV_CLI_RETURN_IF_ERROR(WriteTensor(kernel_path, weights.kernel));
  }
  return bias_path.empty() ? absl::OkStatus() : WriteTensor(bias_path, *weights.bias);
}

void Session::Report(const Json& json, const std::string& text,
                     const std::vector<std::string>& data_paths) {
  const bool carries_data = std::any_of(data_paths.begin(), data_paths.end(), IsStandardStream);
  std::ostream& out = carries_data ? streams_.err : streams_.out;
  out << (json_ ? Dump(json) + "\n" : text) << std::flush;
}

}  // namespace tconv::cli
