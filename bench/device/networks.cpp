#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "bench/device/session.hpp"
#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "bench/training_steps.hpp"
#include "engine/consumer_thread.hpp"
#include "pixeldp/certifying.hpp"

// Networks from end to end. Their lines have the names that bench/pytorch.py --device gives its
// own.
namespace pixeldp::bench {
namespace {

/// Operations of a draw behind the noise, of its products.
double operations_of_draw(const layers::Network& net) {
  using Kind = kernels::InferenceStep::Kind;
  const kernels::InferencePlan plan = lower(Stream(), net).body;
  double sum = 0.0;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const kernels::InferenceStep& step = plan.steps[i];
    if (step.kind == Kind::convolution)
      sum += static_cast<double>(step.convolution.multiply_adds());
    if (step.kind == Kind::dense)
      sum += product({plan.sizes[static_cast<std::size_t>(step.input())], plan.sizes[i + 1]});
  }
  return 2.0 * sum;
}

/// The loop of certify, with its bounds.
class CertifyLoop {
 public:
  CertifyLoop(const Stream& stream, const layers::Network& net, std::int64_t micro_batch)
      : device_(stream.device()),
        image_size_(net.input().row_size()),
        sampler_(stream, net, micro_batch) {}

  /// Seconds for all draws of all images.
  double operator()(std::int64_t images, std::int64_t draws) {
    CertificateLogHeader header;
    header.calibration = {
        .mechanism = Mechanism::gaussian, .noise_scale = 0.25, .sensitivity = 1.0};
    return seconds([&] {
      std::optional<Certifier> certifier;
      constexpr std::size_t most_waiting = 256;
      ConsumerThread<SampledImage> certificates(
          most_waiting, [&](std::vector<SampledImage> sampled) {
            if (!certifier) certifier.emplace(header, device_);
            certifier->certify(sampled, [](const CertificateRecord&) {});
          });
      sampler_.run(
          images, {.seed = 1, .count = static_cast<std::uint32_t>(draws)},
          [&](std::int64_t image, float* pixels) {
            std::fill_n(pixels, image_size_, 0.1f);
            return static_cast<std::uint32_t>(image);
          },
          [&](std::int64_t image, const ScoreStatistics& statistics) {
            certificates.push({.image = image, .statistics = statistics});
            return true;
          });
      certificates.finish();
    });
  }

 private:
  Device device_;
  std::int64_t image_size_;
  Sampler sampler_;
};

void measure_draws(Session& session, const std::string& what, const layers::NetworkSpec& spec,
                   std::int64_t micro_batch, std::int64_t images, std::int64_t draws) {
  session.attempt(what, [&] {
    const layers::Network net = noisy_network(spec);
    const double count = product({images, draws});
    const KernelCase work = {what, "bf16", count * operations_of_draw(net), 0.0, {}};
    CertifyLoop loop(session.stream(), net, micro_batch);
    const Timing timing = session.watch().time([&] { return loop(images, draws); });
    session.line(what, timing, count, "draws/s",
                 share_of(work, timing.median(), session.ceilings().rates()));
  });
}

/// Small images, where a device only shows that it works.
layers::NetworkSpec sized(layers::NetworkSpec spec, const Session& session) {
  if (!session.full()) spec.height = spec.width = 8;
  return spec;
}

void measure_training(Session& session, const std::string& network, TrainingConfig config) {
  config.network = sized(config.network, session);
  config.network.training_precision = kernels::Precision::bf16;
  const std::string what =
      fmt::format("{}, bf16, training step of {} images", network, config.batch);
  session.attempt(what, [&] {
    TrainingSteps steps(session.stream(), config);
    const Timing timing = session.watch().time([&] { return steps.step(); });
    session.line(what, timing, static_cast<double>(config.batch), "images/s",
                 {{}, "with copies of the images to the device"});
  });
}

}  // namespace

void draws_on_device(Session& session) {
  if (!session.full()) {
    measure_draws(session, "MNIST CNN, bf16, draws", sized(mnist_cnn_spec(), session), 2, 2, 4);
    measure_draws(session, "WRN-10-1, bf16, micro-batch 2", sized(wide_resnet_spec(10, 1), session),
                  2, 1, 4);
    return;
  }
  // What certify does: windows of images follow each other, with some hundred draws of each.
  measure_draws(session, "MNIST CNN, bf16, draws", mnist_cnn_spec(), 0, 1024, 500);
  constexpr std::int64_t draws = 4096;  // two of the largest micro-batch
  for (const auto& [depth, widening] : {std::pair{28, 10}, std::pair{16, 4}})
    for (const std::int64_t micro_batch : {128, 512, 2048})
      measure_draws(
          session,
          fmt::format("{}, bf16, micro-batch {}", wide_resnet_name(depth, widening), micro_batch),
          wide_resnet_spec(depth, widening), micro_batch, 1, draws);
}

void training_on_device(Session& session) {
  const std::string& folder = session.options().source_folder;
  const std::int64_t batch = session.full() ? 0 : 2;
  measure_training(session, "MNIST CNN", training_config(folder, "mnist/l0.1.yaml", batch));
  TrainingConfig wide = training_config(folder, "cifar-10/l0.1.yaml", batch);
  const auto sizes = session.full() ? std::vector<std::pair<int, int>>{{28, 10}, {16, 4}}
                                    : std::vector<std::pair<int, int>>{{10, 1}};
  for (const auto& [depth, widening] : sizes) {
    wide.network.depth = depth;
    wide.network.widening = widening;
    measure_training(session, wide_resnet_name(depth, widening), wide);
  }
}

}  // namespace pixeldp::bench
