#include "server/layer/dtype_policy.h"

namespace tconv::server {

StatusOr<DTypePolicy> ParseDTypePolicy(std::string_view name) {
  static constexpr struct {
    std::string_view name;
    DType variable;
    DType compute;
  } kPolicies[] = {
      {"float32", DType::kFloat32, DType::kFloat32},
      {"float64", DType::kFloat64, DType::kFloat64},
      {"float16", DType::kFloat16, DType::kFloat16},
      {"bfloat16", DType::kBFloat16, DType::kBFloat16},
      {"mixed_float16", DType::kFloat32, DType::kFloat16},
      {"mixed_bfloat16", DType::kFloat32, DType::kBFloat16},
  };
  for (const auto& policy : kPolicies) {
    if (policy.name == name) return DTypePolicy{std::string(name), policy.variable, policy.compute};
  }
  return InvalidField("dtype",
                      "expected float32, float64, float16, bfloat16, mixed_float16 or "
                      "mixed_bfloat16, got \"{}\"",
                      name);
}

}  // namespace tconv::server
