// Runs the blocks of a grid on host threads.
#include "machine/launch.hpp"

#include <algorithm>
#include <cfenv>
#include <chrono>
#include <exception>
#include <numeric>
#include <thread>

#include "machine/report.hpp"

namespace ptxrun {
namespace {
void check_config(const Launch& launch, size_t dynamic) {
  const u32 *g = launch.grid, *b = launch.block;
  const Function& kernel = *launch.kernel;
  u64 threads = (u64)b[0] * b[1] * b[2];
  if (!threads || threads > 1024 || b[2] > 64)
    fail("block of %ux%ux%u threads is not launchable", b[0], b[1], b[2]);
  if (threads > kernel.max_threads)
    fail("block of %ux%ux%u threads exceeds the launch bounds (%u) of kernel %s", b[0], b[1], b[2],
         kernel.max_threads, kernel.name.c_str());
  if (!g[0] || !g[1] || !g[2] || g[0] > 0x7fffffffu || g[1] > 65535 || g[2] > 65535)
    fail("grid of %ux%ux%u blocks is not launchable", g[0], g[1], g[2]);
  u32 fixed = static_shared(*launch.module, kernel);
  u32 most = launch.options.arch >= 90 ? 227 * 1024 : 163 * 1024;
  if (fixed > 48 * 1024) fail("static shared memory of %u bytes is more than 48 KiB", fixed);
  if (fixed + dynamic > most)
    fail("%zu bytes of shared memory are more than the %u of a block", fixed + dynamic, most);
}

// The launch's clusters, or the kernel's, which must agree.
void choose_cluster(Launch& launch) {
  const u32 *asked = launch.options.cluster, *declared = launch.kernel->cluster;
  const bool any_asked = asked[0] || asked[1] || asked[2];
  const u32* chosen = any_asked ? asked : declared;
  for (int d = 0; d < 3; d++) launch.cluster[d] = std::max(1u, chosen[d]);
  for (int d = 0; d < 3; d++)
    if (launch.grid[d] % launch.cluster[d] || launch.cluster_blocks() > 8 ||
        (any_asked && declared[0] && declared[d] != launch.cluster[d]))
      fail("clusters of %ux%ux%u blocks in a grid of %ux%ux%u are not launchable", chosen[0],
           chosen[1], chosen[2], launch.grid[0], launch.grid[1], launch.grid[2]);
  if (launch.cluster_blocks() == 1) return;
  if (launch.options.arch < 90) fail("clusters are not launchable before sm_90");
  if (launch.options.cooperative) fail("clusters in a cooperative launch are not launchable here");
}

// Of a thread: enough for every function once, more when calls may nest.
u32 local_bytes(const Launch& launch) {
  u32 bytes = 0;
  bool calls = false;
  for (auto& [name, f] : launch.module->functions) {
    if (!f->entry || f.get() == launch.kernel) bytes += f->local;
    calls |= !f->entry;
  }
  if (calls) bytes = 4 * bytes + 1024;
  return (u32)round_up(bytes + 16, 16);
}

u32 host_threads(const Launch& launch, u64 blocks) {
  const ptx_opts& options = launch.options;
  if (options.cooperative || options.trace || launch.kernel->needs_one_thread) return 1;
  if (launch.kernel->float_atomic && !options.float_atomics) return 1;  // sums stay the same
  if (blocks * launch.threads() < 4096) return 1;                       // not worth the start
  u32 threads =
      options.threads > 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  return (u32)std::min<u64>(threads, blocks);
}

// All clusters, by as many threads as there are workers.
void run_clusters(Launch& launch, vector<std::unique_ptr<Worker>>& workers, u64 clusters) {
  vector<u64> order;
  if (launch.options.shuffle) {
    order.resize(clusters);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), workers[0]->rng);
  }
  std::atomic<u64> next{0};
  vector<std::exception_ptr> errors(workers.size());
  auto work = [&](size_t t) {
    try {
      Cluster cluster;
      for (u64 i; !launch.stop && (i = next++) < clusters;)
        run_cluster(cluster, launch, *workers[t], order.empty() ? i : order[i]);
    } catch (...) {
      std::fesetround(FE_TONEAREST);
      errors[t] = std::current_exception();
      launch.stop = true;
    }
  };
  vector<std::thread> pool;
  for (size_t t = 1; t < workers.size(); t++) pool.emplace_back(work, t);
  work(0);
  for (auto& thread : pool) thread.join();
  for (auto& error : errors)
    if (error) std::rethrow_exception(error);
}

