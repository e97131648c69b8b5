// cp.async.bulk.tensor: copies of boxes of a tensor that a tensor map describes.
#include "instructions/copy_bulk.hpp"
#include "instructions/elementwise.hpp"
#include "instructions/mbarrier.hpp"
#include "instructions/opcodes.hpp"
#include "program/tensor_map.hpp"

namespace ptxrun {
namespace {
// A box of a tensor at the coordinates of one lane, and its place in shared memory.
struct Box {
  TensorMap map;
  s32 start[5];
  u64 offset;

  u64 elements() const {
    u64 n = 1;
    for (int dim = 0; dim < map.rank; dim++) n *= map.box[dim];
    return n;
  }
  u64 bytes() const { return elements() * map.element_bytes; }
  // Calls f(shared offset, global address or 0 when outside) for each element.
  template <class F>
  void each_element(F f) const {
    const u32 size = map.element_bytes;
    u32 at[5] = {};
    const u64 count = elements();
    for (u64 e = 0; e < count; e++) {
      bool inside = true;
      u64 global = map.address;
      for (int dim = 0; dim < map.rank; dim++) {
        s64 x = (s64)start[dim] + at[dim];
        if (x < 0 || x > (s64)map.last[dim]) inside = false;
        global += (u64)x * (dim ? map.stride[dim - 1] : size);
      }
      f(swizzled(offset + e * size, map.swizzle), inside ? global : 0);
      for (int dim = 0; dim < map.rank && ++at[dim] == map.box[dim]; dim++) at[dim] = 0;
    }
  }
  void copy_in(Block& to) const {
    const int outside = map.fill == FILL_NAN && map.is_float ? 0xff : 0;
    each_element([&](u64 at, u64 global) {
      u8* element = to.shared.data() + at;
      if (global)
        memcpy(element, (void*)global, map.element_bytes);
      else
        memset(element, outside, map.element_bytes);
    });
  }
  void copy_out(const Block& from) const {
    each_element([&](u64 at, u64 global) {
      if (global) memcpy((void*)global, from.shared.data() + at, map.element_bytes);
    });
  }
};

// The whole tensor must lie in a live buffer.
void check_tensor(Warp& w, const TensorMap& map, int lane) {
  u64 end = map.address + (u64)(map.last[0] + 1ull) * map.element_bytes;
  for (int dim = 1; dim < map.rank; dim++) end += map.last[dim] * map.stride[dim - 1];
  void* base;
  size_t size;
  if (!ptx_find_buffer((void*)map.address, &base, &size) || (u64)base + size < end)
    fail("the tensor of a tensor map does not lie in a live buffer, in %s", w.where(lane).c_str());
}
// d: shared address; a: address of the tensor map; v0: nv coordinates.
Box read_box(Warp& w, const Instr& in, int lane) {
  Box box;
  const char* what = "read of a tensor map";
  const u64 at = in.imm + w.get_or_zero(in.a, lane);
  w.memory(SP_GEN, at + 127, 1, lane, what, READ);
  memcpy(&box.map, w.memory(SP_GEN, at, 1, lane, what, READ), sizeof box.map);
  if (box.map.magic != tensor_map_magic)
    fail("operand is not a tensor map (from cuTensorMapEncodeTiled) in %s", w.where(lane).c_str());
  if (box.map.rank != in.nv)
    fail("tensor map of rank %d with %u coordinates in %s", box.map.rank, in.nv,
         w.where(lane).c_str());
  for (u32 dim = 0; dim < in.nv; dim++) box.start[dim] = (s32)w.get(w.list(in.v0)[dim], lane);
  box.offset = shared_operand(w, in.d, in.offset_d, lane);
  if (box.offset >> rank_shift)
    fail("cp.async.bulk.tensor to or from another block's shared memory in %s",
         w.where(lane).c_str());
  if (box.offset & 127)
    fail("cp.async.bulk.tensor needs shared memory aligned to 128 in %s", w.where(lane).c_str());
  if (box.offset + box.bytes() > w.block->shared.size())
    fail(
        "cp.async.bulk.tensor of %llu bytes at shared offset 0x%llx runs over the block's %zu in "
        "%s",
        (unsigned long long)box.bytes(), (unsigned long long)box.offset, w.block->shared.size(),
        w.where(lane).c_str());
  check_tensor(w, box.map, lane);
  if (w.counts) {
    InstrCount& c = w.counts[in.id];
    box.each_element([&](u64, u64 global) { c.bytes += global ? box.map.element_bytes : 0; });
    c.shared_bytes += box.bytes();
  }
  return box;
}

// c: address of the mbarrier; y: to the blocks of mask b, at the same place in each.
void run_tensor_in(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) {
    const Box box = read_box(w, in, i);
    const u64 mbarrier = shared_operand(w, in.c, in.offset_c, i);
    need_own_mbarrier(w, mbarrier, i);
    auto start = [&](u64 rank_bits) {
      u64 at = mbarrier + rank_bits;
      mbarrier_at(w, at, i);
      Block& to = w.shared_owner(at, i, "copy");
      start_copy(w, to, box.offset, box.bytes(), mbarrier,
                 [box](Block& block) { box.copy_in(block); });
    };
    if (!in.y) return start(0);
    const u32 blocks = (u32)w.get(in.b, i) & 0xffff;
    if (!blocks) fail("a multicast copy to no block in %s", w.where(i).c_str());
    for (u32 rank = 0; blocks >> rank; rank++)
      if (blocks >> rank & 1) start((u64)(rank + 1) << rank_shift);
  });
}
void run_tensor_out(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) {
    const Box box = read_box(w, in, i);
    w.bulk_copies.add(i, [box](Warp& by) { box.copy_out(*by.block); });
  });
}

void decode_tensor(Decoder& d) {
  Instr& in = d.in;
  d.refuse_if(d.has("cta_group::1") || d.has("cta_group::2"));
  for (auto& word : d.words) d.refuse_if(starts_with(word, "im2col") || starts_with(word, "tile:"));
  const bool to_shared = decode_direction(d) == TO_SHARED;
  in.y = d.has("multicast::cluster");
  d.refuse_if(in.y && !to_shared);
  d.need((to_shared ? 3u : 2u) + in.y);
  d.shared_address(d.operands[to_shared ? 0 : 1], in.d, in.offset_d);
  // [tensor map, {coordinates}]
  vector<string> parts = split(inside(d.operands[to_shared ? 1 : 0]));
  d.refuse_if(parts.size() != 2);
  d.global_address("[" + parts[0] + "]");
  d.list(parts[1], U32, in.v0, in.nv);
  d.refuse_if(in.nv < 1 || in.nv > 5);
  if (to_shared) d.shared_address(d.operands[2], in.c, in.offset_c);
  if (in.y) in.b = d.value(d.operands[3], U16);
  in.run = to_shared ? run_tensor_in : run_tensor_out;
}

const Opcodes opcodes{{"cp.async.bulk.tensor", decode_tensor, CL_CPASYNC}};
}  // namespace
}  // namespace ptxrun
