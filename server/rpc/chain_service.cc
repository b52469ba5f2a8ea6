#include "server/rpc/chain_service.h"

#include <string>
#include <variant>

#include "server/rpc/chain_info_codec.h"
#include "server/rpc/page_size.h"

namespace tconv::server {

ChainServiceImpl::ChainServiceImpl(LayerHost& host, const ServiceContext& context,
                                   GenericMethods& generic)
    : host_(host) {
  constexpr const char* kService = v1::ChainService::service_full_name();
  const auto add = [&](const char* name, CallKind kind, AdmissionQueue& queue, auto handler) {
    generic.Add(kService, context.MakeMethod(kService, name, kind, queue), this, handler);
  };
  using Self = ChainServiceImpl;
  add("CreateChain", CallKind::kChange, context.work, &Self::DoCreateChain);
  add("GetChain", CallKind::kRead, context.reads, &Self::DoGetChain);
  add("ListChains", CallKind::kRead, context.reads, &Self::DoListChains);
  add("DeleteChain", CallKind::kChange, context.work, &Self::DoDeleteChain);
}

StatusOr<v1::CreateChainResponse> ChainServiceImpl::DoCreateChain(
    const v1::CreateChainRequest& request, const Parts& parts) {
  TCONV_ASSIGN_OR_RETURN(const ChainDraft draft, ChainDraftFromProto(request));
  for (const ChainDraft::Step& step : draft.steps) {
    const auto* const layer = std::get_if<std::string>(&step);
    if (layer != nullptr) TCONV_RETURN_IF_ERROR(parts.caller.CheckLayer(*layer));
  }
  TCONV_ASSIGN_OR_RETURN(const ChainInfo chain, host_.CreateChain(draft));
  v1::CreateChainResponse response;
  *response.mutable_chain() = ToProto(chain);
  return response;
}

StatusOr<v1::GetChainResponse> ChainServiceImpl::DoGetChain(const v1::GetChainRequest& request,
                                                            const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const ChainInfo chain, host_.GetChain(request.name()));
  v1::GetChainResponse response;
  *response.mutable_chain() = ToProto(chain);
  return response;
}

StatusOr<v1::ListChainsResponse> ChainServiceImpl::DoListChains(
    const v1::ListChainsRequest& request, const Parts& parts) {
  TCONV_ASSIGN_OR_RETURN(const size_t limit, PageSizeOf(request));
  // The token is the name that the page before ended with.
  const ChainPage page =
      host_.ListChains(request.page_token(), limit,
                       [&](const std::string& name) { return parts.caller.MayUse(name); });
  v1::ListChainsResponse response;
  for (const ChainInfo& chain : page.chains) *response.add_chains() = ToProto(chain);
  response.set_next_page_token(page.next);
  return response;
}

StatusOr<v1::DeleteChainResponse> ChainServiceImpl::DoDeleteChain(
    const v1::DeleteChainRequest& request, const Parts&) {
  TCONV_RETURN_IF_ERROR(host_.DeleteChain(request.name()));
  return v1::DeleteChainResponse();
}

}  // namespace tconv::server
