#include "engine/progress.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace pixeldp {
namespace {

/// What is printed on a stream.
class Capture {
 public:
  Capture() : stream_(::open_memstream(&text_, &size_)) {}
  ~Capture() {
    std::fclose(stream_);
    std::free(text_);
  }
  std::FILE* stream() { return stream_; }
  std::string text() {
    std::fflush(stream_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

std::size_t count(const std::string& text, char c) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
}

}  // namespace

TEST_CASE("progress_line shows share, rate and the time left") {
  const auto line = [](const char* label, std::int64_t done, std::int64_t total, const char* unit,
                       double seconds, std::int64_t first = 0) {
    return progress_line({.label = label,
                          .unit = unit,
                          .done = done,
                          .total = total,
                          .first = first,
                          .seconds = seconds});
  };
  CHECK(line("certify", 0, 1000, "images", 0) ==
        "certify  [>                   ]  0/1000 images  0%");
  CHECK(line("certify", 500, 1000, "images", 4) ==
        "certify  [==========>         ]  500/1000 images  50%  125/s  0:04 left");
  CHECK(line("train", 1, 4, "epochs", 600) ==
        "train  [=====>              ]  1/4 epochs  25%  0.00/s  30:00 left");
  CHECK(line("train", 1, 100, "epochs", 60) ==
        "train  [>                   ]  1/100 epochs  1%  0.02/s  1:39:00 left");
  CHECK(line("x", 3, 3, "rows", 61) == "x  [====================]  3/3 rows  100%  0.05/s  1:01");
  CHECK(line("x", 999, 1000, "rows", 0).find("99%") != std::string::npos);
  CHECK(line("x", 0, 0, "rows", 1) == "x  [====================]  0/0 rows  100%  0:01");
  // What an earlier run did says nothing about the rate of this one.
  CHECK(line("train", 600, 1000, "steps", 10, 500) ==
        "train  [============>       ]  600/1000 steps  60%  10/s  0:40 left");
  CHECK(progress_line({.label = "train", .unit = "steps", .done = 5, .total = 10, .seconds = 1},
                      false) == "train  5/10 steps  50%  5.00/s  0:01 left");
}

TEST_CASE("a progress bar draws seldom and ends with one clean line") {
  Capture capture;
  {
    ProgressBar bar("count", 100'000, "steps", 0, ProgressStyle::bar, capture.stream());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 25'000; ++i) bar.advance();
      });
    for (auto& thread : threads) thread.join();
    bar.finish();
    bar.update(5);
    bar.finish();
  }
  const std::string text = capture.text();
  CHECK(text.find("100000/100000 steps  100%") != std::string::npos);
  CHECK(count(text, '\n') == 1);
  CHECK(text.back() == '\n');
  CHECK(text.find(" 5/100000") == std::string::npos);
  // The first, the last, and one every tenth of a second: far fewer than the reports even on a
  // machine so busy that this takes ten seconds.
  CHECK(count(text, '\r') >= 2);
  CHECK(count(text, '\r') <= 102);
}

TEST_CASE("a note stands at the end of the line until it is replaced") {
  Capture capture;
  ProgressBar bar("train", 2, "steps", 0, ProgressStyle::bar, capture.stream());
  bar.note("test 1.0 %");
  bar.update(1);
  bar.note("test 2.0 %");
  bar.finish();
  const std::string text = capture.text();
  CHECK(text.find("  test 1.0 %\033[K") != std::string::npos);
  CHECK(text.ends_with("  test 2.0 %\033[K\n"));
}

TEST_CASE("a log gets a line every twentieth of the way, and one where the run ends") {
  Capture capture;
  {
    ProgressBar progress("train", 1000, "steps", 100, ProgressStyle::lines, capture.stream());
    for (int done = 101; done <= 520; ++done) {
      progress.note("loss 0.5");
      progress.update(done);
    }
  }
  const std::string text = capture.text();
  CHECK(text.starts_with("train  150/1000 steps  15%"));
  CHECK(count(text, '\n') == 9);  // at 150, 200 ... 500, and at 520
  CHECK(text.find("\ntrain  520/1000 steps  52%") != std::string::npos);
  CHECK(text.ends_with(" left  loss 0.5\n"));
  CHECK(count(text, '\r') == 0);
}

TEST_CASE("a run that does nothing adds no line to a log") {
  Capture capture;
  ProgressBar("train", 10, "steps", 10, ProgressStyle::lines, capture.stream()).finish();
  CHECK(capture.text().empty());
}

TEST_CASE("an invisible progress bar prints nothing") {
  Capture capture;
  {
    ProgressBar bar("count", 10, "steps", 0, ProgressStyle::silent, capture.stream());
    bar.update(10);
  }
  CHECK(capture.text().empty());
}

}  // namespace pixeldp
