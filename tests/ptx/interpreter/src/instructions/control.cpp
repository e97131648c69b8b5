// Branches, calls, exits, and what means nothing here.
#include <map>

#include "instructions/builtins.hpp"
#include "instructions/elementwise.hpp"
#include "instructions/opcodes.hpp"
#include "machine/machine.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
namespace {
// ---- branches
void decode_bra(Decoder& d) {
  d.need(1);
  d.in.kind = K_BRANCH;
  d.labels.push_back({(u32)d.symbols.function->code.size(), d.operands[0], d.symbols.line});
}

// table: targets; a: which.
Outcome run_brx(Warp& w, const Instr& in, u32 mask) {
  std::map<u32, u32> lanes_to;
  each_lane(mask, [&](int i) {
    u32 which = w.lanes<u32>(in.a)[i];
    if (which >= in.table->size())
      fail("brx.idx index %u out of range in %s", which, w.where(i).c_str());
    lanes_to[(*in.table)[which]] |= 1u << i;
  });
  if (u32 rest = w.current.mask & ~mask) lanes_to[w.current.pc + 1] |= rest;
  for (auto it = std::next(lanes_to.begin()); it != lanes_to.end(); ++it)
    w.split_off(it->second, it->first);
  w.current.pc = lanes_to.begin()->first;
  w.find_lowest();
  return CONTINUES;
}
void decode_brx(Decoder& d) {
  d.need(2);
  d.in.kind = K_CONTROL;
  d.in.control = run_brx;
  d.in.a = d.value(d.operands[0], U32);
  d.in.table = &d.symbols.function->tables.emplace_back();
  d.tables.push_back({(u32)d.symbols.function->code.size(), d.operands[1], d.symbols.line});
}

// ---- calls
// Copies a parameter between two places of local memory, in each lane.
void copy_param(Warp& w, u32 mask, u32 to, u32 from, u32 bytes) {
  each_lane(mask, [&](int lane) {
    u8* memory = w.local.data() + (size_t)lane * w.launch->local_bytes;
    memcpy(memory + to, memory + from, bytes);
  });
}

Outcome run_call(Warp& w, const Instr& in, u32 mask) {
  if (mask != w.current.mask) w.split_off(w.current.mask & ~mask, w.current.pc + 1);
  Split& current = w.current;
  Function &caller = *current.function, &callee = *in.callee;
  if (!callee.defined)
    fail("call of undefined function %s in %s", callee.name.c_str(),
         w.where(first_lane(mask)).c_str());
  u32 local = current.local_offset + caller.local;
  u32 registers = current.register_offset + caller.frame;
  if (local + callee.local > w.launch->local_bytes)
    fail("local memory (call stack) overflow in %s", w.where(first_lane(mask)).c_str());
  if (registers + callee.frame + 64 > w.registers.size())
    w.registers.resize(std::max<size_t>(w.registers.size() * 2, registers + callee.frame + 64));
  for (u32 j = 0; j < in.nv && j < callee.params.size(); j++) {
    auto [offset, bytes] = caller.call_arguments[in.v0 + j];
    const Param& param = callee.params[j];
    copy_param(w, mask, local + param.offset, current.local_offset + offset,
               std::min(bytes, param.bytes));
  }
  current.frames.push_back(
      {&caller, current.pc + 1, current.register_offset, current.local_offset, &in});
  current.function = &callee;
  current.pc = 0;
  current.register_offset = registers;
  current.local_offset = local;
  w.use_frame();
  w.find_lowest();
  return CONTINUES;
}

// call (result), function, (arguments); either list may be missing.
void decode_call(Decoder& d) {
  d.need(1);
  Instr& in = d.in;
  Symbols& symbols = d.symbols;
  vector<string> results, arguments;
  size_t at = 0;
  if (starts_with(d.operands[0], "(")) results = split(inside(d.operands[at++]));
  d.need(at + 1);
  string name = d.operands[at++];
  if (d.operands.size() > at && starts_with(d.operands[at], "("))
    arguments = split(inside(d.operands[at]));
  auto& places = symbols.function->call_arguments;
  auto enter = [&](const vector<string>& params, u32& first, u32& count) {
    first = (u32)places.size();
    count = (u32)params.size();
    for (auto& param : params) {
      Symbol* symbol = symbols.find(param);
      if (!symbol || symbol->kind != Symbol::PARAM)
        symbols.error("call argument '" + param + "' is not a .param variable");
      places.push_back({(u32)symbol->value, symbol->bytes});
    }
  };
  enter(arguments, in.v0, in.nv);
  enter(results, in.w0, in.nw);
  auto it = symbols.module.functions.find(name);
  bool found = it != symbols.module.functions.end();
  if (const Builtin* builtin = find_builtin(name); builtin && !(found && it->second->defined)) {
    in.run = builtin->run;
    if (builtin->needs_one_thread) symbols.function->needs_one_thread = true;
    return;
  }
  if (!found) symbols.error("call of unknown or indirect function '" + name + "'");
  in.kind = K_CONTROL;
  in.control = run_call;
  in.callee = it->second.get();
}

// ---- ends
Outcome run_exit(Warp& w, const Instr&, u32 mask) {
  Block& block = *w.block;
  each_lane(mask, [&](int i) {
    w.copies.clear(i);
    // Copies out of shared memory end even when nobody waits for them.
    if (w.bulk_copies.any())
      for (auto& copy : w.bulk_copies.take_all(i)) copy(w);
    if (Cluster* cluster = block.cluster) {
      cluster->alive--;
      if (w.cluster_arrivals[i] == cluster->phase) cluster->missing--;
    }
  });
  w.live &= ~mask;
  block.live -= __builtin_popcount(mask);
  w.current.mask &= ~mask;
  for (auto& split : w.others)
    if (split.state == WAIT_CONVERGE) split.state = RUNNING;
  w.find_lowest();
  for (int id = 0; id < 16; id++) check_barrier(block, id);
  if (block.cluster) block.cluster->complete();
  if (w.current.mask) {
    w.current.pc++;
    return CONTINUES;
  }
  if (w.others.empty()) {
    w.dead = true;
    return DONE;
  }
  return w.pick() ? CONTINUES : BLOCKED;
}

// Of a function; of a kernel it is its exit.
Outcome run_ret(Warp& w, const Instr& in, u32 mask) {
  Split& current = w.current;
  if (current.frames.empty()) return run_exit(w, in, mask);
  if (mask != current.mask) w.split_off(current.mask & ~mask, current.pc + 1);
  Frame frame = current.frames.back();
  current.frames.pop_back();
  const Instr& call = *frame.call;
  auto& results = current.function->rets;
  for (u32 j = 0; j < call.nw && j < results.size(); j++) {
    auto [offset, bytes] = frame.function->call_arguments[call.w0 + j];
    copy_param(w, mask, frame.local_offset + offset, current.local_offset + results[j].offset,
               std::min(bytes, results[j].bytes));
  }
  current.function = frame.function;
  current.pc = frame.return_to;
  current.register_offset = frame.register_offset;
  current.local_offset = frame.local_offset;
  w.use_frame();
  w.find_lowest();
  return CONTINUES;
}

template <ControlHandler run>
void decode_end(Decoder& d) {
  d.in.kind = K_CONTROL;
  d.in.control = run;
}

void run_trap(Warp& w, const Instr&, u32 mask) {
  fail("trap in %s", w.where(first_lane(mask)).c_str());
}
void decode_trap(Decoder& d) { d.in.run = run_trap; }

const Opcodes opcodes{{"bra", decode_bra, CL_CONTROL},
                      {"brx", decode_brx, CL_CONTROL},
                      {"call", decode_call, CL_CONTROL},
                      {"ret", decode_end<run_ret>, CL_CONTROL},
                      {"exit", decode_end<run_exit>, CL_CONTROL},
                      {"trap", decode_trap, CL_OTHER},
                      {"brkpt", decode_trap, CL_OTHER},
                      // Memory is consistent, there are no caches, and time does not pass.
                      {"prefetch", decode_nothing, CL_OTHER},
                      {"prefetchu", decode_nothing, CL_OTHER},
                      {"discard", decode_nothing, CL_OTHER},
                      {"applypriority", decode_nothing, CL_OTHER},
                      {"createpolicy", decode_nothing, CL_OTHER},
                      {"membar", decode_nothing, CL_OTHER},
                      {"fence", decode_nothing, CL_OTHER},
                      {"nanosleep", decode_nothing, CL_OTHER},
                      {"pmevent", decode_nothing, CL_OTHER},
                      {"setmaxnreg", decode_nothing, CL_OTHER},
                      {"griddepcontrol", decode_nothing, CL_OTHER}};
}  // namespace
}  // namespace ptxrun
