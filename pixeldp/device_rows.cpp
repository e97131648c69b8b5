#include "pixeldp/device_rows.hpp"

#include <algorithm>

#include "kernels/draw_statistics.hpp"
#include "kernels/noise.hpp"
#include "layers/multi_draw.hpp"

namespace pixeldp {
namespace {

/// All draws of all images in one kernel.
class RowsOfOneKernel : public DeviceRows {
 public:
  RowsOfOneKernel(const DeviceNetwork& network, const DrawPlan& plan, std::int64_t images)
      : network_(network),
        params_{.noise = network.noise.params({.seed = plan.seed, .tag = plan.tag}),
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

/// Micro-batches of rows through one layer after the other, where the noise may be part of the
/// first.
class RowsOfLayers : public DeviceRows {
 public:
  RowsOfLayers(const DeviceNetwork& network, const DrawPlan& plan, std::int64_t images)
      : network_(network),
        plan_(plan),
        noise_(network.noise.params({.seed = plan.seed, .tag = plan.tag})),
        micro_batches_((images * plan.draws + network.micro_batch - 1) / network.micro_batch),
        host_rows_(static_cast<std::size_t>(micro_batches_ * network.micro_batch)),
        host_slots_(host_rows_.size()),
        rows_(network.stream.device(), std::ssize(host_rows_)),
        slots_(network.stream.device(), std::ssize(host_slots_)),
        bad_rows_(network.stream.device(), micro_batches_) {
    std::int64_t row_size = network.first_size;
    for (const std::int64_t size : network.body.sizes) row_size = std::max(row_size, size);
    for (Tensor& half : halves_)
      half = Tensor(Shape{network.micro_batch, row_size}, network.stream.device());
  }

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
      const kernels::NoiseRow* const rows = rows_.data() + first;
      const float* x = halves_[0].data();
      if (network_.noisy)
        network_.noisy->run(noise_, rows, prefixes, halves_[0].data());
      else
        kernels::add_noise(network_.stream, noise_, rows, network_.micro_batch, network_.noise_size,
                           prefixes, halves_[0].data());
      for (std::size_t i = 0; i < network_.body.layers.size(); ++i) {
        float* const y = halves_[(i + 1) % 2].data();
        network_.body.layers[i]->run(x, y);
        x = y;
      }
      kernels::draw_statistics(network_.stream, statistics_params(), x, network_.head_weight.data(),
                               network_.head_bias.data(), slots_.data() + first, totals.votes,
                               totals.sums, totals.squares, bad_rows_.data() + batch);
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
    return {network_.micro_batch, network_.head_width, network_.classes};
  }

  const DeviceNetwork& network_;
  DrawPlan plan_;
  kernels::NoiseParams noise_;
  std::int64_t micro_batches_;
  std::vector<kernels::NoiseRow> host_rows_;
  std::vector<std::int64_t> host_slots_;
  Buffer<kernels::NoiseRow> rows_;
  Buffer<std::int64_t> slots_;
  Buffer<std::uint64_t> bad_rows_;  // of each micro-batch
  Tensor halves_[2];                // layers read one and write the other
};

std::unique_ptr<layers::PreparedNoisy> prepare_noisy(const Stream& stream,
                                                     const layers::Network& network,
                                                     std::int64_t micro_batch) {
  if (network.body.empty()) return nullptr;
  return network.body[0]->prepare_noisy(stream, network.noise_shape(micro_batch),
                                        kernels::Precision::bf16);
}

/// Of `rows` rows in front of the layers that are left.
Shape first_shape(const layers::Network& network, bool noisy, std::int64_t rows) {
  const Shape noised = network.noise_shape(rows);
  return noisy ? network.body[0]->output_shape(noised) : noised;
}

std::span<const std::unique_ptr<layers::Layer>> layers_left(const layers::Network& network,
                                                            bool multi_draw, bool noisy) {
  const std::span all(network.body);
  return all.subspan(multi_draw ? all.size() : noisy ? 1 : 0);
}

}  // namespace

DeviceNetwork::DeviceNetwork(const Stream& stream_, const layers::Network& network,
                             std::int64_t micro_batch_, Fusion fusion)
    : stream(stream_),
      micro_batch(micro_batch_),
      classes(network.classes()),
      head_width(network.head->options().in),
      image_size(network.input.row_size()),
      noise_size(network.noise_shape(1).row_size()),
      noise(network.noise),
      multi_draw(fusion == Fusion::none ? nullptr : layers::prepare_multi_draw(stream_, network)),
      noisy(fusion == Fusion::none || multi_draw ? nullptr
                                                 : prepare_noisy(stream_, network, micro_batch_)),
      first_size(first_shape(network, noisy != nullptr, 1).row_size()),
      body(stream_, layers_left(network, multi_draw != nullptr, noisy != nullptr),
           first_shape(network, noisy != nullptr, micro_batch_), kernels::Precision::bf16),
      head_weight(network.head->weight().value.to(stream_, stream_.device())),
      head_bias(network.head->bias().value.to(stream_, stream_.device())) {}

std::unique_ptr<DeviceRows> make_device_rows(const DeviceNetwork& network, const DrawPlan& plan,
                                             std::int64_t images) {
  if (network.multi_draw) return std::make_unique<RowsOfOneKernel>(network, plan, images);
  return std::make_unique<RowsOfLayers>(network, plan, images);
}

}  // namespace pixeldp
