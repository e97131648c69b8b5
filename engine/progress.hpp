#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace pixeldp {

/// One line on standard error that shows how far a long run is, redrawn at most ten times a second.
/// Silent when standard error is not a terminal. Any thread may report.
class ProgressBar {
 public:
  using Clock = std::chrono::steady_clock;

  /// `total` is counted in `unit`, say "images".
  ProgressBar(std::string label, std::int64_t total, std::string unit);
  /// For tests: draws on any stream.
  ProgressBar(std::string label, std::int64_t total, std::string unit, std::FILE* out,
              bool visible);
  ~ProgressBar() { finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// `done` of the total in all.
  void update(std::int64_t done);
  /// So many more.
  void advance(std::int64_t count = 1);
  /// Stands at the end of the line from now on: what the run has found so far.
  void note(std::string text);
  /// Draws the last state and ends the line; later reports are ignored.
  void finish();

 private:
  void draw_if_due();
  void draw(Clock::time_point now);

  std::string label_, unit_, note_;
  std::int64_t total_, done_ = 0;
  std::FILE* out_;
  bool visible_, finished_ = false;
  Clock::time_point start_ = Clock::now(), drawn_{};
  std::mutex mutex_;
};

/// "certify  [=====>    ]  512/1000 images  51%  128/s  0:03 left"; once done, the time taken
/// stands in place of the time left.
std::string progress_line(std::string_view label, std::int64_t done, std::int64_t total,
                          std::string_view unit, double seconds);

}  // namespace pixeldp
