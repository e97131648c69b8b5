#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/communicator.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/progress.hpp"
#include "pixeldp/certification.hpp"
#include "pixeldp/log_parts.hpp"

namespace pixeldp {

// What certifications have in common, whatever their lines hold: ranks claim images, each has a
// log, and in the end all is in one. `Log` writes one of either kind (CertificateLogWriter,
// RegressionLogWriter).

struct SharedImages {
  Communicator& ranks;
  std::filesystem::path path;  ///< of the log
  bool resume = false;         ///< continue it, with all that its parts hold, if there is one
  std::string name;            ///< of the model
  std::span<const std::int64_t> images;
};

/// Throws an Error where ranks would not all make the same log (Communicator::check_same).
template <class Header>
void check_ranks(Communicator& ranks, const Header& header, const ImageRange& images) {
  if (ranks.size() == 1) return;
  std::vector<Communicator::Fact> facts = header.fields();
  facts.emplace_back("images", fmt::format("{}:{}:{}", images.first, images.last, images.step));
  ranks.check_same(std::move(facts));
}

/// The pieces of a list of images that this rank gets, one after the other, whenever it is free.
class Claims {
 public:
  /// `report` is told how many images were handed out before each piece, to all ranks.
  Claims(Communicator& ranks, std::span<const std::int64_t> images,
         std::function<void(std::uint64_t)> report)
      : ranks_(ranks),
        images_(images),
        ends_(ends_of_claims(std::ssize(images), ranks.size())),
        report_(std::move(report)) {
    ranks_.begin_claims();
  }
  /// All of them, whoever claims which.
  std::span<const std::int64_t> images() const { return images_; }
  /// Nothing once all are claimed, or the process was interrupted.
  std::optional<std::span<const std::int64_t>> next() {
    if (interrupted()) {
      ranks_.end_claims();
      return std::nullopt;
    }
    const std::int64_t claim = ranks_.claim();
    if (claim >= std::ssize(ends_)) return std::nullopt;
    const auto i = static_cast<std::size_t>(claim);
    const auto end = static_cast<std::size_t>(ends_[i]);
    const auto begin = i == 0 ? 0 : static_cast<std::size_t>(ends_[i - 1]);
    if (ranks_.size() > 1) report_(begin);  // as far as all ranks are
    return images_.subspan(begin, end - begin);
  }

 private:
  Communicator& ranks_;
  std::span<const std::int64_t> images_;
  std::vector<std::int64_t> ends_;
  std::function<void(std::uint64_t)> report_;
};

/// The log at `path`, with all that its parts hold.
template <class Log>
Log open_log(const std::filesystem::path& path, const typename Log::Header& header, bool resume) {
  if (resume) {
    const bool is_new = !std::filesystem::exists(path);
    Log log = is_new ? Log::create(path, header) : Log::resume(path, header);
    try {
      collect_parts(log, path);
    } catch (const Error&) {
      if (is_new) std::filesystem::remove(path);
      throw;
    }
    return log;
  }
  if (const auto parts = find_parts(path); !parts.empty())
    fail(
        "{}: there is a part of this certification already; continue it with --resume, or move it "
        "away",
        parts.front().string());
  return Log::create(path, header);
}

template <class Log>
struct SharedResult {
  typename Log::Header header;
  std::vector<typename Log::Record> records = {};  ///< of the images, in their order; at rank 0
  std::uint64_t new_draws = 0;                     ///< by all ranks
  double seconds = 0.0;
};

/// Certifies the images that no log holds yet, and leaves the log in their order. `work` takes
/// images from the claims until there are no more, gives each record to `keep`, which may be called
/// from one other thread, with the header that it rests on, and returns the draws that it made.
/// Throws an Interruption when the process is interrupted before the last image, with all that was
/// done in the log.
template <class Log>
SharedResult<Log> certify_shared(
    const SharedImages& o, const typename Log::Header& header,
    const std::function<std::uint64_t(Claims& claims, const typename Log::Header& header,
                                      const std::function<void(typename Log::Record)>& keep)>&
        work) {
  Communicator& ranks = o.ranks;
  std::optional<Log> log, part;
  std::map<std::int64_t, typename Log::Record> records;  // by image
  const auto take_records = [&](Log& from) {
    records.clear();
    for (auto& record : from.take_records()) {
      const std::int64_t image = record.image;
      records.emplace(image, std::move(record));
    }
  };
  std::vector<std::int64_t> todo;
  if (ranks.first()) {
    log = open_log<Log>(o.path, header, o.resume);
    take_records(*log);
    std::ranges::copy_if(o.images, std::back_inserter(todo),
                         [&](std::int64_t image) { return !records.contains(image); });
  }
  ranks.broadcast(todo);
  if (ranks.size() > 1) part = Log::create(part_path(o.path, ranks.rank()), header);

  const std::int64_t done_before = std::ssize(o.images) - std::ssize(todo);
  std::optional<ProgressBar> progress;
  if (ranks.first())
    progress.emplace("certify " + o.name, std::ssize(o.images), "images", done_before);
  const auto report = [&](std::uint64_t images) {
    if (progress) progress->update(done_before + static_cast<std::int64_t>(images));
  };
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t images_done = 0;
  Log& writer = part ? *part : *log;
  Claims claims(ranks, todo, report);
  const std::uint64_t draws = work(claims, writer.header(), [&](typename Log::Record record) {
    writer.append(record);
    const std::int64_t image = record.image;
    records.emplace(image, std::move(record));
    ++images_done;
    if (ranks.size() == 1) report(images_done);
  });
  part.reset();
  std::array<std::uint64_t, 2> done = {images_done, draws};
  ranks.all_reduce(std::span<std::uint64_t>(done));  // by then, all parts are written
  const int signal = interrupt_signal(ranks);
  if (log && ranks.size() > 1) {
    collect_parts(*log, o.path);
    take_records(*log);
  }
  const bool all = std::cmp_equal(done[0], todo.size());
  if (progress) {
    if (all) report(todo.size());
    progress->finish();
  }
  ranks.barrier();  // the log holds what was done
  if (!all) {
    throw Interruption(
        fmt::format("interrupted; all certificates so far are in {}, continue with --resume",
                    o.path.string()),
        signal);
  }
  SharedResult<Log> result{.header = log ? log->header() : header, .new_draws = done[1]};
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!log) return result;
  log->sort();
  for (const std::int64_t image : o.images) result.records.push_back(std::move(records.at(image)));
  return result;
}

}  // namespace pixeldp
