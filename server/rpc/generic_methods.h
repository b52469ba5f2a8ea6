// The methods of all services that get one request, by path.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "server/rpc/method.h"
#include "server/rpc/unary_call.h"

namespace tconv::server {

// They are left to a generic service, because gRPC would read the whole request of
// a method that it knows before anybody is asked. It answers UNIMPLEMENTED to every
// method that nobody added.
class GenericMethods final : public grpc::CallbackGenericService {
 public:
  using Context = grpc::GenericCallbackServerContext;
  // Makes the call and begins it.
  using Starter = std::function<grpc::ServerGenericBidiReactor*(Context*)>;

  // Of "package.Service". All are to be added before the server starts.
  void Add(std::string_view service, std::string_view method, Starter starter);

  // A method whose answer is service->*handler(request, parts). `Call` is a HandlerCall,
  // or derived from it.
  template <template <typename, typename> typename Call = HandlerCall, typename Service,
            typename Request, typename Response>
  void Add(std::string_view service_name, const Method& method, Service* service,
           StatusOr<Response> (Service::*handler)(const Request&, const RequestParts&)) {
    Add(service_name, method.name, [method, service, handler](Context* context) {
      return Begun(new Call<Request, Response>(
          method,
          [service, handler](const Request& request, const RequestParts& parts) {
            return (service->*handler)(request, parts);
          },
          context));
    });
  }

  static UnaryCall* Begun(UnaryCall* call) {
    call->Begin();
    return call;
  }

  grpc::ServerGenericBidiReactor* CreateReactor(Context* context) override;

 private:
  std::unordered_map<std::string, Starter> starters_;  // by path
};

}  // namespace tconv::server