void run_cooperative_grid(Launch& launch, Worker& worker, u64 blocks) {
  // Of cooperative groups: its size in bytes comes first.
  std::unique_ptr<u32, void (*)(u32*)> workspace((u32*)ptx_malloc(256),
                                                 [](u32* p) { ptx_free(p); });
  memset(workspace.get(), 0, 256);
  *workspace = 256;
  launch.grid_workspace = (u64)workspace.get();
  run_cooperative(launch, worker, blocks);
}

ptx_stats collect(const vector<std::unique_ptr<Worker>>& workers) {
  ptx_stats sum{};
  for (auto& w : workers) {
    sum.warp_instrs += w->stats.warp_instrs;
    sum.thread_instrs += w->stats.thread_instrs;
    sum.races += w->stats.races;
    sum.barriers += w->stats.barriers;
    sum.divergent_branches += w->stats.divergent_branches;
  }
  sum.threads = (int)workers.size();
  return sum;
}

ptx_stats run(Launch& launch) {
  auto start = std::chrono::steady_clock::now();
  const u64 blocks = (u64)launch.grid[0] * launch.grid[1] * launch.grid[2];
  vector<std::unique_ptr<Worker>> workers(host_threads(launch, blocks));
  launch.parallel = workers.size() > 1;
  for (auto& worker : workers) {
    worker = std::make_unique<Worker>();
    worker->launch = &launch;
    worker->rng.seed(launch.options.shuffle);
    if (launch.options.stats) worker->counts.resize(launch.module->info->size());
  }
  if (launch.options.cooperative)
    run_cooperative_grid(launch, *workers[0], blocks);
  else
    run_clusters(launch, workers, blocks / launch.cluster_blocks());
  ptx_stats stats = collect(workers);
  stats.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (launch.options.stats) {
    auto& counts = workers[0]->counts;
    for (size_t t = 1; t < workers.size(); t++)
      for (size_t i = 0; i < counts.size(); i++) counts[i].add(workers[t]->counts[i]);
    add_statistics(launch, stats, counts);
  }
  return stats;
}
}  // namespace
}  // namespace ptxrun

using namespace ptxrun;
extern "C" int ptx_launch(ptx_module* module, const char* kernel, const unsigned grid[3],
                          const unsigned block[3], size_t dynamic, void** params,
                          const ptx_opts* options, ptx_stats* stats) {
  int failed = 1;
  try {
    Launch launch;
    launch.module = module;
    launch.kernel = find_kernel(*module, kernel);
    if (!launch.kernel) fail("no kernel '%s'", kernel);
    std::copy(grid, grid + 3, launch.grid);
    std::copy(block, block + 3, launch.block);
    if (options)
      launch.options = *options;
    else
      ptx_default_opts(&launch.options);
    check_config(launch, dynamic);
    choose_cluster(launch);
    launch.dynamic_shared = (u32)dynamic;
    launch.shared_bytes = dynamic ? module->dynamic_shared_base + (u32)dynamic
                                  : static_shared(*module, *launch.kernel);
    launch.local_bytes = local_bytes(launch);
    launch.params.assign(launch.kernel->param_bytes + 64, 0);
    for (size_t i = 0; i < launch.kernel->params.size(); i++) {
      const Param& param = launch.kernel->params[i];
      memcpy(launch.params.data() + param.offset, params[i], param.bytes);
    }
    ptx_stats found = run(launch);
    if (stats) *stats = found;
    failed = 0;
  } catch (Failure& e) {
    set_error(e.message);
  } catch (std::exception& e) {
    set_error(e.what());
  }
  std::fesetround(FE_TONEAREST);
  return failed;
}
