#include "bench/device/rivals.hpp"

#include <limits>

#include <fmt/format.h>

#include "engine/error.hpp"
#ifdef PIXELDP_WITH_CUDA
#include "bench/cuda/cublaslt.hpp"
#include "kernels/cuda/libraries/cudnn.hpp"
#endif

namespace pixeldp::bench {
namespace {

using kernels::Conv2dShape;
using kernels::ConvDirection;

Rival none_on(const Device& device) {
  return {fmt::format("there is none on the device {}", device.name()), {}};
}

#ifdef PIXELDP_WITH_CUDA
/// With as much padding before the image as after it, which is all that cuDNN knows. The same
/// operations, but for those on zeros.
Conv2dShape evenly_padded(Conv2dShape shape) {
  for (kernels::Padding* pad : {&shape.pad_h, &shape.pad_w}) pad->before = pad->after;
  return shape;
}
#endif

}  // namespace

Rival matrix_product(Inputs& inputs, ProductType type, std::int64_t n) {
#ifdef PIXELDP_WITH_CUDA
  if (inputs.stream().device().kind == DeviceKind::cuda)
    return cublaslt::matrix_product(inputs, type, n);
#else
  static_cast<void>(type), static_cast<void>(n);
#endif
  return none_on(inputs.stream().device());
}

Rival cudnn_convolution(Inputs& inputs, ConvDirection direction, const Conv2dShape& given) {
#ifdef PIXELDP_WITH_CUDA
  if (inputs.stream().device().kind == DeviceKind::cuda) {
    namespace cudnn = kernels::cuda::cudnn;
    if (!cudnn::available())
      return {"cuDNN was not found: PIXELDP_LIBRARIES=FOLDER names where it lies", {}};
    const Conv2dShape shape = evenly_padded(given);
    auto* x = inputs.random<std::uint16_t>(shape.batch * shape.in_h * shape.in_w * shape.in_c);
    auto* weight = inputs.random<std::uint16_t>(shape.weight_size());
    auto* y =
        inputs.random<std::uint16_t>(shape.batch * shape.out_h() * shape.out_w() * shape.out_c);
    Rival rival;
    for (int algorithm = 0; algorithm < cudnn::algorithm_count(direction); ++algorithm) {
      rival.algorithms.push_back([=, stream = inputs.stream().native()] {
        if (!cudnn::convolve_bf16(stream, direction, shape, algorithm, x, weight, y))
          fail("cuDNN has no such convolution by its algorithm {}", algorithm);
      });
    }
    return rival;
  }
#else
  static_cast<void>(direction), static_cast<void>(given);
#endif
  return none_on(inputs.stream().device());
}

Work best_algorithm(Stopwatch& watch, const Rival& rival) {
  double least = std::numeric_limits<double>::infinity();
  Work best;
  std::string failure = "there is no algorithm";
  for (const Work& algorithm : rival.algorithms) {
    try {
      const double seconds = watch.glance(algorithm);
      if (seconds >= least) continue;
      least = seconds;
      best = algorithm;
    } catch (const Error& error) {
      failure = error.what();
    }
  }
  if (!best) fail("{}", failure);
  return best;
}

}  // namespace pixeldp::bench
