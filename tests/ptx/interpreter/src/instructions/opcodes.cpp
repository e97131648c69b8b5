#include "instructions/opcodes.hpp"

#include <cstdio>
#include <cstdlib>

namespace ptxrun {
namespace {
using Table = std::unordered_map<string, Opcode>;
// Filled before main() by objects of other files, hence a function with statics.
Table& table(bool floating) {
  static Table tables[2];
  return tables[floating];
}
}  // namespace

Opcodes::Opcodes(std::initializer_list<Opcode> opcodes) {
  for (const Opcode& opcode : opcodes)
    for (bool floating : {false, true}) {
      if (opcode.category == (floating ? CL_INT : CL_FP32)) continue;
      if (table(floating).emplace(opcode.name, opcode).second) continue;
      fprintf(stderr, "ptxrun: the opcode %s is entered twice\n", opcode.name);
      abort();
    }
}

const Opcode* find_opcode(const vector<string>& words, Type type) {
  const Table& opcodes = table(is_float(type));
  const Opcode* longest = nullptr;
  string name;
  for (const string& word : words) {
    name += (name.empty() ? "" : ".") + word;
    auto it = opcodes.find(name);
    if (it != opcodes.end()) longest = &it->second;
  }
  return longest;
}
}  // namespace ptxrun
