// The type that values are computed in where their own has 16 bits.
#pragma once

#include "server/tensor/dtype.h"

namespace tconv::server {

inline bool IsNarrow(DType dtype) { return dtype == DType::kFloat16 || dtype == DType::kBFloat16; }

// float32 for narrow types, else the type itself.
inline DType WideTypeOf(DType dtype) { return IsNarrow(dtype) ? DType::kFloat32 : dtype; }

}  // namespace tconv::server
