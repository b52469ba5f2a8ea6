// A tensor on its way through a ForwardSession.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "server/host/forward_session.h"
#include "server/tensor/tensor.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {

// [n, c, rows, ...] as [n, rows, c, ...]; of channels_last as it is. Also the way
// back, for the shape [n, rows, c, ...].
inline std::vector<std::byte> InOtherOrder(server::ConstTensorView tensor,
                                           server::DataFormat format, int64_t a, int64_t b) {
  const auto size = static_cast<size_t>(tensor.size_bytes());
  std::vector<std::byte> bytes(size);
  if (size == 0) return bytes;
  std::memcpy(bytes.data(), tensor.data, size);
  if (format == server::DataFormat::kChannelsLast) return bytes;
  const auto outer = static_cast<size_t>(tensor.shape[0] * a * b);
  const size_t block = size / outer;
  for (size_t i = 0; i < outer; ++i) {
    const auto n = i / static_cast<size_t>(a * b);
    const auto x = i / static_cast<size_t>(b) % static_cast<size_t>(a);
    const auto y = i % static_cast<size_t>(b);
    const size_t to = (n * static_cast<size_t>(b) + y) * static_cast<size_t>(a) + x;
    std::memcpy(bytes.data() + to * block, tensor.data + i * block, block);
  }
  return bytes;
}

struct Streamed {
  server::Tensor output;
  std::vector<server::Loss> losses;
};

// Passes the input through the session in pieces of up to `piece_bytes`.
inline Streamed PassThrough(server::ForwardSession& session, const server::Tensor& input,
                            size_t piece_bytes) {
  const server::DataFormat format = session.data_format();
  const server::Shape& in = input.shape();
  const std::vector<std::byte> sent = InOtherOrder(input.view(), format, in[1], in[2]);
  std::vector<std::byte> received;
  size_t position = 0;
  while (!session.IsDone()) {
    const auto room = session.Room();
    EXPECT_THAT(room, IsOk());
    const size_t bytes = std::min({room->size(), piece_bytes, sent.size() - position});
    if (bytes > 0) {
      std::memcpy(room->data(), sent.data() + position, bytes);
      position += bytes;
      session.Fill(bytes);
    } else if (session.CanCompute()) {
      EXPECT_THAT(session.Compute(), IsOk());
    } else if (auto output = session.Take()) {
      received.insert(received.end(), output->bytes.begin(), output->bytes.end());
      session.Release();
    } else {
      ADD_FAILURE() << "the session is stuck";
      break;
    }
  }
  EXPECT_EQ(position, sent.size());
  const server::Shape shape = session.output_shape();
  Streamed streamed;
  streamed.output = server::Tensor::Allocate(session.output_dtype(), shape).value();
  EXPECT_EQ(received.size(), static_cast<size_t>(streamed.output.size_bytes()));
  received =
      InOtherOrder({session.output_dtype(), shape, received.data()}, format, shape[2], shape[1]);
  std::copy(received.begin(), received.end(), streamed.output.mutable_view().data);
  streamed.losses = session.losses();
  return streamed;
}

inline bool HaveEqualBits(server::ConstTensorView a, server::ConstTensorView b) {
  return a.shape == b.shape && a.dtype == b.dtype &&
         std::equal(a.data, a.data + a.size_bytes(), b.data);
}

}  // namespace tconv::testing
