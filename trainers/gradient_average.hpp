#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/buffer.hpp"
#include "engine/communicator.hpp"
#include "engine/device_communicator.hpp"
#include "engine/event.hpp"
#include "layers/network.hpp"

namespace pixeldp {

/// How the devices of ranks average among themselves, if they do.
struct DeviceAverage {
  std::unique_ptr<DeviceCommunicator> ranks = {};
  bool own_order = false;  ///< the sums are in the library's (DeviceCommunicator)
};

/// Averages the gradients in a network's parameters over ranks that took equal parts of a batch,
/// bucket by bucket while the backward pass goes on: it makes those of the last layers first, and
/// they travel while it makes the others. Sums are in the order of the ranks, so that all have the
/// same bits, and the same ones each time, whatever the size of the buckets and the way they go.
///
/// Where the ranks' devices have collectives, those do it, in a stream beside the backward pass: of
/// every bucket each rank gets a slice of everyone's, sums it, and gives the means to all.
///
/// Else the same is done in host memory. There is no thread for it: on a processor the exchanges
/// get on whenever a layer is done. A device's gradients are copied to host memory beside its work,
/// and sent while it is busy with what it was given.
///
/// On devices a backward pass may be recorded into a graph, with ready(): each launch of it tells
/// the other stream when a bucket is there. What that stream does is not recorded: an exchange in
/// host memory could not be, and NCCL ends no communicator, not even after a failure, while a graph
/// has work of it.
class GradientAverage {
 public:
  static constexpr std::int64_t usual_bucket = 1 << 18;  ///< 1 MiB

  /// A bucket has at most so many gradients, or those of one parameter, which are not divided. The
  /// network and the ranks must outlive it; all its functions but check() are collective.
  GradientAverage(const Stream& stream, layers::Network& network, Communicator& ranks,
                  std::int64_t bucket = usual_bucket, DeviceAverage on_devices = {});

  /// Before a backward pass. Parameters that are frozen now are left out.
  void begin();
  /// While it goes on: as TrainingPass::on_gradients says; in the end with 0.
  void ready(std::size_t node);
  /// After it, or after the launch of a graph of it: what the stream is given from now on finds the
  /// averages.
  void finish();
  /// Throws an Error where what the stream has come past went wrong between the devices.
  void check();

 private:
  struct Bucket {
    std::size_t node = 0;  // the first one that has any of these parameters
    std::vector<layers::Parameter*> parameters;
    std::int64_t size = 0;
    std::size_t slice = 0;        // of the sums that a rank makes
    bool in_place = false;        // a parameter's gradient is sent from where it lies
    std::shared_ptr<float> mine;  // gradients, and then averages, in memory the device can reach
    std::vector<float> theirs;    // this rank's slice of every rank's
    Buffer<float> mine_on_device, theirs_on_device;  // instead of these two
    std::optional<Event> made, copied;               // by a device
    std::unique_ptr<Communicator::Exchange> exchange;
  };

  void plan();
  void plan_memory(Bucket& bucket);
  void average_on_devices(Bucket& bucket);
  void get_on();
  void copy(Bucket& bucket);
  void send(Bucket& bucket);
  void sum(Bucket& bucket);
  void receive(Bucket& bucket);
  bool on_device() const { return stream_.device().kind != DeviceKind::cpu; }

  Stream stream_, copies_;
  layers::Network& network_;
  Communicator& ranks_;
  std::int64_t bucket_;
  std::vector<layers::Parameter*> trained_;
  std::vector<Bucket> buckets_;
  // Buckets go through these stages in their order, the same in all ranks; so many have done each.
  std::size_t made_ = 0, sent_ = 0, summed_ = 0;
  std::optional<Event> received_;  // what lies in the buckets is where it belongs
  DeviceAverage on_devices_;       // last: it ends what the streams wait for, if there is anything
};

}  // namespace pixeldp
