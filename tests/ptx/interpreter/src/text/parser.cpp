// PTX text to a module: directives of the module, functions, labels. Statements are decoder.cpp's.
// What is not understood is an error.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "program/buffers.hpp"
#include "text/declarations.hpp"
#include "text/decoder.hpp"

namespace ptxrun {
namespace {
class Parser {
 public:
  explicit Parser(ptx_module& module)
      : module_(module), lexer_(module.text), symbols_(module), decoder_(symbols_) {}

  void parse_module() {
    while (char c = lexer_.next()) {
      symbols_.line = lexer_.line();
      if (c == ';')
        lexer_.skip();
      else if (c == '.')
        parse_directive();
      else
        symbols_.error(string("unexpected character '") + c + "' at module scope");
    }
    for (auto& initialise : module_.initialisers) initialise();
    place_dynamic_shared();
  }

 private:
  void parse_directive() {
    bool external = false;
    size_t start = lexer_.position();
    string word = lexer_.directive();
    while (word == ".visible" || word == ".extern" || word == ".weak" || word == ".common") {
      external |= word == ".extern";
      lexer_.next();
      start = lexer_.position();
      word = lexer_.directive();
    }
    if (word == ".file") {
      parse_file();
    } else if (word == ".version" || word == ".target" || word == ".address_size") {
      lexer_.rest_of_line();
    } else if (word == ".section") {
      lexer_.skip_section();
    } else if (word == ".entry" || word == ".func") {
      parse_function(word == ".entry");
    } else if (word == ".alias" || word == ".pragma") {
      lexer_.statement();
    } else {
      lexer_.go_back(start);
      declare(symbols_, lexer_.statement(), external);
    }
  }

  void parse_file() {  // .file N "path"
    string line = lexer_.rest_of_line();
    int n = 0;
    sscanf(line.c_str(), " %d", &n);
    size_t from = line.find('"'), to = line.rfind('"');
    if (n <= 0 || n > 100000 || from == string::npos || to <= from) return;
    if ((int)module_.files.size() <= n) module_.files.resize(n + 1);
    module_.files[n] = line.substr(from + 1, to - from - 1);
  }

  void parse_function(bool entry) {
    vector<Param> rets;
    if (!entry) rets = parse_parameters(symbols_, lexer_.parameter_list());
    string name = lexer_.identifier();
    vector<Param> params = parse_parameters(symbols_, lexer_.parameter_list());
    auto& place = module_.functions[name];
    if (!place) {
      place = std::make_unique<Function>();
      place->name = name;
    }
    Function& f = *place;
    f.entry = entry;
    module_.symbols.emplace(name, Symbol{Symbol::FUNCTION, (u64)&f, TN, 0, 1});
    bool body = parse_attributes(f);
    if (body || !f.defined) {
      f.params = std::move(params);
      f.rets = std::move(rets);
    }
    if (body) parse_body(f);
  }

  // Between a function's parameters and its body. False: it has none.
  bool parse_attributes(Function& f) {
    for (;;) {
      char c = lexer_.next();
      if (!c) return false;
      if (c == ';' || c == '{') {
        lexer_.skip();
        return c == '{';
      }
      if (c != '.') symbols_.error("unexpected text after function header");
      string word = lexer_.directive();
      if (word == ".noreturn" || word == ".weak") continue;
      unsigned n[3];
      if (word == ".reqnctapercluster") {
        lexer_.dimensions(n);
        std::copy(n, n + 3, f.cluster);
      }
      if (word == ".maxntid" || word == ".reqntid") f.max_threads = lexer_.dimensions(n);
      lexer_.skip_until(".{;");
    }
  }

  void parse_body(Function& f) {
    f.defined = true;
    f.frame = f.local = 0;
    symbols_.function = &f;
    labels_.clear();
    tables_.clear();
    decoder_.labels.clear();
    decoder_.tables.clear();
    symbols_.enter_scope();
    enter_parameters(f);
    symbols_.enter_scope();
    for (int depth = 1; depth;) {
      char c = lexer_.next();
      if (!c) symbols_.error("unexpected end of file");
      symbols_.line = lexer_.line();
      if (c == '{') {
        depth++;
        symbols_.enter_scope();
        lexer_.skip();
      } else if (c == '}') {
        depth--;
        symbols_.leave_scope();
        lexer_.skip();
      } else if (c == ';') {
        lexer_.skip();
      } else if (c == '.') {
        parse_directive_in_body();
      } else if (!parse_label(f)) {
        symbols_.line = lexer_.line();
        decoder_.decode(lexer_.statement());
      }
    }
    decoder_.decode("ret");  // for those that end without
    find_labels(f);
    f.frame = (u32)round_up(f.frame, 64);
    f.local = (u32)round_up(f.local, 16);
    symbols_.leave_scope();
    symbols_.function = nullptr;
  }

