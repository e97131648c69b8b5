#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <new>

#include <omp.h>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/notice.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/lattice_noise.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/quantisation.hpp"
#include "pixeldp/sampling_window.hpp"

namespace pixeldp {
namespace {

class HostSamplingLoop : public SamplingLoop {
 public:
  HostSamplingLoop(const kernels::NetworkPlan& network, std::int64_t micro_batch,
                   kernels::Precision precision, std::span<const float> scales,
                   kernels::Algorithm algorithm, std::shared_ptr<const LatticePrefix> lattice)
      : lattice_(std::move(lattice)),
        micro_batch_(micro_batch),
        classes_(network.classes),
        head_width_(network.features()),
        image_size_(network.image_size()),
        noise_size_(network.noise_size()),
        noise_(network.noise(0, StreamTag::estimation)),
        prefix_(kernels::prepare_inference(network.prefix, kernels::Precision::fp32)),
        body_(kernels::prepare_inference(network.body, precision, scales, algorithm)),
        head_weight_(network.head_weight),
        head_bias_(network.head_bias) {}

  void run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
           const StatisticsConsumer& consume) override;

 private:
  struct Window;
  struct Prefixes;
  class Worker;

  /// The rows of a micro-batch of so many in all: enough micro-batches for all threads, for their
  /// size does not show in the results.
  std::int64_t batch_of(std::int64_t rows) const {
    const std::int64_t threads = omp_get_num_threads();
    return std::clamp<std::int64_t>((rows + threads - 1) / threads, 1, micro_batch_);
  }

  /// A worker that no other thread has: one of an earlier run, where there is one.
  std::unique_ptr<Worker> take_worker();
  void give_back(std::unique_ptr<Worker> worker);

  Stream stream_;
  std::shared_ptr<const LatticePrefix> lattice_;  // null: the noise is added in floats
  std::int64_t micro_batch_, classes_, head_width_;
  std::int64_t image_size_, noise_size_;  // elements of an image, and of a row at the noise layer
  kernels::NoiseParams noise_;            // but for seed and tag
  std::unique_ptr<kernels::Inference> prefix_, body_;
  std::vector<float> head_weight_, head_bias_;
  std::mutex idle_mutex_;
  std::vector<std::unique_ptr<Worker>> idle_;
};

/// The images whose prefixes are in memory, and what has been counted for them.
struct HostSamplingLoop::Window {
  Window(std::int64_t first_image, std::int64_t image_count, std::int64_t classes,
         std::uint32_t draws)
      : first(first_image),
        count(image_count),
        ids(static_cast<std::size_t>(image_count)),
        rows_left(static_cast<std::size_t>(image_count)),
        votes(static_cast<std::size_t>(image_count * classes)),
        sums(votes.size()),
        squares(votes.size()) {
    for (auto& left : rows_left) left = draws;
  }

  std::int64_t first, count;
  std::vector<std::uint32_t> ids;
  std::vector<std::atomic<std::int64_t>> rows_left;
  std::vector<std::uint64_t> votes, sums, squares;
  std::int64_t emitted = 0;  // images of this window already given to the consumer
};

/// What the images of a window are before the noise, in floats or in steps of a lattice.
struct HostSamplingLoop::Prefixes {
  Prefixes(std::int64_t images, std::int64_t elements, bool on_lattice)
      : floats(Shape{on_lattice ? 0 : images, elements}),
        steps(static_cast<std::size_t>(on_lattice ? images * elements : 0)) {}

  Tensor floats;
  std::vector<std::int32_t> steps;
};

/// One thread's memory, and the two things a thread does with it.
class HostSamplingLoop::Worker {
 public:
  explicit Worker(const HostSamplingLoop& p)
      : p_(p),
        rows_(static_cast<std::size_t>(p.micro_batch_)),
        slots_(rows_.size()),
        image_(Shape{1, p.image_size_}),
        noisy_(Shape{p.micro_batch_, p.noise_size_}),
        features_(Shape{p.micro_batch_, p.head_width_}),
        workspace_({}, static_cast<std::size_t>(
                           std::max(p.prefix_->workspace_size(), p.body_->workspace_size()))) {}

  /// Everything before the noise, for one image.
  void prefix(const ImageSource& source, Window& window, std::int64_t image, Prefixes& prefixes) {
    window.ids[static_cast<std::size_t>(image)] = source(window.first + image, image_.data());
    if (p_.lattice_)
      p_.lattice_->run(image_.data(), prefixes.steps.data() + image * p_.noise_size_);
    else
      p_.prefix_->run(1, image_.data(), prefixes.floats.row(image), workspace_.data());
  }

