#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "layers/batch_norm.hpp"
#include "tests/reference/values.hpp"
#include "tests/thread_ranks.hpp"

using namespace pixeldp;
using namespace pixeldp::layers;

namespace {

constexpr std::int64_t all_images = 8, normalised_channels = 5;
constexpr std::int64_t all_values = all_images * 2 * 3 * normalised_channels;

/// What a batch normalisation makes of a part of a batch in a step of training.
struct NormalisedPart {
  std::vector<float> y, dx, dweight, dbias, running_mean, running_variance;
};

std::vector<float> on_host(const Stream& stream, const Tensor& tensor) {
  return host_values(stream, tensor);
}

/// Images `first` to `last`, whose channels have means of 16 and deviations of about 0.6.
NormalisedPart normalised_part(const Stream& stream, Communicator* ranks, std::int64_t first,
                               std::int64_t last) {
  BatchNorm layer("bn",
                  {.channels = normalised_channels, .activation = kernels::Activation::relu()});
  for (auto* parameter : layer.Layer::parameters())
    parameter->value = parameter->value.to(stream, stream.device());
  for (auto* buffer : layer.Layer::buffers())
    buffer->value = buffer->value.to(stream, stream.device());
  const std::int64_t values = all_values / all_images;
  const auto part = [&](std::uint64_t seed, float centre) {
    const std::vector<float> all = reference::reals(all_values, seed);
    Tensor tensor({last - first, 2, 3, normalised_channels});
    for (std::int64_t i = 0; i < tensor.size(); ++i)
      tensor.data()[i] = centre + all[static_cast<std::size_t>(first * values + i)];
    return tensor.to(stream, stream.device());
  };
  const Tensor x = part(1, 16.0f);
  Tensor y, dy = part(2, 0.0f);
  Saved saved;
  const Pass pass{stream, Mode::training, {}, ranks};
  const Tensor* const inputs[] = {&x};
  layer.forward(pass, inputs, y, saved);
  layer.backward(pass, inputs, y, saved, dy, {});
  const auto parameters = layer.Layer::parameters();
  const auto buffers = layer.Layer::buffers();
  return {on_host(stream, y),
          on_host(stream, dy),
          on_host(stream, parameters[0]->gradient),
          on_host(stream, parameters[1]->gradient),
          on_host(stream, buffers[0]->value),
          on_host(stream, buffers[1]->value)};
}

void check_close(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(a[i] - b[i]) <= 1e-5f * std::max(1.0f, std::abs(b[i])));
  }
}

}  // namespace

TEST_CASE("synchronised over ranks, a batch norm does to parts what one does to the whole") {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::emulated}) {
    const NormalisedPart whole = normalised_part(Stream(Device{kind}), nullptr, 0, all_images);
    for (const int size : {2, 4}) {
      CAPTURE(size);
      std::vector<NormalisedPart> parts(static_cast<std::size_t>(size));
      const auto each = all_images / size;
      tests::ThreadRanks::run(size, [&](Communicator& ranks) {
        const std::int64_t first = ranks.rank() * each;
        parts[static_cast<std::size_t>(ranks.rank())] =
            normalised_part(Stream(Device{kind}), &ranks, first, first + each);
      });
      NormalisedPart together = parts[0];
      for (std::size_t r = 1; r < parts.size(); ++r) {
        together.y.insert(together.y.end(), parts[r].y.begin(), parts[r].y.end());
        together.dx.insert(together.dx.end(), parts[r].dx.begin(), parts[r].dx.end());
        for (std::size_t c = 0; c < normalised_channels; ++c) {
          together.dweight[c] += parts[r].dweight[c];
          together.dbias[c] += parts[r].dbias[c];
        }
        CHECK(parts[r].running_mean == parts[0].running_mean);
        CHECK(parts[r].running_variance == parts[0].running_variance);
      }
      check_close(together.y, whole.y);
      check_close(together.dx, whole.dx);
      check_close(together.dweight, whole.dweight);
      check_close(together.dbias, whole.dbias);
      check_close(together.running_mean, whole.running_mean);
      check_close(together.running_variance, whole.running_variance);
    }
  }
}
