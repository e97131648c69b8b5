#include "pixeldp/device_rows.hpp"

#include <algorithm>

#include "kernels/draw_statistics.hpp"
#include "kernels/noise.hpp"

namespace pixeldp {
namespace {

kernels::NoiseParams noise_of(const DeviceNetwork& network, const DrawPlan& plan) {
  kernels::NoiseParams noise = network.noise;
  noise.seed = plan.seed, noise.tag = plan.tag;
  return noise;
}

/// All draws of all images in one kernel.
class RowsOfOneKernel : public DeviceRows {
 public:
  RowsOfOneKernel(const DeviceNetwork& network, const DrawPlan& plan, std::int64_t images)
      : network_(network),
        params_{.noise = noise_of(network, plan),
                .first_draw = plan.first_draw,
                .draws = plan.draws,
                .images = images},
        ids_(network.stream.device(), images),
        bad_row_(network.stream.device(), 1) {}

  void upload(std::span<const std::uint32_t> ids, std::int64_t) override {
    host_ids_.assign(ids.begin(), ids.end());
    ids_.upload(network_.stream, ids);
    bad_row_.upload(network_.stream, {{kernels::no_bad_row}});
  }

  void draw(const float* prefixes, const Totals& totals) override {
    network_.multi_draw->run(params_, prefixes, ids_.data(), totals.votes, totals.sums,
                             totals.squares, bad_row_.data());
  }

  void check() override {
    std::uint64_t bad_row = kernels::no_bad_row;
    bad_row_.download(network_.stream, {&bad_row, 1});
    kernels::check_bad_draw(bad_row, params_, host_ids_.data());
  }

 private:
  const DeviceNetwork& network_;
  kernels::MultiDrawParams params_;
  std::vector<std::uint32_t> host_ids_;
  Buffer<std::uint32_t> ids_;
  Buffer<std::uint64_t> bad_row_;
};

/// Micro-batches of rows through one step after the other.
class RowsOfSteps : public DeviceRows {
 public:
  RowsOfSteps(DeviceNetwork& network, const DrawPlan& plan, std::int64_t images)
      : network_(network),
        plan_(plan),
        noise_(noise_of(network, plan)),
        micro_batches_((images * plan.draws + network.micro_batch - 1) / network.micro_batch),
        host_rows_(static_cast<std::size_t>(micro_batches_ * network.micro_batch)),
        host_slots_(host_rows_.size()),
        rows_(network.stream.device(), std::ssize(host_rows_)),
        slots_(network.stream.device(), std::ssize(host_slots_)),
        bad_rows_(network.stream.device(), micro_batches_),
        features_(Shape{network.micro_batch, network.features}, network.stream.device()) {}

  void upload(std::span<const std::uint32_t> ids, std::int64_t count) override {
    describe_rows(plan_, ids, count, 0, host_rows_, host_slots_);
    rows_.upload(network_.stream, host_rows_);
    slots_.upload(network_.stream, host_slots_);
    bad_rows_.upload(
        network_.stream,
        std::vector<std::uint64_t>(static_cast<std::size_t>(micro_batches_), kernels::no_bad_row));
  }

  void draw(const float* prefixes, const Totals& totals) override {
    for (std::int64_t batch = 0; batch < micro_batches_; ++batch) {
      const std::int64_t first = batch * network_.micro_batch;
      network_.body->run({noise_, rows_.data() + first}, prefixes, features_.data());
      kernels::draw_statistics(network_.stream, statistics_params(), features_.data(),
                               network_.head_weight.data(), network_.head_bias.data(),
                               slots_.data() + first, totals.votes, totals.sums, totals.squares,
                               bad_rows_.data() + batch);
    }
  }

  void check() override {
    std::vector<std::uint64_t> bad_rows(static_cast<std::size_t>(micro_batches_));
    bad_rows_.download(network_.stream, bad_rows);
    const std::int64_t* slots = host_slots_.data();
    for (const std::uint64_t bad_row : bad_rows) {
      kernels::check_bad_row(bad_row, statistics_params(), slots);
      slots += network_.micro_batch;
    }
  }

 private:
  kernels::DrawStatisticsParams statistics_params() const {
    return {network_.micro_batch, network_.features, network_.classes};
  }

  DeviceNetwork& network_;
  DrawPlan plan_;
  kernels::NoiseParams noise_;
  std::int64_t micro_batches_;
  std::vector<kernels::NoiseRow> host_rows_;
  std::vector<std::int64_t> host_slots_;
  Buffer<kernels::NoiseRow> rows_;
  Buffer<std::int64_t> slots_;
  Buffer<std::uint64_t> bad_rows_;  // of each micro-batch
  Tensor features_;
};

Buffer<float> on_device(const Stream& stream, const std::vector<float>& values) {
  Buffer<float> buffer(stream.device(), std::ssize(values));
  buffer.upload(stream, values);
  return buffer;
}

}  // namespace

DeviceNetwork::DeviceNetwork(const Stream& stream_, const kernels::NetworkPlan& network,
                             std::int64_t micro_batch_, kernels::Fusion fusion)
    : stream(stream_),
      micro_batch(micro_batch_),
      classes(network.classes),
      features(network.features()),
      image_size(network.image_size()),
      noise_size(network.noise_size()),
      noise(network.noise(0, StreamTag::estimation)),
      head_weight(on_device(stream_, network.head_weight)),
      head_bias(on_device(stream_, network.head_bias)) {
  using kernels::DeviceSchedule, kernels::Precision;
  if (!network.prefix.steps.empty())
    prefix =
        prepare_device_plan(stream, network.prefix,
                            DeviceSchedule::make(network.prefix, prefix_batch, Precision::fp32));
  if (fusion == kernels::Fusion::allowed) multi_draw = prepare_multi_draw(stream, network);
  if (!multi_draw)
    body = prepare_device_plan(
        stream, network.body,
        DeviceSchedule::make(network.body, micro_batch, Precision::bf16, true, fusion));
}

std::unique_ptr<DeviceRows> make_device_rows(DeviceNetwork& network, const DrawPlan& plan,
                                             std::int64_t images) {
  if (network.multi_draw) return std::make_unique<RowsOfOneKernel>(network, plan, images);
  return std::make_unique<RowsOfSteps>(network, plan, images);
}

}  // namespace pixeldp
