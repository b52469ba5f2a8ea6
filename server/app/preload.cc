#include "server/app/preload.h"

#include <google/protobuf/util/message_differencer.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "server/tensor/tensor_source.h"
#include "server/wire/layer_codec.h"

namespace tconv::server {
namespace {

// Of a layer that other servers change at the same time.
constexpr int kMostTries = 16;

Status About(const std::string& file, const std::string& name, const Status& status) {
  return Status(status.code(), fmt::format("preload: {}: {}: {}", file, name, MessageOf(status)));
}

bool SameElements(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.size_bytes())) == 0;
}

bool SameWeights(const Weights& a, const Weights& b) {
  if (a.bias.has_value() != b.bias.has_value()) return false;
  return SameElements(a.kernel, b.kernel) && (!a.bias || SameElements(*a.bias, *b.bias));
}

// What tells them apart, "modified: filters: 4 -> 8"; empty for nothing. Names are
// free, and layers may be frozen while they are served.
std::string Difference(const LayerConfig& stored, const LayerConfig& declared) {
  const auto comparable = [](const LayerConfig& config) {
    v1::LayerConfig proto = ToProto(config);
    proto.clear_name();
    proto.clear_trainable();
    return proto;
  };
  std::string text;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&text);
  differencer.Compare(comparable(stored), comparable(declared));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// NOT_FOUND: there is no such layer yet.
StatusOr<LayerInfo> FindSame(const DeclaredLayer& layer, LayerHost& host) {
  TCONV_ASSIGN_OR_RETURN(LayerInfo existing, host.Get(layer.name));
  const std::string difference = Difference(existing.config, layer.config);
  if (difference.empty()) return existing;
  return MakeError(StatusCode::kFailedPrecondition,
                   "the layer of this name in the store has another configuration: {}", difference);
}

bool SameStep(const ChainDraft::Step& step, const std::variant<ChainLayer, Activation>& existing) {
  if (const auto* activation = std::get_if<Activation>(&existing)) {
    return std::holds_alternative<Activation>(step) && std::get<Activation>(step) == *activation;
  }
  const auto* name = std::get_if<std::string>(&step);
  return name != nullptr && *name == std::get<ChainLayer>(existing).name;
}

// NOT_FOUND: there is no such chain yet.
Status FindSame(const ChainDraft& draft, LayerHost& host) {
  TCONV_ASSIGN_OR_RETURN(const ChainInfo existing, host.GetChain(draft.name));
  if (std::equal(draft.steps.begin(), draft.steps.end(), existing.steps.begin(),
                 existing.steps.end(), SameStep)) {
    return OkStatus();
  }
  return MakeError(StatusCode::kFailedPrecondition,
                   "the chain of this name in the store has other steps");
}

// Layers and chains share their names.
Status TakenBy(std::string_view kind) {
  return MakeError(StatusCode::kFailedPrecondition, "a {} in the store has this name", kind);
}

Status CheckExisting(const Declared& declared, LayerHost& host) {
  for (const DeclaredLayer& layer : declared.layers) {
    Status found = FindSame(layer, host).status();
    if (absl::IsNotFound(found)) {
      found = host.GetChain(layer.name).ok() ? TakenBy("chain") : OkStatus();
    }
    if (!found.ok()) return About(layer.file, layer.name, found);
  }
  for (const DeclaredChain& chain : declared.chains) {
    Status found = FindSame(chain.draft, host);
    if (absl::IsNotFound(found)) {
      found = host.Get(chain.draft.name).ok() ? TakenBy("layer") : OkStatus();
    }
    if (!found.ok()) return About(chain.file, chain.draft.name, found);
  }
  return OkStatus();
}

// Fixes the channels of a layer that somebody has created without a shape.
Status Build(const DeclaredLayer& layer, LayerHost& host) {
  PartialShape shape(static_cast<size_t>(layer.config.tensor_rank()), -1);
  shape[static_cast<size_t>(layer.config.channel_axis())] = layer.kernel.shape.back();
  return host.Build(layer.name, shape).status();
}

StatusOr<std::string> Create(const DeclaredLayer& layer, Weights weights, LayerHost& host) {
  ViewSource kernel(weights.kernel.view());
  std::optional<ViewSource> bias;
  if (weights.bias) bias.emplace(weights.bias->view());
  TCONV_RETURN_IF_ERROR(host.Create({.name = layer.name,
                                     .config = layer.config,
                                     .input_shape = layer.build_shape,
                                     .weights = WeightsSource{&kernel, bias ? &*bias : nullptr}})
                            .status());
  return "created";
}

// What has been done; ABORTED or ALREADY_EXISTS when somebody else was faster.
StatusOr<std::string> TryToApply(const DeclaredLayer& layer, LayerHost& host) {
  TCONV_ASSIGN_OR_RETURN(Weights wanted, layer.MakeWeights());
  const auto existing = FindSame(layer, host);
  if (absl::IsNotFound(existing.status())) return Create(layer, std::move(wanted), host);
  if (!existing.ok()) return existing.status();
  if (existing->weights_version == 0) {
    TCONV_RETURN_IF_ERROR(Build(layer, host));
  }
  TCONV_ASSIGN_OR_RETURN(const auto current, host.GetWeights(layer.name));
  if (SameWeights(*current, wanted)) return "unchanged";
  TCONV_ASSIGN_OR_RETURN(const int64_t version,
                         host.SetWeights(layer.name, std::move(wanted.kernel),
                                         std::move(wanted.bias), current->version));
  return fmt::format("changed, version {}", version);
}

StatusOr<std::string> TryToApply(const ChainDraft& draft, LayerHost& host) {
  const Status existing = FindSame(draft, host);
  if (existing.ok()) return "unchanged";
  if (!absl::IsNotFound(existing)) return existing;
  TCONV_RETURN_IF_ERROR(host.CreateChain(draft).status());
  return "created";
}

// `what` is a DeclaredLayer or a ChainDraft.
template <typename What>
Status Apply(const std::string& file, const std::string& name, const What& what, LayerHost& host) {
  StatusOr<std::string> done = TryToApply(what, host);
  for (int tries = 1; tries < kMostTries; ++tries) {
    if (!absl::IsAborted(done.status()) && !absl::IsAlreadyExists(done.status())) break;
    done = TryToApply(what, host);
  }
  if (!done.ok()) return About(file, name, done.status());
  spdlog::info("preload: {}: {}: {}", file, name, *done);
  return OkStatus();
}

}  // namespace

Status Preload(const Declared& declared, LayerHost& host) {
  TCONV_RETURN_IF_ERROR(CheckExisting(declared, host));
  for (const DeclaredLayer& layer : declared.layers) {
    TCONV_RETURN_IF_ERROR(Apply(layer.file, layer.name, layer, host));
  }
  for (const DeclaredChain& chain : declared.chains) {
    TCONV_RETURN_IF_ERROR(Apply(chain.file, chain.draft.name, chain.draft, host));
  }
  return OkStatus();
}

}  // namespace tconv::server
