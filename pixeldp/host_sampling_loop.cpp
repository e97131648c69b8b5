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

/// What is counted of a classifier's draws, and the counts of a window of images.
struct ScoreCounter {
  using Statistics = ScoreStatistics;

  struct Counts {
    Counts(std::int64_t images, const ScoreCounter& counter, const DrawRange& draws)
        : votes(static_cast<std::size_t>(images * counter.classes)),
          sums(votes.size()),
          squares(votes.size()),
          reached(draws.histogram ? votes.size() * score_thresholds : 0) {}
    std::vector<std::uint64_t> votes, sums, squares;
    /// [images, classes, score_thresholds]: draws whose score reaches this threshold and none
    /// above; empty where nobody asks for them.
    std::vector<std::uint64_t> reached;
  };

  std::int64_t classes;

  void count(const Stream& stream, std::int64_t rows, std::int64_t width, const float* features,
             const float* weight, const float* bias, const std::int64_t* slots,
             Counts& counts) const {
    const auto add_to = [&](const std::int64_t* places, std::uint64_t* votes, std::uint64_t* sums,
                            std::uint64_t* squares) {
      kernels::draw_statistics(stream, {rows, width, classes}, features, weight, bias, places,
                               votes, sums, squares);
    };
    if (counts.reached.empty())
      return add_to(slots, counts.votes.data(), counts.sums.data(), counts.squares.data());

    // From the sums of each row by itself, which are its scores.
    const auto all = static_cast<std::size_t>(rows * classes);
    std::vector<std::uint64_t> of_rows(3 * all, 0);
    std::vector<std::int64_t> places(slots, slots + rows);
    for (std::int64_t row = 0; row < rows; ++row)
      if (slots[row] >= 0) places[static_cast<std::size_t>(row)] = row;
    const std::uint64_t *votes = of_rows.data(), *sums = votes + all, *squares = sums + all;
    add_to(places.data(), of_rows.data(), of_rows.data() + all, of_rows.data() + 2 * all);
    const auto add = [](std::uint64_t& total, std::uint64_t value) {
      if (value != 0) std::atomic_ref(total).fetch_add(value, std::memory_order_relaxed);
    };
    for (std::int64_t row = 0; row < rows; ++row) {
      if (slots[row] < 0) continue;
      for (std::int64_t c = 0; c < classes; ++c) {
        const auto from = static_cast<std::size_t>(row * classes + c);
        const auto to = static_cast<std::size_t>(slots[row] * classes + c);
        add(counts.votes[to], votes[from]);
        add(counts.sums[to], sums[from]);
        add(counts.squares[to], squares[from]);
        if (const std::uint64_t reached = thresholds_reached(sums[from]); reached > 0)
          add(counts.reached[to * score_thresholds + reached - 1], 1);
      }
    }
  }
  ScoreStatistics statistics(const Counts& counts, std::int64_t image, std::uint32_t draws) const {
    ScoreStatistics all =
        statistics_of(image, classes, draws, counts.votes, counts.sums, counts.squares);
    if (counts.reached.empty()) return all;
    const auto size = static_cast<std::ptrdiff_t>(all.sums.size() * score_thresholds);
    const auto first = counts.reached.begin() + image * size;
    all.histogram.assign(first, first + size);
    for (std::size_t i = all.histogram.size() - 1; i-- > 0;)
      if (i % score_thresholds != score_thresholds - 1) all.histogram[i] += all.histogram[i + 1];
    return all;
  }
};

/// The same of a regression network's.
struct OutputCounter {
  using Statistics = OutputStatistics;

  struct Counts {
    Counts(std::int64_t images, const OutputCounter&, const DrawRange&)
        : totals(static_cast<std::size_t>(images)) {}
    std::vector<kernels::OutputTotals> totals;
  };

  kernels::RealOutput output;

  void count(const Stream& stream, std::int64_t rows, std::int64_t width, const float* features,
             const float* weight, const float* bias, const std::int64_t* slots,
             Counts& counts) const {
    kernels::output_statistics(stream, {rows, width, output}, features, weight, bias, slots,
                               counts.totals.data());
  }
  OutputStatistics statistics(const Counts& counts, std::int64_t image, std::uint32_t draws) const {
    return {draws, counts.totals[static_cast<std::size_t>(image)]};
  }
};

template <class Counter>
class HostSamplingLoop : public SamplingLoopOf<typename Counter::Statistics> {
 public:
  using Consumer = typename SamplingLoopOf<typename Counter::Statistics>::Consumer;

  HostSamplingLoop(const kernels::NetworkPlan& network, const Counter& counter,
                   std::int64_t micro_batch, kernels::Precision precision,
                   std::span<const float> scales, kernels::Algorithm algorithm,
                   std::shared_ptr<const LatticePrefix> lattice)
      : counter_(counter),
        lattice_(std::move(lattice)),
        micro_batch_(micro_batch),
        head_width_(network.features()),
        image_size_(network.image_size()),
        noise_size_(network.noise_size()),
        noise_(network.noise(0, StreamTag::estimation)),
        prefix_(kernels::prepare_inference(network.prefix, kernels::Precision::fp32)),
        body_(kernels::prepare_inference(network.body, precision, scales, algorithm)),
        head_weight_(network.head_weight),
        head_bias_(network.head_bias) {}

