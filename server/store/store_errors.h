// The errors of the LayerStore contract, worded once for every store.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "server/base/status.h"

namespace tconv::server {

inline Status LayerExists(const std::string& name) {
  return MakeError(StatusCode::kAlreadyExists, "name: layer \"{}\" exists already", name);
}

inline Status ChainExists(const std::string& name) {
  return MakeError(StatusCode::kAlreadyExists, "name: chain \"{}\" exists already", name);
}

inline Status LayerNotFound(const std::string& name) {
  return MakeError(StatusCode::kNotFound, "name: no layer \"{}\"", name);
}

inline Status ChainNotFound(const std::string& name) {
  return MakeError(StatusCode::kNotFound, "name: no chain \"{}\"", name);
}

inline Status ChainHasLayer(const std::string& chain, const std::string& layer) {
  return MakeError(StatusCode::kFailedPrecondition,
                   "name: layer \"{}\" is a step of chain \"{}\", delete that first", layer, chain);
}

inline Status LayerNotBuilt(const std::string& name) {
  return MakeError(StatusCode::kNotFound, "name: layer \"{}\" has no weights", name);
}

inline Status VersionMoved(const std::string& name, int64_t expected, int64_t stored) {
  return MakeError(StatusCode::kAborted,
                   "weights_version: expected {} (layer \"{}\"), the stored one is {}", expected,
                   name, stored);
}

inline Status SettingsMoved(const std::string& name, int64_t expected, int64_t stored) {
  return MakeError(StatusCode::kAborted,
                   "settings_version: expected {} (layer \"{}\"), the stored one is {}", expected,
                   name, stored);
}

inline Status LayerDamaged(const std::string& name, const std::string& how) {
  return MakeError(StatusCode::kDataLoss, "layer \"{}\": {}", name, how);
}

inline Status ChainDamaged(const std::string& name, const std::string& how) {
  return MakeError(StatusCode::kDataLoss, "chain \"{}\": {}", name, how);
}

// What the operating system said when it was to `verb` the file at `path`:
// PERMISSION_DENIED, FAILED_PRECONDITION when something else is at the path, else
// UNAVAILABLE.
inline Status FileError(int error_number, const char* verb, const std::string& path) {
  StatusCode code = StatusCode::kUnavailable;
  switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS:
      code = StatusCode::kPermissionDenied;
      break;
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
      code = StatusCode::kFailedPrecondition;
      break;
  }
  return MakeError(code, "store: {} \"{}\": {}", verb, path, std::strerror(error_number));
}

}  // namespace tconv::server
