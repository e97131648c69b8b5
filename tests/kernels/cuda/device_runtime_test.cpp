#include <chrono>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "engine/buffer.hpp"
#include "engine/captured_graph.hpp"
#include "engine/event.hpp"
#include "engine/runtime.hpp"
#include "engine/tensor.hpp"
#include "kernels/cuda/runtime.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/emulator/memory.hpp"
#include "kernels/emulator/runtime.hpp"
#include "kernels/emulator/settings.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

const Device emulated{DeviceKind::emulated, 0};

TEST_CASE("tensors travel to a device and back; the processor cannot look at them there") {
  const Stream stream(emulated);
  Tensor tensor(Shape{3, 5});
  for (std::int64_t i = 0; i < tensor.size(); ++i) tensor.data()[i] = static_cast<float>(i);
  const Tensor there = tensor.to(stream, emulated);
  CHECK(there.device() == emulated);
  CHECK(there.shape() == tensor.shape());
  CHECK_FAILS(there.values(), "emulated");
  const Tensor twice = there.to(stream, emulated);
  CHECK(twice.data() != there.data());
  const Tensor back = twice.to(stream, Device());
  CHECK(std::ranges::equal(back.values(), tensor.values()));
  CHECK_FAILS(Tensor(Shape{2}).copy_from(stream, there), "3x5");
  CHECK_FAILS(there.to(Stream(), Device()), "a stream of cpu cannot copy memory of emulated");

  Tensor resized(Shape{4}, emulated);
  const float* const memory = resized.data();
  resized.resize(Shape{4}, emulated);
  CHECK(resized.data() == memory);
  resized.resize(Shape{4});
  CHECK(resized.device() == Device());
}

TEST_CASE("device memory starts at zero, and none is left behind") {
  const std::size_t before = emulator::device_memory().live_allocations();
  {
    const Stream stream(emulated);
    Buffer<std::int32_t> buffer(emulated, 100);
    std::vector<std::int32_t> values(100, 7);
    buffer.download(stream, values);
    CHECK(values == std::vector<std::int32_t>(100, 0));
    const Buffer<std::int32_t> moved = std::move(buffer);
    CHECK(moved.size() == 100);
    CHECK(emulator::device_memory().live_allocations() == before + 1);
  }
  CHECK(emulator::device_memory().live_allocations() == before);
}

TEST_CASE("events tell how long the work between them took; a processor has none") {
  const Stream stream(emulated);
  const Event start(stream);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const Event end(stream);
  end.wait();
  CHECK(end.since(start) >= 0.005);
  CHECK(end.since(start) < 60.0);
  CHECK(start.since(end) == -end.since(start));
  CHECK_FAILS(Event(Stream()), "a processor has no events");
}

TEST_CASE("a device tells its properties") {
  const Runtime::Properties p = runtime(DeviceKind::emulated).properties(0);
  CHECK(p.name.starts_with("emulated sm_"));
  CHECK(p.architecture >= kernels::oldest_architecture);
  const kernels::Arch& arch = emulator::settings().arch;
  CHECK(p.multiprocessors == arch.multiprocessors);
  CHECK(p.shared_per_block == arch.shared_per_block);
  CHECK(p.shared_per_multiprocessor == arch.shared_per_multiprocessor);
  CHECK(p.registers_per_multiprocessor == arch.registers_per_multiprocessor);
  CHECK(p.threads_per_multiprocessor == arch.threads_per_multiprocessor);
  CHECK(p.l2_bytes == arch.l2_bytes);
  CHECK(p.memory_bytes == emulator::settings().memory);
  CHECK_FAILS(runtime(DeviceKind::emulated).properties(7), "7");
}

TEST_CASE("too little device memory is said with the size asked for and the size free") {
  emulator::Settings small = emulator::settings();
  small.memory = std::size_t{4} << 20;
  const emulator::WithSettings with(small);
  CHECK_FAILS(Tensor(Shape{1 << 20, 2}, emulated),
              "out of memory on emulated: 8.0 MiB asked for, 4.0 of 4.0 MiB free");
  CHECK_NOTHROW(Tensor(Shape{1 << 18}, emulated));
}

TEST_CASE("a graph does its work each time it is launched, on what lies in memory then") {
  const Stream stream(emulated);
  Tensor x(Shape{4});
  x.fill(-2.0f);
  Tensor there = x.to(stream, emulated);
  const CapturedGraph graph(stream, [&] {
    kernels::activate(stream, kernels::Activation::leaky_relu(0.5f), 4, there.data());
  });
  CHECK(there.to(stream, Device()).values()[3] == -2.0f);  // recorded, not done
  graph.launch();
  graph.launch();
  CHECK(there.to(stream, Device()).values()[3] == -0.5f);
  there.copy_from(stream, x);
  graph.launch();
  CHECK(there.to(stream, Device()).values()[0] == -1.0f);
}

TEST_CASE("what cannot be recorded spoils the graph, not the stream") {
  const Stream stream(emulated);
  CHECK_THROWS_AS(CapturedGraph(stream, [&] { stream.synchronize(); }), Error);
  CHECK_NOTHROW(stream.synchronize());
  CHECK_FAILS(CapturedGraph(Stream(), [] {}), "no graphs");
}

TEST_CASE("memory is taken and given back while another thread captures a graph") {
  const Stream stream(emulated);
  Tensor values(Shape{4}, emulated);
  std::thread other;
  {
    const CapturedGraph graph(stream, [&] {
      other = std::thread([] {
        for (int i = 0; i < 20; ++i) const Memory memory(emulated, 64);
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      kernels::activate(stream, kernels::Activation::relu(), values.size(), values.data());
    });
    graph.launch();
    stream.synchronize();
  }
  other.join();
  // CUDA itself forbids waiting for the device in the meantime, to every thread.
  emulator::cudaStream_t native = static_cast<emulator::cudaStream_t>(stream.native());
  REQUIRE(emulator::cudaStreamBeginCapture(native, emulator::cudaStreamCaptureModeThreadLocal) ==
          emulator::cudaSuccess);
  std::thread([] { CHECK(emulator::cudaDeviceSynchronize() != emulator::cudaSuccess); }).join();
  emulator::cudaGraph_t spoilt = nullptr;
  CHECK(emulator::cudaStreamEndCapture(native, &spoilt) != emulator::cudaSuccess);
}

TEST_CASE("why there is no GPU, in words") {
  using kernels::why_no_gpu;
  CHECK(why_no_gpu(0, 13000, "").find("no NVIDIA driver") != std::string::npos);
  const std::string old = why_no_gpu(12020, 13000, "");
  CHECK(old.find("CUDA up to 12.2") != std::string::npos);
  CHECK(old.find("needs 13.0") != std::string::npos);
  CHECK(why_no_gpu(13000, 13000, "no device").find("no device") != std::string::npos);
}

TEST_CASE("GPUs that there are not, or that are too old, are refused by name") {
  using kernels::check_gpu;
  CHECK_NOTHROW(check_gpu(0, 1, "A100", 80));
  CHECK_NOTHROW(check_gpu(1, 2, "H100", 90));
  CHECK_FAILS(check_gpu(1, 1, "", 90), "no device cuda:1: this machine has 1 GPU,");
  CHECK_FAILS(check_gpu(0, 1, "Tesla V100", 70), "cuda:0 (Tesla V100) has compute capability 7.0");
  CHECK_FAILS(check_gpu(0, 1, "Tesla V100", 70), "need 8.0");
}

}  // namespace
}  // namespace pixeldp
