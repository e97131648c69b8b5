#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "kernels/emulator/access_check.hpp"
#include "kernels/emulator/settings.hpp"
#include "kernels/emulator/tensor_box.hpp"

/// What goes on beside the threads of a block since sm_90: mbarriers, bulk copies that signal them,
/// and products of warpgroups.
///
/// All of it is as late as it may be. A copy lands when no thread can go on, or at any time
/// (Order::random), and its target holds 0xFF bytes until then. A product reads its operands when
/// its warp waits for its group, each warp its quarter on its own, and the warp's sums are
/// 0xFFFFFFFF until then. Who does not wait thus finds what is no number (of integers, -1); and a
/// copy to where a product still reads, an operand where a copy still writes, and sums that are
/// touched meanwhile are reported at once.
namespace pixeldp::emulator {

class Block;

/// Fails where the architecture that is imitated has no such instruction.
void require_sm_90(const Block& block, const char* what);

class AsyncState {
 public:
  static constexpr std::size_t chunk_bytes = 16;

  explicit AsyncState(Block& block) : block_(block) {}

  void begin(unsigned threads);
  /// The last thread has returned: fails when something is still under way, or bytes are missing.
  void finish() const;

  // Of the running thread; addresses in shared memory.
  void init_barrier(void* barrier, unsigned arrivals);
  /// Expects `bytes` more in the present phase, then arrives. The thread may be a peer's.
  void arrive(void* barrier, std::uint32_t bytes, const char* what);
  /// Whether the phase of this parity is over; the running thread is among those woken when one is.
  bool try_wait(void* barrier, unsigned parity);
  /// After a try_wait that was true.
  void end_wait(void* barrier);
  void fence_proxy();
  void fence_barrier_init();
  /// To this block, of the TensorBoxMap in `map`. The thread may be a peer's.
  void start_copy(void* target, const void* map, void* barrier, const int* coordinates, int rank);
  /// The same of bytes that lie side by side in device memory or, where `from` is that of the
  /// running thread's block, in its shared memory.
  void start_copy_of_bytes(void* target, const void* source, std::size_t bytes, void* barrier,
                           AsyncState* from, const char* what);

  std::size_t copies() const { return copies_.size(); }
  /// Whether anything is under way that ordinary accesses could collide with.
  bool busy() const { return !copies_.empty() || products_ > 0 || sent_ > 0; }
  /// Lands one of the copies that are under way.
  void land(std::size_t copy);

  // Of a whole warp, by the last lane that came.
  /// What is multiplied and where it lies.
  struct Factors {
    std::uint64_t a, b;  // descriptors
    int n;
    bool bytes;  // signed ones, with sums in integers; else bf16, with sums in single precision
    bool transposed;
    bool operator==(const Factors&) const = default;
  };
  struct Operands {
    void* d;  // sums of 32 bits
    Factors factors;
  };
  void fence_products(unsigned warp) { warps_[warp].fenced = true; }
  void start_product(unsigned warp, void* const* lanes);
  void commit_products(unsigned warp) { ++warps_[warp].groups; }
  void wait_products(unsigned warp, std::uint64_t pending);

  /// Empty, or what an ordinary access of these bytes of shared memory collides with.
  std::string collision(std::size_t offset, std::size_t bytes, bool writes) const;
  /// A line for each mbarrier whose phase is not over.
  std::string describe_barriers() const;

 private:
  struct Barrier {
    unsigned expected = 0, pending = 0;
    std::int64_t bytes = 0;   // expected and not yet come
    std::uint64_t phase = 0;  // so many are over
    AccessClock arrived, completed;
    unsigned init_thread = 0;
    std::uint64_t init_fences = 0, init_cluster_fences = 0;
    std::vector<unsigned> waiting;
  };
  struct Copy {
    TensorBoxMap map;
    int coordinates[TensorBoxMap::most_rank];
    std::size_t target;  // offset in shared memory
    std::size_t barrier;
    unsigned thread;  // in the cluster
    std::uint16_t mark;
    AsyncState* from;    // whose shared memory the source lies in; null: in device memory
    std::size_t source;  // offset there
  };
  /// The sums of a warp, 16 x n, while products on them are under way.
  struct Sums {
    std::byte* d[32];
    int n;
    std::vector<std::uint32_t> bits;
    int products = 0;
  };
  struct Product {
    Factors factors;
    std::list<Sums>::iterator sums;
    std::uint64_t group;
  };
  struct Warp {
    std::vector<Product> products;  // oldest first
    std::list<Sums> sums;
    std::uint64_t groups = 0;
    bool fenced = false;
    std::size_t started = 0;
  };

  void open_chunks() {
    writers_.resize(most_shared_bytes / chunk_bytes);
    readers_.resize(most_shared_bytes / chunk_bytes);
  }
  Barrier& find(void* barrier, const char* what);
  void refuse_unfenced(const Barrier& barrier, void* address, const char* what) const;
  void complete(Barrier& barrier);
  std::size_t offset(const void* address) const;
  void start(const TensorBoxMap& map, const int* coordinates, void* target, std::size_t alignment,
             void* barrier, AsyncState* from, const char* what);
  template <class F>
  void for_each_chunk(const Factors& factors, std::uint64_t descriptor, int first_row, int rows,
                      F f) const;
  void multiply(unsigned warp, Product& product);
  static void exchange(Sums& sums, bool to_registers);

  Block& block_;
  std::map<std::size_t, Barrier> barriers_;
  std::vector<std::uint64_t> fences_, cluster_fences_;  // of each thread
  std::vector<Copy> copies_;                            // oldest first
  Warp warps_[32];
  std::size_t products_ = 0;         // of all warps, under way
  std::vector<Factors> started_[8];  // products of each warpgroup
  std::size_t sent_ = 0;             // copies from this shared memory, under way
  // How many copies will write, and products or copies read, each chunk of shared memory.
  std::vector<std::uint16_t> writers_, readers_;
};

}  // namespace pixeldp::emulator
