#include "text/declarations.hpp"

#include <algorithm>
#include <cstdlib>

#include "program/buffers.hpp"
#include "text/lexer.hpp"

namespace ptxrun {
namespace {
struct Declaration {
  string space;                 // reg, local, shared, global, const or param
  u32 align = 0, elements = 1;  // of a vector
  Type type = TN;
  string name;  // ends in <> for a range of registers
  u64 count = 1;
  bool unsized = false;
  string initialiser;

  u32 element_bytes() const { return type_size(type) * elements; }
  u64 bytes() const { return element_bytes() * count; }
  u32 alignment() const { return std::max({align, element_bytes(), 1u}); }
};

// The text of one declaration, word after word.
class DeclarationReader {
 public:
  DeclarationReader(Symbols& symbols, const string& text) : symbols_(symbols), text_(text) {}

  Declaration read() {
    while (next() == '.') read_directive();
    if (at_ < text_.size()) {
      found_.name = word();
      if (found_.name.empty()) symbols_.error("bad declaration '" + text_ + "'");
    }
    while (next() == '[') {
      string size = trim(up_to(']'));
      if (size.empty())
        found_.unsized = true;
      else
        found_.count *= symbols_.expression(size);
    }
    if (next() == '<') {
      found_.count = symbols_.expression(up_to('>'));
      found_.name += "<>";
    }
    if (next() == '=') found_.initialiser = trim(text_.substr(at_ + 1));
    return found_;
  }

 private:
  char next() {
    while (at_ < text_.size() && isspace((u8)text_[at_])) at_++;
    return at_ < text_.size() ? text_[at_] : 0;
  }
  string word() {
    size_t from = at_;
    while (at_ < text_.size() && is_word(text_[at_])) at_++;
    return text_.substr(from, at_ - from);
  }
  string up_to(char close) {
    size_t from = at_ + 1, to = text_.find(close, from);
    at_ = to + 1;
    return text_.substr(from, to - from);
  }
  void read_directive() {
    at_++;
    string w = word();
    Type type;
    if (w == "align") {
      size_t digits;
      found_.align = std::stoi(text_.substr(at_), &digits);
      at_ += digits;
    } else if (w == "v2" || w == "v4") {
      found_.elements = w == "v2" ? 2 : 4;
    } else if (w == "attribute") {
      at_ = std::min(text_.find(')', at_), text_.size() - 1) + 1;
    } else if (parse_type(w, type)) {
      if (found_.type == TN) found_.type = type;
    } else if (w == "reg" || w == "local" || w == "shared" || w == "global" || w == "const" ||
               w == "param") {
      // Behind the type, .ptr and a space describe what a parameter points to.
      if (found_.space.empty() && found_.type == TN) found_.space = w;
    } else if (w != "ptr") {
      symbols_.error("unknown word '." + w + "' in declaration '" + text_ + "'");
    }
  }

