// The door that tconv.v1.AdminService opens.
#pragma once

#include <tconv/v1/admin.grpc.pb.h>

#include "server/base/status.h"
#include "server/rpc/generic_methods.h"
#include "server/rpc/method.h"

namespace tconv::server {

// Concerns the process, however many servers are in it. Thread-safe.
class AdminServiceImpl final
    : public v1::AdminService::WithGenericMethod_GetLogLevel<
          v1::AdminService::WithGenericMethod_SetLogLevel<v1::AdminService::Service>> {
 public:
  // Adds its methods to `generic`, which is to be registered with the same server as
  // this. Both must outlive that server.
  AdminServiceImpl(const ServiceContext& context, GenericMethods& generic);

 private:
  // What the RPCs mean; their errors are in the .proto.
  StatusOr<v1::GetLogLevelResponse> DoGetLogLevel(const v1::GetLogLevelRequest&,
                                                  const RequestParts&);
  StatusOr<v1::SetLogLevelResponse> DoSetLogLevel(const v1::SetLogLevelRequest& request,
                                                  const RequestParts&);
};

}  // namespace tconv::server
