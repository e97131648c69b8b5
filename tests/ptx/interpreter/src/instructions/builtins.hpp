#pragma once

// The functions that CUDA offers to kernels: printf, assert, malloc, free.
#include "program/program.hpp"

namespace ptxrun {
struct Builtin {
  const char* name;
  Handler run;
  bool needs_one_thread;  // blocks in one order, so that output and addresses have one
};
const Builtin* find_builtin(const string& name);  // null: no such function
}  // namespace ptxrun
