// A chain as a row of the table of layers, so that one constraint keeps the names
// of both apart, and one feed tells of both.
#pragma once

#include "server/base/status.h"
#include "server/store/chain_record.h"
#include "server/store/layer_row.h"

namespace tconv::server {

LayerRow RowOf(const ChainRecord& chain);

// DATA_LOSS when the row is not intact or means nothing. REQUIRES: it is a chain's.
StatusOr<ChainRecord> ChainOf(const LayerRow& row);

// FAILED_PRECONDITION when `row`, a chain's, is intact and has the layer.
Status CheckIsWithout(const LayerRow& row, const LayerRow& layer);

}  // namespace tconv::server
