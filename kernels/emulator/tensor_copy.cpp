#include <algorithm>
#include <cstring>

#include "engine/error.hpp"
#include "kernels/emulator/async.hpp"
#include "kernels/emulator/memory.hpp"

namespace pixeldp::emulator {
namespace {

constexpr const char* what = "cp.async.bulk.tensor";
constexpr int poison_value = 0xff;

/// A row of a box: where it lies in the tensor, and which of its elements do.
struct BoxRow {
  const std::byte* source;         // of the element at coordinate 0
  std::int64_t first, begin, end;  // coordinates: of the box, and of what lies inside

  BoxRow(const TensorBoxMap& map, const int* coordinates, std::size_t row)
      : source(map.address), first(coordinates[0]) {
    const std::int64_t extent = std::int64_t{map.last[0]} + 1;
    begin = first < 0 ? 0 : first;
    end = first + map.box[0] < extent ? first + map.box[0] : extent;
    for (int i = 1; i < map.rank; ++i) {
      const std::int64_t at = coordinates[i] + static_cast<std::int64_t>(row % map.box[i]);
      row /= map.box[i];
      if (at < 0 || at > std::int64_t{map.last[i]})
        end = begin;
      else
        source += static_cast<std::size_t>(at) * map.stride[i - 1];
    }
    if (end < begin) end = begin;
  }
};

}  // namespace

void AsyncState::start_copy(void* target, const void* contents, void* barrier,
                            const int* coordinates, int rank) {
  TensorBoxMap map;
  std::memcpy(&map, contents, sizeof map);
  if (map.magic != TensorBoxMap::is_map)
    block_.report(fmt::format("{}: the operand is no tensor map", what));
  if (map.rank != rank)
    block_.report(fmt::format("{}: {} coordinates for a tensor of rank {}", what, rank, map.rank));
  start(map, coordinates, target, 128, barrier, nullptr, what);
  Block& by = Block::current(what);
  for (std::size_t r = 0; r < map.rows(); ++r)
    if (const BoxRow row(map, coordinates, r); row.end > row.begin)
      by.note_access(row.source + row.begin * map.element_bytes,
                     static_cast<std::size_t>(row.end - row.begin) * map.element_bytes,
                     Access::read);
}

void AsyncState::start_copy_of_bytes(void* target, const void* source, std::size_t bytes,
                                     void* barrier, AsyncState* from, const char* name) {
  Block& by = Block::current(name);
  if (bytes == 0 || bytes % chunk_bytes != 0 || bytes > chunk_bytes * UINT16_MAX ||
      reinterpret_cast<std::uintptr_t>(source) % chunk_bytes != 0)
    by.report(fmt::format("{}: {} bytes from {}", name, bytes, source));
  TensorBoxMap map;
  map.rank = 1, map.element_bytes = chunk_bytes;
  map.address = static_cast<const std::byte*>(source);
  map.box[0] = static_cast<std::uint16_t>(bytes / chunk_bytes);
  map.last[0] = map.box[0] - 1u;
  if (from != nullptr) {
    by.check_shared(source, bytes, chunk_bytes, name);
    if (by.lane() != 0)
      by.report(fmt::format("{}: the emulator takes it from the first lane of a warp only", name));
    by.note_async(by.linear_thread(), source, bytes, Access::read);
    from->open_chunks();
    for (std::size_t at = from->offset(source), end = at + bytes; at < end; at += chunk_bytes) {
      if (from->writers_[at / chunk_bytes] > 0)
        by.report(fmt::format("{} from offset {}: a bulk copy is under way to there", name, at));
      ++from->readers_[at / chunk_bytes];
    }
    ++from->sent_;
  }
  const int first[] = {0};
  start(map, first, target, chunk_bytes, barrier, from, name);
  if (from == nullptr) by.note_access(source, bytes, Access::read);
}

void AsyncState::start(const TensorBoxMap& map, const int* coordinates, void* target,
                       std::size_t alignment, void* barrier, AsyncState* from, const char* name) {
  Block& by = Block::current(name);
  const Barrier& b = find(barrier, name);
  if (&by != &block_) refuse_unfenced(b, barrier, name);
  const std::size_t bytes = map.bytes();
  block_.check_shared(target, bytes, alignment, name);
  if (fences_[b.init_thread] == b.init_fences)
    block_.report(
        fmt::format("{}: thread {} initialised the mbarrier at offset {} with no "
                    "fence.proxy.async behind it",
                    name, b.init_thread, offset(barrier)));
  if (from == nullptr && !device_memory().contains(map.address, map.extent()))
    block_.report(fmt::format("{}: the tensor is not there: {}", name,
                              device_memory().describe(map.address, map.extent())));

  const unsigned thread = by.linear_thread();
  const std::size_t at = offset(target), first = at / chunk_bytes;
  open_chunks();
  for (std::size_t chunk = first; chunk < first + bytes / chunk_bytes; ++chunk) {
    const char* const other = writers_[chunk] > 0 ? "another copy is under way there"
                              : readers_[chunk] > 0
                                  ? "a product or copy under way still reads there"
                                  : nullptr;
    if (other != nullptr)
      block_.report(
          fmt::format("{} to offset {}: {} (at offset {})", name, at, other, chunk * chunk_bytes));
    ++writers_[chunk];
  }
  by.note_async(thread, target, bytes, Access::write);
  std::memset(target, poison_value, bytes);
  Copy copy = {.map = map,
               .coordinates = {},
               .target = at,
               .barrier = offset(barrier),
               .thread = by.number_in_cluster(thread),
               .mark = by.mark(),
               .from = from,
               .source = from == nullptr ? 0 : from->offset(map.address)};
  std::copy_n(coordinates, map.rank, copy.coordinates);
  copies_.push_back(copy);
}

void AsyncState::land(std::size_t number) {
  const Copy copy = copies_[number];
  copies_.erase(copies_.begin() + static_cast<std::ptrdiff_t>(number));
  const TensorBoxMap& map = copy.map;
  std::byte* const shared = block_.shared();
  for (std::size_t r = 0; r < map.rows(); ++r) {
    const BoxRow row(map, copy.coordinates, r);
    for (std::size_t byte = 0; byte < map.row_bytes(); byte += map.element_bytes) {
      const std::size_t to = swizzled(copy.target + r * map.row_bytes() + byte, map.swizzle);
      const std::int64_t x = row.first + static_cast<std::int64_t>(byte / map.element_bytes);
      if (x >= row.begin && x < row.end)
        std::memcpy(shared + to, row.source + x * map.element_bytes, map.element_bytes);
      else
        std::memset(shared + to, 0, map.element_bytes);
    }
  }
  const std::size_t chunks = map.bytes() / chunk_bytes;
  const auto end = [&](std::vector<std::uint16_t>& users, std::size_t begin) {
    for (std::size_t i = 0; i < chunks; ++i) --users[begin / chunk_bytes + i];
  };
  end(writers_, copy.target);
  if (copy.from != nullptr) end(copy.from->readers_, copy.source), --copy.from->sent_;
  Barrier& barrier = barriers_.at(copy.barrier);
  barrier.bytes -= static_cast<std::int64_t>(map.bytes());
  if (copy.mark > 0) {
    if (barrier.arrived.size() <= copy.thread) barrier.arrived.resize(copy.thread + 1);
    barrier.arrived[copy.thread] = std::max(barrier.arrived[copy.thread], copy.mark);
  }
  complete(barrier);
}

std::string AsyncState::collision(std::size_t at, std::size_t bytes, bool writes) const {
  for (std::size_t chunk = at / chunk_bytes;
       bytes > 0 && chunk <= (at + bytes - 1) / chunk_bytes && chunk < writers_.size(); ++chunk) {
    const char* const other = writers_[chunk] > 0 ? "a bulk copy is under way to there"
                              : writes && readers_[chunk] > 0
                                  ? "a product or copy under way reads there"
                                  : nullptr;
    if (other != nullptr)
      return fmt::format("it {} {} bytes at offset {} of shared memory while {}",
                         writes ? "writes" : "reads", bytes, at, other);
  }
  return {};
}

void copy_tensor_box(void* shared, const void* map, std::uint64_t* barrier, const int* coordinates,
                     int rank) {
  Block::current(what).async().start_copy(shared, map, barrier, coordinates, rank);
}

void copy_bytes(void* shared, const void* global, std::uint32_t bytes, std::uint64_t* barrier) {
  constexpr const char* name = "cp.async.bulk.global";
  Block::current(name).async().start_copy_of_bytes(shared, global, bytes, barrier, nullptr, name);
}

}  // namespace pixeldp::emulator
