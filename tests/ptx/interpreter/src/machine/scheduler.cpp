// Runs one warp: fetch, divergence and reconvergence. Diverged lanes form splits; the deepest call,
// then the lowest program counter, runs first, splits that meet merge, and now and then another
// one has a turn, so that spin locks of single lanes make progress.
#include <algorithm>
#include <cstdio>

#include "machine/machine.hpp"
#include "program/special_registers.hpp"

namespace ptxrun {
namespace {
bool same_place(const Split& a, const Split& b) {
  if (a.pc != b.pc || a.function != b.function || a.frames.size() != b.frames.size()) return false;
  for (size_t i = 0; i < a.frames.size(); i++)
    if (a.frames[i].return_to != b.frames[i].return_to ||
        a.frames[i].function != b.frames[i].function)
      return false;
  return true;
}
}  // namespace

string Warp::where(int lane) {
  Function* f = current.function;
  const Instr& in = f->code[std::min<size_t>(current.pc, f->code.size() - 1)];
  const u32* special = (const u32*)specials.data();
  auto thread = [&](int dimension) { return special[(SR_TID_X + dimension) * 32 + lane]; };
  auto& files = launch->module->files;
  string source;
  if (in.source_line && in.source_file > 0 && in.source_file < (int)files.size())
    source = " (" + files[in.source_file] + ":" + std::to_string(in.source_line) + ")";
  char place[160];
  snprintf(place, sizeof place, ", block (%u,%u,%u), thread (%u,%u,%u)", block->id[0], block->id[1],
           block->id[2], thread(0), thread(1), thread(2));
  string inner = f == launch->kernel ? "" : ", function " + f->name;
  return "kernel " + launch->kernel->name + inner + ", PTX line " + std::to_string(in.line) +
         source + place;
}

void Warp::find_lowest() {
  lowest = ~0ull;
  for (auto& s : others)
    if (s.state == RUNNING) lowest = std::min(lowest, order(s));
}

void Warp::merge_same() {
  for (size_t i = 0; i < others.size();)
    if (others[i].state <= WAIT_CONVERGE && same_place(others[i], current)) {
      current.mask |= others[i].mask;
      others[i] = std::move(others.back());
      others.pop_back();
    } else {
      i++;
    }
  find_lowest();
}

bool Warp::pick() {
  int best = -1;
  for (size_t i = 0; i < others.size(); i++)
    if (others[i].state == RUNNING && (best < 0 || order(others[i]) < order(others[best])))
      best = (int)i;
  if (best < 0) return false;
  current = std::move(others[best]);
  others[best] = std::move(others.back());
  others.pop_back();
  use_frame();
  find_lowest();
  since = 0;
  return true;
}

bool Warp::park(SplitState state) {
  current.state = state;
  others.push_back(std::move(current));
  current = Split();
  boost = 0;
  return pick();
}

void Warp::split_off(u32 mask, u32 pc) {
  Split other = current;
  other.mask = mask;
  other.pc = pc;
  current.mask &= ~mask;
  others.push_back(std::move(other));
  find_lowest();
}

// Another split that could run has a turn.
void Warp::be_fair() {
  since = 0;
  int other = -1;
  for (size_t i = 0; i < others.size(); i++)
    if (others[i].state == RUNNING) other = (int)i;
  if (other < 0) return;
  std::swap(current, others[other]);
  use_frame();
  find_lowest();
  boost = 2000;
}

// An instruction that lanes execute together; false: it waits for some.
bool Warp::run_together(const Instr& in, u32 mask) {
  const bool named = in.e.present();
  const u32 members = (named ? (u32)get(in.e, first_lane(mask)) : live) & live;
  if (members & ~mask && !others.empty()) {
    merge_same();
    mask = guarded(in);
  }
  if (members & ~mask) {
    string place = where(first_lane(mask));
    u32 here = current.mask;
    if (park(WAIT_CONVERGE)) return false;
    fail(
        "warp-synchronous instruction reached by lanes %08x but member mask needs %08x (live "
        "%08x): divergence deadlock in %s",
        here, members, live, place.c_str());
  }
  in.run(*this, in, mask & members ? mask & members : mask);
  if (named && mask & ~members)
    fail("executing lanes %08x are not all in member mask %08x of %s", mask, members,
         where(first_lane(mask & ~members)).c_str());
  return true;
}

RunResult Warp::run(u64 quantum) {
  constexpr u32 turn = 200000;
  const u64 end = instrs + quantum;
  use_frame();
  if ((current.mask == 0 || current.state != RUNNING) && !pick())
    return others.empty() ? RUN_DONE : RUN_BLOCKED;
  for (;;) {
    if (!others.empty()) {
      if (boost) {
        boost--;
      } else if (u64 mine = order(current); mine >= lowest) {
        if (mine == lowest) merge_same();
        if (order(current) > lowest) {
          others.push_back(std::move(current));
          pick();
        }
      }
      if (++since > turn) be_fair();
    }
    if (instrs >= end) return RUN_QUANTUM;
    const Instr& in = current.function->code[current.pc];
    const u32 mask = guarded(in);
    instrs++;
    lane_instrs += __builtin_popcount(mask);
    if (counts) {
      counts[in.id].warps++;
      counts[in.id].lanes += __builtin_popcount(mask);
    }
    if (__builtin_expect(launch->options.trace, 0))
      fprintf(stderr, "w%u pc%u line %d mask %08x\n", index, current.pc, in.line, mask);
    switch (in.kind) {
      case K_LANES:
        if (mask) in.run(*this, in, mask);
        current.pc++;
        if (__builtin_expect(yield, 0)) {
          yield = false;
          return RUN_QUANTUM;
        }
        break;
      case K_BRANCH:
        if (mask == current.mask) {
          current.pc = in.target;
        } else {
          current.pc++;
          if (mask) {
            block->worker->stats.divergent_branches++;
            if (counts) counts[in.id].divergent++;
            split_off(mask, in.target);
          }
        }
        break;
      case K_TOGETHER:
        if (!mask || run_together(in, mask)) current.pc++;
        break;
      case K_CONTROL:
        if (!mask) {
          current.pc++;
          break;
        }
        switch (in.control(*this, in, mask)) {
          case CONTINUES:
            break;
          case BLOCKED:
            return RUN_BLOCKED;
          case DONE:
            return RUN_DONE;
        }
        break;
    }
  }
}
}  // namespace ptxrun
