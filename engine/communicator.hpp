#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace pixeldp {

/// The processes, ranks, that do one piece of work together. Collective functions are called by
/// every rank, in the same order, from the thread that joined. A rank that fails ends the others
/// (end_ranks), for they would wait for it.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// This process alone.
  static Communicator& alone();

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Whether this is rank 0, which alone writes what there is one of.
  bool first() const { return rank() == 0; }

  // What a backend does, with bytes. Collective, but for claim, end_claims and abort.

  virtual void barrier() = 0;
  /// At rank 0, the ranks that have not come here within so many seconds, or none. The others
  /// return once all have come.
  virtual std::vector<int> meet(double seconds) = 0;
  virtual void broadcast(void* data, std::size_t bytes, int root) = 0;
  /// Block r of `all`, so many bytes, is rank r's `mine`.
  virtual void all_gather(const void* mine, std::size_t bytes, void* all) = 0;
  /// Block r of `theirs`, so many bytes, is this rank's block of rank r's `mine`.
  virtual void all_to_all(const void* mine, std::size_t bytes, void* theirs) = 0;

  /// What goes on while this rank does something else, and is always waited for.
  class Exchange {
   public:
    virtual ~Exchange() = default;
    /// Whether it is done; while ranks do not ask, it may not go on.
    virtual bool done() = 0;
    virtual void wait() = 0;
  };
  // The same two, which return at once and leave the memory in use until they are done. Every rank
  // begins those of one kind in the same order.
  virtual std::unique_ptr<Exchange> begin_all_gather(const void* mine, std::size_t bytes,
                                                     void* all) = 0;
  virtual std::unique_ptr<Exchange> begin_all_to_all(const void* mine, std::size_t bytes,
                                                     void* theirs) = 0;

  /// The counter of claim() begins at 0.
  virtual void begin_claims() = 0;
  /// The next number that no rank has got: work is taken by number, whenever a rank is ready.
  virtual std::int64_t claim() = 0;
  /// From now on, claim() gives numbers of at least `no_more` to all.
  virtual void end_claims() = 0;
  static constexpr std::int64_t no_more = std::int64_t{1} << 60;

  /// Ends all ranks.
  virtual void abort(int status) = 0;

  // What follows from these. All collective.

  /// Rank 0's values, of any number, to everyone.
  void broadcast(std::vector<std::int64_t>& values);
  /// Everyone's text to everyone, in the order of ranks.
  std::vector<std::string> gather(const std::string& mine);
  /// Everyone's number likewise.
  std::vector<std::int64_t> gather(std::int64_t mine);
  /// Exact sums over the ranks.
  void all_reduce(std::span<std::uint64_t> values);
  /// Whether it is so in any rank.
  bool any(bool mine);

  /// What must be the same in all ranks: a name, and its value.
  using Fact = std::pair<std::string, std::string>;
  /// Waits for all ranks, as long as PIXELDP_JOIN_SECONDS says, and compares their programs and
  /// these facts. Throws an Error, at rank 0, that names a rank that has not come, or differs, with
  /// its host; the other ranks then wait to be ended.
  void check_same(std::vector<Fact> facts);

  /// "rank 2 (on node7)"; names are exchanged by join_ranks.
  std::string name_of(int rank) const;

 protected:
  Communicator() = default;

 private:
  friend Communicator& join_ranks();

  std::vector<std::string> hosts_;
};

/// The ranks that this process's launcher has started, which talk through MPI
/// (engine/mpi/communicator.cpp); Communicator::alone() where it is the only one. Throws an Error
/// where MPI is missing, or has started other ranks than the launcher says.
Communicator& join_ranks();

/// Once the work is done, or all ranks have agreed to stop: leaves the others in peace. Does
/// nothing where none were joined.
void leave_ranks();

/// After a failure in this rank: ends the others, with this status. Does nothing where none were
/// joined.
void end_ranks(int status);

/// The signal that has interrupted any of the ranks (interrupt_signal()), or 0; collective.
int interrupt_signal(Communicator& ranks);

/// This process among the ranks it joined, "rank 2 (on node7)"; empty where it joined none.
std::string this_rank();

}  // namespace pixeldp
