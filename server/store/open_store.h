// Stores by their address.
#pragma once

#include <memory>
#include <string>

#include "server/base/status.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// "sqlite:/path"     the database at that path, created when absent
// "postgres://host/database", "postgresql://host/database"
//                    a database that servers share; see ParsePostgresAddress()
// "memory:"          nothing survives the process; at most 4 GiB
// "memory:512MiB"    the same with another bound, in B, KiB, MiB, GiB or TiB
//
// INVALID_ARGUMENT about `store` for any other address; the errors of opening
// the store.
StatusOr<std::unique_ptr<LayerStore>> OpenStore(const std::string& address);

// The address as logs may show it: without passwords. Empty when OpenStore() knows
// no such address.
std::string NameOfStore(const std::string& address);

}  // namespace tconv::server
