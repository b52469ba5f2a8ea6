// Follows the file with the rules of access.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "server/access/access_control.h"
#include "server/base/mutex.h"
#include "server/base/status.h"

namespace tconv::server {

// Lets an AccessControl have the rules of a file from Start() on, and new ones soon
// after the content of the file changes. While it cannot be read or is wrong, the
// rules from before hold, and the log says so once for each content.
class AccessReloader {
 public:
  // `control` must outlive this. As ReadAccessFile() and ParseAccessFile().
  static StatusOr<std::unique_ptr<AccessReloader>> Start(
      std::string path, AccessControl& control,
      std::chrono::milliseconds interval = std::chrono::seconds(2));
  ~AccessReloader();
  AccessReloader(const AccessReloader&) = delete;
  AccessReloader& operator=(const AccessReloader&) = delete;

 private:
  AccessReloader(std::string path, AccessControl& control) : path_(path), control_(control) {}

  // Whether there was something new; else an error.
  StatusOr<bool> Load();
  void Run(std::chrono::milliseconds interval);
  // False when it is time to end.
  bool Pause(std::chrono::milliseconds interval);

  const std::string path_;
  AccessControl& control_;
  // Of Start(), then of the thread alone.
  std::string last_text_;
  Status last_error_;
  Mutex mutex_;
  CondVar ending_;
  bool is_ending_ TCONV_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tconv::server
