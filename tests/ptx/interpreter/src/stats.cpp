// stats.cpp - per-kernel statistics: instruction classes, bytes, sectors, bank conflicts; the
// report at exit as a table and as JSON. All figures are functions of the executed PTX and of its
// addresses, never of time on a GPU.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include <cxxabi.h>

#include "machine.h"

namespace ptxrun {
namespace {
const char* const kClassName[CL_COUNT] = {
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

struct Totals {
  u64 warps[CL_COUNT] = {}, lanes[CL_COUNT] = {}, bytes[CL_COUNT] = {}, shBytes[CL_COUNT] = {};
  u64 sectors[CL_COUNT] = {}, idealSectors[CL_COUNT] = {};
  u64 waves[CL_COUNT] = {}, idealWaves[CL_COUNT] = {};
  u64 flops[CL_COUNT] = {};
  std::map<string, u64> mmaFlops;
  u64 warpAll = 0, laneAll = 0, branches = 0, divergent = 0;
  u64 loadBytes = 0, storeBytes = 0, sharedRead = 0, sharedWrite = 0, secs = 0, idealSecs = 0;
  u64 wav = 0, idealWav = 0;
};
Totals total(const KernelStats& k) {
  Totals t;
  for (size_t i = 0; i < k.counts.size(); i++) {
    const InstrCount& c = k.counts[i];
    const InstrInfo& f = (*k.info)[i];
    if (!c.warps) continue;
    Cls s = f.cls;
    t.warps[s] += c.warps;
    t.lanes[s] += c.lanes;
    t.bytes[s] += c.bytes;
    t.shBytes[s] += c.shBytes;
    t.sectors[s] += c.sectors;
    t.idealSectors[s] += c.idealSectors;
    t.waves[s] += c.waves;
    t.idealWaves[s] += c.idealWaves;
    u64 fl = (u64)f.flops * (s == CL_MMA ? c.warps : c.lanes);
    t.flops[s] += fl;
    if (s == CL_MMA) t.mmaFlops[kTypeName[f.mmaType]] += fl;
    t.warpAll += c.warps;
    t.laneAll += c.lanes;
    t.divergent += c.divergent;
    t.secs += c.sectors;
    t.idealSecs += c.idealSectors;
    t.wav += c.waves;
    t.idealWav += c.idealWaves;
    if (s == CL_STG) {
      t.storeBytes += c.bytes;
      t.sharedWrite += c.shBytes;
    } else if (s == CL_STS) {
      t.sharedWrite += c.shBytes;
    } else if (s == CL_CPASYNC) {
      t.loadBytes += c.bytes;
      t.sharedWrite += c.shBytes;
    } else if (s != CL_ATG && s != CL_ATS) {
      t.loadBytes += c.bytes;
      t.sharedRead += c.shBytes;
    }
  }
  t.branches = t.warps[CL_CONTROL];
  return t;
}
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
double ratio(u64 a, u64 b) { return b ? (double)a / b : 1.0; }
string sourceOf(const KernelStats& k, const InstrInfo& f) {
  if (f.srcLine && f.srcFile > 0 && f.srcFile < (int)k.files.size())
    return k.files[f.srcFile] + ":" + std::to_string(f.srcLine);
  return "PTX line " + std::to_string(f.line);
}
// The instructions that waste most: by extra sectors (what = 0) or extra wavefronts (what = 1).
vector<size_t> worst(const KernelStats& k, int what, size_t n) {
  auto extra = [&](size_t i) {
    auto& c = k.counts[i];
    return what ? c.waves - c.idealWaves : c.sectors - c.idealSectors;
  };
  vector<size_t> v;
  for (size_t i = 0; i < k.counts.size(); i++)
    if (k.counts[i].warps && extra(i)) v.push_back(i);
  std::sort(v.begin(), v.end(), [&](size_t a, size_t b) { return extra(a) > extra(b); });
  if (v.size() > n) v.resize(n);
  return v;
}
void table(FILE* o) {
  for (auto& e : kernels()) {
    const KernelStats& k = e.second;
    Totals t = total(k);
    auto u = [](u64 v) { return (unsigned long long)v; };
    fprintf(o, "\nptxrun statistics: %s\n", pretty(e.first).c_str());
    fprintf(o, "  launches %llu, blocks %llu, threads %llu, interpreter %.3f s\n", u(k.launches),
            u(k.blocks), u(k.threads), k.seconds);
    fprintf(o, "  instructions: %llu warp, %llu thread (%.1f lanes of 32 active on average)\n",
            u(t.warpAll), u(t.laneAll), t.warpAll ? (double)t.laneAll / t.warpAll : 0.0);
    fprintf(o, "  %-18s %14s %16s %16s\n", "class", "warp instr", "thread instr", "flop");
    for (int c = 0; c < CL_COUNT; c++)
      if (t.warps[c])
        fprintf(o, "  %-18s %14llu %16llu %16llu\n", kClassName[c], u(t.warps[c]), u(t.lanes[c]),
                u(t.flops[c]));
    fprintf(o,
            "  global: read %llu B, written %llu B, atomic %llu B; sectors of 32 B %llu, ideal "
            "%llu (x%.2f)\n",
            u(t.loadBytes), u(t.storeBytes), u(t.bytes[CL_ATG]), u(t.secs), u(t.idealSecs),
            ratio(t.secs, t.idealSecs));
    fprintf(o, "  shared: read %llu B, written %llu B; wavefronts %llu, ideal %llu (%llu extra)\n",
            u(t.sharedRead), u(t.sharedWrite), u(t.wav), u(t.idealWav), u(t.wav - t.idealWav));
    fprintf(o, "  branches %llu, divergent %llu; barriers %llu; races reported %llu\n",
            u(t.branches), u(t.divergent), u(k.sum.barriers), u(k.sum.races));
    for (int what = 0; what < 2; what++)
      for (size_t i : worst(k, what, 3)) {
        auto& c = k.counts[i];
        auto& f = (*k.info)[i];
        if (what)
          fprintf(o, "  bank conflicts: %s %s: %llu extra wavefronts on %llu\n", kClassName[f.cls],
                  sourceOf(k, f).c_str(), u(c.waves - c.idealWaves), u(c.idealWaves));
        else
          fprintf(o, "  uncoalesced: %s %s: %llu sectors, ideal %llu\n", kClassName[f.cls],
                  sourceOf(k, f).c_str(), u(c.sectors), u(c.idealSectors));
      }
  }
  fflush(o);
}
void json(FILE* o) {
  auto u = [](u64 v) { return (unsigned long long)v; };
  fprintf(o, "{\"format\": 1, \"kernels\": [");
  bool firstKernel = true;
  for (auto& e : kernels()) {
    const KernelStats& k = e.second;
    Totals t = total(k);
    fprintf(o, "%s\n  {\"name\": %s, \"symbol\": %s,\n", firstKernel ? "" : ",",
            quoted(pretty(e.first)).c_str(), quoted(e.first).c_str());
    firstKernel = false;
    fprintf(o, "   \"launches\": %llu, \"blocks\": %llu, \"threads\": %llu, \"seconds\": %.6f,\n",
            u(k.launches), u(k.blocks), u(k.threads), k.seconds);
    fprintf(o, "   \"warp_instructions\": %llu, \"thread_instructions\": %llu,\n", u(t.warpAll),
            u(t.laneAll));
    fprintf(o, "   \"classes\": {");
    bool first = true;
    for (int c = 0; c < CL_COUNT; c++)
      if (t.warps[c]) {
        fprintf(o, "%s\"%s\": {\"warp\": %llu, \"thread\": %llu, \"flop\": %llu}",
                first ? "" : ", ", kClassName[c], u(t.warps[c]), u(t.lanes[c]), u(t.flops[c]));
        first = false;
      }
    fprintf(o, "},\n   \"mma_flop\": {");
    first = true;
    for (auto& f : t.mmaFlops) {
      fprintf(o, "%s\"%s\": %llu", first ? "" : ", ", f.first.c_str(), u(f.second));
      first = false;
    }
    fprintf(
        o,
        "},\n   \"global\": {\"read_bytes\": %llu, \"write_bytes\": %llu, \"atomic_bytes\": %llu, "
        "\"sectors\": %llu, \"ideal_sectors\": %llu},\n",
        u(t.loadBytes), u(t.storeBytes), u(t.bytes[CL_ATG]), u(t.secs), u(t.idealSecs));
    fprintf(o,
            "   \"shared\": {\"read_bytes\": %llu, \"write_bytes\": %llu, \"atomic_bytes\": %llu, "
            "\"wavefronts\": %llu, \"ideal_wavefronts\": %llu},\n",
            u(t.sharedRead), u(t.sharedWrite), u(t.shBytes[CL_ATS]), u(t.wav), u(t.idealWav));
    fprintf(o,
            "   \"branches\": %llu, \"divergent_branches\": %llu, \"barriers\": %llu, \"races\": "
            "%llu,\n",
            u(t.branches), u(t.divergent), u(k.sum.barriers), u(k.sum.races));
    for (int what = 0; what < 2; what++) {
      fprintf(o, "   \"%s\": [", what ? "bank_conflicts" : "uncoalesced");
      first = true;
      for (size_t i : worst(k, what, 20)) {
        auto& c = k.counts[i];
        auto& f = (*k.info)[i];
        fprintf(o,
                "%s{\"at\": %s, \"ptx_line\": %d, \"class\": \"%s\", \"actual\": %llu, \"ideal\": "
                "%llu}",
                first ? "" : ", ", quoted(sourceOf(k, f)).c_str(), f.line, kClassName[f.cls],
                u(what ? c.waves : c.sectors), u(what ? c.idealWaves : c.idealSectors));
        first = false;
      }
      fprintf(o, "]%s", what ? "}" : ",\n");
    }
  }
  fprintf(o, "\n]}\n");
}
const char* statsEnv() {
  const char* e = getenv("PTXRUN_STATS");
  return e && *e && strcmp(e, "0") ? e : nullptr;
}
void atExit() {
  const char* e = statsEnv();
  ptx_report_stats(e && strcmp(e, "1") ? e : nullptr);
}
}  // namespace

bool statsWanted() { return statsEnv() != nullptr; }

void statsAdd(const Launch& L, const ptx_stats& st, const vector<InstrCount>& counts) {
  std::lock_guard<std::mutex> lock(mutex);
  if (statsWanted()) {
    static bool registered = (atexit(atExit), true);
    (void)registered;
  }
  string name = L.k->name;
  KernelStats* k = &kernels()[name];
  while (k->info && k->info != L.M->info) {  // the same name in another module
    name += "'";
    k = &kernels()[name];
  }
  if (!k->info) {
    k->info = L.M->info;
    k->files = L.M->files;
    k->counts.resize(counts.size());
  }
  k->launches++;
  u64 blocks = (u64)L.grid[0] * L.grid[1] * L.grid[2];
  k->blocks += blocks;
  k->threads += blocks * L.block[0] * L.block[1] * L.block[2];
  k->seconds += st.seconds;
  k->sum.barriers += st.barriers;
  k->sum.races += st.races;
  for (size_t i = 0; i < counts.size(); i++) {
    u64 *x = (u64*)&k->counts[i], *y = (u64*)&counts[i];
    for (size_t j = 0; j < sizeof(InstrCount) / 8; j++) x[j] += y[j];
  }
}

// Sectors of 32 bytes that one warp access touches, against the fewest that could hold the
// distinct bytes it asks for.
void countGlobal(InstrCount& c, const u64* addr, u32 mask, u32 size) {
  u64 a[32];
  int n = 0;
  for (u32 k = mask; k; k &= k - 1) a[n++] = addr[__builtin_ctz(k)];
  c.bytes += (u64)n * size;
  if (!std::is_sorted(a, a + n)) std::sort(a, a + n);
  u64 distinct = 0, sectors = 0, covered = 0, lastSector = ~0ull;
  for (int i = 0; i < n; i++) {
    u64 lo = std::max(a[i], covered), hi = a[i] + size;
    if (hi > lo) {
      distinct += hi - lo;
      covered = hi;
    }
    for (u64 s = a[i] >> 5; s <= (hi - 1) >> 5; s++)
      if (lastSector == ~0ull || s > lastSector) {
        sectors++;
        lastSector = s;
      }
  }
  c.sectors += sectors;
  c.idealSectors += (distinct + 31) / 32;
}

// Wavefronts of a shared access with 32 banks of 4 bytes. Accesses of 8 bytes go in two halves of
// a warp, those of 16 bytes in four quarters; within a part, lanes that use the same 4-byte word
// share it, and the fullest bank sets the number of wavefronts. The ideal is one per part, or
// as many as the distinct words need.
void countShared(InstrCount& c, const u64* addr, u32 mask, u32 size) {
  u32 group = size <= 4 ? 32 : size == 8 ? 16 : size == 16 ? 8 : 4;
  c.shBytes += (u64)__builtin_popcount(mask) * size;
  for (u32 g = 0; g < 32; g += group) {
    u64 words[32];
    int n = 0;
    for (u32 i = g; i < g + group; i++) {
      if (!((mask >> i) & 1)) continue;
      for (u64 w = addr[i] >> 2; w <= (addr[i] + size - 1) >> 2 && n < 32; w++) words[n++] = w;
    }
    if (!n) continue;
    if (!std::is_sorted(words, words + n)) std::sort(words, words + n);
    u8 bank[32] = {};
    u8 most = 0;
    for (int i = 0; i < n; i++)
      if (!i || words[i] != words[i - 1]) most = std::max(most, ++bank[words[i] & 31]);
    c.waves += most;
    c.idealWaves++;
  }
}
}  // namespace ptxrun

extern "C" void ptx_report_stats(const char* path) {
  std::lock_guard<std::mutex> lock(ptxrun::mutex);
  ptxrun::table(stderr);
  if (path && *path) {
    FILE* f = fopen(path, "w");
    if (!f) {
      fprintf(stderr, "ptxrun: cannot write %s\n", path);
      return;
    }
    ptxrun::json(f);
    fclose(f);
  }
}
