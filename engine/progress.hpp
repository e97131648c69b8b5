#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace pixeldp {

enum class ProgressStyle {
  silent,
  bar,   ///< one line of a terminal, redrawn at most ten times a second
  lines  ///< a new line every 5 % of the way, for logs
};

/// Shows on standard error how far a long run is. Any thread may report.
class ProgressBar {
 public:
  using Clock = std::chrono::steady_clock;

  /// `total` is counted in `unit`, say "images"; `done` of them were done before, and say nothing
  /// about the rate. A bar on a terminal, else `off_terminal`.
  ProgressBar(std::string label, std::int64_t total, std::string unit, std::int64_t done = 0,
              ProgressStyle off_terminal = ProgressStyle::silent);
  /// For tests: on any stream.
  ProgressBar(std::string label, std::int64_t total, std::string unit, std::int64_t done,
              ProgressStyle style, std::FILE* out);
  ~ProgressBar() { finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// `done` of the total in all.
  void update(std::int64_t done);
  /// So many more.
  void advance(std::int64_t count = 1);
  /// Stands at the end of the line from now on: what the run has found so far.
  void note(std::string text);
  /// Shows the last state and ends the line; later reports are ignored.
  void finish();

 private:
  void show_if_due();
  void show(Clock::time_point now);
  std::int64_t twentieths() const { return total_ > 0 ? 20 * done_ / total_ : 20; }

  std::string label_, unit_, note_;
  std::int64_t total_, first_, done_;
  std::int64_t shown_;  ///< what was done when it was shown last
  std::int64_t twentieths_shown_;
  ProgressStyle style_;
  std::FILE* out_;
  bool finished_ = false;
  Clock::time_point start_ = Clock::now(), drawn_{};
  std::mutex mutex_;
};

/// How far a run is. `first` were done before it began, `seconds` ago.
struct ProgressState {
  std::string_view label, unit;
  std::int64_t done = 0, total = 0, first = 0;
  double seconds = 0.0;
};

/// "certify  [=====>    ]  512/1000 images  51%  128/s  0:03 left"; once done, the time taken
/// stands in place of the time left. Without the bar where there is no terminal to draw it on.
std::string progress_line(const ProgressState& state, bool with_bar = true);

}  // namespace pixeldp
