// Memory files, as clients share them and as they should not.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>

#include "proto/codec/segment_socket.h"

namespace tconv::testing {

constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

inline codec::FileDescriptor MakeMemory(off_t bytes, int seals = kAllSeals,
                                        unsigned flags = MFD_ALLOW_SEALING) {
  codec::FileDescriptor memory(memfd_create("test", MFD_CLOEXEC | flags));
  EXPECT_EQ(ftruncate(memory.get(), bytes), 0);
  EXPECT_EQ(fcntl(memory.get(), F_ADD_SEALS, seals), 0);
  return memory;
}

// Of this process.
inline auto CountDescriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

}  // namespace tconv::testing
