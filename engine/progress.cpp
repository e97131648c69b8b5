#include "engine/progress.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace pixeldp {
namespace {

std::string clock_text(double seconds) {
  constexpr double longest = 1e9;
  const auto s = static_cast<std::int64_t>(std::clamp(seconds, 0.0, longest) + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

std::string progress_line(std::string_view label, std::int64_t done, std::int64_t total,
                          std::string_view unit, double seconds) {
  constexpr int width = 20;
  const double share =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0)
                : 1.0;
  const auto filled = static_cast<std::size_t>(share * width);
  std::string bar = std::string(filled, '=') + (filled < width ? ">" : "");
  bar.resize(width, ' ');
  std::string line = fmt::format("{}  [{}]  {}/{} {}  {:.0f}%", label, bar, done, total, unit,
                                 std::floor(share * 100));
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0.0;
  if (rate > 0) line += fmt::format("  {:.{}f}/s", rate, rate < 10 ? 2 : 0);
  if (done >= total)
    line += fmt::format("  {}", clock_text(seconds));
  else if (rate > 0)
    line += fmt::format("  {} left", clock_text(static_cast<double>(total - done) / rate));
  return line;
}

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::string unit)
    : ProgressBar(std::move(label), total, std::move(unit), stderr, ::isatty(STDERR_FILENO) == 1) {}

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::string unit, std::FILE* out,
                         bool visible)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      out_(out),
      visible_(visible) {}

void ProgressBar::update(std::int64_t done) {
  const std::lock_guard lock(mutex_);
  done_ = done;
  draw_if_due();
}

void ProgressBar::advance(std::int64_t count) {
  const std::lock_guard lock(mutex_);
  done_ += count;
  draw_if_due();
}

void ProgressBar::note(std::string text) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(text);
}

void ProgressBar::finish() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(finished_, true) || !visible_) return;
  draw(Clock::now());
  fmt::print(out_, "\n");
  std::fflush(out_);
}

void ProgressBar::draw_if_due() {
  constexpr auto interval = std::chrono::milliseconds(100);
  const auto now = Clock::now();
  if (visible_ && !finished_ && now - drawn_ >= interval) draw(now);
}

void ProgressBar::draw(Clock::time_point now) {
  drawn_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  // "\033[K" clears what a longer line before it left over.
  fmt::print(out_, "\r{}{}{}\033[K", progress_line(label_, done_, total_, unit_, seconds),
             note_.empty() ? "" : "  ", note_);
  std::fflush(out_);
}

}  // namespace pixeldp
