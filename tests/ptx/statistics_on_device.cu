#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/draw_statistics.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/statistics_on_device.hpp"

namespace pixeldp::kernels::cuda {

void StatisticsCase::run() {
  const DeviceArray<float> x(features), w(weight), b(bias);
  const DeviceArray<std::int64_t> image(row_image);
  const DeviceArray<std::uint64_t> v(votes), s(sums), q(squares);
  const std::vector<std::uint64_t> good = {no_bad_row};
  const DeviceArray<std::uint64_t> status(good);
  kernels::draw_statistics(test_stream(), params, x.data(), w.data(), b.data(), image.data(),
                           v.data(), s.data(), q.data(), status.data());
  votes = v.values(), sums = s.values(), squares = q.values();
  bad_row = status.values()[0];
}

void BoundsCase::run() {
  const DeviceArray<std::uint64_t> d(draws), v(votes), s(sums), q(squares);
  const DeviceArray<std::int64_t> chosen(selected);
  const DeviceArray<BoundedPrediction> out(draws.size());
  const std::vector<std::uint64_t> good = {no_bad_image};
  const DeviceArray<std::uint64_t> status(good);
  kernels::bound_predictions(
      test_stream(), params,
      {d.data(), v.data(), s.data(), q.data(), selected.empty() ? nullptr : chosen.data()},
      out.data(), status.data());
  results = out.values();
  bad_image = status.values()[0];
}

}  // namespace pixeldp::kernels::cuda
