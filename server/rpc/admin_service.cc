#include "server/rpc/admin_service.h"

#include <spdlog/common.h>

#include <string>

#include "server/base/log.h"

namespace tconv::server {

AdminServiceImpl::AdminServiceImpl(const ServiceContext& context, GenericMethods& generic) {
  constexpr const char* kService = v1::AdminService::service_full_name();
  const auto add = [&](const char* name, auto handler) {
    generic.Add(kService, context.MakeMethod(kService, name, CallKind::kAdmin, context.reads), this,
                handler);
  };
  add("GetLogLevel", &AdminServiceImpl::DoGetLogLevel);
  add("SetLogLevel", &AdminServiceImpl::DoSetLogLevel);
}

StatusOr<v1::GetLogLevelResponse> AdminServiceImpl::DoGetLogLevel(const v1::GetLogLevelRequest&,
                                                                  const RequestParts&) {
  v1::GetLogLevelResponse response;
  response.set_level(LogLevel());
  return response;
}

StatusOr<v1::SetLogLevelResponse> AdminServiceImpl::DoSetLogLevel(
    const v1::SetLogLevelRequest& request, const RequestParts&) {
  v1::SetLogLevelResponse response;
  response.set_previous_level(LogLevel());
  LogRecord(spdlog::level::info, "another level of the log is asked for",
            {{"level", request.level()}, {"previous_level", response.previous_level()}});
  TCONV_RETURN_IF_ERROR(tconv::server::SetLogLevel(request.level()));
  return response;
}

}  // namespace tconv::server