  void run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
           const Consumer& consume) override;

 private:
  struct Window;
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
  Counter counter_;
  std::shared_ptr<const LatticePrefix> lattice_;  // null: the noise is added in floats
  std::int64_t micro_batch_, head_width_;
  std::int64_t image_size_, noise_size_;  // elements of an image, and of a row at the noise layer
  kernels::NoiseParams noise_;            // but for seed and tag
  std::unique_ptr<kernels::Inference> prefix_, body_;
  std::vector<float> head_weight_, head_bias_;
  std::mutex idle_mutex_;
  std::vector<std::unique_ptr<Worker>> idle_;
};

/// The images whose prefixes are in memory, and what has been counted for them.
template <class Counter>
struct HostSamplingLoop<Counter>::Window {
  Window(std::int64_t first_image, std::int64_t image_count, const Counter& counter,
         const DrawRange& draws)
      : first(first_image),
        count(image_count),
        ids(static_cast<std::size_t>(image_count)),
        rows_left(static_cast<std::size_t>(image_count)),
        counts(image_count, counter, draws) {
    for (auto& left : rows_left) left = draws.count;
  }

  std::int64_t first, count;
  std::vector<std::uint32_t> ids;
  std::vector<std::atomic<std::int64_t>> rows_left;
  typename Counter::Counts counts;
  std::int64_t emitted = 0;  // images of this window already given to the consumer
};

/// What the images of a window are before the noise, in floats or in steps of a lattice.
struct Prefixes {
  Prefixes(std::int64_t images, std::int64_t elements, bool on_lattice)
      : floats(Shape{on_lattice ? 0 : images, elements}),
        steps(static_cast<std::size_t>(on_lattice ? images * elements : 0)) {}

  Tensor floats;
  std::vector<std::int32_t> steps;
};

/// One thread's memory, and the two things a thread does with it.
template <class Counter>
class HostSamplingLoop<Counter>::Worker {
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
    p_.counter_.count(p_.stream_, count, p_.head_width_, features_.data(), p_.head_weight_.data(),
                      p_.head_bias_.data(), slots.data(), window.counts);
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

template <class Counter>
auto HostSamplingLoop<Counter>::take_worker() -> std::unique_ptr<Worker> {
  const std::lock_guard lock(idle_mutex_);
  if (idle_.empty()) return std::make_unique<Worker>(*this);
  std::unique_ptr<Worker> worker = std::move(idle_.back());
  idle_.pop_back();
  return worker;
}

template <class Counter>
void HostSamplingLoop<Counter>::give_back(std::unique_ptr<Worker> worker) {
  const std::lock_guard lock(idle_mutex_);
  idle_.push_back(std::move(worker));
}

template <class Counter>
void HostSamplingLoop<Counter>::run(std::int64_t images, const DrawRange& draws,
                                    const ImageSource& source, const Consumer& consume) {
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
      if (!consume(window->first + image, counter_.statistics(window->counts, image, draws.count)))
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
          window = std::make_unique<Window>(first, std::min(per_window, images - first), counter_,
                                            draws);
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

template <class Counter>
std::unique_ptr<HostSamplingLoop<Counter>> make_loop(const kernels::NetworkPlan& network,
                                                     const Counter& counter,
                                                     std::int64_t micro_batch,
                                                     const BodyPrecision& precision,
                                                     std::shared_ptr<const LatticePrefix> lattice) {
  const auto in = precision_on({}, precision.precision);
  const auto algorithm = algorithm_on({}, precision.algorithm);
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
    return std::make_unique<HostSamplingLoop<Counter>>(network, counter, micro_batch, in, scales,
                                                       algorithm, std::move(lattice));
  } catch (const OutOfMemory& error) {
    if (!larger) throw;
    throw OutOfMemory(fmt::format("{}; {}", error.what(), weights));
  } catch (const std::bad_alloc&) {
    throw OutOfMemory("out of memory: " + weights);
  }
}

}  // namespace

std::unique_ptr<SamplingLoop> make_host_sampling_loop(
    const kernels::NetworkPlan& network, std::int64_t micro_batch, const BodyPrecision& precision,
    std::shared_ptr<const LatticePrefix> lattice) {
  return make_loop(network, ScoreCounter{network.classes}, micro_batch, precision,
                   std::move(lattice));
}

std::unique_ptr<OutputSamplingLoop> make_host_sampling_loop(const kernels::NetworkPlan& network,
                                                            const kernels::RealOutput& output,
                                                            std::int64_t micro_batch,
                                                            const BodyPrecision& precision) {
  return make_loop(network, OutputCounter{output}, micro_batch, precision, nullptr);
}

}  // namespace pixeldp
