#include "pixeldp/device_rows.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/noise.hpp"
#include "pixeldp/quantisation.hpp"
#include "pixeldp/sampling_window.hpp"

namespace pixeldp {
namespace {

/// An array of the device with its copy in pinned memory.
template <class T>
struct Mirrored {
  Mirrored(Device device_, std::int64_t count) : host(device_, count), device(device_, count) {}
  void upload(const Stream& stream) { device.upload(stream, host); }
  void download(const Stream& stream) { device.download(stream, host); }

  PinnedBuffer<T> host;
  Buffer<T> device;
};

/// The lowest row of each micro-batch with a score that is not finite.
class BadRows {
 public:
  BadRows(Device device, std::int64_t count) : cleared_(device, count), found_(device, count) {
    std::ranges::fill(cleared_.values(), kernels::no_bad_row);
  }
  void clear(const Stream& stream) { found_.device.upload(stream, cleared_); }
  void download(const Stream& stream) { found_.download(stream); }
  std::uint64_t* at(std::int64_t micro_batch) { return found_.device.data() + micro_batch; }
  std::span<const std::uint64_t> found() const { return found_.host.values(); }

 private:
  PinnedBuffer<std::uint64_t> cleared_;
  Mirrored<std::uint64_t> found_;
};

/// All draws of all images in one kernel.
class RowsOfOneKernel : public DeviceRows {
 public:
  RowsOfOneKernel(const DeviceNetwork& network, const DrawRange& draws, std::int64_t images)
      : network_(network),
        params_{.noise = noise_for(network.noise, draws),
                .first_draw = draws.first,
                .draws = draws.count,
                .images = images},
        ids_(network.stream.device(), images),
        bad_row_(network.stream.device(), 1) {}

  void upload(const Stream& copies, std::span<const std::uint32_t> ids,
              std::int64_t count) override {
    count_ = count;
    std::ranges::copy(ids, ids_.host.data());
    ids_.upload(copies);
    bad_row_.clear(copies);
  }

  void draw(const DevicePrefixes& prefixes, const Totals& totals) override {
    network_.multi_draw->run(params_, prefixes.floats, ids_.device.data(), totals.votes,
                             totals.sums, totals.squares, bad_row_.at(0));
  }

  void download() override { bad_row_.download(network_.stream); }

  void check() const override {
    const std::uint64_t bad_row = bad_row_.found().front();
    if (std::cmp_less(bad_row, count_ * params_.draws))  // rows beyond are of no image
      kernels::check_bad_draw(bad_row, params_, ids_.host.data());
  }

 private:
  const DeviceNetwork& network_;
  kernels::MultiDrawParams params_;
  std::int64_t count_ = 0;
  Mirrored<std::uint32_t> ids_;
  BadRows bad_row_;
};

/// Micro-batches of rows through one step after the other.
class RowsOfSteps : public DeviceRows {
 public:
  RowsOfSteps(const DeviceNetwork& network, const DrawRange& draws, std::int64_t images)
      : network_(network),
        draws_(draws),
        noise_(noise_for(network.noise, draws)),
        micro_batches_((images * draws.count + network.micro_batch - 1) / network.micro_batch),
        rows_(network.stream.device(), micro_batches_ * network.micro_batch),
        slots_(network.stream.device(), micro_batches_ * network.micro_batch),
        bad_rows_(network.stream.device(), micro_batches_),
        features_(network.stream.device(), network.micro_batch * network.features) {}

  void upload(const Stream& copies, std::span<const std::uint32_t> ids,
              std::int64_t count) override {
    describe_rows(draws_, ids, count, 0, rows_.host.values(), slots_.host.values());
    rows_.upload(copies);
    slots_.upload(copies);
    bad_rows_.clear(copies);
  }

  void draw(const DevicePrefixes& prefixes, const Totals& totals) override {
    for (std::int64_t batch = 0; batch < micro_batches_; ++batch) {
      const std::int64_t first = batch * network_.micro_batch;
      const kernels::DevicePlan::Draws draws{noise_, rows_.device.data() + first};
      if (network_.lattice)
        network_.body->run(draws, prefixes.steps, features_.data());
      else
        network_.body->run(draws, prefixes.floats, features_.data());
      kernels::draw_statistics(network_.stream, statistics_params(), features_.data(),
                               network_.head_weight.data(), network_.head_bias.data(),
                               slots_.device.data() + first, totals.votes, totals.sums,
                               totals.squares, bad_rows_.at(batch));
    }
  }

