#include <optional>

#include <fmt/format.h>

#include "bench/device/on_device.hpp"
#include "bench/device/rivals.hpp"
#include "bench/device/session.hpp"

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

/// cuDNN's best algorithm, or why there is none.
struct CudnnBest {
  std::optional<Work> work;
  std::string obstacle;
};

CudnnBest cudnn_best(Session& session, Inputs& inputs, ConvDirection direction,
                     const Conv2dShape& shape) {
  const Rival rival = cudnn_convolution(inputs, direction, shape);
  if (!rival.obstacle.empty()) return {{}, rival.obstacle};
  try {
    return {best_algorithm(session.watch(), rival), ""};
  } catch (const std::exception& error) {
    return {{}, error.what()};
  }
}

void measure(Session& session, const KernelCase& own, ConvDirection direction,
             const Conv2dShape& shape) {
  Inputs inputs(session.stream());
  const Work work = own.prepare(inputs);
  const CudnnBest cudnn = cudnn_best(session, inputs, direction, shape);
  const double operations = 1e-12 * own.operations;
  for (const Cache cache : caches) {
    const std::string what = fmt::format("{}, {}", own.name, name(cache));
    const Timing timing = session.watch().time(cache, work);
    session.line(what, timing, operations, "TFLOP/s",
                 share_of(own, timing.median(), session.ceilings().rates()));
    Share to_cudnn = {{}, "cuDNN: " + cudnn.obstacle};
    if (cudnn.work) {
      const Timing theirs = session.watch().time(cache, *cudnn.work);
      to_cudnn = {
          theirs.median() / timing.median(),
          fmt::format("cuDNN's best algorithm: {:.1f} TFLOP/s{}", theirs.rate(operations).median,
                      theirs.invalid.empty() ? "" : ", INVALID: " + theirs.invalid)};
    }
    session.line(what, timing, operations, "TFLOP/s", to_cudnn);
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
