#include "pixeldp/image_gradients.hpp"

#include <algorithm>

#include <omp.h>

#include "engine/error.hpp"
#include "engine/threads.hpp"
#include "kernels/pooling.hpp"
#include "pixeldp/sampling_window.hpp"

namespace pixeldp {
namespace {

/// Rows of one call of a kernel: enough to use a dense layer's weights well, few enough that the
/// draws of a single image keep several threads busy.
std::int64_t block_rows(const Device& device) {
  switch (device.kind) {
    case DeviceKind::cpu:
      return 16;
    case DeviceKind::cuda:
      return 256;
    case DeviceKind::emulated:
      return 8;
  }
  fail("not a kind of device: {}", static_cast<int>(device.kind));
}

std::size_t bytes_of(std::int64_t floats) {
  return static_cast<std::size_t>(floats) * sizeof(float);
}

}  // namespace

/// One thread's memory, and what a thread does with it.
class ImageGradients::Worker {
 public:
  Worker(const Stream& stream, layers::Network& network)
      : stream_(stream),
        pass_(network),
        image_(network.input(), stream.device()),
        dprefix_(network.noise_shape(1), stream.device()),
        dlogits_({block_rows(stream.device()), network.classes()}, stream.device()),
        rows_(stream.device(), block_rows(stream.device())) {}

  /// Everything before the noise, of one image.
  void prefix(const float* image, float* result) {
    copy_memory(stream_, image_.data(), image_.device(), image, {}, bytes_of(image_.size()));
    const Tensor& values = pass_.forward_prefix(stream_, image_);
    copy_memory(stream_, result, values.device(), values.data(), values.device(),
                bytes_of(values.size()));
  }

  /// The gradient in an image from that in its prefix.
  void back_to_image(const float* image, const float* dprefix, float* result) {
    copy_memory(stream_, image_.data(), image_.device(), image, {}, bytes_of(image_.size()));
    copy_memory(stream_, dprefix_.data(), dprefix_.device(), dprefix, dprefix_.device(),
                bytes_of(dprefix_.size()));
    pass_.forward_prefix(stream_, image_);
    pass_.backward_prefix(stream_, image_, dprefix_, dimage_);
    copy_memory(stream_, result, {}, dimage_.data(), dimage_.device(), bytes_of(dimage_.size()));
  }

  /// The logits of up to a block of rows, and from the gradients in them those in the prefix.
  /// `gradient` is given the row's number in the block, its logits and where its gradient goes.
  template <class Gradient>
  void block(const Tensor& prefixes, const DrawRange& draws,
             std::span<const kernels::NoiseRow> rows, const Gradient& gradient, float* drows) {
    std::vector<kernels::NoiseRow> padded(rows.begin(), rows.end());
    padded.resize(static_cast<std::size_t>(rows_.size()), rows.back());
    rows_.upload(stream_, padded);
    const Tensor& on_device = pass_.forward_rows(
        stream_, prefixes,
        {.seed = draws.seed, .tag = draws.tag, .rows = {rows_.data(), padded.size()}});
    const Tensor logits = on_device.to(stream_, Device());
    Tensor dlogits(logits.shape());  // zeros, which padding keeps
    const auto classes = static_cast<std::size_t>(logits.shape()[1]);
    for (std::int64_t i = 0; i < std::ssize(rows); ++i)
      gradient(i, std::span(logits.row(i), classes), std::span(dlogits.row(i), classes));
    dlogits_.copy_from(stream_, dlogits);
    pass_.backward_rows(stream_, prefixes, dlogits_, drows_);
    copy_memory(stream_, drows, drows_.device(), drows_.data(), drows_.device(),
                bytes_of(std::ssize(rows) * drows_.shape().row_size()));
  }

