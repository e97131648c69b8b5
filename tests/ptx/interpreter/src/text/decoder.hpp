#pragma once

// One statement of a function to one instruction. What it takes apart here, the decode function of
// the opcode, in the file of its family in instructions/, puts together.
#include <initializer_list>

#include "text/lexer.hpp"
#include "text/symbols.hpp"

namespace ptxrun {
// A memory operand: [base + offset].
struct Address {
  Operand base;  // absent: the offset is all
  s64 offset = 0;
  Space space = SP_GEN;
  bool kernel_param = false, dynamic_shared = false;
};

class Decoder {
 public:
  explicit Decoder(Symbols& symbols) : symbols(symbols) {}
  void decode(const string& statement);

  Symbols& symbols;
  int source_file = 0, source_line = 0;  // of the latest .loc
  struct Use {
    u32 instruction;  // index in the function's code
    string name;
    int line;
  };
  vector<Use> labels, tables;  // to be found when the function is read

  // ---- the statement
  vector<string> words;  // the opcode, and what follows its dots
  vector<Type> types;    // those among the words
  Type type = TN;        // the last of them
  vector<string> operands;
  Instr in;  // being made
  bool has(const char* word) const;
  bool is(const char* opcode) const { return words[0] == opcode; }
  Space space() const;  // that the words name
  template <size_t N>
  int which(const char* const (&names)[N]) const;  // of these words, -1 none
  bool shape();                                    // reads m, n and k from a word like m16n8k16

  // What runs it when the lanes named by operand e, or all, have come.
  void run_together(Handler run) {
    in.kind = K_TOGETHER;
    in.run = run;
  }

  [[noreturn]] void error(const string& what) const;  // in this statement
  [[noreturn]] void refuse() const {
    symbols.error("unsupported instruction '" + statement_ + "'");
  }
  void refuse_if(bool bad) const {
    if (bad) refuse();
  }
  void need(size_t count) const;  // operands

  // ---- its operands
  // d, a, b, c and e from the operands in their order, which must be there.
  void take(std::initializer_list<Type> types);
  Operand value(const string& text, Type type);  // register or constant; absent where "_"
  Operand predicate(const string& text, bool& negated);
  void destinations(const string& text, Type type);  // d, or d|p with the predicate p
  void list(const string& text, Type type, u32& first, u32& count);  // {r0, r1} or r0
  Address address(const string& text);                               // in the words' space
  void memory(const string& text);             // a, imm and space of the instruction
  Category memory_category(bool store) const;  // of what accesses it
  // A shared address into a register and an offset.
  void shared_address(const string& text, Operand& base, s32& offset);
  void global_address(const string& text);  // a and imm

 private:
  Address plain_address(const string& text, Space space);
  void count(Category category, u32 operations);
  string statement_;
};

template <size_t N>
int Decoder::which(const char* const (&names)[N]) const {
  for (size_t i = 0; i < N; i++)
    if (has(names[i])) return (int)i;
  return -1;
}
}  // namespace ptxrun
