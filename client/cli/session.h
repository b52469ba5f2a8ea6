// What a command of the tool works with: the server, and the world around it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/client.h>

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/json.h"
#include "client/cli/progress.h"

namespace tconv::cli {

// The standard streams. `terminal` is where progress is drawn; null: nowhere. Colors are
// those of terminals.
struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  std::ostream* terminal = nullptr;
  bool out_has_colors = false;
};

// One run of one command. In every path, "-" is standard input or output.
class Session {
 public:
  using Connect = std::function<Client()>;

  Session(Connect connect, bool json, Streams streams)
      : connect_(std::move(connect)), json_(json), streams_(streams) {}

  // Made when it is first asked for: connections have threads, and a command may fork before.
  const Client& client() {
    if (!client_.has_value()) client_.emplace(connect_());
    return *client_;
  }
  bool out_has_colors() const { return streams_.out_has_colors; }

  // The whole of a text file.
  // INVALID_ARGUMENT: it cannot be read.
  absl::StatusOr<std::string> ReadText(const std::string& path);

  // A .npy file. INVALID_ARGUMENT: it cannot be read, or is malformed.
  absl::StatusOr<Tensor> ReadTensor(const std::string& path);

  // A kernel and, unless its path is empty, a bias.
  absl::StatusOr<Weights> ReadWeights(const std::string& kernel_path, const std::string& bias_path);

  // The error of `write`, or UNKNOWN: the file cannot be written.
  absl::Status Write(const std::string& path,
                     const std::function<absl::Status(std::ostream&)>& write);
  absl::Status WriteText(const std::string& path, const std::string& text);
  absl::Status WriteTensor(const std::string& path, const Tensor& tensor);

  // Kernel and bias to those of the paths that are not empty.
  // FAILED_PRECONDITION: there is no bias to write; nothing is written then.
  absl::Status WriteWeights(const std::string& kernel_path, const std::string& bias_path,
                            const Weights& weights);

  // The result of the call, while progress shows that it is waited for.
  template <typename Call>
  auto Await(const std::string& what, Call call) {
    const Progress progress(streams_.terminal, what);
    return call();
  }

  // The same, of call(observer), which tells the observer the share that is done,
  // from 0 to 1, and perhaps a note to be shown with it, from any thread.
  template <typename Call>
  auto AwaitShare(const std::string& what, Call call) {
    constexpr double kParts = 1000;
    Progress progress(streams_.terminal, what, ProgressUnit::kParts);
    return call([&progress](double share, std::string note = {}) {
      progress.SetNote(std::move(note));
      progress.Advance(static_cast<int64_t>(share * kParts), static_cast<int64_t>(kParts));
    });
  }

  // The result of the command: `json` on one line for scripts, else `text`. On
  // standard error when one of `data_paths` shows that standard output carries data.
  void Report(const Json& json, const std::string& text,
              const std::vector<std::string>& data_paths = {});

 private:
  const Connect connect_;
  std::optional<Client> client_;
  bool json_;
  Streams streams_;
};

}  // namespace tconv::cli