  Symbols& symbols_;
  const string& text_;
  size_t at_ = 0;
  Declaration found_;
};

void flatten(const string& initialiser, vector<string>& values) {
  string text = trim(initialiser);
  if (text.empty()) return;
  if (text[0] != '{') return values.push_back(text);
  for (auto& element : split(inside(text))) flatten(element, values);
}

// A value that is an address, such as generic(name+4) or 0xff00(name): one byte of it. Addresses
// are known when the whole module is read.
void initialise_by_address(Symbols& symbols, const string& text, u8* memory, u32 bytes) {
  string name = text;
  int shift = 0;
  if (starts_with(name, "0x") && name.find('(') != string::npos) {
    for (u64 mask = strtoull(name.c_str(), nullptr, 16); mask && !(mask & 0xff); mask >>= 8)
      shift += 8;
    bytes = 1;
    name = inside(name.substr(name.find('(')));
  }
  if (starts_with(name, "generic(")) name = inside(name.substr(7));
  name = trim(name);
  s64 added = 0;
  if (size_t plus = name.find('+'); plus != string::npos) {
    added = (s64)symbols.expression(name.substr(plus + 1));
    name = trim(name.substr(0, plus));
  }
  ptx_module* module = &symbols.module;
  int line = symbols.line;
  module->initialisers.push_back([=] {
    auto it = module->symbols.find(name);
    if (it == module->symbols.end())
      fail("PTX line %d: unknown symbol '%s' in initialiser", line, name.c_str());
    u64 value = (it->second.value + added) >> shift;
    memcpy(memory, &value, bytes);
  });
}

void initialise(Symbols& symbols, const Declaration& d, u8* memory) {
  u32 bytes = type_size(d.type);
  vector<string> values;
  flatten(d.initialiser, values);
  for (auto& text : values) {
    u64 value;
    if (parse_number(text, d.type, value))
      memcpy(memory, &value, bytes);
    else
      initialise_by_address(symbols, text, memory, bytes);
    memory += bytes;
  }
}

// ".reg .b32 a, b, %r<10>": several names of one type.
void declare_registers(Symbols& symbols, const string& statement, const Declaration& first) {
  vector<string> names = split(statement);
  for (size_t i = 0; i < names.size(); i++) {
    Declaration d = first;
    if (i) {
      string text = string(".reg .") + type_names[first.type] + " " + names[i];
      d = DeclarationReader(symbols, text).read();
    }
    Symbol symbol{Symbol::REGISTER, 0, d.type, 0, (u32)d.count};
    if (d.name.size() > 2 && d.name.substr(d.name.size() - 2) == "<>")
      symbol.kind = Symbol::REGISTERS;
    else
      symbol.value = symbols.allocate_register(d.type);
    symbols.add(d.name, symbol);
  }
}

void declare_shared(Symbols& symbols, const Declaration& d, bool external) {
  ptx_module& module = symbols.module;
  if (d.unsized || (external && !d.count)) {
    module.dynamic_shared_align = std::max(module.dynamic_shared_align, d.alignment());
    module.symbols[d.name] = Symbol{Symbol::DYNAMIC_SHARED, 0, d.type, 0, 1};
    return;
  }
  bool of_kernel = symbols.function && symbols.function->entry;
  u32& end = of_kernel ? symbols.function->static_shared : module.module_shared;
  u32 offset = (u32)round_up(end, d.alignment());
  end = offset + (u32)d.bytes();
  if (of_kernel) offset += module.entry_shared_base;
  symbols.add(d.name, Symbol{Symbol::SHARED, offset, d.type, (u32)d.bytes(), 0});
}

void declare_global(Symbols& symbols, const Declaration& d, bool external) {
  ptx_module& module = symbols.module;
  if (external && module.symbols.count(d.name)) return;
  u64 bytes = std::max<u64>(d.bytes(), 1);
  void* memory = aligned_alloc(256, round_up(bytes, 256));
  memset(memory, 0, bytes);
  module.owned.push_back(memory);
  add_buffer(memory, bytes, d.name.c_str(), false);
  Symbol symbol{Symbol::GLOBAL, (u64)memory, d.type, (u32)bytes, 1};
  symbols.add(d.name, symbol);
  module.symbols[d.name] = symbol;
  if (!d.initialiser.empty()) initialise(symbols, d, (u8*)memory);
}
}  // namespace

u32 allocate_local(Function& function, u32 bytes, u32 align) {
  u32 offset = (u32)round_up(function.local, std::max(align, 8u));
  function.local = offset + (u32)round_up(bytes, 8);
  return offset;
}

void declare(Symbols& symbols, const string& statement, bool external) {
  Declaration d = DeclarationReader(symbols, statement).read();
  if (d.space == "reg" && symbols.function) {
    declare_registers(symbols, statement, d);
  } else if (d.space == "local" || (d.space == "param" && symbols.function)) {
    u32 bytes = (u32)d.bytes(), offset = allocate_local(*symbols.function, bytes, d.alignment());
    auto kind = d.space == "local" ? Symbol::LOCAL : Symbol::PARAM;
    symbols.add(d.name, Symbol{kind, offset, d.type, bytes, 1});
  } else if (d.space == "shared") {
    declare_shared(symbols, d, external);
  } else if (d.space == "global" || d.space == "const") {
    declare_global(symbols, d, external);
  } else {
    symbols.error("unsupported declaration '" + statement + "'");
  }
}

vector<Param> parse_parameters(Symbols& symbols, const string& list) {
  vector<Param> params;
  u32 end = 0;
  for (auto& text : split(list)) {
    if (text.empty()) continue;
    Declaration d = DeclarationReader(symbols, text).read();
    u32 offset = (u32)round_up(end, d.alignment());
    params.push_back({d.name, offset, (u32)d.bytes(), d.alignment()});
    end = offset + (u32)d.bytes();
  }
  return params;
}
}  // namespace ptxrun
