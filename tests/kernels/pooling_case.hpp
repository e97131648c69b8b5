#pragma once

#include <cstdint>
#include <vector>

#include "kernels/pooling.hpp"
#include "tests/reference/values.hpp"

/// The operations of kernels/pooling.hpp with all arrays in host memory, for whoever runs them.
namespace pixeldp::kernels {

struct GlobalPoolCase {
  GlobalPoolShape shape;
  std::vector<float> x, dy, y, dx;

  static GlobalPoolCase integers(const GlobalPoolShape& s) {
    GlobalPoolCase c;
    c.shape = s;
    c.x = reference::integers(s.batch * s.pixels * s.channels, 1000, 1);
    c.dy = reference::integers(s.batch * s.channels, 1000, 2);
    return c;
  }
};

struct ShortcutCase {
  ShortcutShape shape;
  std::vector<float> x, dy, y, dx;

  static ShortcutCase integers(const ShortcutShape& s) {
    ShortcutCase c;
    c.shape = s;
    c.x = reference::integers(s.batch * s.in_h * s.in_w * s.in_c, 1000, 1);
    c.dy = reference::integers(s.batch * s.out_h() * s.out_w() * s.out_c, 1000, 2);
    return c;
  }
};

struct AddCase {
  Activation activation;
  std::vector<float> a, b, y;

  static AddCase integers(Activation activation, std::int64_t size) {
    return {activation, reference::integers(size, 1000, 1), reference::integers(size, 1000, 2), {}};
  }
};

inline constexpr GlobalPoolShape global_pool_shapes[] = {{1, 1, 1}, {3, 7, 5},    {2, 64, 40},
                                                         {5, 9, 4}, {3, 49, 130}, {0, 4, 4}};

/// Both kinds, with and without added channels, vectors of four and not.
inline constexpr ShortcutShape shortcut_shapes[] = {
    {2, 8, 8, 16, 32, 2, ShortcutKind::average},   {2, 8, 8, 16, 32, 2, ShortcutKind::subsample},
    {1, 5, 7, 3, 5, 2, ShortcutKind::average},     {2, 5, 7, 3, 5, 2, ShortcutKind::subsample},
    {2, 4, 4, 16, 160, 1, ShortcutKind::average},  {1, 4, 3, 4, 8, 1, ShortcutKind::subsample},
    {1, 9, 8, 4, 4, 4, ShortcutKind::average},     {1, 9, 8, 4, 12, 3, ShortcutKind::subsample},
    {1, 2, 3, 300, 308, 2, ShortcutKind::average}, {0, 2, 2, 4, 4, 2, ShortcutKind::average}};

inline void run_on_processor(GlobalPoolCase& c) {
  c.y.assign(c.dy.size(), -77.0f), c.dx.assign(c.x.size(), -77.0f);
  global_average_pool(Stream(), c.shape, c.x.data(), c.y.data());
  global_average_pool_backward(Stream(), c.shape, c.dy.data(), c.dx.data());
}

inline void run_on_processor(ShortcutCase& c) {
  c.y.assign(c.dy.size(), -77.0f), c.dx.assign(c.x.size(), -77.0f);
  shortcut_forward(Stream(), c.shape, c.x.data(), c.y.data());
  shortcut_backward(Stream(), c.shape, c.dy.data(), c.dx.data());
}

inline void run_on_processor(AddCase& c) {
  c.y.assign(c.a.size(), -77.0f);
  add(Stream(), c.activation, static_cast<std::int64_t>(c.a.size()), c.a.data(), c.b.data(),
      c.y.data());
}

}  // namespace pixeldp::kernels
