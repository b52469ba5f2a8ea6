#include "server/access/access_reloader.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "server/access/access_file.h"

namespace tconv::server {

StatusOr<std::unique_ptr<AccessReloader>> AccessReloader::Start(
    std::string path, AccessControl& control, std::chrono::milliseconds interval) {
  auto reloader = std::unique_ptr<AccessReloader>(new AccessReloader(std::move(path), control));
  TCONV_RETURN_IF_ERROR(reloader->Load().status());
  reloader->thread_ = std::thread([self = reloader.get(), interval] { self->Run(interval); });
  return reloader;
}

AccessReloader::~AccessReloader() {
  {
    MutexLock lock(mutex_);
    is_ending_ = true;
  }
  ending_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

StatusOr<bool> AccessReloader::Load() {
  TCONV_ASSIGN_OR_RETURN(std::string text, ReadAccessFile(path_));
  if (text == last_text_) return false;
  last_text_ = std::move(text);
  StatusOr<AccessRules> rules = ParseAccessFile(last_text_);
  if (!rules.ok()) {
    return MakeError(StatusCode::kInvalidArgument, "{}: {}", path_, MessageOf(rules.status()));
  }
  control_.Replace(*std::move(rules));
  return true;
}

void AccessReloader::Run(std::chrono::milliseconds interval) {
  while (Pause(interval)) {
    const StatusOr<bool> loaded = Load();
    if (!loaded.ok() && loaded.status() != last_error_) {
      spdlog::error("access: the rules from before stay: {}", MessageOf(loaded.status()));
    }
    if (loaded.ok() && *loaded) spdlog::info("access: new rules of {} hold", path_);
    last_error_ = loaded.status();
  }
}

bool AccessReloader::Pause(std::chrono::milliseconds interval) {
  const auto end = std::chrono::steady_clock::now() + interval;
  MutexLock lock(mutex_);
  while (!is_ending_ && ending_.WaitUntil(mutex_, end)) {
  }
  return !is_ending_;
}

}  // namespace tconv::server
