#include "server/rpc/shared_tensor.h"

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

// A region in a segment that is kept mapped.
struct Place {
  std::shared_ptr<const SharedSegment> segment;
  std::byte* data = nullptr;
};

StatusOr<Place> Locate(const v1::SharedRegion& region, int64_t size_bytes,
                       const SharedMemory& memory) {
  TCONV_ASSIGN_OR_RETURN(auto segment, memory.Find(region.segment()));
  StatusOr<std::byte*> data = segment->At(region.offset(), size_bytes);
  if (!data.ok()) return InField("region", data.status());
  return Place{std::move(segment), *data};
}

// Of bytes anywhere.
bool Overlap(const std::byte* a, int64_t a_bytes, const std::byte* b, int64_t b_bytes) {
  constexpr std::less<> kIsBefore;
  return kIsBefore(a, b + b_bytes) && kIsBefore(b, a + a_bytes);
}

}  // namespace

StatusOr<std::unique_ptr<TensorSource>> SourceOf(const v1::Tensor& tensor, codec::FieldPath path,
                                                 codec::ReceivedPayloads& payloads,
                                                 const SharedMemory& memory) {
  if (!tensor.has_region()) {
    TCONV_ASSIGN_OR_RETURN(ReceivedTensor received, ReceivedTensor::Make(tensor, path, payloads));
    return std::make_unique<ReceivedTensor>(std::move(received));
  }
  std::vector<int> data_path(path.begin(), path.end());
  data_path.push_back(v1::Tensor::kDataFieldNumber);
  if (const size_t bytes = payloads.size_bytes(data_path); bytes > 0) {
    return InvalidField("data", "expected no bytes beside a region, got {}", bytes);
  }
  TCONV_ASSIGN_OR_RETURN(const TensorType type, TypeFromProto(tensor));
  TCONV_ASSIGN_OR_RETURN(Place place, Locate(tensor.region(), type.size_bytes(), memory));
  return std::make_unique<SharedSource>(ConstTensorView{type.dtype, type.shape, place.data},
                                        std::move(place.segment));
}

StatusOr<OutputRoom> RoomOf(const v1::SharedRoom& room, const TensorSource& input,
                            const SharedMemory& memory) {
  if (!room.has_region()) return InvalidField("region", "expected a region, got none");
  if (room.size_bytes() < 0) {
    return InvalidField("size_bytes", "expected 0 or more, got {}", room.size_bytes());
  }
  TCONV_ASSIGN_OR_RETURN(Place place, Locate(room.region(), room.size_bytes(), memory));
  const std::byte* in_place = input.InPlace();
  if (in_place != nullptr && Overlap(in_place, input.size_bytes(), place.data, room.size_bytes())) {
    return InvalidField("region", "expected room apart from the input");
  }
  return OutputRoom{place.data, room.size_bytes(), std::move(place.segment)};
}

}  // namespace tconv::server
