// The file in which an operator says who may do what.
#pragma once

#include <string>
#include <string_view>

#include "server/access/access_rules.h"
#include "server/base/status.h"

namespace tconv::server {

// A JSON object:
//
//   {
//     "tenants": {
//       "vision": {
//         "layers": ["vision-"],
//         "limits": {"layers": 100, "weight_bytes": 4294967296, "plan_bytes": 268435456,
//                    "in_flight_bytes": 1073741824, "calls_per_second": 200}
//       }
//     },
//     "tokens": [
//       {"name": "trainer", "sha256": "<64 digits>", "role": "write", "tenant": "vision"},
//       {"name": "monitor", "sha256": "<64 digits>", "role": "read", "layers": ["vision-",
//       "nlp-"]},
//       {"name": "operator", "sha256": "<64 digits>", "role": "admin"}
//     ]
//   }
//
// "layers" are prefixes of names; [""] are all layers. Every limit, "limits" and
// "tenants" may be left out. A token for reading or writing is good for the layers
// of its tenant, or for those that it names itself; one of an admin for all.
// INVALID_ARGUMENT with the path of what is wrong: something unknown, missing or
// of another type; prefixes of tenants of which one begins with another; digests
// or names that occur twice.
StatusOr<AccessRules> ParseAccessFile(std::string_view json);

// As text, for ParseAccessFile(). UNAVAILABLE: the file cannot be read;
// INVALID_ARGUMENT: it is larger than any such file.
StatusOr<std::string> ReadAccessFile(const std::string& path);

}  // namespace tconv::server
