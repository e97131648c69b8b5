#include "pixeldp/multi_draw.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

#include <omp.h>

#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/stream.hpp"

namespace pixeldp {
namespace {

using PreparedLayers = std::vector<std::unique_ptr<kernels::Prepared>>;

/// Prepares a chain of layers for `shape`, notes the size of each output row and returns the last
/// shape.
Shape prepare(const Stream& stream, const std::vector<std::unique_ptr<layers::Layer>>& chain,
              Shape shape, kernels::Precision precision, PreparedLayers& prepared,
              std::vector<std::int64_t>& sizes) {
  for (const auto& layer : chain) {
    prepared.push_back(layer->prepare(stream, shape, precision));
    shape = layer->output_shape(shape);
    sizes.push_back(shape.row_size());
  }
  return shape;
}

/// Makes libraries called in this scope use one thread, so that a prepared layer is the same, and
/// gives the same bits, however many threads the run has.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace

/// The images whose prefixes are in memory, and what has been counted for them.
struct MultiDrawPredictor::Window {
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

  ScoreStatistics statistics(std::int64_t image, std::int64_t classes, std::uint32_t draws) const {
    const auto slice = [&](const std::vector<std::uint64_t>& all) {
      const auto begin = all.begin() + image * classes;
      return std::vector<std::uint64_t>(begin, begin + classes);
    };
    return {draws, slice(votes), slice(sums), slice(squares)};
  }
};

/// One thread's memory, and the two things a thread does with it.
class MultiDrawPredictor::Worker {
 public:
  explicit Worker(const MultiDrawPredictor& p)
      : p_(p),
        rows_(static_cast<std::size_t>(p.micro_batch_)),
        slots_(rows_.size()),
        noisy_(Shape{p.micro_batch_, p.noise_size_}) {
    for (const std::int64_t size : p.prefix_sizes_) prefix_.emplace_back(Shape{1, size});
    for (const std::int64_t size : p.body_sizes_) body_.emplace_back(Shape{p.micro_batch_, size});
    image_ = Tensor(Shape{1, p.image_size_});
  }

  /// Everything before the noise, for one image.
  void prefix(const ImageSource& source, Window& window, std::int64_t image, float* result) {
    window.ids[static_cast<std::size_t>(image)] = source(window.first + image, image_.data());
    const float* x = image_.data();
    for (std::size_t i = 0; i < p_.prefix_.size(); ++i) {
      p_.prefix_[i]->run(x, prefix_[i].data());
      x = prefix_[i].data();
    }
    kernels::synchronize(p_.stream_);
    std::copy_n(x, p_.noise_size_, result);
  }

  /// Rows first ... first + micro_batch - 1 of the window, row r being draw r % draws of image r /
  /// draws.
  void micro_batch(const DrawPlan& plan, Window& window, const Tensor& prefixes,
                   std::int64_t first) {
    const std::int64_t draws = plan.draws, total = window.count * draws;
    for (std::int64_t i = 0; i < p_.micro_batch_; ++i) {
      // Past the end the last row is repeated and counts nowhere: the shape never changes.
      const std::int64_t row = std::min(first + i, total - 1), image = row / draws;
      rows_[static_cast<std::size_t>(i)] = {
          .source = image,
          .image = window.ids[static_cast<std::size_t>(image)],
          .draw = plan.first_draw + static_cast<std::uint32_t>(row % draws)};
      slots_[static_cast<std::size_t>(i)] = first + i < total ? image : -1;
    }
    p_.noise_.forward(p_.stream_,
                      {.seed = plan.seed, .tag = plan.tag, .factor = 1.0f, .rows = rows_},
                      p_.noise_size_, prefixes.data(), noisy_.data());
    const float* x = noisy_.data();
    for (std::size_t i = 0; i < p_.body_.size(); ++i) {
      p_.body_[i]->run(x, body_[i].data());
      x = body_[i].data();
    }
    kernels::draw_statistics(p_.stream_, {p_.micro_batch_, p_.head_width_, p_.classes_}, x,
                             p_.head_weight_.data(), p_.head_bias_.data(), slots_.data(),
                             window.votes.data(), window.sums.data(), window.squares.data());
    for (const std::int64_t slot : slots_) {
      if (slot >= 0)
        window.rows_left[static_cast<std::size_t>(slot)].fetch_sub(1, std::memory_order_acq_rel);
    }
  }

