#include <fmt/format.h>

#include "bench/device/on_device.hpp"
#include "bench/device/rivals.hpp"
#include "bench/device/session.hpp"
#include "engine/error.hpp"

namespace pixeldp::bench {
namespace {

using kernels::Conv2dShape;
using kernels::ConvDirection;

/// Those of WRN-28-10 behind its first: both strides of every number of channels.
std::vector<Conv2dShape> shapes(std::int64_t batch, CaseSize size) {
  switch (size) {
    case CaseSize::full:
      return {square_convolution(batch, 32, 160, 160, 3, 1),
              square_convolution(batch, 32, 160, 320, 3, 2),
              square_convolution(batch, 16, 320, 320, 3, 1),
              square_convolution(batch, 16, 320, 640, 3, 2),
              square_convolution(batch, 8, 640, 640, 3, 1)};
    case CaseSize::least:
      return {square_convolution(batch, 4, 16, 16, 3, 1),
              square_convolution(batch, 4, 16, 32, 3, 2)};
  }
  return {};
}

/// How fast cuDNN's best algorithm is where it is, or why there is none.
class Cudnn {
 public:
  Cudnn(Session& session, ConvDirection direction, const Conv2dShape& shape)
      : watch_(session.watch()), inputs_(session.stream()) {
    attempt([&] {
      const Rival rival = cudnn_convolution(inputs_, direction, shape);
      obstacle_ = rival.obstacle;
      if (obstacle_.empty()) best_ = best_algorithm(watch_, rival);
    });
  }

  /// How many times as fast as it something is that took so long.
  Share share(Cache cache, double seconds, double operations) {
    Share found;
    if (best_)
      attempt([&] {
        const Timing theirs = watch_.time(cache, best_);
        found = {
            theirs.median() / seconds,
            fmt::format("cuDNN's best algorithm: {:.1f} TFLOP/s{}", theirs.rate(operations).median,
                        theirs.invalid.empty() ? "" : ", INVALID: " + theirs.invalid)};
      });
    if (!found.value) found.of = "cuDNN: " + obstacle_;
    return found;
  }

 private:
  /// What fails there is no reason to lose a line of ours.
  template <class F>
  void attempt(const F& work) {
    try {
      work();
    } catch (const Error& error) {
      obstacle_ = error.what();
    }
  }

  Stopwatch& watch_;
  Inputs inputs_;
  Work best_;
  std::string obstacle_;
};

void measure(Session& session, const KernelCase& own, ConvDirection direction,
             const Conv2dShape& shape) {
  Inputs inputs(session.stream());
  const Work work = own.prepare(inputs);
  Cudnn cudnn(session, direction, shape);
  const double operations = 1e-12 * own.operations;
  for (const Cache cache : caches) {
    const std::string what = fmt::format("{}, {}", own.name, name(cache));
    const Timing timing = session.watch().time(cache, work);
    session.line(what, timing, operations, "TFLOP/s",
                 share_of(own, timing.median(), session.ceilings().rates()));
    session.line(what, timing, operations, "TFLOP/s",
                 cudnn.share(cache, timing.median(), operations));
  }
}

}  // namespace

void convolutions(Session& session) {
  const std::vector<std::int64_t> batches =
      session.full() ? std::vector<std::int64_t>{128, 512, 2048} : std::vector<std::int64_t>{1, 2};
  for (const std::int64_t batch : batches)
    for (const Conv2dShape& shape : shapes(batch, session.options().size))
      for (const ConvDirection direction :
           {ConvDirection::forward, ConvDirection::backward_data, ConvDirection::backward_weight}) {
        const KernelCase own = convolution_case(session.stream().device(), direction, shape);
        session.attempt(own.name, [&] { measure(session, own, direction, shape); });
      }
}

}  // namespace pixeldp::bench
