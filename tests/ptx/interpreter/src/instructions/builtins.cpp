#include "instructions/builtins.hpp"

#include <cstdio>

#include "machine/machine.hpp"

namespace ptxrun {
namespace {
// v0: arguments, w0: result, as places in local memory.
u64 argument(Warp& w, const Instr& in, int lane, u32 which, u32 bytes = 8) {
  u64 value = 0;
  auto [offset, size] = w.current.function->call_arguments[in.v0 + which];
  memcpy(&value, w.frame_memory(lane) + offset, bytes);
  return value;
}
void give_result(Warp& w, const Instr& in, int lane, u64 value) {
  if (!in.nw) return;
  auto [offset, bytes] = w.current.function->call_arguments[in.w0];
  memcpy(w.frame_memory(lane) + offset, &value, bytes);
}

// The text of one conversion such as %-5ld, which `format` points behind the % of. at: the address
// of its argument.
string convert(Warp& w, int lane, const char*& format, u64& at) {
  string specification = "%";
  bool is_long = false;
  for (; *format && !strchr("diouxXeEfFgGaAcsp", *format); format++)
    if (*format == 'l')
      is_long = true;
    else
      specification += *format;
  char conversion = *format;
  bool floating = strchr("eEfFgGaA", conversion);
  int bytes = floating || is_long || conversion == 's' || conversion == 'p' ? 8 : 4;
  at = round_up(at, bytes);
  u64 v = 0;
  memcpy(&v, w.memory(SP_GEN, at, bytes, lane, "printf arg", READ), bytes);
  at += bytes;
  char text[512];
  if (floating) {
    snprintf(text, sizeof text, (specification + conversion).c_str(), bits<double>(v));
  } else if (conversion == 's') {
    snprintf(text, sizeof text, (specification + 's').c_str(), (const char*)v);
  } else if (conversion == 'c') {
    snprintf(text, sizeof text, "%c", (int)v);
  } else if (conversion == 'p') {
    snprintf(text, sizeof text, "%p", (void*)v);
  } else {
    bool negative = (conversion == 'd' || conversion == 'i') && bytes == 4;
    snprintf(text, sizeof text, (specification + "ll" + conversion).c_str(),
             negative ? (s64)(s32)v : (s64)v);
  }
  return text;
}

void run_vprintf(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) {
    const char* format = (const char*)w.memory(SP_GEN, argument(w, in, i, 0), 1, i, "printf", READ);
    u64 at = argument(w, in, i, 1);
    string text;
    for (; *format; format++) {
      if (*format != '%') {
        text += *format;
      } else if (*++format == '%') {
        text += '%';
      } else {
        text += convert(w, i, format, at);
        if (!*format) break;
      }
    }
    fputs(text.c_str(), stdout);
    give_result(w, in, i, 0);
  });
}

void run_assertfail(Warp& w, const Instr& in, u32 mask) {
  int i = first_lane(mask);
  fail("device assert '%s' (%s:%u) in %s", (const char*)argument(w, in, i, 0),
       (const char*)argument(w, in, i, 1), (u32)argument(w, in, i, 2, 4), w.where(i).c_str());
}

void run_malloc(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) { give_result(w, in, i, (u64)ptx_malloc(argument(w, in, i, 0))); });
}
void run_free(Warp& w, const Instr& in, u32 mask) {
  each_lane(mask, [&](int i) { ptx_free((void*)argument(w, in, i, 0)); });
}
}  // namespace

const Builtin* find_builtin(const string& name) {
  static const Builtin builtins[] = {{"vprintf", run_vprintf, true},
                                     {"__assertfail", run_assertfail, false},
                                     {"malloc", run_malloc, true},
                                     {"free", run_free, true}};
  for (auto& builtin : builtins)
    if (name == builtin.name) return &builtin;
  return nullptr;
}
}  // namespace ptxrun
