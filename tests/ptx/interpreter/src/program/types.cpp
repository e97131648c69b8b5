#include "program/types.hpp"

#include <cstdarg>
#include <cstdio>

namespace ptxrun {
const char* const type_names[TYPE_COUNT] = {
    "",    "u8",   "u16", "u32",  "u64", "s8",  "s16",  "s32",   "s64",    "b8",   "b16",  "b32",
    "b64", "b128", "f16", "bf16", "f32", "f64", "tf32", "f16x2", "bf16x2", "pred", "e4m3", "e5m2"};

bool parse_type(const string& name, Type& type) {
  for (int i = 1; i < TYPE_COUNT; i++)
    if (name == type_names[i]) {
      type = (Type)i;
      return true;
    }
  return false;
}

void fail(const char* format, ...) {
  char message[2048];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  throw Failure{message};
}
}  // namespace ptxrun
