#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include "kernels/emulator/block.hpp"

/// CUDA's built-in functions, as far as the project uses them.
namespace pixeldp::emulator {

// ---- Barriers and warp-wide operations

inline void __syncthreads(const Location& where = Location::current()) {
  Block::current("__syncthreads").synchronize(where);
}

inline void __syncwarp(unsigned mask = ~0u, const Location& where = Location::current()) {
  Block::current("__syncwarp")
      .together(
          mask, "__syncwarp",
          [](void* const*, unsigned) { Block::current("__syncwarp").order_warp(); }, nullptr,
          where);
}

/// Only the calling lane: the hardware promises no more.
inline unsigned __activemask() { return 1u << Block::current("__activemask").lane(); }

inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() { std::atomic_thread_fence(std::memory_order_seq_cst); }

template <class T>
struct ShuffleOperand {
  T value;     // in: this lane's; out: the other lane's
  int source;  // the lane it reads
  const char* what;
};

template <class T>
T shuffle(unsigned mask, T value, int source, const char* what, const Location& where) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  Block& block = Block::current(what);
  ShuffleOperand<T> mine = {value, source, what};
  block.together(
      mask, what,
      [](void* const* lanes, unsigned present) {
        T values[32];
        const auto operand = [&](int i) { return static_cast<ShuffleOperand<T>*>(lanes[i]); };
        for (int i = 0; i < 32; ++i)
          if (present >> i & 1) values[i] = operand(i)->value;
        for (int i = 0; i < 32; ++i) {
          if (!(present >> i & 1)) continue;
          const int from = operand(i)->source;
          if (!(present >> from & 1)) {
            Block::current(operand(i)->what)
                .report(std::string(operand(i)->what) + ": lane " + std::to_string(i) +
                        " reads lane " + std::to_string(from) +
                        ", which does not take part, so the value is undefined");
          }
          operand(i)->value = values[from];
        }
      },
      &mine, where);
  return mine.value;
}

/// The calling lane and its group of `width` neighbours: lanes first ... first + width - 1.
struct LaneGroup {
  int lane, first, width;

  LaneGroup(int width_, const char* what) : width(width_) {
    const Block& block = Block::current(what);
    if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width))) {
      block.report(std::string(what) + ": width " + std::to_string(width) +
                   " is not a power of two up to 32");
    }
    lane = static_cast<int>(block.lane());
    first = lane & -width;
  }
};

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              const Location& where = Location::current()) {
  const LaneGroup group(width, "__shfl_sync");
  return shuffle(mask, value, group.first + (source & (width - 1)), "__shfl_sync", where);
}

// The others read their own value where the group ends. Five bits of the distance count.

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const Location& where = Location::current()) {
  const LaneGroup group(width, "__shfl_up_sync");
  const int source = group.lane - static_cast<int>(delta & 31);
  return shuffle(mask, value, source < group.first ? group.lane : source, "__shfl_up_sync", where);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const Location& where = Location::current()) {
  const LaneGroup group(width, "__shfl_down_sync");
  const int source = group.lane + static_cast<int>(delta & 31);
  return shuffle(mask, value, source >= group.first + width ? group.lane : source,
                 "__shfl_down_sync", where);
}

/// A lower group may be read, a higher one not.
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  const Location& where = Location::current()) {
  const LaneGroup group(width, "__shfl_xor_sync");
  const int source = group.lane ^ (bits & 31);
  return shuffle(mask, value, source >= group.first + width ? group.lane : source,
                 "__shfl_xor_sync", where);
}

/// Combines the values of all lanes; each gets the result.
template <class T, auto combine>
T reduce(unsigned mask, T value, const char* what, const Location& where) {
  Block::current(what).together(
      mask, what,
      [](void* const* lanes, unsigned present) {
        T* first = nullptr;
        for (int i = 0; i < 32; ++i) {
          if (!(present >> i & 1)) continue;
          T* const operand = static_cast<T*>(lanes[i]);
          if (first == nullptr)
            first = operand;
          else
            *first = combine(*first, *operand);
        }
        for (int i = 0; i < 32; ++i)
          if (present >> i & 1) *static_cast<T*>(lanes[i]) = *first;
      },
      &value, where);
  return value;
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              const Location& where = Location::current()) {
  const unsigned mine = 1u << Block::current("__ballot_sync").lane();
  return reduce<unsigned, [](unsigned a, unsigned b) { return a | b; }>(mask, predicate ? mine : 0,
                                                                        "__ballot_sync", where);
}
inline int __any_sync(unsigned mask, int predicate, const Location& where = Location::current()) {
  return reduce<int, [](int a, int b) { return a | b; }>(mask, predicate != 0, "__any_sync", where);
}
inline int __all_sync(unsigned mask, int predicate, const Location& where = Location::current()) {
  return reduce<int, [](int a, int b) { return a & b; }>(mask, predicate != 0, "__all_sync", where);
}