 private:
  const MultiDrawPredictor& p_;
  std::vector<kernels::NoiseRow> rows_;
  std::vector<std::int64_t> slots_;
  Tensor image_, noisy_;
  std::vector<Tensor> prefix_, body_;
};

MultiDrawPredictor::MultiDrawPredictor(const Stream& stream, const layers::Network& network,
                                       std::int64_t micro_batch)
    : stream_(stream),
      micro_batch_(micro_batch),
      classes_(network.classes()),
      head_width_(network.head->options().in),
      image_size_(network.input.row_size()),
      noise_size_(network.noise_shape(1).row_size()),
      noise_(network.noise),
      head_weight_(network.head->weight().value.clone()),
      head_bias_(network.head->bias().value.clone()) {
  if (micro_batch < 1) fail_usage("a micro-batch needs at least one row, not {}", micro_batch);
  const OneThread one_thread;
  prepare(stream, network.prefix, network.input, kernels::Precision::fp32, prefix_, prefix_sizes_);
  prepare(stream, network.body, network.noise_shape(micro_batch), kernels::Precision::bf16, body_,
          body_sizes_);
}

std::int64_t MultiDrawPredictor::window_images(std::uint32_t draws) const {
  // Enough micro-batches to keep the threads busy until the window's end; few enough prefixes to
  // stay small.
  constexpr std::int64_t batches_per_window = 128, prefix_bytes = std::int64_t{64} << 20;
  const std::int64_t wanted = (batches_per_window * micro_batch_ + draws - 1) / draws;
  const std::int64_t affordable =
      prefix_bytes / (noise_size_ * static_cast<std::int64_t>(sizeof(float)));
  return std::max<std::int64_t>(1, std::min(wanted, affordable));
}

void MultiDrawPredictor::run(std::int64_t images, const DrawPlan& plan, const ImageSource& source,
                             const Consumer& consume) const {
  if (plan.draws == 0) fail_usage("the number of draws must be at least 1");
  if (std::uint64_t{plan.first_draw} + plan.draws > (std::uint64_t{1} << 32)) {
    fail_usage("draws are numbered by 32 bits: {} draws from number {} on do not fit", plan.draws,
               plan.first_draw);
  }
  const std::int64_t per_window = std::min(window_images(plan.draws), images);
  if (images <= 0) return;

  Tensor prefixes(Shape{per_window, noise_size_});
  std::unique_ptr<Window> window;
  std::atomic<bool> stop = false;
  bool proceed = true;
  std::exception_ptr failure;
  std::mutex mutex;  // guards failure, window->emitted and the consumer

  // Exceptions must not leave a parallel region: the first one is kept and ends the run.
  const auto attempt = [&](const auto& step) {
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
      if (!consume(window->first + image, window->statistics(image, classes_, plan.draws)))
        stop = true;
    }
  };

  // Other devices share out the work of one stream themselves.
  const bool on_cpu = stream_.device().kind == DeviceKind::cpu;
#pragma omp parallel num_threads(on_cpu ? omp_get_max_threads() : 1)
  {
    if (on_cpu) omp_set_num_threads(1);  // for whatever a layer calls; ends with the region
    std::unique_ptr<Worker> worker;
    attempt([&] { worker = std::make_unique<Worker>(*this); });
    for (std::int64_t first = 0; first < images; first += per_window) {
#pragma omp single
      {
        attempt([&] {
          window = std::make_unique<Window>(first, std::min(per_window, images - first), classes_,
                                            plan.draws);
        });
        proceed = !stop;
      }
      if (!proceed) break;  // one thread decided for all: a team must not part ways at a barrier
#pragma omp for schedule(dynamic)
      for (std::int64_t image = 0; image < window->count; ++image) {
        attempt([&] { worker->prefix(source, *window, image, prefixes.row(image)); });
      }
      const std::int64_t rows = window->count * plan.draws;
#pragma omp for schedule(dynamic)
      for (std::int64_t row = 0; row < rows; row += micro_batch_) {
        attempt([&] {
          worker->micro_batch(plan, *window, prefixes, row);
          emit_finished();
        });
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace pixeldp