  void download() override { bad_rows_.download(network_.stream); }

  void check() const override {
    const kernels::NoiseRow* rows = rows_.host.data();
    for (const std::uint64_t bad_row : bad_rows_.found()) {
      if (bad_row != kernels::no_bad_row)
        kernels::fail_bad_draw(rows[bad_row].draw, rows[bad_row].image);
      rows += network_.micro_batch;
    }
  }

 private:
  kernels::DrawStatisticsParams statistics_params() const {
    return {network_.micro_batch, network_.features, network_.classes};
  }

  const DeviceNetwork& network_;
  DrawRange draws_;
  kernels::NoiseParams noise_;
  std::int64_t micro_batches_;
  Mirrored<kernels::NoiseRow> rows_;
  Mirrored<std::int64_t> slots_;
  BadRows bad_rows_;  // of each micro-batch
  Buffer<float> features_;
};

Buffer<float> on_device(const Stream& stream, const std::vector<float>& values) {
  Buffer<float> buffer(stream.device(), std::ssize(values));
  buffer.upload(stream, values);
  return buffer;
}

/// Counts in int8 are a processor's, to the last one, where the prefixes are, as whole numbers are.
/// Throws a usage error where floats would not be.
void check_float_prefixes(const Stream& stream, const kernels::NetworkPlan& network,
                          kernels::Precision precision) {
  if (precision != kernels::Precision::int8) return;
  if (const std::string why = fp32_difference(network.prefix); !why.empty())
    fail_usage(
        "precision int8 on the device {}: what lies before the noise would not have a "
        "processor's bits, and so the counts: {}. Take --device cpu or --precision bf16",
        stream.device().name(), why);
}

}  // namespace

std::unique_ptr<kernels::DevicePlan> prepare_device_body(
    const Stream& stream, const kernels::NetworkPlan& network, std::int64_t micro_batch,
    const BodyPrecision& chosen, kernels::Fusion fusion, kernels::Prefixes prefixes) {
  const kernels::Precision precision = precision_on(stream.device(), chosen.precision);
  const std::vector<float> scales = scales_of(network.body, precision, chosen.quantisation);
  if (prefixes == kernels::Prefixes::floats) check_float_prefixes(stream, network, precision);
  return prepare_device_plan(stream, network.body,
                             kernels::DeviceSchedule::make(network.body, micro_batch, precision,
                                                           true, fusion, scales, prefixes));
}

DeviceNetwork::DeviceNetwork(const Stream& stream_, const kernels::NetworkPlan& network,
                             std::int64_t micro_batch_, const BodyPrecision& chosen,
                             kernels::Fusion fusion, std::shared_ptr<const LatticePrefix> lattice_)
    : stream(stream_),
      micro_batch(micro_batch_),
      classes(network.classes),
      features(network.features()),
      image_size(network.image_size()),
      noise_size(network.noise_size()),
      noise(network.noise(0, StreamTag::estimation)),
      lattice(std::move(lattice_)),
      head_weight(on_device(stream_, network.head_weight)),
      head_bias(on_device(stream_, network.head_bias)) {
  using kernels::DeviceSchedule, kernels::Precision;
  if (lattice) {
    body = prepare_device_body(stream, network, micro_batch, chosen, fusion,
                               kernels::Prefixes::lattice);
    return;
  }
  if (!network.prefix.steps.empty())
    prefix =
        prepare_device_plan(stream, network.prefix,
                            DeviceSchedule::make(network.prefix, prefix_batch, Precision::fp32));
  const Precision precision = precision_on(stream.device(), chosen.precision);
  const std::vector<float> scales = scales_of(network.body, precision, chosen.quantisation);
  check_float_prefixes(stream, network, precision);
  if (fusion == kernels::Fusion::allowed)
    multi_draw = prepare_multi_draw(stream, network, precision, scales);
  if (!multi_draw) body = prepare_device_body(stream, network, micro_batch, chosen, fusion);
}

std::unique_ptr<DeviceRows> make_device_rows(const DeviceNetwork& network, const DrawRange& draws,
                                             std::int64_t images) {
  if (network.multi_draw) return std::make_unique<RowsOfOneKernel>(network, draws, images);
  return std::make_unique<RowsOfSteps>(network, draws, images);
}

}  // namespace pixeldp
