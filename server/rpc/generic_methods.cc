#include "server/rpc/generic_methods.h"

#include <fmt/format.h>

namespace tconv::server {

void GenericMethods::Add(std::string_view service, std::string_view method, Starter starter) {
  starters_.emplace(fmt::format("/{}/{}", service, method), std::move(starter));
}

grpc::ServerGenericBidiReactor* GenericMethods::CreateReactor(Context* context) {
  const auto found = starters_.find(context->method());
  if (found == starters_.end()) return CallbackGenericService::CreateReactor(context);
  return found->second(context);
}

}  // namespace tconv::server
