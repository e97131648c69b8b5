#include "kernels/emulator/matrix.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "engine/error.hpp"

namespace pixeldp::emulator {
namespace {

constexpr unsigned all_lanes = ~0u;
constexpr int rows = 16, columns = 8;

void require_whole_warp(unsigned present, const char* what) {
  if (present == all_lanes) return;
  Block::current(what).report(
      fmt::format("{} needs a whole warp, but some of its lanes have returned", what));
}

struct LoadOperand {
  std::uint32_t* registers;
  const void* row;
  int count;
  bool transposed;
};

/// A row goes to four lanes or, transposed, to eight: each four bytes of it to one or two.
void note_row(Block& block, const void* row, unsigned r, bool transposed) {
  const unsigned warp = block.linear_thread() / 32 * 32;
  for (unsigned part = 0; part < 4; ++part) {
    const void* const word = static_cast<const std::uint32_t*>(row) + part;
    const auto read_by = [&](unsigned lane) {
      block.note_access(warp + lane, word, sizeof(std::uint32_t), Access::read);
    };
    if (transposed)
      read_by(8 * part + r / 2), read_by(8 * part + 4 + r / 2);
    else
      read_by(4 * r + part);
  }
}

void load(void* const* lanes, unsigned present) {
  require_whole_warp(present, "ldmatrix");
  const auto operand = [&](int lane) -> LoadOperand& {
    return *static_cast<LoadOperand*>(lanes[lane]);
  };
  Block& block = Block::current("ldmatrix");
  BankTally tally;
  for (int m = 0; m < operand(0).count; ++m) {
    std::uint16_t matrix[8][8];
    std::uintptr_t chunks[8];
    for (int r = 0; r < 8; ++r) {
      const void* row = operand(8 * m + r).row;
      block.check_shared(row, sizeof matrix[r], sizeof matrix[r], "ldmatrix");
      note_row(block, row, static_cast<unsigned>(r), operand(0).transposed);
      std::memcpy(matrix[r], row, sizeof matrix[r]);
      chunks[r] = static_cast<std::uintptr_t>(static_cast<const std::byte*>(row) - block.shared()) /
                  sizeof matrix[r];
    }
    // Equal rows are read once; different ones collide when they lie in the same 16 bytes of the
    // 128 that the banks hold.
    std::sort(chunks, chunks + 8);
    const auto end = std::unique(chunks, chunks + 8);
    std::uint64_t passes[8] = {}, most = 0;
    std::for_each(chunks, end,
                  [&](std::uintptr_t chunk) { most = std::max(most, ++passes[chunk % 8]); });
    ++tally.phases;
    tally.conflicts += most - 1;
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      const bool transposed = operand(lane).transposed;
      const std::uint32_t low = transposed ? matrix[2 * t][g] : matrix[g][2 * t];
      const std::uint32_t high = transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
      operand(lane).registers[m] = low | high << 16;
    }
  }
  if (settings().count_bank_conflicts) add_to_bank_tally(tally);
}

/// Elements of one 32-bit register as numbers to calculate with.
struct Bf16 {
  static constexpr int per_register = 2;
  using Exact = double;
  using Sum = float;
  static double element(std::uint32_t bits, int i) {
    return std::bit_cast<float>(i == 0 ? bits << 16 : bits & 0xffff0000u);
  }
};
struct Tf32 {
  static constexpr int per_register = 1;
  using Exact = double;
  using Sum = float;
  static double element(std::uint32_t bits, int) {
    if (bits & 0x1fffu) {
      Block::current("mma").report(
          "mma tf32: an operand has low bits that tf32 does not have: convert it by to_tf32");
    }
    return std::bit_cast<float>(bits);
  }
};
struct S8 {
  static constexpr int per_register = 4;
  using Exact = std::int64_t;
  using Sum = std::int32_t;
  static std::int64_t element(std::uint32_t bits, int i) {
    return static_cast<std::int8_t>(bits >> 8 * i);
  }
};

template <class Type>
struct MultiplyOperand {
  typename Type::Sum* d;
  const std::uint32_t *a, *b;
  const typename Type::Sum* c;
};

/// All three shapes have four registers of A and two of B per lane: register j of A holds rows g
/// (+ 8 for odd j) and columns t (+ 4 for j >= 2), counted in registers; register j of B holds rows
/// t (+ 4 for j = 1) of column g.
template <class Type>
void multiply(void* const* lanes, unsigned present) {
  require_whole_warp(present, "mma");
  constexpr int n = Type::per_register, depth = 8 * n;
  using Exact = typename Type::Exact;
  using Sum = typename Type::Sum;
  const auto operand = [&](int lane) -> const MultiplyOperand<Type>& {
    return *static_cast<MultiplyOperand<Type>*>(lanes[lane]);
  };
  Exact a[rows][depth], b[columns][depth];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < 4; ++j)
        a[g + j % 2 * 8][(t + j / 2 * 4) * n + i] = Type::element(operand(lane).a[j], i);
      for (int j = 0; j < 2; ++j) b[g][(t + j * 4) * n + i] = Type::element(operand(lane).b[j], i);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int j = 0; j < 4; ++j) {
      Exact sum = 0;
      for (int k = 0; k < depth; ++k) sum += a[g + j / 2 * 8][k] * b[2 * t + j % 2][k];
      sum += operand(lane).c[j];
      if constexpr (std::is_same_v<Sum, float>) {
        const auto rounded = static_cast<float>(sum);
        operand(lane).d[j] = std::isnan(rounded) ? std::bit_cast<float>(0x7fffffffu) : rounded;
      } else {
        operand(lane).d[j] = static_cast<Sum>(static_cast<std::uint32_t>(sum));
      }
    }
  }
}

