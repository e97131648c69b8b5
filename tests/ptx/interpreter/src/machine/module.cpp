// C interface: options, loading, and what a module holds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "machine/launch.hpp"
#include "machine/report.hpp"

using namespace ptxrun;

namespace {
thread_local string last_error;

int environment_number(const char* name, int otherwise) {
  const char* e = getenv(name);
  return e && *e ? atoi(e) : otherwise;
}
}  // namespace

namespace ptxrun {
void set_error(const string& message) { last_error = message; }
Function* find_kernel(ptx_module& module, const char* name) {
  auto it = module.functions.find(name);
  return it == module.functions.end() || !it->second->entry ? nullptr : it->second.get();
}
u32 static_shared(const ptx_module& module, const Function& kernel) {
  return kernel.static_shared ? module.entry_shared_base + kernel.static_shared
                              : module.module_shared;
}
}  // namespace ptxrun

extern "C" const char* ptx_error(void) { return last_error.c_str(); }
extern "C" void ptx_default_opts(ptx_opts* options) {
  static const ptx_opts defaults = [] {
    ptx_opts d{};
    d.racecheck = environment_number("PTXRUN_RACE", 0);
    d.poison = environment_number("PTXRUN_POISON", 1);
    d.cp_poison = environment_number("PTXRUN_CP_POISON", 1);
    d.shuffle = environment_number("PTXRUN_SHUFFLE", 0);
    d.trace = environment_number("PTXRUN_TRACE", 0);
    d.max_reports = environment_number("PTXRUN_MAX_REPORTS", 10);
    d.nocheck = environment_number("PTXRUN_NOCHECK", 0);
    d.threads = environment_number("PTXRUN_THREADS", 0);
    d.float_atomics = environment_number("PTXRUN_FLOAT_ATOMICS", 0);
    d.stats = statistics_wanted();
    d.arch = environment_number("PTXRUN_ARCH", 80);
    return d;
  }();
  *options = defaults;
}

extern "C" ptx_module* ptx_load(const char* text) {
  auto* module = new ptx_module;
  module->text = text;
  try {
    parse_module(*module);
    return module;
  } catch (Failure& e) {
    last_error = e.message;
  } catch (std::exception& e) {
    last_error = string("malformed PTX: ") + e.what();
  }
  ptx_unload(module);
  return nullptr;
}
extern "C" ptx_module* ptx_load_file(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file) {
    last_error = string("cannot open ") + path;
    return nullptr;
  }
  string text;
  char buffer[65536];
  while (size_t n = fread(buffer, 1, sizeof buffer, file)) text.append(buffer, n);
  fclose(file);
  return ptx_load(text.c_str());
}
extern "C" void ptx_unload(ptx_module* module) {
  if (!module) return;
  release_module_memory(*module);
  delete module;
}

extern "C" void* ptx_symbol(ptx_module* module, const char* name, size_t* size) {
  auto it = module->symbols.find(name);
  if (it == module->symbols.end() || it->second.kind != Symbol::GLOBAL) return nullptr;
  if (size) *size = it->second.bytes;
  return (void*)it->second.value;
}
extern "C" int ptx_nparams(ptx_module* module, const char* kernel) {
  Function* f = find_kernel(*module, kernel);
  return f ? (int)f->params.size() : -1;
}
extern "C" int ptx_param_size(ptx_module* module, const char* kernel, int i) {
  Function* f = find_kernel(*module, kernel);
  return f && i >= 0 && i < (int)f->params.size() ? (int)f->params[i].bytes : -1;
}
extern "C" int ptx_static_shared(ptx_module* module, const char* kernel) {
  Function* f = find_kernel(*module, kernel);
  return f ? (int)static_shared(*module, *f) : -1;
}
extern "C" int ptx_local_bytes(ptx_module* module, const char* kernel) {
  Function* f = find_kernel(*module, kernel);
  return f ? (int)f->local : -1;
}
extern "C" void ptx_each_kernel(ptx_module* module, void (*fn)(const char*, void*), void* user) {
  vector<string> names;
  for (auto& [name, f] : module->functions)
    if (f->entry) names.push_back(name);
  std::sort(names.begin(), names.end());
  for (auto& name : names) fn(name.c_str(), user);
}
