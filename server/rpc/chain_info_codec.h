// What LayerHost takes and tells of chains, from and to the messages of the service.
#pragma once

#include <tconv/v1/chain.pb.h>

#include "server/base/status.h"
#include "server/host/chains.h"

namespace tconv::server {

// INVALID_ARGUMENT with the path of the field.
StatusOr<ChainDraft> ChainDraftFromProto(const v1::CreateChainRequest& request);

v1::Chain ToProto(const ChainInfo& chain);

}  // namespace tconv::server