 private:
  const Stream& stream_;
  layers::TrainingPass pass_;
  Tensor image_, dimage_, dprefix_, dlogits_, drows_;
  Buffer<kernels::NoiseRow> rows_;
};

ImageGradients::ImageGradients(const Stream& stream, layers::Network& network,
                               std::int64_t micro_batch)
    : stream_(stream), network_(network) {
  const Device device = stream.device();
  const std::int64_t block = block_rows(device);
  const std::int64_t row = network.noise_shape(1).row_size() * std::int64_t{sizeof(float)};
  if (micro_batch == 0) micro_batch = std::min<std::int64_t>(1024, WindowSize::prefix_bytes / row);
  window_ = std::max(micro_batch / block, std::int64_t{1}) * block;
  const int threads = device.kind == DeviceKind::cpu ? omp_get_max_threads() : 1;
  for (int i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>(stream_, network_));
}

ImageGradients::~ImageGradients() = default;

template <class F>
void ImageGradients::share_out(std::int64_t count, const F& f) {
  if (workers_.size() == 1) {
    for (std::int64_t i = 0; i < count; ++i) f(*workers_.front(), i);
    return;
  }
  // Each thread calls kernels on its own, which take one thread there, whatever their number.
  parallel_for(count, [&](std::int64_t i) {
    f(*workers_.at(static_cast<std::size_t>(omp_get_thread_num())), i);
  });
}

void ImageGradients::check(const Tensor& images, std::span<const std::uint32_t> ids,
                           const DrawRange& draws) const {
  if (images.shape() != network_.input().with_rows(images.rows()) ||
      std::ssize(ids) != images.rows()) {
    fail("gradients in images {} with {} aims: the network takes {}", images.shape().text(),
         ids.size(), network_.input().text());
  }
  if (draws.count == 0) fail_usage("the number of draws must be at least 1");
}

template <class Gradient>
std::vector<float> ImageGradients::differentiate(const Tensor& images,
                                                 std::span<const std::uint32_t> ids,
                                                 const DrawRange& draws, const Gradient& gradient,
                                                 Tensor& gradients) {
  check(images, ids, draws);
  const std::int64_t count = images.rows(), rows = count * draws.count;
  const std::int64_t block = block_rows(stream_.device());
  const Shape at_noise = network_.noise_shape(count);
  prefixes_.resize(at_noise, stream_.device());
  dprefixes_.resize(at_noise, stream_.device());
  zero_memory(stream_, dprefixes_.data(), bytes_of(dprefixes_.size()));
  drows_.resize(network_.noise_shape(std::min(window_, (rows + block - 1) / block * block)),
                stream_.device());
  gradients.resize(images.shape());
  share_out(count, [&](Worker& worker, std::int64_t i) {
    worker.prefix(images.row(i), prefixes_.row(i));
  });

  // Row r is draw r / count of image r % count: rows that follow each other are added to the
  // gradients of images that do.
  const auto classes = static_cast<std::size_t>(network_.classes());
  std::vector<float> logits(static_cast<std::size_t>(rows) * classes);
  for (std::int64_t first = 0; first < rows; first += window_) {
    const std::int64_t last = std::min(first + window_, rows);
    share_out((last - first + block - 1) / block, [&](Worker& worker, std::int64_t b) {
      const std::int64_t begin = first + b * block;
      std::vector<kernels::NoiseRow> of_block;
      for (std::int64_t r = begin; r < std::min(begin + block, last); ++r) {
        of_block.push_back({.source = r % count,
                            .image = ids[static_cast<std::size_t>(r % count)],
                            .draw = draws.first + static_cast<std::uint32_t>(r / count)});
      }
      worker.block(
          prefixes_, draws, of_block,
          [&](std::int64_t i, std::span<const float> z, std::span<float> dz) {
            const auto r = static_cast<std::size_t>(begin + i);
            std::ranges::copy(z, logits.begin() + static_cast<std::ptrdiff_t>(r * classes));
            gradient(r % static_cast<std::size_t>(count), z, dz);
          },
          drows_.row(begin - first));
    });
    for (std::int64_t r = first; r < last;) {
      const std::int64_t image = r % count, run = std::min(count - image, last - r);
      kernels::add(stream_, kernels::Activation::identity(), run * at_noise.row_size(),
                   dprefixes_.row(image), drows_.row(r - first), dprefixes_.row(image));
      r += run;
    }
  }
  share_out(count, [&](Worker& worker, std::int64_t i) {
    worker.back_to_image(images.row(i), dprefixes_.row(i), gradients.row(i));
  });
  return logits;
}

std::vector<DrawsLossValue> ImageGradients::run(const Tensor& images,
                                                std::span<const AimedImage> aimed, DrawsLoss loss,
                                                const DrawRange& draws, Tensor& gradients) {
  std::vector<std::uint32_t> ids;
  for (const AimedImage& image : aimed) {
    ids.push_back(image.id);
    if (image.aim.label < 0 || image.aim.label >= network_.classes())
      fail_usage("an attack on label {}: there are {} classes, from 0 on", image.aim.label,
                 network_.classes());
  }
  const std::vector<float> logits = differentiate(
      images, ids, draws,
      [&](std::size_t image, std::span<const float> z, std::span<float> dz) {
        draws_loss_gradient(loss, aimed[image].aim, draws.count, z, dz);
      },
      gradients);

  const auto classes = static_cast<std::size_t>(network_.classes());
  const std::int64_t count = images.rows(), rows = count * draws.count;
  std::vector<DrawsLossValue> values;
  for (std::int64_t image = 0; image < count; ++image) {
    DrawsLossSum sum(loss, aimed[static_cast<std::size_t>(image)].aim, draws.count);
    for (std::int64_t r = image; r < rows; r += count)
      sum.add(std::span(logits).subspan(static_cast<std::size_t>(r) * classes, classes));
    values.push_back(sum.value());
    float* const gradient = gradients.row(image);
    const double divisor = values.back().divisor;
    if (divisor == 1.0) continue;
    for (std::int64_t i = 0; i < images.shape().row_size(); ++i)
      gradient[i] = static_cast<float>(gradient[i] / divisor);
  }
  return values;
}

std::vector<double> ImageGradients::run(const Tensor& images, std::span<const std::uint32_t> ids,
                                        kernels::OutputKind output, const DrawRange& draws,
                                        Tensor& gradients) {
  // A slope so small that floats lose it still has a direction.
  constexpr double least_slope = 1e-30;
  const std::vector<float> logits = differentiate(
      images, ids, draws,
      [&](std::size_t, std::span<const float> z, std::span<float> dz) {
        const double slope = kernels::slope_of(output, kernels::place_of(output, z[0]));
        dz[0] = static_cast<float>(std::max(slope, least_slope) / draws.count);
      },
      gradients);
  std::vector<double> means(ids.size(), 0.0);
  for (std::size_t r = 0; r < logits.size(); ++r)
    means[r % ids.size()] += kernels::place_of(output, logits[r]) / draws.count;
  return means;
}

}  // namespace pixeldp
