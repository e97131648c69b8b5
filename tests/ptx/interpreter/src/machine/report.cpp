// Per-kernel statistics: sums, and the report at exit as a table and as JSON. All figures follow
// from the executed PTX and its addresses, never from time on a GPU.
#include "machine/report.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include <cxxabi.h>

namespace ptxrun {
namespace {
const char* const category_names[CL_COUNT] = {
    "integer",       "float32",       "float64",      "half",          "special_function",
    "convert",       "move",          "predicate",    "control",       "barrier",
    "warp_exchange", "load_global",   "store_global", "atomic_global", "load_shared",
    "store_shared",  "atomic_shared", "local",        "load_constant", "parameter",
    "cp_async",      "ldmatrix",      "mma",          "other"};

struct KernelStats {
  u64 launches = 0, blocks = 0, threads = 0;
  double seconds = 0;
  ptx_stats sum{};
  vector<InstrCount> counts;
  std::shared_ptr<vector<InstrInfo>> info;
  vector<string> files;
};
std::mutex mutex;
std::map<string, KernelStats>& kernels() {
  static auto* k = new std::map<string, KernelStats>;  // lives until the process ends
  return *k;
}

using ull = unsigned long long;  // as printf wants it

struct Totals {
  InstrCount by[CL_COUNT], all;
  u64 operations[CL_COUNT] = {};
  std::map<string, u64> mma_operations;  // by type
  u64 global_read = 0, global_written = 0, shared_read = 0, shared_written = 0;

  explicit Totals(const KernelStats& kernel) {
    for (size_t i = 0; i < kernel.counts.size(); i++)
      if (kernel.counts[i].warps) add((*kernel.info)[i], kernel.counts[i]);
  }
  void add(const InstrInfo& instr, const InstrCount& count) {
    const Category category = instr.category;
    by[category].add(count);
    all.add(count);
    u64 done = (u64)instr.operations * (category == CL_MMA ? count.warps : count.lanes);
    operations[category] += done;
    if (category == CL_MMA) mma_operations[type_names[instr.mma_type]] += done;
    const bool atomic = category == CL_ATG || category == CL_ATS, store = category == CL_STG;
    if (atomic) return;
    (store ? global_written : global_read) += count.bytes;
    const bool written = store || category == CL_STS || category == CL_CPASYNC;
    (written ? shared_written : shared_read) += count.shared_bytes;
  }
};
string pretty(const string& name) {
  int status = 0;
  char* d = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  string s = d && !status ? d : name;
  free(d);
  return s;
}
string quoted(const string& s) {
  string o = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') o += '\\';
    o += (u8)c < 32 ? ' ' : c;
  }
  return o + "\"";
}
string source_of(const KernelStats& kernel, const InstrInfo& instr) {
  if (instr.source_line && instr.source_file > 0 && instr.source_file < (int)kernel.files.size())
    return kernel.files[instr.source_file] + ":" + std::to_string(instr.source_line);
  return "PTX line " + std::to_string(instr.line);
}

// The instructions that waste most sectors or wavefronts.
struct Waste {
  const char *name, *title, *unit;
  u64 InstrCount::*actual;
  u64 InstrCount::*ideal;

