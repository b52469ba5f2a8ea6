// Every store that the contract of LayerStore is tested on.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/store/layer_store.h"
#include "server/store/open_store.h"
#include "server/store/postgres_store.h"
#include "server/store/sqlite_store.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temp_folder.h"

namespace tconv::testing {

struct StoreKind {
  std::string name;
  bool survives_closing;
  // Opens the one store of the folder.
  std::function<server::StatusOr<std::unique_ptr<server::LayerStore>>(const TempFolder&)> open;
};

// One database for each folder, all in one server.
inline std::string DatabaseOf(const TempFolder& folder) {
  static PostgresServer server;
  static std::map<std::string, std::string> addresses;
  std::string& address = addresses[folder.path().string()];
  if (address.empty()) address = server.NewDatabase();
  return address;
}

inline std::vector<StoreKind> AllStoreKinds() {
  return {
      {"Memory", false, [](const auto&) { return server::OpenStore("memory:"); }},
      {"Sqlite", true,
       [](const auto& folder) { return server::OpenStore("sqlite:" + folder / "store.db"); }},
      // Chunks that end within elements.
      {"SqliteInTinyChunks", true,
       [](const auto& folder) {
         return server::OpenSqliteStore(folder / "store.db", {.chunk_bytes = 7});
       }},
      {"Postgres", true, [](const auto& folder) { return server::OpenStore(DatabaseOf(folder)); }},
      {"PostgresInTinyChunks", true,
       [](const auto& folder) {
         return server::OpenPostgresStore(DatabaseOf(folder), {.chunk_bytes = 7});
       }},
  };
}

}  // namespace tconv::testing
