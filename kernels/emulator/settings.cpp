#include "kernels/emulator/settings.hpp"

#include <atomic>
#include <cstdlib>

#include "engine/error.hpp"
#include "engine/text.hpp"

namespace pixeldp::emulator {
namespace {

/// That of "random:SEED".
std::optional<decltype(Schedule::seed)> seed_of(std::string_view order) {
  constexpr std::string_view prefix = "random:";
  if (!order.starts_with(prefix)) return std::nullopt;
  return parse_number<decltype(Schedule::seed)>(order.substr(prefix.size()));
}

void read_switch(const char* variable, bool& on) {
  const char* const value = std::getenv(variable);
  if (value == nullptr) return;
  const std::string_view text = value;
  if (text != "0" && text != "1") fail_usage("{}={}: give 0 or 1", variable, text);
  on = text == "1";
}

Settings from_environment() {
  Settings settings;
  if (const char* schedule = std::getenv("PIXELDP_EMULATOR_SCHEDULE"))
    settings.schedule = Schedule::parse(schedule);
  constexpr const char* architecture = "PIXELDP_EMULATOR_ARCHITECTURE";
  if (const char* capability = std::getenv(architecture))
    settings.arch = kernels::known_arch(architecture, capability);
  read_switch("PIXELDP_EMULATOR_DELAY", settings.delay_streams);
  read_switch("PIXELDP_EMULATOR_GUARD", settings.guard_memory);
  read_switch("PIXELDP_EMULATOR_CHECK", settings.check_accesses);
  return settings;
}

Settings& current_settings() {
  static Settings settings = from_environment();
  return settings;
}

std::atomic<std::uint64_t> tally_phases, tally_conflicts;

}  // namespace

Schedule Schedule::parse(std::string_view text) {
  Schedule schedule;
  std::string_view order = text;
  if (constexpr std::string_view suffix = ",reverse"; order.ends_with(suffix)) {
    schedule.reverse_blocks = true;
    order.remove_suffix(suffix.size());
  }
  if (order == "round-robin") {
    schedule.order = Order::round_robin;
  } else if (order == "first-warp") {
    schedule.order = Order::first_warp;
  } else if (order == "last-warp") {
    schedule.order = Order::last_warp;
  } else if (const auto seed = seed_of(order)) {
    schedule.order = Order::random;
    schedule.seed = *seed;
  } else {
    fail_usage(
        "unknown emulator schedule '{}': give round-robin, first-warp, last-warp or random:SEED, "
        "with ,reverse behind it for reversed blocks",
        text);
  }
  return schedule;
}

std::string Schedule::name() const {
  const char* reverse = reverse_blocks ? ",reverse" : "";
  switch (order) {
    case Order::first_warp:
      return fmt::format("first-warp{}", reverse);
    case Order::last_warp:
      return fmt::format("last-warp{}", reverse);
    case Order::random:
      return fmt::format("random:{}{}", seed, reverse);
    case Order::round_robin:
      break;
  }
  return fmt::format("round-robin{}", reverse);
}

const Settings& settings() { return current_settings(); }

void set_settings(const Settings& settings) {
  if (settings.arch.shared_per_block > most_shared_bytes)
    fail("the emulator has {} bytes of shared memory for a block, not {}", most_shared_bytes,
         settings.arch.shared_per_block);
  current_settings() = settings;
}

BankTally bank_tally() { return {tally_phases, tally_conflicts}; }

void reset_bank_tally() { tally_phases = tally_conflicts = 0; }

void add_to_bank_tally(const BankTally& more) {
  tally_phases += more.phases;
  tally_conflicts += more.conflicts;
}

}  // namespace pixeldp::emulator
