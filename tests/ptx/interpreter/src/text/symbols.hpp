#pragma once

// What names mean while a module is read, and where registers and constants lie.
#include "program/program.hpp"

namespace ptxrun {
class Symbols {
 public:
  explicit Symbols(ptx_module& m) : module(m) {}

  ptx_module& module;
  Function* function = nullptr;  // whose body is being read
  int line = 1;                  // being read, for messages
  [[noreturn]] void error(const string& what) const;

  void enter_scope() { scopes_.emplace_back(); }
  void leave_scope() { scopes_.pop_back(); }
  // In the innermost scope, or in the module outside functions.
  void add(const string& name, const Symbol& symbol);
  // Null where no scope and not the module has the name. Makes the register of a range (%r<10>).
  Symbol* find(const string& name);

  u32 allocate_register(Type type);
  Operand register_operand(const Symbol& symbol) const;
  Operand constant(u64 value, Type type);
  u64 expression(const string& text) const;  // sums, differences and products of numbers

 private:
  Symbol* find_in(std::unordered_map<string, Symbol>& scope, const string& name);
  vector<std::unordered_map<string, Symbol>> scopes_;
};
}  // namespace ptxrun