template <class T>
concept Word = std::same_as<T, int> || std::same_as<T, unsigned>;

template <Word T>
T __reduce_add_sync(unsigned mask, T value, const Location& where = Location::current()) {
  constexpr auto add = [](T a, T b) {
    return static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
  };
  return reduce<T, add>(mask, value, "__reduce_add_sync", where);
}
template <Word T>
T __reduce_max_sync(unsigned mask, T value, const Location& where = Location::current()) {
  return reduce<T, [](T a, T b) { return a < b ? b : a; }>(mask, value, "__reduce_max_sync", where);
}
template <Word T>
T __reduce_min_sync(unsigned mask, T value, const Location& where = Location::current()) {
  return reduce<T, [](T a, T b) { return b < a ? b : a; }>(mask, value, "__reduce_min_sync", where);
}

// ---- Atomics: real ones, since blocks may run at the same time. Each returns the old value.

template <class T>
concept AtomicInteger = Word<T> || std::same_as<T, unsigned long long>;

template <AtomicInteger T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref(*address).fetch_add(value, std::memory_order_relaxed);
}
/// The order of the additions, and so the rounding, differs from run to run, here as on a GPU.
inline float atomicAdd(float* address, float value) {
  return std::atomic_ref(*address).fetch_add(value, std::memory_order_relaxed);
}
template <AtomicInteger T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref(*address).exchange(value, std::memory_order_relaxed);
}
template <AtomicInteger T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref(*address).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;
}
template <AtomicInteger T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref(*address).fetch_or(value, std::memory_order_relaxed);
}
template <AtomicInteger T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref(*address).fetch_and(value, std::memory_order_relaxed);
}
template <AtomicInteger T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  const std::atomic_ref target(*address);
  T old = target.load(std::memory_order_relaxed);
  while (old < value && !target.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
  return old;
}
template <AtomicInteger T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  const std::atomic_ref target(*address);
  T old = target.load(std::memory_order_relaxed);
  while (value < old && !target.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
  return old;
}

// ---- Arithmetic. A result that is not a number is always 0x7fffffff, as on a GPU.

inline float canonical(float value) {
  return std::isnan(value) ? std::bit_cast<float>(0x7fffffffu) : value;
}
inline float __fadd_rn(float a, float b) { return canonical(a + b); }
inline float __fsub_rn(float a, float b) { return canonical(a - b); }
inline float __fmul_rn(float a, float b) { return canonical(a * b); }
inline float __fdiv_rn(float a, float b) { return canonical(a / b); }
inline float __fsqrt_rn(float a) { return canonical(std::sqrt(a)); }
inline float __fmaf_rn(float a, float b, float c) { return canonical(std::fma(a, b, c)); }

inline float __int2float_rn(int value) { return static_cast<float>(value); }
inline float __uint2float_rn(unsigned value) { return static_cast<float>(value); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline float __int_as_float(int bits) { return std::bit_cast<float>(bits); }
inline int __popc(unsigned value) { return std::popcount(value); }
inline int __clz(int value) { return std::countl_zero(static_cast<unsigned>(value)); }
inline int __ffs(int value) {
  return value == 0 ? 0 : std::countr_zero(static_cast<unsigned>(value)) + 1;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}
template <class T>
T __ldg(const T* address) {
  return *address;
}
/// A store that stays in one piece.
template <class T>
void __stwb(T* address, T value) {
  *address = value;
}

[[noreturn]] inline void __trap() { Block::current("__trap").report("__trap: the kernel gave up"); }

}  // namespace pixeldp::emulator
