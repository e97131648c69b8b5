#include <algorithm>
#include <cstring>

#include "engine/error.hpp"
#include "kernels/emulator/block.hpp"

namespace pixeldp::emulator {
namespace {

constexpr int poison_value = 0xff;

}  // namespace

void Block::start_copy(void* target, const void* source, std::size_t bytes,
                       std::size_t source_bytes) {
  check_shared(target, bytes, bytes, "cp.async");
  if (reinterpret_cast<std::uintptr_t>(source) % bytes != 0)
    report(fmt::format("cp.async: the source is not aligned to {} bytes", bytes));
  if (source_bytes > bytes)
    report(fmt::format("cp.async: {} source bytes for a copy of {}", source_bytes, bytes));
  note_access(target, bytes, Access::write);
  note_access(source, source_bytes, Access::read);
  std::memset(target, poison_value, bytes);
  Thread& thread = running_thread();
  thread.copies.push_back({static_cast<std::byte*>(target), static_cast<const std::byte*>(source),
                           bytes, source_bytes, thread.groups});
}

void Block::deliver(std::uint64_t groups) {
  std::vector<Copy>& copies = running_thread().copies;
  const auto end = std::find_if(copies.begin(), copies.end(),
                                [groups](const Copy& copy) { return copy.group >= groups; });
  for (auto copy = copies.begin(); copy != end; ++copy) {
    note_access(copy->source, copy->source_bytes, Access::read);
    note_access(copy->target, copy->bytes, Access::write);
    std::copy_n(copy->source, copy->source_bytes, copy->target);
    std::fill(copy->target + copy->source_bytes, copy->target + copy->bytes, std::byte{0});
  }
  copies.erase(copies.begin(), end);
}

void Block::wait_copies(std::uint64_t pending) {
  const std::uint64_t groups = running_thread().groups;
  deliver(groups > pending ? groups - pending : 0);
}

void Block::wait_all_copies() { deliver(++running_thread().groups); }

}  // namespace pixeldp::emulator
