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

std::string progress_line(const ProgressState& state, bool with_bar) {
  constexpr int width = 20;
  const auto [label, unit, done, total, first, seconds] = state;
  const double share =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0)
                : 1.0;
  std::string line(label);
  if (with_bar) {
    const auto filled = static_cast<std::size_t>(share * width);
    std::string bar = std::string(filled, '=') + (filled < width ? ">" : "");
    bar.resize(width, ' ');
    line += fmt::format("  [{}]", bar);
  }
  line += fmt::format("  {}/{} {}  {:.0f}%", done, total, unit, std::floor(share * 100));
  const double rate = seconds > 0 ? static_cast<double>(done - first) / seconds : 0.0;
  if (rate > 0) line += fmt::format("  {:.{}f}/s", rate, rate < 10 ? 2 : 0);
  if (done >= total)
    line += fmt::format("  {}", clock_text(seconds));
  else if (rate > 0)
    line += fmt::format("  {} left", clock_text(static_cast<double>(total - done) / rate));
  return line;
}

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::string unit, std::int64_t done,
                         ProgressStyle off_terminal)
    : ProgressBar(std::move(label), total, std::move(unit), done,
                  ::isatty(STDERR_FILENO) == 1 ? ProgressStyle::bar : off_terminal, stderr) {}

ProgressBar::ProgressBar(std::string label, std::int64_t total, std::string unit, std::int64_t done,
                         ProgressStyle style, std::FILE* out)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      first_(done),
      done_(done),
      shown_(done),
      twentieths_shown_(twentieths()),
      style_(style),
      out_(out) {}

void ProgressBar::update(std::int64_t done) {
  const std::lock_guard lock(mutex_);
  done_ = done;
  show_if_due();
}

void ProgressBar::advance(std::int64_t count) {
  const std::lock_guard lock(mutex_);
  done_ += count;
  show_if_due();
}

void ProgressBar::note(std::string text) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(text);
}

void ProgressBar::finish() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(finished_, true)) return;
  switch (style_) {
    case ProgressStyle::silent:
      return;
    case ProgressStyle::bar:
      show(Clock::now());
      fmt::print(out_, "\n");
      std::fflush(out_);
      return;
    case ProgressStyle::lines:
      if (done_ != shown_) show(Clock::now());
      return;
  }
}

void ProgressBar::show_if_due() {
  constexpr auto interval = std::chrono::milliseconds(100);
  if (finished_) return;
  switch (style_) {
    case ProgressStyle::silent:
      return;
    case ProgressStyle::bar:
      if (const auto now = Clock::now(); now - drawn_ >= interval) show(now);
      return;
    case ProgressStyle::lines:
      if (twentieths() > twentieths_shown_) show(Clock::now());
      return;
  }
}

void ProgressBar::show(Clock::time_point now) {
  drawn_ = now;
  shown_ = done_;
  twentieths_shown_ = twentieths();
  const bool bar = style_ == ProgressStyle::bar;
  const std::string line =
      progress_line({.label = label_,
                     .unit = unit_,
                     .done = done_,
                     .total = total_,
                     .first = first_,
                     .seconds = std::chrono::duration<double>(now - start_).count()},
                    bar) +
      (note_.empty() ? "" : "  " + note_);
  // "\033[K" clears what a longer line before it left over.
  if (bar)
    fmt::print(out_, "\r{}\033[K", line);
  else
    fmt::print(out_, "{}\n", line);
  std::fflush(out_);
}

}  // namespace pixeldp