  u64 of(const InstrCount& count) const { return count.*actual - count.*ideal; }
  vector<size_t> worst(const KernelStats& kernel, size_t most) const {
    vector<size_t> found;
    for (size_t i = 0; i < kernel.counts.size(); i++)
      if (kernel.counts[i].warps && of(kernel.counts[i])) found.push_back(i);
    std::sort(found.begin(), found.end(),
              [&](size_t a, size_t b) { return of(kernel.counts[a]) > of(kernel.counts[b]); });
    found.resize(std::min(found.size(), most));
    return found;
  }
};
const Waste wastes[] = {
    {"uncoalesced", "uncoalesced", "sectors", &InstrCount::sectors, &InstrCount::ideal_sectors},
    {"bank_conflicts", "bank conflicts", "wavefronts", &InstrCount::waves,
     &InstrCount::ideal_waves}};

// ---- as a table
void print_table(FILE* out, const string& name, const KernelStats& kernel) {
  const Totals t(kernel);
  const InstrCount& all = t.all;
  fprintf(out, "\nptxrun statistics: %s\n", pretty(name).c_str());
  fprintf(out, "  launches %llu, blocks %llu, threads %llu, interpreter %.3f s\n",
          (ull)kernel.launches, (ull)kernel.blocks, (ull)kernel.threads, kernel.seconds);
  fprintf(out, "  instructions: %llu warp, %llu thread (%.1f lanes of 32 active on average)\n",
          (ull)all.warps, (ull)all.lanes, all.warps ? (double)all.lanes / all.warps : 0.0);
  fprintf(out, "  %-18s %14s %16s %16s\n", "class", "warp instr", "thread instr", "flop");
  for (int c = 0; c < CL_COUNT; c++)
    if (t.by[c].warps)
      fprintf(out, "  %-18s %14llu %16llu %16llu\n", category_names[c], (ull)t.by[c].warps,
              (ull)t.by[c].lanes, (ull)t.operations[c]);
  fprintf(out,
          "  global: read %llu B, written %llu B, atomic %llu B; sectors of 32 B %llu, ideal %llu "
          "(x%.2f)\n",
          (ull)t.global_read, (ull)t.global_written, (ull)t.by[CL_ATG].bytes, (ull)all.sectors,
          (ull)all.ideal_sectors,
          all.ideal_sectors ? (double)all.sectors / all.ideal_sectors : 1.0);
  fprintf(out, "  shared: read %llu B, written %llu B; wavefronts %llu, ideal %llu (%llu extra)\n",
          (ull)t.shared_read, (ull)t.shared_written, (ull)all.waves, (ull)all.ideal_waves,
          (ull)(all.waves - all.ideal_waves));
  fprintf(out, "  branches %llu, divergent %llu; barriers %llu; races reported %llu\n",
          (ull)t.by[CL_CONTROL].warps, (ull)all.divergent, (ull)kernel.sum.barriers,
          (ull)kernel.sum.races);
  for (auto& waste : wastes)
    for (size_t i : waste.worst(kernel, 3)) {
      const InstrInfo& instr = (*kernel.info)[i];
      const InstrCount& count = kernel.counts[i];
      fprintf(out, "  %s: %s %s: %llu extra %s on %llu\n", waste.title,
              category_names[instr.category], source_of(kernel, instr).c_str(),
              (ull)waste.of(count), waste.unit, (ull)(count.*waste.ideal));
    }
}

// ---- as JSON
// What comes between two elements of a list: nothing before the first.
class Separator {
 public:
  explicit Separator(const char* text) : text_(text) {}
  const char* next() { return std::exchange(started_, true) ? text_ : ""; }

