#include "text/symbols.hpp"

#include "text/lexer.hpp"

namespace ptxrun {
void Symbols::error(const string& what) const {
  fail("PTX parse error line %d: %s", line, what.c_str());
}

void Symbols::add(const string& name, const Symbol& symbol) {
  (scopes_.empty() ? module.symbols : scopes_.back())[name] = symbol;
}

Symbol* Symbols::find_in(std::unordered_map<string, Symbol>& scope, const string& name) {
  auto it = scope.find(name);
  if (it != scope.end()) return &it->second;
  // %r12 belongs to %r<N> with N > 12, %r1_2 to %r1_<N>: the number is some of the last digits.
  size_t first_digit = name.size();
  while (first_digit > 0 && isdigit((u8)name[first_digit - 1])) first_digit--;
  for (size_t at = first_digit; at < name.size(); at++) {
    auto range = scope.find(name.substr(0, at) + "<>");
    if (range == scope.end() || strtoul(name.c_str() + at, nullptr, 10) >= range->second.count ||
        (name[at] == '0' && at + 1 < name.size()))
      continue;
    Symbol one = range->second;
    one.kind = Symbol::REGISTER;
    one.value = allocate_register(one.type);
    return &(scope[name] = one);
  }
  return nullptr;
}

Symbol* Symbols::find(const string& name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    if (Symbol* found = find_in(*scope, name)) return found;
  auto it = module.symbols.find(name);
  return it == module.symbols.end() ? nullptr : &it->second;
}

u32 Symbols::allocate_register(Type type) {
  u32 bytes = type == PRED ? 4 : 32 * register_bytes(type);
  u32 offset = (u32)round_up(function->frame, type == PRED ? 4 : 64);
  function->frame = offset + bytes;
  return offset;
}

Operand Symbols::register_operand(const Symbol& symbol) const {
  return {Operand::REGISTER, register_bytes(symbol.type), (u32)symbol.value};
}

Operand Symbols::constant(u64 value, Type type) {
  bool predicate = type == PRED;
  u32 bytes = predicate ? 4 : register_bytes(type);
  string key = std::to_string(value) + ":" + std::to_string(bytes) + (predicate ? "p" : "");
  auto [it, added] = module.pool_index.emplace(key, (u32)round_up(module.pool.size(), 64));
  u32 offset = it->second;
  if (added) {
    module.pool.resize(offset + 32 * bytes + 64);
    u32 mask = value ? ~0u : 0;
    if (predicate)
      memcpy(&module.pool[offset], &mask, 4);
    else
      for (u32 lane = 0; lane < 32; lane++)
        memcpy(&module.pool[offset + lane * bytes], &value, bytes);
  }
  return {Operand::CONSTANT, register_bytes(type), offset};
}

u64 Symbols::expression(const string& text) const {
  string t = trim(text);
  u64 value;
  if (parse_number(t, B64, value)) return value;
  for (size_t i = 1; i < t.size(); i++)
    if ((t[i] == '+' || t[i] == '-') && t[i - 1] != 'e' && t[i - 1] != 'E') {
      u64 left = expression(t.substr(0, i)), right = expression(t.substr(i + 1));
      return t[i] == '+' ? left + right : left - right;
    }
  for (size_t i = 1; i < t.size(); i++)
    if (t[i] == '*') return expression(t.substr(0, i)) * expression(t.substr(i + 1));
  if (t.size() > 2 && t[0] == '(' && t.back() == ')') return expression(inside(t));
  error("bad constant '" + t + "'");
}
}  // namespace ptxrun
