#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "kernels/emulator/block.hpp"

namespace pixeldp::emulator {

void Block::tally_access(const void* address, std::size_t bytes, const Location& where) {
  if (!settings().count_bank_conflicts) return;
  // Which time this thread passes here: the lanes of a warp share the n-th passage.
  unsigned occurrence = 0;
  for (auto access = accesses_.rbegin(); access != accesses_.rend(); ++access) {
    if (access->thread == running_ && access->line == where.line() &&
        access->column == where.column() && std::strcmp(access->file, where.file_name()) == 0) {
      occurrence = access->occurrence + 1;
      break;
    }
  }
  const auto offset = static_cast<std::uintptr_t>(static_cast<const std::byte*>(address) - shared_);
  accesses_.push_back(
      {where.line(), where.column(), occurrence, where.file_name(), running_, offset, bytes});
}

/// The lanes of a warp that pass one place for the same time count as one access. It is served in
/// parts of 32 lanes for words of 4 bytes, 16 for 8 bytes, 8 for 16 bytes.
void Block::tally_accesses() {
  if (accesses_.empty()) return;
  const auto key = [](const BankAccess& a) {
    const unsigned part = warp_lanes * 4 / static_cast<unsigned>(std::max<std::size_t>(a.bytes, 4));
    return std::tuple(std::string_view(a.file), a.line, a.column, a.occurrence, a.thread / part);
  };
  std::sort(accesses_.begin(), accesses_.end(),
            [&](const BankAccess& a, const BankAccess& b) { return key(a) < key(b); });
  BankTally tally;
  for (auto first = accesses_.begin(); first != accesses_.end();) {
    const auto last = std::find_if(first, accesses_.end(),
                                   [&](const BankAccess& a) { return key(a) != key(*first); });
    std::vector<std::uintptr_t> words;
    for (; first != last; ++first)
      for (std::size_t byte = 0; byte < first->bytes; byte += 4)
        words.push_back((first->offset + byte) / 4);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    std::array<std::uint64_t, 32> passes = {};
    for (const std::uintptr_t word : words) ++passes[word % 32];
    ++tally.phases;
    tally.conflicts += *std::max_element(passes.begin(), passes.end()) - 1;
  }
  add_to_bank_tally(tally);
}

}  // namespace pixeldp::emulator
