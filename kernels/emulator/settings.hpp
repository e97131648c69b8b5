#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/arch.hpp"

/// How the emulator runs kernels: settings that tests vary to bring mistakes to light.
namespace pixeldp::emulator {

/// In which order the threads of a block take turns. A thread gives way only where it must wait for
/// others (barriers, warp-wide operations), so a kernel without a needed barrier computes the right
/// result in some orders and a wrong one in others.
enum class Order {
  round_robin,  ///< every thread in turn
  first_warp,   ///< the lowest thread that can run, as far as it gets
  last_warp,    ///< the highest one
  random,       ///< any, by the seed
};

struct Schedule {
  Order order = Order::round_robin;
  std::uint64_t seed = 0;       ///< of Order::random; the order within a block depends on it alone
  bool reverse_blocks = false;  ///< the last block first

  /// Reads "round-robin", "first-warp", "last-warp" or "random:SEED", with ",reverse" behind it for
  /// reversed blocks. Throws a usage error for anything else.
  static Schedule parse(std::string_view text);
  std::string name() const;
  bool operator==(const Schedule&) const = default;
};

/// The schedules under which every kernel is tested.
inline constexpr Schedule adversarial_schedules[] = {
    {Order::round_robin},         {Order::first_warp}, {Order::last_warp},
    {Order::first_warp, 0, true}, {Order::random, 1},  {Order::random, 2, true}};

struct Settings {
  Schedule schedule;
  /// The device imitated.
  kernels::Arch arch = kernels::sm_80;
  /// Threads of the operating system that run blocks; 0: as many as OpenMP gives.
  int threads = 0;
  /// Work given to a stream is not done before somebody waits for it, so that a missing wait shows.
  bool delay_streams = false;
  /// Bytes of device memory that there are.
  std::size_t memory = std::size_t{16} << 30;
  /// Device memory can be touched by the work of streams only: elsewhere the processor's access is
  /// a segmentation fault, as with a GPU. Of allocations made while this is set.
  bool guard_memory = false;
  /// Look for races and for accesses beside arrays (access_check.hpp), of kernels that were
  /// compiled for it. Blocks then run one after the other.
  bool check_accesses = false;
  /// Of each grid only the last block, or cluster, runs: the one with the largest offsets.
  bool last_block_only = false;
  /// Count bank conflicts (see bank_tally).
  bool count_bank_conflicts = false;
};

/// The most shared memory that the emulator has for a block.
inline constexpr std::size_t most_shared_bytes =
    std::ranges::max(kernels::known_archs, {}, &kernels::Arch::shared_per_block).shared_per_block;

/// The settings in force. At first, those of the environment: PIXELDP_EMULATOR_SCHEDULE (see
/// Schedule::parse), PIXELDP_EMULATOR_ARCHITECTURE (one of kernels::known_archs, such as 86),
/// PIXELDP_EMULATOR_DELAY, PIXELDP_EMULATOR_GUARD and PIXELDP_EMULATOR_CHECK (1 or 0).
const Settings& settings();
/// To be called between launches only. Throws an Error for an architecture whose blocks have more
/// than most_shared_bytes.
void set_settings(const Settings& settings);

/// Settings for one scope.
class WithSettings {
 public:
  explicit WithSettings(const Settings& changed) : before_(settings()) { set_settings(changed); }
  /// Accesses are checked under the first schedule alone: a race is one under all of them.
  explicit WithSettings(const Schedule& schedule) : before_(settings()) {
    Settings changed = before_;
    changed.schedule = schedule;
    changed.check_accesses &= schedule == Schedule();
    set_settings(changed);
  }
  explicit WithSettings(const kernels::Arch& arch) : before_(settings()) {
    Settings changed = before_;
    changed.arch = arch;
    set_settings(changed);
  }
  ~WithSettings() { set_settings(before_); }
  WithSettings(const WithSettings&) = delete;
  WithSettings& operator=(const WithSettings&) = delete;

 private:
  Settings before_;
};

/// Accesses to the 32 banks of shared memory. A phase is what the hardware serves at once at best:
/// eight rows of 16 bytes of ldmatrix, or a warp's accesses of 4 bytes. It takes as many passes as
/// different words fall into one bank.
struct BankTally {
  std::uint64_t phases = 0;
  std::uint64_t conflicts = 0;  ///< passes beyond one for each phase
};

BankTally bank_tally();
void reset_bank_tally();
/// For the emulator's own use; any thread.
void add_to_bank_tally(const BankTally& more);

}  // namespace pixeldp::emulator