  /// Rows first ... first + count - 1 of the window.
  void micro_batch(const DrawRange& draws, Window& window, const Prefixes& prefixes,
                   std::int64_t first, std::int64_t count) {
    const std::span rows(rows_.data(), static_cast<std::size_t>(count));
    const std::span slots(slots_.data(), rows.size());
    describe_rows(draws, window.ids, window.count, first, rows, slots);
    const kernels::NoiseParams noise = noise_for(p_.noise_, draws);
    if (p_.lattice_)
      kernels::add_lattice_noise(noise, rows.data(), count, p_.noise_size_, prefixes.steps.data(),
                                 noisy_.data());
    else
      kernels::add_noise(p_.stream_, noise, rows.data(), count, p_.noise_size_,
                         prefixes.floats.data(), noisy_.data());
    p_.body_->run(count, noisy_.data(), features_.data(), workspace_.data());
    kernels::draw_statistics(p_.stream_, {count, p_.head_width_, p_.classes_}, features_.data(),
                             p_.head_weight_.data(), p_.head_bias_.data(), slots.data(),
                             window.votes.data(), window.sums.data(), window.squares.data());
    for (const std::int64_t slot : slots) {
      if (slot >= 0)
        window.rows_left[static_cast<std::size_t>(slot)].fetch_sub(1, std::memory_order_acq_rel);
    }
  }

 private:
  const HostSamplingLoop& p_;
  std::vector<kernels::NoiseRow> rows_;
  std::vector<std::int64_t> slots_;
  Tensor image_;
  Tensor noisy_, features_;
  Memory workspace_;
};

std::unique_ptr<HostSamplingLoop::Worker> HostSamplingLoop::take_worker() {
  const std::lock_guard lock(idle_mutex_);
  if (idle_.empty()) return std::make_unique<Worker>(*this);
  std::unique_ptr<Worker> worker = std::move(idle_.back());
  idle_.pop_back();
  return worker;
}

void HostSamplingLoop::give_back(std::unique_ptr<Worker> worker) {
  const std::lock_guard lock(idle_mutex_);
  idle_.push_back(std::move(worker));
}

void HostSamplingLoop::run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
                           const StatisticsConsumer& consume) {
  const std::int64_t per_window =
      std::min(WindowSize(std::max(image_size_, noise_size_), draws.count).first(), images);

  Prefixes prefixes(per_window, noise_size_, lattice_ != nullptr);
  std::unique_ptr<Window> window;
  std::atomic<bool> stop = false;
  bool proceed = true;
  std::exception_ptr failure;
  std::mutex mutex;  // guards failure, window->emitted and the consumer

  // Exceptions must not leave a parallel region: the first one is kept and ends the run.
  const auto attempt = [&](const auto& step) {
    if (draws.interruptible && interrupted()) stop = true;
    if (stop.load(std::memory_order_relaxed)) return;
    try {
      step();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      stop = true;
    }
  };
  const auto emit_finished = [&] {
    const std::lock_guard lock(mutex);
    while (!stop && window->emitted < window->count &&
           window->rows_left[static_cast<std::size_t>(window->emitted)].load(
               std::memory_order_acquire) == 0) {
      const std::int64_t image = window->emitted++;
      if (!consume(window->first + image, statistics_of(image, classes_, draws.count, window->votes,
                                                        window->sums, window->squares)))
        stop = true;
    }
  };

#pragma omp parallel
  {
    std::unique_ptr<Worker> worker;
    attempt([&] { worker = take_worker(); });
    for (std::int64_t first = 0; first < images; first += per_window) {
#pragma omp single
      {
        attempt([&] {
          window = std::make_unique<Window>(first, std::min(per_window, images - first), classes_,
                                            draws.count);
        });
        proceed = !stop;
      }
      if (!proceed) break;  // one thread decided for all: a team must not part ways at a barrier
#pragma omp for schedule(dynamic)
      for (std::int64_t image = 0; image < window->count; ++image) {
        attempt([&] { worker->prefix(source, *window, image, prefixes); });
      }
      const std::int64_t rows = window->count * draws.count, batch = batch_of(rows);
#pragma omp for schedule(dynamic)
      for (std::int64_t row = 0; row < rows; row += batch) {
        attempt([&] {
          worker->micro_batch(draws, *window, prefixes, row, std::min(batch, rows - row));
          emit_finished();
        });
      }
    }
    if (worker) attempt([&] { give_back(std::move(worker)); });
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::unique_ptr<SamplingLoop> make_host_sampling_loop(
    const kernels::NetworkPlan& network, std::int64_t micro_batch, const BodyPrecision& precision,
    std::shared_ptr<const LatticePrefix> lattice) {
  const auto in = precision_on({}, precision.precision);
  const auto algorithm = algorithm_on({}, in, precision.algorithm);
  const auto scales = scales_of(network.body, in, precision.quantisation);
  const auto mebibytes = [&](kernels::Algorithm by) {
    return static_cast<double>(prepared_weight_bytes(network.body, in, by)) / (1 << 20);
  };
  const std::string weights =
      fmt::format("the weights after the noise take {:.0f} MiB ({:.0f} MiB by --algorithm direct)",
                  mebibytes(algorithm), mebibytes(kernels::Algorithm::direct));
  const bool larger = mebibytes(algorithm) > mebibytes(kernels::Algorithm::direct);
  constexpr double worth_a_word = 128;
  if (larger && mebibytes(algorithm) > worth_a_word) notice("{}", weights);
  try {
    return std::make_unique<HostSamplingLoop>(network, micro_batch, in, scales, algorithm,
                                              std::move(lattice));
  } catch (const OutOfMemory& error) {
    if (!larger) throw;
    throw OutOfMemory(fmt::format("{}; {}", error.what(), weights));
  } catch (const std::bad_alloc&) {
    throw OutOfMemory("out of memory: " + weights);
  }
}

}  // namespace pixeldp