  // Those of a kernel lie in its parameter block, those of a function in local memory.
  void enter_parameters(Function& f) {
    if (f.entry) {
      f.param_bytes = 0;
      for (auto& param : f.params) {
        symbols_.add(param.name, Symbol{Symbol::KERNEL_PARAM, param.offset, TN, param.bytes, 1});
        f.param_bytes = param.offset + param.bytes;
      }
      return;
    }
    for (auto* list : {&f.rets, &f.params})
      for (auto& param : *list) {
        param.offset = allocate_local(f, param.bytes, param.align);
        symbols_.add(param.name, Symbol{Symbol::PARAM, param.offset, TN, param.bytes, 1});
      }
  }

  void parse_directive_in_body() {
    size_t start = lexer_.position();
    string word = lexer_.directive();
    if (word == ".loc") {
      sscanf(lexer_.rest_of_line().c_str(), " %d %d", &decoder_.source_file, &decoder_.source_line);
    } else if (word == ".file") {
      parse_file();
    } else if (word == ".pragma" || word == ".callprototype" || word == ".calltargets" ||
               word == ".branchtargets") {
      lexer_.statement();
    } else {
      lexer_.go_back(start);
      declare(symbols_, lexer_.statement(), false);
    }
  }

  bool parse_label(const Function& f) {
    size_t start = lexer_.position();
    string name = lexer_.identifier();
    if (name.empty() || !lexer_.take_label_colon()) {
      lexer_.go_back(start);
      return false;
    }
    if (lexer_.take(".branchtargets"))
      tables_[name] = split(lexer_.statement());
    else if (lexer_.take(".callprototype"))
      lexer_.statement();
    else
      labels_[name] = (u32)f.code.size();
    return true;
  }

  u32 label(const string& name, int line) {
    auto it = labels_.find(name);
    symbols_.line = line;
    if (it == labels_.end()) symbols_.error("unknown label " + name);
    return it->second;
  }
  void find_labels(Function& f) {
    for (auto& use : decoder_.labels) f.code[use.instruction].target = label(use.name, use.line);
    for (auto& use : decoder_.tables) {
      auto it = tables_.find(use.name);
      symbols_.line = use.line;
      if (it == tables_.end()) symbols_.error("unknown branch table " + use.name);
      for (auto& name : it->second) f.code[use.instruction].table->push_back(label(name, use.line));
    }
  }

  // Behind the shared memory of the module and of every kernel.
  void place_dynamic_shared() {
    u32 end = module_.module_shared;
    for (auto& [name, f] : module_.functions)
      if (f->entry) end = std::max(end, module_.entry_shared_base + f->static_shared);
    const u32 base = (u32)round_up(end, module_.dynamic_shared_align);
    module_.dynamic_shared_base = base;
    for (auto& [name, f] : module_.functions)
      for (auto& in : f->code) {
        if (in.dynamic_shared == DYNAMIC_CONSTANT)
          in.a = symbols_.constant((u64)base + in.imm, in.t);
        else if (in.dynamic_shared == DYNAMIC_ADDRESS)
          in.imm += base + (in.space == SP_GEN ? shared_window : 0);
      }
  }

  ptx_module& module_;
  Lexer lexer_;
  Symbols symbols_;
  Decoder decoder_;
  std::unordered_map<string, u32> labels_;
  std::unordered_map<string, vector<string>> tables_;
};

// What a function may not do, those that call it may not do either.
void tell_callers(ptx_module& module) {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& [name, caller] : module.functions)
      for (auto& in : caller->code)
        for (auto fact : {&Function::float_atomic, &Function::needs_one_thread})
          if (in.callee && in.callee->*fact && !((*caller).*fact)) (*caller).*fact = changed = true;
  }
}
}  // namespace

void release_module_memory(ptx_module& module) {
  for (void* memory : module.owned) {
    remove_buffer(memory, false);
    free(memory);
  }
  module.owned.clear();
}

void parse_module(ptx_module& module) {
  const string text = without_comments(module.text);
  module.text = text;
  Parser(module).parse_module();
  bool kernels_share = false;
  for (auto& [name, f] : module.functions) kernels_share |= f->entry && f->static_shared;
  if (module.module_shared && kernels_share) {
    // The module's variables lie before those of kernels; how far is known now.
    u32 base = (u32)round_up(module.module_shared, 128);
    release_module_memory(module);
    module = ptx_module();
    module.text = text;
    module.entry_shared_base = base;
    Parser(module).parse_module();
  }
  module.info = std::make_shared<vector<InstrInfo>>();
  for (auto& [name, f] : module.functions)
    for (auto& in : f->code) {
      in.id = (u32)module.info->size();
      module.info->push_back(
          {in.category, in.operations, in.t, in.line, in.source_file, in.source_line});
    }
  tell_callers(module);
}
}  // namespace ptxrun