template <class Type>
void multiply_together(const char* what, MultiplyOperand<Type> operand, const Location& where) {
  Block::current(what).together(all_lanes, what, multiply<Type>, &operand, where);
}

}  // namespace

void ldmatrix(std::uint32_t* registers, int count, bool transposed, const void* row,
              const Location& where) {
  const char* what = count == 1   ? transposed ? "ldmatrix.x1.trans" : "ldmatrix.x1"
                     : count == 2 ? transposed ? "ldmatrix.x2.trans" : "ldmatrix.x2"
                     : transposed ? "ldmatrix.x4.trans"
                                  : "ldmatrix.x4";
  LoadOperand operand = {registers, row, count, transposed};
  Block::current(what).together(all_lanes, what, load, &operand, where);
}

void mma_m16n8k16_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                       const Location& where) {
  multiply_together<Bf16>("mma m16n8k16 bf16", {d, a, b, c}, where);
}

void mma_m16n8k8_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c,
                      const Location& where) {
  multiply_together<Tf32>("mma m16n8k8 tf32", {d, a, b, c}, where);
}

void mma_m16n8k32_s8(std::int32_t* d, const std::uint32_t* a, const std::uint32_t* b,
                     const std::int32_t* c, const Location& where) {
  multiply_together<S8>("mma m16n8k32 s8", {d, a, b, c}, where);
}

std::uint32_t to_bf16x2(float low, float high) {
  const auto round = [](float value) -> std::uint32_t {
    if (std::isnan(value)) return 0x7fff;
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
}

std::uint32_t to_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return 0x7fffe000;
  if (std::isinf(value)) return bits;
  return (bits + 0x1000) & 0xffffe000u;
}

void cp_async(void* shared, const void* global, int bytes, int source_bytes) {
  Block::current("cp.async")
      .start_copy(shared, global, static_cast<std::size_t>(bytes),
                  static_cast<std::size_t>(source_bytes));
}
void cp_async_commit() { Block::current("cp.async.commit_group").commit_copies(); }
void cp_async_wait(int pending_groups) {
  Block::current("cp.async.wait_group").wait_copies(static_cast<std::uint64_t>(pending_groups));
}
void cp_async_wait_all() { Block::current("cp.async.wait_all").wait_all_copies(); }

void note_shared_access(const void* address, int bytes, const Location& where) {
  Block& block = Block::current("a shared-memory access");
  const auto size = static_cast<std::size_t>(bytes);
  block.check_shared(address, size, size, "a shared-memory access");
  block.tally_access(address, size, where);
}

}  // namespace pixeldp::emulator
