#include <utility>

#include <doctest/doctest.h>

#include "kernels/cuda/ball.hpp"
#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/bf16_layouts.hpp"
#include "kernels/cuda/bounds.hpp"
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/draw_statistics.hpp"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/noise.hpp"
#include "kernels/cuda/parseval.hpp"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/scaling.hpp"
#include "kernels/cuda/slice_norms.hpp"
#include "kernels/cuda/standardise.hpp"
#include "tests/kernels/cuda/limits.hpp"
#include "tests/reference/convolution.hpp"

namespace pixeldp::kernels {
namespace {

using reference::same;

TEST_CASE("limits of plans: rows, images and elements of one launch") {
  const auto launches = [](const char* of, std::function<void(std::int64_t)> plan,
                           std::int64_t block) {
    return Limit{of, std::move(plan), most_blocks * block, most_blocks * block + 1,
                 "one launch can do"};
  };
  check({
      launches(
          "bounds", [](auto n) { BoundsGrid::plan({.images = n}); }, BoundsGrid::block_warps),
      launches(
          "sums", [](auto n) { ColumnSumsGrid::plan(1, n); }, ColumnSumsGrid::block_columns),
      launches(
          "loss", [](auto n) { LossGrid::plan(n); }, LossGrid::block_warps),
      launches(
          "standardise", [](auto n) { StandardiseGrid::plan(n); }, StandardiseGrid::block_warps),
      launches(
          "pictures", [](auto n) { BallGrid::plan({.rows = n, .values = 1}); }, 1),
      launches(
          "slices",
          [](auto n) {
            SliceNormGrid::plan({1, n, 1});
          },
          1),
      launches(
          "noise", [](auto n) { NoiseGrid::plan(n, 1, nullptr, nullptr); }, NoiseGrid::block_warps),
      launches(
          "statistics",
          [](auto n) {
            StatisticsGrid::plan({n, 1, 10}, sm_80);
          },
          32),
      launches(
          "statistics of many",
          [](auto n) {
            StatisticsGrid::plan({n, 1, 1000}, sm_80);
          },
          16),
      launches(
          "addition", [](auto n) { PoolingGrid::add(n, at(4), at(0), at(0)); },
          PoolingGrid::block_threads),
      {"scaling", [](auto n) { scaling_blocks({.pixels = n, .channels = 1}); }, most_blocks * 1024,
       most_blocks * 1024 + 1, "more than one launch"},
      {"scaling, products", [](auto n) { scaling_blocks({.pixels = 1024, .channels = n}); },
       most_blocks, most_blocks + 1, "more than one launch"},
      {"scaling, pixels", [](auto n) { scaling_blocks({.pixels = n, .channels = 1}); }, 0, -1,
       "-1 pixels"},
      {"scaling, channels", [](auto n) { scaling_blocks({.pixels = 1, .channels = n}); }, 1, 0,
       "0 channels"},
      {"bf16", [](auto n) { bf16_layout_blocks(n); }, two_to_the(38) - 1, two_to_the(38), "can do"},
      {"bf16, none", [](auto n) { bf16_layout_blocks(n); }, 0, -1, "-1 elements"},
      {"sums, rows", [](auto n) { ColumnSumsGrid::plan(n, 1); }, 0, -1, "-1 rows"},
      {"sums, columns", [](auto n) { ColumnSumsGrid::plan(1, n); }, 0, -1, "-1 columns"},
      {"batch norm", [](auto n) { BatchNormGrid::plan({.rows = 1, .channels = n}, {}); },
       most_blocks - BatchNormOrder::block_threads, most_blocks - BatchNormOrder::block_threads + 1,
       "one launch can do"},
      {"classes",
       [](auto n) {
         StatisticsGrid::plan({1, 1, n}, sm_90);
       },
       4096, 4097, "the kernel has room for 4096"},
      {"Parseval, rows", [](auto n) { ParsevalPlan::make(n, 40000, sm_80); }, 32768, 32769,
       "its smaller side may have 32768"},
      {"Parseval, columns", [](auto n) { ParsevalPlan::make(40000, n, sm_80); }, 32768, 32769,
       "its smaller side may have 32768"},
  });
}

TEST_CASE("limits of plans: one block, or a launch for each phase") {
  const auto one_block = [](std::int64_t rows, std::int64_t cols, std::size_t shared) {
    Arch arch = sm_80;
    arch.shared_per_block = shared;
    return ParsevalPlan::make(rows, cols, arch).one_block;
  };
  constexpr std::size_t room = ParsevalPlan::shared_bytes;
  check(std::vector<Supported>{
      {"side", [&](auto n) { return one_block(n, 49, room); }, 48, 49},
      {"size", [&](auto n) { return one_block(1, n, room); }, 256 * 48, 256 * 48 + 1},
      {"room", [&](auto n) { return one_block(48, 48, static_cast<std::size_t>(n)); }, room,
       room - 1},
  });
}

TEST_CASE("limits of plans: vectors of 16 bytes") {
  const auto vector = [](bool vectorised) { CHECK(vectorised); };
  const auto single = [](bool vectorised) { CHECK_FALSE(vectorised); };
  const auto norm = [](std::int64_t channels, std::uintptr_t x, std::uintptr_t y) {
    return BatchNormGrid::plan({.rows = 2, .channels = channels}, {at(x), at(y)}).vectorised;
  };
  vector(norm(8, 0, 16)), single(norm(6, 0, 0)), single(norm(8, 8, 0)), single(norm(8, 0, 4));
  const auto noise = [](std::int64_t elements, std::uintptr_t x, std::uintptr_t y) {
    return NoiseGrid::plan(1, elements, at(x), at(y)).vectorised;
  };
  vector(noise(8, 0, 16)), single(noise(6, 0, 0)), single(noise(8, 8, 0)), single(noise(8, 0, 4));
  const auto global = [](std::int64_t channels, std::uintptr_t x, std::uintptr_t y) {
    const GlobalPoolShape shape = {1, 4, channels};
    const bool forward = PoolingGrid::global(shape, at(x), at(y)).vectorised;
    CHECK(PoolingGrid::global_backward(shape, at(y), at(x)).vectorised == forward);
    return forward;
  };
  vector(global(8, 0, 16)), single(global(6, 0, 0)), single(global(8, 8, 0));
  single(global(8, 0, 4));
  const auto shortcut = [](std::int64_t in_c, std::int64_t out_c, std::uintptr_t x,
                           std::uintptr_t y) {
    const ShortcutShape shape = {1, 4, 4, in_c, out_c, 2, ShortcutKind::average};
    const bool forward = PoolingGrid::shortcut(shape, at(x), at(y)).vectorised;
    CHECK(PoolingGrid::shortcut_backward(shape, at(y), at(x)).vectorised == forward);
    return forward;
  };
  vector(shortcut(8, 16, 0, 16)), single(shortcut(6, 16, 0, 0)), single(shortcut(8, 18, 0, 0));
  single(shortcut(8, 12, 0, 0)), single(shortcut(8, 16, 8, 0)), single(shortcut(8, 16, 0, 4));
  const auto addition = [](std::int64_t n, std::uintptr_t a, std::uintptr_t b, std::uintptr_t y) {
    return PoolingGrid::add(n, at(a), at(b), at(y)).vectorised;
  };
  vector(addition(8, 0, 16, 32)), single(addition(6, 0, 0, 0)), single(addition(8, 8, 0, 0));
  single(addition(8, 0, 4, 0)), single(addition(8, 0, 0, 8));
  const auto direct = [](std::int64_t out_c, std::uintptr_t y) {
    return DirectConvPlan::make(same(1, 4, 4, 3, out_c, 3, 1), at(y), sm_80).vectorised;
  };
  vector(direct(8, 16)), single(direct(6, 0)), single(direct(8, 8));
}

TEST_CASE("limits of plans: pooling") {
  const auto global = [](GlobalPoolShape shape) {
    PoolingGrid::global(shape, at(4), at(4));
    PoolingGrid::global_backward(shape, at(4), at(4));
  };
  const auto shortcut = [](ShortcutShape shape) {
    PoolingGrid::shortcut(shape, at(4), at(4));
    PoolingGrid::shortcut_backward(shape, at(4), at(4));
  };
  constexpr auto average = ShortcutKind::average;
  check({
      {"pixels",
       [&](auto n) {
         global({1, n, 1});
       },
       two_to_the(30), two_to_the(30) + 1, "2^30"},
      {"channels",
       [&](auto n) {
         global({1, 2, n});
       },
       two_to_the(29), two_to_the(29) + 1, "2^30"},
      {"images",
       [&](auto n) {
         PoolingGrid::global({n, 1, 1}, at(4), at(4));
       },
       most_blocks * 32, most_blocks * 32 + 1, "one launch can do"},
      {"images, gradient",
       [&](auto n) {
         PoolingGrid::global_backward({n, 1, 1}, at(4), at(4));
       },
       most_blocks, most_blocks + 1, "one launch can do"},
      {"height",
       [&](auto n) {
         shortcut({1, n, 1, 1, 1, 1, average});
       },
       two_to_the(30), two_to_the(30) + 1, "2^30"},
      {"width",
       [&](auto n) {
         shortcut({1, 1, n, 1, 1, 1, average});
       },
       two_to_the(30), two_to_the(30) + 1, "2^30"},
      {"stride",
       [&](auto n) {
         shortcut({1, 1, 1, 1, 1, n, ShortcutKind::subsample});
       },
       two_to_the(30), two_to_the(30) + 1, "2^30"},
      {"channels in",
       [&](auto n) {
         shortcut({1, 2, 1, n, n, 2, ShortcutKind::subsample});
       },
       two_to_the(29), two_to_the(29) + 2, "2^30"},
      {"channels out",
       [&](auto n) {
         shortcut({1, 1, 1, 1, n, 1, average});
       },
       two_to_the(30) - 1, two_to_the(30) + 1, "2^30"},
      {"rows",
       [&](auto n) {
         shortcut({n, 1, 1, 1, 1, 1, average});
       },
       most_blocks, most_blocks + 1, "one launch can do"},
      {"rows, gradient",
       [&](auto n) {
         shortcut({n, 2, 2, 1, 1, 2, average});
       },
       most_blocks / 2, most_blocks / 2 + 1, "one launch can do"},
  });
}

}  // namespace
}  // namespace pixeldp::kernels
