#include "text/decoder.hpp"

#include "instructions/opcodes.hpp"
#include "program/numeric.hpp"
#include "program/special_registers.hpp"

namespace ptxrun {
namespace {
Rounding rounding_of(const Decoder& d) {
  return d.has("rz") ? RZ : d.has("rm") ? RM : d.has("rp") ? RP : d.has("rna") ? RNA : RN;
}
}  // namespace

void Decoder::decode(const string& statement) {
  statement_ = statement;
  in = Instr();
  string text = statement;
  auto blank = [&](size_t i) { return isspace((u8)text[i]); };
  if (text[0] == '@') {
    size_t end = 1;
    while (end < text.size() && !blank(end)) end++;
    Operand guard = predicate(text.substr(1, end - 1), in.guard_negated);
    if (guard.area != Operand::REGISTER) symbols.error("bad guard");
    in.guard = guard.offset;
    text = trim(text.substr(end));
  }
  size_t end = 0;
  while (end < text.size() && !blank(end) && text[end] != '{' && text[end] != '[') end++;
  words = split_words(text.substr(0, end));
  operands = split(text.substr(end));
  types.clear();
  for (size_t i = 1; i < words.size(); i++)
    if (Type t; parse_type(words[i], t)) types.push_back(t);
  type = types.empty() ? TN : types.back();

  const Opcode* opcode = find_opcode(words, type);
  refuse_if(!opcode || has("rs"));  // stochastic rounding
  in.t = type;
  in.rounding = rounding_of(*this);
  in.ftz = has("ftz");
  in.sat = has("sat") || has("satfinite");
  in.relu = has("relu");
  in.line = symbols.line;
  in.source_file = source_file;
  in.source_line = source_line;
  count(opcode->category, opcode->operations);
  opcode->decode(*this);
  refuse_if((in.kind == K_LANES || in.kind == K_TOGETHER) && !in.run);
  symbols.function->code.push_back(in);
}

// Before the decode function, which may know better.
void Decoder::count(Category category, u32 operations) {
  in.category = category != CL_FP32 ? category
                : is_half(type)     ? CL_HALF
                : type == F64       ? CL_FP64
                                    : CL_FP32;
  in.operations = operations * (is_pair(type) ? 2 : 1);
}

bool Decoder::has(const char* word) const {
  for (size_t i = 1; i < words.size(); i++)
    if (words[i] == word) return true;
  return false;
}

Space Decoder::space() const {
  if (has("global")) return SP_GLOBAL;
  if (has("shared") || has("shared::cta") || has("shared::cluster")) return SP_SHARED;
  if (has("local")) return SP_LOCAL;
  if (has("const")) return SP_CONST;
  if (has("param") || has("param::entry") || has("param::func")) return SP_PARAM;
  return SP_GEN;
}

bool Decoder::shape() {
  unsigned m, n, k;
  for (auto& word : words)
    if (sscanf(word.c_str(), "m%un%uk%u", &m, &n, &k) == 3) {
      in.m = (u16)m, in.n = (u16)n, in.k = (u16)k;
      return true;
    }
  return false;
}

void Decoder::error(const string& what) const { symbols.error(what + " in '" + statement_ + "'"); }

void Decoder::need(size_t count) const {
  if (operands.size() < count) error("too few operands");
}

void Decoder::take(std::initializer_list<Type> operand_types) {
  need(operand_types.size());
  Operand* places[] = {&in.d, &in.a, &in.b, &in.c, &in.e};
  size_t i = 0;
  for (Type t : operand_types) {
    *places[i] = value(operands[i], t);
    i++;
  }
}

Operand Decoder::value(const string& text, Type t) {
  string name = trim(text);
  if (name == "_") return Operand();
  u64 number;
  if (parse_number(name, t, number)) return symbols.constant(number, t == TN ? B32 : t);
  if (SpecialRegister special; find_special(name, special))
    return {Operand::SPECIAL, (u8)(special == SR_CLOCK_64 ? 8 : 4), (u32)special * special_bytes};
  Symbol* symbol = symbols.find(name);
  if (!symbol) symbols.error("unknown operand '" + name + "'");
  if (symbol->kind != Symbol::REGISTER) symbols.error("operand '" + name + "' is not a register");
  return symbols.register_operand(*symbol);
}

Operand Decoder::predicate(const string& text, bool& negated) {
  string name = trim(text);
  negated = starts_with(name, "!");
  return value(negated ? name.substr(1) : name, PRED);
}

void Decoder::destinations(const string& text, Type t) {
  size_t bar = text.find('|');
  in.d = value(text.substr(0, bar), t);
  if (bar != string::npos) in.p = value(text.substr(bar + 1), PRED);
}

void Decoder::list(const string& text, Type t, u32& first, u32& count) {
  string whole = trim(text);
  vector<string> elements = starts_with(whole, "{") ? split(inside(whole)) : vector{whole};
  vector<Operand>& lists = symbols.function->lists;
  first = (u32)lists.size();
  count = (u32)elements.size();
  for (auto& element : elements) lists.push_back(value(element, t));
}

Address Decoder::address(const string& text) {
  string whole = trim(text);
  if (whole.empty() || whole[0] != '[') symbols.error("expected address, got '" + whole + "'");
  string name = trim(inside(whole));
  Address found;
  found.space = space();
  for (size_t i = 1; i < name.size(); i++)
    if (name[i] == '+' || (name[i] == '-' && name[i - 1] != '+')) {
      found.offset = (s64)symbols.expression(trim(name.substr(i + (name[i] == '+'))));
      name = trim(name.substr(0, i));
      break;
    }
  u64 number;
  if (parse_number(name, B64, number)) {
    found.offset += number;
    return found;
  }
  Symbol* symbol = symbols.find(name);
  if (!symbol) symbols.error("unknown address base '" + name + "'");
  switch (symbol->kind) {
    case Symbol::REGISTER:
      found.base = symbols.register_operand(*symbol);
      return found;
    case Symbol::DYNAMIC_SHARED:
      found.dynamic_shared = true;
      return found;
    case Symbol::SHARED:
      if (found.space == SP_GEN) found.offset += shared_window;
      break;
    case Symbol::GLOBAL:
      break;
    case Symbol::LOCAL:
    case Symbol::PARAM:
      found.space = SP_LPARAM;
      break;
    case Symbol::KERNEL_PARAM:
      found.kernel_param = true;
      break;
    default:
      symbols.error("bad address base '" + name + "'");
  }
  found.offset += symbol->value;
  return found;
}

void Decoder::memory(const string& text) {
  Address found = address(text);
  refuse_if(found.kernel_param);
  in.a = found.base;
  in.imm = found.offset;
  in.space = found.space;
  if (found.dynamic_shared) in.dynamic_shared = DYNAMIC_ADDRESS;
}

Category Decoder::memory_category(bool store) const {
  switch (in.space) {
    case SP_SHARED:
      return store ? CL_STS : CL_LDS;
    case SP_LOCAL:
      return CL_LOCAL;
    case SP_CONST:
      return CL_CONSTANT;
    case SP_PARAM:
    case SP_LPARAM:
      return has("param") ? CL_PARAM : CL_LOCAL;
    default:
      return store ? CL_STG : CL_LDG;
  }
}

// Of copies, which have several addresses: neither in parameters nor in dynamic shared memory.
Address Decoder::plain_address(const string& text, Space of) {
  Address found = address(text);
  refuse_if(found.dynamic_shared || found.space == SP_LPARAM || found.kernel_param);
  if (!found.base.present()) {
    found.base = symbols.constant((u64)found.offset, of == SP_SHARED ? B32 : B64);
    found.offset = 0;
  }
  return found;
}

void Decoder::shared_address(const string& text, Operand& base, s32& offset) {
  Address found = plain_address(text, SP_SHARED);
  base = found.base;
  offset = (s32)found.offset;
}

void Decoder::global_address(const string& text) {
  Address found = plain_address(text, SP_GEN);
  in.a = found.base;
  in.imm = found.offset;
}
}  // namespace ptxrun
