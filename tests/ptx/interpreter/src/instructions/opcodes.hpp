#pragma once

// The instructions that there are. Each file of this folder has one family: what runs its
// instructions, what decodes them, and one object of Opcodes that enters both.
#include <initializer_list>

#include "program/program.hpp"

namespace ptxrun {
class Decoder;

struct Opcode {
  // The opcode, with the words that tell it from others: "ld", "cp.async.bulk.tensor".
  const char* name;
  // Fills Decoder::in from what the statement holds.
  void (*decode)(Decoder&);
  // CL_FP32: of whichever floating type the instruction has, and found only for these. CL_INT:
  // found only for others. The rest: found for all types.
  Category category;
  u32 operations = 0;  // of floating point, per element
};

struct Opcodes {
  Opcodes(std::initializer_list<Opcode> opcodes);
};

// The one whose name is the longest beginning of the words; null where there is none.
const Opcode* find_opcode(const vector<string>& words, Type type);
}  // namespace ptxrun
