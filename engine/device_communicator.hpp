#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/communicator.hpp"
#include "engine/device.hpp"

namespace pixeldp {

/// Collective operations on floats in the memory of the devices of several ranks, one device each.
/// Like kernels they are given to a stream, and return before they are done. Every rank gives the
/// same ones, of the same sizes, in the same order, and waits for its stream in the end: until all
/// have come to an operation, the stream of none is past it.
class DeviceCommunicator {
 public:
  virtual ~DeviceCommunicator() = default;
  DeviceCommunicator(const DeviceCommunicator&) = delete;
  DeviceCommunicator& operator=(const DeviceCommunicator&) = delete;

  /// Block r of `all`, `count` values, is rank r's `mine`.
  virtual void all_gather(const Stream& stream, const float* mine, std::int64_t count,
                          float* all) = 0;
  /// Block r of `theirs`, `count` values, is this rank's block of rank r's `mine`.
  virtual void all_to_all(const Stream& stream, const float* mine, std::int64_t count,
                          float* theirs) = 0;
  /// The means over the ranks, in place: the same bits everywhere, in an order of sums that is the
  /// library's own.
  virtual void all_reduce_mean(const Stream& stream, float* values, std::int64_t count) = 0;

  /// Throws an Error where something that was given has failed, perhaps in another rank; a stream
  /// that would wait for it goes on then, and what it makes is worth nothing.
  virtual void check() = 0;

 protected:
  DeviceCommunicator() = default;
};

/// What makes them for one kind of device.
class DeviceCommunicators {
 public:
  virtual ~DeviceCommunicators() = default;

  /// Why this process cannot have any, and how to mend that, in words; empty where it can.
  virtual std::string missing() const = 0;
  /// The device, the same text in all processes of this machine.
  virtual std::string identity(Device device) const = 0;
  /// Collective; the ranks must outlive what it makes. Throws an Error that says what failed.
  virtual std::unique_ptr<DeviceCommunicator> join(Device device, Communicator& ranks) const = 0;
};

/// Makes those of a kind of device known. They must live as long as the program.
void register_device_communicators(DeviceKind kind, const DeviceCommunicators& communicators);

/// That of these ranks, each with its device. Null where one of them has none, or shares its device
/// with another, or the environment variable PIXELDP_COLLECTIVES is 'host' ('device' otherwise);
/// rank 0 then says on standard error which and why. Where they are `needed`, that is an Error, at
/// every rank. Always null on processors. Collective.
std::unique_ptr<DeviceCommunicator> join_devices(Device device, Communicator& ranks, bool needed);

}  // namespace pixeldp