 private:
  const char* text_;
  bool started_ = false;
};
void print_json(FILE* out, const string& name, const KernelStats& kernel) {
  const Totals t(kernel);
  const InstrCount& all = t.all;
  fprintf(out, "\n  {\"name\": %s, \"symbol\": %s,\n", quoted(pretty(name)).c_str(),
          quoted(name).c_str());
  fprintf(out, "   \"launches\": %llu, \"blocks\": %llu, \"threads\": %llu, \"seconds\": %.6f,\n",
          (ull)kernel.launches, (ull)kernel.blocks, (ull)kernel.threads, kernel.seconds);
  fprintf(out, "   \"warp_instructions\": %llu, \"thread_instructions\": %llu,\n", (ull)all.warps,
          (ull)all.lanes);
  fprintf(out, "   \"classes\": {");
  Separator comma(", ");
  for (int c = 0; c < CL_COUNT; c++)
    if (t.by[c].warps)
      fprintf(out, "%s\"%s\": {\"warp\": %llu, \"thread\": %llu, \"flop\": %llu}", comma.next(),
              category_names[c], (ull)t.by[c].warps, (ull)t.by[c].lanes, (ull)t.operations[c]);
  fprintf(out, "},\n   \"mma_flop\": {");
  Separator mma_comma(", ");
  for (auto& [type, done] : t.mma_operations)
    fprintf(out, "%s\"%s\": %llu", mma_comma.next(), type.c_str(), (ull)done);
  fprintf(out,
          "},\n   \"global\": {\"read_bytes\": %llu, \"write_bytes\": %llu, \"atomic_bytes\": "
          "%llu, \"sectors\": %llu, \"ideal_sectors\": %llu},\n",
          (ull)t.global_read, (ull)t.global_written, (ull)t.by[CL_ATG].bytes, (ull)all.sectors,
          (ull)all.ideal_sectors);
  fprintf(out,
          "   \"shared\": {\"read_bytes\": %llu, \"write_bytes\": %llu, \"atomic_bytes\": %llu, "
          "\"wavefronts\": %llu, \"ideal_wavefronts\": %llu},\n",
          (ull)t.shared_read, (ull)t.shared_written, (ull)t.by[CL_ATS].shared_bytes, (ull)all.waves,
          (ull)all.ideal_waves);
  fprintf(out,
          "   \"branches\": %llu, \"divergent_branches\": %llu, \"barriers\": %llu, \"races\": "
          "%llu",
          (ull)t.by[CL_CONTROL].warps, (ull)all.divergent, (ull)kernel.sum.barriers,
          (ull)kernel.sum.races);
  for (auto& waste : wastes) {
    fprintf(out, ",\n   \"%s\": [", waste.name);
    Separator between(", ");
    for (size_t i : waste.worst(kernel, 20)) {
      const InstrInfo& instr = (*kernel.info)[i];
      fprintf(out,
              "%s{\"at\": %s, \"ptx_line\": %d, \"class\": \"%s\", \"actual\": %llu, \"ideal\": "
              "%llu}",
              between.next(), quoted(source_of(kernel, instr)).c_str(), instr.line,
              category_names[instr.category], (ull)(kernel.counts[i].*waste.actual),
              (ull)(kernel.counts[i].*waste.ideal));
    }
    fprintf(out, "]");
  }
  fprintf(out, "}");
}

const char* statistics_setting() {
  const char* e = getenv("PTXRUN_STATS");
  return e && *e && strcmp(e, "0") ? e : nullptr;
}
void report_at_exit() {
  const char* e = statistics_setting();
  ptx_report_stats(e && strcmp(e, "1") ? e : nullptr);
}
}  // namespace

bool statistics_wanted() { return statistics_setting() != nullptr; }

void add_statistics(const Launch& launch, const ptx_stats& stats,
                    const vector<InstrCount>& counts) {
  std::lock_guard lock(mutex);
  static const bool registered = statistics_wanted() && atexit(report_at_exit) == 0;
  (void)registered;
  auto& info = launch.module->info;
  string name = launch.kernel->name;
  while (kernels()[name].info && kernels()[name].info != info)  // the same name in another module
    name += "'";
  KernelStats& kernel = kernels()[name];
  if (!kernel.info) {
    kernel.info = info;
    kernel.files = launch.module->files;
    kernel.counts.resize(counts.size());
  }
  const u64 blocks = (u64)launch.grid[0] * launch.grid[1] * launch.grid[2];
  kernel.launches++;
  kernel.blocks += blocks;
  kernel.threads += blocks * launch.threads();
  kernel.seconds += stats.seconds;
  kernel.sum.barriers += stats.barriers;
  kernel.sum.races += stats.races;
  for (size_t i = 0; i < counts.size(); i++) kernel.counts[i].add(counts[i]);
}
}  // namespace ptxrun

extern "C" void ptx_report_stats(const char* path) {
  using namespace ptxrun;
  std::lock_guard lock(mutex);
  for (auto& [name, kernel] : kernels()) print_table(stderr, name, kernel);
  if (!path || !*path) return;
  FILE* file = fopen(path, "w");
  if (!file) {
    fprintf(stderr, "ptxrun: cannot write %s\n", path);
    return;
  }
  fprintf(file, "{\"format\": 1, \"kernels\": [");
  Separator comma(",");
  for (auto& [name, kernel] : kernels()) {
    fputs(comma.next(), file);
    print_json(file, name, kernel);
  }
  fprintf(file, "\n]}\n");
  fclose(file);
}
