#include "trainers/gradient_average.hpp"

#include <algorithm>
#include <vector>

#include <doctest/doctest.h>

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

}  // namespace

TEST_CASE("gradients are averaged in the order of ranks, whatever the buckets") {
  struct Case {
    DeviceKind device;
    int ranks;
    std::int64_t bucket;
  };
  for (const auto& [device, size, bucket] :
       {Case{DeviceKind::cpu, 2, 1}, Case{DeviceKind::cpu, 3, 1000},
        Case{DeviceKind::cpu, 4, 1 << 30}, Case{DeviceKind::emulated, 3, 1000}}) {
    CAPTURE(size);
    CAPTURE(bucket);
    tests::ThreadRanks::run(
        size, [&, size = size, device = device, bucket = bucket](Communicator& ranks) {
          const Stream stream{Device{device}};
          layers::Network net = layers::make_network(tests::small_resnet_spec("resnet"), 1);
          GradientAverage average(stream, net, ranks, bucket);
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
            average.finish();
            for (const layers::Parameter* p : net.parameters()) {
              CAPTURE(p->name);
              std::vector<float> expected = made_gradient(*p, p->frozen ? ranks.rank() : 0, step);
              for (int r = 1; r < size && !p->frozen; ++r) {
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
