#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/formulas/lattice.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/lattice_on_device.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class Guess>
__global__ void guess_kernel(int count, const std::uint32_t* words, std::uint32_t* guesses) {
  const int i = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  if (i < count) guesses[i] = __float_as_uint(Guess::template size<Lane>(words[i]).value);
}

__global__ void cell_kernel(int count, LatticeTail tail, const std::int32_t* steps,
                            const std::uint64_t* bits, std::int32_t* cells) {
  const int i = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  if (i < count) cells[i] = tail.cell(steps[i], bits[i]);
}

template <class Guess>
std::vector<std::uint32_t> guesses(const std::vector<std::uint32_t>& words) {
  const DeviceArray<std::uint32_t> in(words), out(words.size());
  const int count = static_cast<int>(words.size());
  launch<guess_kernel<Guess>>((count + 31) / 32, 32, 0, nullptr, count, in.data(), out.data());
  return out.values();
}

std::vector<std::int32_t> cells(NoiseDistribution law, const LatticeParts& parts) {
  const LatticeTail table = TailTable::of(law).tail();
  const DeviceArray<LatticeTail::Row> rows(
      std::vector<LatticeTail::Row>(table.rows, table.rows + table.count));
  const DeviceArray<std::int32_t> steps(parts.steps), out(parts.steps.size());
  const DeviceArray<std::uint64_t> bits(parts.bits);
  const int count = static_cast<int>(parts.steps.size());
  const LatticeTail tail = {rows.data(), table.count};
  launch<cell_kernel>((count + 31) / 32, 32, 0, nullptr, count, tail, steps.data(), bits.data(),
                      out.data());
  return out.values();
}

}  // namespace

LatticeResults run(const LatticeCase& noise) {
  const std::size_t count = noise.rows.size() * static_cast<std::size_t>(noise.elements);
  const DeviceArray<NoiseRow> rows(noise.rows);
  const DeviceArray<std::int32_t> prefix(noise.prefix);
  const DeviceArray<float> y(std::vector<float>(count + 16, 12345.0f));
  const DeviceArray<std::int8_t> bytes(noise.elements % 4 == 0 ? count : 0);
  Int8Target target;
  target.real = y.data() + noise.skip;
  if (noise.elements % 4 == 0) target.bytes = bytes.data(), target.inverse_scale = 90.0f;
  prepare_lattice_noise(nullptr)->add(noise.params, rows.data(),
                                      static_cast<std::int64_t>(noise.rows.size()), noise.elements,
                                      prefix.data() + noise.skip, target);
  return {y.values(), bytes.values()};
}

LatticePartResults run(const LatticeParts& parts) {
  return {guesses<GaussianGuess>(parts.words), guesses<LaplaceGuess>(parts.words),
          cells(NoiseDistribution::gaussian, parts), cells(NoiseDistribution::laplace, parts)};
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
