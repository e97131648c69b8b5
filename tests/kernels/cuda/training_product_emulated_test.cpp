#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/operations.hpp"
#include "kernels/emulator/work_tally.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/reference/convolution.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

/// What the passes of a product in bf16 share, through the emulator, against passes that share
/// nothing.
namespace pixeldp::kernels::emulated {
namespace {

using emulator::reset_work_tally, emulator::work_tally;
using reference::same;

/// A convolution or a dense layer on random values.
struct Problem {
  Conv2dShape shape;
  std::vector<float> x, weight, bias, dy;

  explicit Problem(const Conv2dShape& s)
      : shape(s),
        x(reference::reals(s.batch * s.in_h * s.in_w * s.in_c, 1)),
        weight(reference::reals(s.weight_size(), 2)),
        bias(reference::reals(s.out_c, 3)),
        dy(reference::reals(s.batch * s.out_h() * s.out_w() * s.out_c, 4)) {}
};

struct Results {
  std::vector<float> y, dx, dweight, dbias;
  bool operator==(const Results&) const = default;
};

Results one_by_one(const Problem& p, bool dense) {
  constexpr auto bf16 = Precision::bf16;
  const DeviceArray<float> x(p.x), weight(p.weight), bias(p.bias), dy(p.dy), y(p.dy.size()),
      dx(p.x.size()), dweight(p.weight.size()), dbias(p.bias.size());
  const Stream& s = test_stream();
  if (dense) {
    const DenseShape shape = {p.shape.batch, p.shape.in_c, p.shape.out_c};
    emulated::dense_forward(s, shape, bf16, x.data(), weight.data(), bias.data(), y.data());
    emulated::dense_backward_data(s, shape, bf16, dy.data(), weight.data(), dx.data());
    emulated::dense_backward_weight(s, shape, bf16, x.data(), dy.data(), dweight.data(),
                                    dbias.data());
    return {y.values(), dx.values(), dweight.values(), dbias.values()};
  }
  emulated::conv2d_forward(s, p.shape, bf16, x.data(), weight.data(), y.data());
  emulated::conv2d_backward_data(s, p.shape, bf16, dy.data(), weight.data(), dx.data());
  emulated::conv2d_backward_weight(s, p.shape, bf16, x.data(), dy.data(), dweight.data());
  return {y.values(), dx.values(), dweight.values(), {}};
}

Results shared(const Problem& p, bool dense) {
  const DeviceArray<float> x(p.x), weight(p.weight), bias(p.bias), dy(p.dy), y(p.dy.size()),
      dx(p.x.size()), dweight(p.weight.size()), dbias(p.bias.size());
  const Stream& s = test_stream();
  const auto product = dense ? kernels::training_dense(
                                   s, {p.shape.batch, p.shape.in_c, p.shape.out_c}, Precision::bf16)
                             : kernels::training_convolution(s, p.shape, Precision::bf16);
  REQUIRE(product != nullptr);
  CHECK(product->shape() == p.shape);
  product->round_x(s, x.data());
  product->forward(s, {weight.data()}, dense ? bias.data() : nullptr, y.data());
  product->backward(s, {weight.data()}, dy.data(), nullptr,
                    {dweight.data(), dense ? dbias.data() : nullptr, dx.data()});
  return {y.values(), dx.values(), dweight.values(), dense ? dbias.values() : std::vector<float>()};
}

TEST_CASE("a training product has the bits of passes that share nothing") {
  for (const Schedule& schedule : adversarial_schedules) {
    CAPTURE(schedule.name());
    const WithSettings with(schedule);
    for (const Conv2dShape& s :
         {same(2, 5, 4, 3, 10, 3, 1), same(2, 6, 6, 16, 24, 3, 2), same(1, 7, 7, 8, 9, 5, 2)}) {
      CAPTURE(describe(s));
      CHECK(shared(Problem(s), false) == one_by_one(Problem(s), false));
    }
    const Problem dense(as_convolution({9, 40, 12}));
    CHECK(shared(dense, true) == one_by_one(dense, true));
  }
  const WithSettings with(sm_90);  // by warpgroups, forward and in all gradients
  const Problem large(same(2, 8, 8, 128, 160, 3, 1));
  CHECK(shared(large, false) == one_by_one(large, false));
}

TEST_CASE("a training product rounds once and packs once, until its weight changes") {
  const Problem p(same(2, 6, 6, 16, 24, 3, 1));
  const DeviceArray<float> x(p.x), weight(p.weight), dy(p.dy), y(p.dy.size()), dx(p.x.size()),
      dweight(p.weight.size());
  const Stream& s = test_stream();
  const auto product = kernels::training_convolution(s, p.shape, Precision::bf16);
  const auto costs = [&](std::uint64_t version) {
    reset_work_tally();
    product->round_x(s, x.data());
    product->forward(s, {weight.data(), version}, nullptr, y.data());
    product->backward(s, {weight.data(), version}, dy.data(), nullptr,
                      {dweight.data(), nullptr, dx.data()});
    const emulator::WorkTally tally = work_tally();
    return std::vector{tally.ran("fill_channels"), tally.ran("pack_weight")};
  };
  using Counts = std::vector<std::int64_t>;
  CHECK(costs(0) == Counts{2, 2});  // x and dy; forward and backward
  CHECK(costs(0) == Counts{2, 2});  // who says nothing may have changed it
  CHECK(costs(7) == Counts{2, 2});
  CHECK(costs(7) == Counts{2, 0});
  CHECK(costs(8) == Counts{2, 2});
  reset_work_tally();
  emulated::conv2d_forward(s, p.shape, Precision::bf16, x.data(), weight.data(), y.data());
  emulated::conv2d_backward_data(s, p.shape, Precision::bf16, dy.data(), weight.data(), dx.data());
  emulated::conv2d_backward_weight(s, p.shape, Precision::bf16, x.data(), dy.data(),
                                   dweight.data());
  CHECK(work_tally().ran("fill_channels") == 4);

  // Rounded by somebody else.
  const Results expected = one_by_one(p, false);
  std::vector<std::uint16_t> bits;
  for (const float value : p.dy) bits.push_back(reference::to_bf16(value));
  const DeviceArray<std::uint16_t> dy_in_bf16(bits);
  const DeviceArray<float> nothing(std::vector<float>(p.dy.size(), NAN));
  reset_work_tally();
  product->backward(s, {weight.data(), 8}, nothing.data(), dy_in_bf16.data(),
                    {dweight.data(), nullptr, dx.data()});
  CHECK(dweight.values() == expected.dweight);
  CHECK(dx.values() == expected.dx);
  CHECK(work_tally().ran("fill_channels") == 0);
  CHECK(work_tally().ran("pack_weight") == 0);
}

TEST_CASE("only products in bf16 on devices share anything") {
  const Conv2dShape shape = same(1, 4, 4, 3, 5, 3, 1);
  for (const Precision precision : {Precision::fp32, Precision::tf32}) {
    CHECK(kernels::training_convolution(test_stream(), shape, precision) == nullptr);
    CHECK(kernels::training_dense(test_stream(), {1, 2, 3}, precision) == nullptr);
  }
  CHECK(kernels::training_convolution(pixeldp::Stream(), shape, Precision::bf16) == nullptr);
  CHECK(kernels::training_dense(pixeldp::Stream(), {1, 2, 3}, Precision::bf16) == nullptr);
  CHECK_FAILS(kernels::training_dense(test_stream(), {1, 0, 3}, Precision::bf16),
              "dense layer 1x0 -> 3");
  CHECK_FAILS(kernels::training_convolution(test_stream(), shape, Precision::int8),
              "multiply in fp32");
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
