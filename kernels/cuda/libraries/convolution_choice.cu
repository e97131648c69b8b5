/// Who does a convolution: see convolution_choice.hpp. Times are those of CUDA events, in the
/// stream itself, of runs that follow each other after two that are not counted.
#include <map>
#include <mutex>
#include <tuple>

#include "kernels/cuda/device_event.cuh"
#include "kernels/cuda/libraries/convolution_choice.hpp"
#include "kernels/cuda/libraries/stream_handles.cuh"

namespace pixeldp::kernels::cuda {
namespace {

using Choice = std::tuple<int, ConvDirection, Conv2dShape>;

/// Milliseconds of each of several runs, given to the stream without waiting between them, as they
/// will be; none where run() does nothing.
std::vector<float> times_of(cudaStream_t stream, const std::function<bool()>& run) {
  constexpr std::size_t warm_up = 2, counted = 7;
  DeviceEvent before[warm_up + counted + 1];
  before[0].record(stream);
  for (std::size_t i = 0; i < warm_up + counted; ++i) {
    if (!run()) return {};
    before[i + 1].record(stream);
  }
  before[warm_up + counted].wait();
  std::vector<float> times;
  for (std::size_t i = warm_up; i < warm_up + counted; ++i)
    times.push_back(before[i + 1].since(before[i]));
  return times;
}

}  // namespace

void run_convolution(void* stream_pointer, ConvDirection direction, const Conv2dShape& shape,
                     const std::function<void()>& own, const std::function<bool()>& cudnn) {
  const auto run = [&](ConvPath path) {
    if (path == ConvPath::own || !cudnn()) own();
  };
  const ConvPolicy policy = conv_policy();
  if (policy == ConvPolicy::own) return run(ConvPath::own);
  if (policy == ConvPolicy::cudnn) return run(ConvPath::cudnn);

  static std::mutex mutex;
  static std::map<Choice, ConvPath> choices;
  int device = 0;
  check_call(cudaGetDevice(&device), "asking for the device");
  const Choice choice = {device, direction, shape};
  const auto stream = static_cast<cudaStream_t>(stream_pointer);
  {
    const std::lock_guard lock(mutex);
    if (const auto known = choices.find(choice); known != choices.end()) return run(known->second);
  }
  if (is_captured(stream)) return run(ConvPath::own);
  const std::vector<float> cudnn_times = times_of(stream, cudnn);
  const std::vector<float> own_times =
      cudnn_times.empty() ? cudnn_times : times_of(stream, [&] { return own(), true; });
  ConvPath path = choose_conv_path(own_times, cudnn_times);
  {
    const std::lock_guard lock(mutex);  // of two threads that timed it, the first decides for both
    path = choices.emplace(choice, path).first->second;
  }
  run(path);
}

}  // namespace pixeldp::kernels::cuda
