#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace pixeldp::emulator {

/// Messages between some ranks, which are processes (or threads) of one machine, through shared
/// memory: a channel from each to each. For the stand-in of NCCL.
class RankChannels {
 public:
  /// A name for ranks to meet under, which no others have.
  static std::string new_name();

  /// Waits until all ranks have come to this name. Throws an Error after so many seconds, and where
  /// shared memory is short.
  RankChannels(const std::string& name, int ranks, int rank, double seconds);
  RankChannels(const RankChannels&) = delete;
  RankChannels& operator=(const RankChannels&) = delete;

  int ranks() const { return ranks_; }
  int rank() const { return rank_; }

  struct Outgoing {
    int to = 0;
    const void* data = nullptr;
    std::size_t bytes = 0;
  };
  struct Incoming {
    int from = 0;
    void* data = nullptr;
    std::size_t bytes = 0;
  };
  /// Sends and receives all of these at once; several of one channel in their order. Waits until
  /// all are done. False where some rank has given up. Throws an Error, and gives up, where a
  /// message is not of the size that its receiver expects.
  bool exchange(std::span<const Outgoing> out, std::span<const Incoming> in);

  /// Ends what all ranks wait for, and all that they will. Any thread.
  void give_up();
  bool given_up() const;

 private:
  struct Shared;
  struct Channel;
  class Lock;

  Shared& shared() const;
  Channel& channel(int from, int to) const;
  std::byte* chunk(int from, int to) const;
  void meet(const std::string& name, double seconds);

  int ranks_, rank_;
  std::size_t chunk_bytes_;
  std::shared_ptr<void> memory_;
};

}  // namespace pixeldp::emulator
