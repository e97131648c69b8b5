#include "trainers/gradient_average.hpp"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "layers/networks/network_spec.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/thread_ranks.hpp"

using namespace pixeldp;

namespace {

/// What gradient `parameter` of a rank is in a step.
std::vector<float> made_gradient(const layers::Parameter& parameter, int rank, int step) {
  return reference::reals(parameter.value.size(),
                          static_cast<std::uint64_t>(100 * rank + 10 * step) +
                              static_cast<std::uint64_t>(parameter.name.size()));
}

/// Devices whose collectives go through host memory. Their own order of sums is the reverse one.
class ThreadDevices : public DeviceCommunicator {
 public:
  explicit ThreadDevices(Communicator& ranks) : ranks_(ranks) {}

  void all_gather(const Stream& stream, const float* mine, std::int64_t count,
                  float* all) override {
    const std::vector<float> sent = on_host(stream, mine, count);
    std::vector<float> received(static_cast<std::size_t>(count * ranks_.size()));
    ranks_.all_gather(sent.data(), sent.size() * sizeof(float), received.data());
    put(stream, received, all);
  }
  void all_to_all(const Stream& stream, const float* mine, std::int64_t count,
                  float* theirs) override {
    const std::vector<float> sent = on_host(stream, mine, count * ranks_.size());
    std::vector<float> received(sent.size());
    ranks_.all_to_all(sent.data(), static_cast<std::size_t>(count) * sizeof(float),
                      received.data());
    put(stream, received, theirs);
  }
  void all_reduce_mean(const Stream& stream, float* values, std::int64_t count) override {
    const std::vector<float> sent = on_host(stream, values, count);
    const auto size = static_cast<std::size_t>(count);
    std::vector<float> received(size * static_cast<std::size_t>(ranks_.size())), means(size);
    ranks_.all_gather(sent.data(), size * sizeof(float), received.data());
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t r = received.size() / size; r-- > 0;) means[i] += received[r * size + i];
      means[i] /= static_cast<float>(ranks_.size());
    }
    put(stream, means, values);
  }
  void check() override {}

 private:
  static std::vector<float> on_host(const Stream& stream, const float* from, std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    copy_memory(stream, values.data(), {}, from, stream.device(), values.size() * sizeof(float));
    return values;
  }
  static void put(const Stream& stream, const std::vector<float>& values, float* to) {
    copy_memory(stream, to, stream.device(), values.data(), {}, values.size() * sizeof(float));
  }

  Communicator& ranks_;
};

enum class Path { host, devices, devices_in_own_order };

DeviceAverage made_average(Path path, Communicator& ranks) {
  if (path == Path::host) return {};
  return {.ranks = std::make_unique<ThreadDevices>(ranks),
          .own_order = path == Path::devices_in_own_order};
}

}  // namespace

TEST_CASE("gradients are averaged in the order of ranks, whatever the buckets") {
  struct Case {
    DeviceKind device;
    int ranks;
    std::int64_t bucket;
    Path path = Path::host;
  };
  for (const auto& [device, size, bucket, path] :
       {Case{DeviceKind::cpu, 2, 1}, Case{DeviceKind::cpu, 3, 1000},
        Case{DeviceKind::cpu, 4, 1 << 30}, Case{DeviceKind::emulated, 3, 1000},
        Case{DeviceKind::emulated, 2, 1, Path::devices},
        Case{DeviceKind::emulated, 3, 1000, Path::devices},
        Case{DeviceKind::emulated, 3, 1000, Path::devices_in_own_order}}) {
    CAPTURE(size);
    CAPTURE(bucket);
    tests::ThreadRanks::run(
        size, [&, size = size, device = device, bucket = bucket, path = path](Communicator& ranks) {
          const Stream stream{Device{device}};
          layers::Network net = layers::make_network(tests::small_resnet_spec("resnet"), 1);
          GradientAverage average(stream, net, ranks, bucket, made_average(path, ranks));
          const std::size_t nodes = net.graph.nodes().size();
          for (int step = 0; step < 3; ++step) {
            net.parameters().front()->frozen = step == 1;
            for (layers::Parameter* p : net.parameters()) {
              Tensor mine(p->value.shape());
              std::ranges::copy(made_gradient(*p, ranks.rank(), step), mine.data());
              p->gradient = mine.to(stream, stream.device());
            }
            average.begin();
            // Ranks are not equally fast, and some are not told of every node.
            for (std::size_t node = nodes; node-- > 0;)
              if (node % (2 + static_cast<std::size_t>(ranks.rank())) == 0) average.ready(node);
            average.ready(0);
            average.finish();
            for (const layers::Parameter* p : net.parameters()) {
              CAPTURE(p->name);
              std::vector<int> order;
              for (int r = 0; r < size; ++r) order.push_back(r);
              if (path == Path::devices_in_own_order) std::ranges::reverse(order);
              if (p->frozen) order = {ranks.rank()};
              std::vector<float> expected = made_gradient(*p, order.front(), step);
              for (const int r : std::span(order).subspan(1)) {
                const std::vector<float> more = made_gradient(*p, r, step);
                for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += more[i];
              }
              for (float& gradient : expected)
                if (!p->frozen) gradient /= static_cast<float>(size);
              CHECK(layers::host_values(stream, p->gradient) == expected);
            }
          }
        });
  }
}
