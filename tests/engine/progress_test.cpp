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
  CHECK(progress_line("certify", 0, 1000, "images", 0) ==
        "certify  [>                   ]  0/1000 images  0%");
  CHECK(progress_line("certify", 500, 1000, "images", 4) ==
        "certify  [==========>         ]  500/1000 images  50%  125/s  0:04 left");
  CHECK(progress_line("train", 1, 4, "epochs", 600) ==
        "train  [=====>              ]  1/4 epochs  25%  0.00/s  30:00 left");
  CHECK(progress_line("train", 1, 100, "epochs", 60) ==
        "train  [>                   ]  1/100 epochs  1%  0.02/s  1:39:00 left");
  CHECK(progress_line("x", 3, 3, "rows", 61) ==
        "x  [====================]  3/3 rows  100%  0.05/s  1:01");
  CHECK(progress_line("x", 999, 1000, "rows", 0).find("99%") != std::string::npos);
  CHECK(progress_line("x", 0, 0, "rows", 1) == "x  [====================]  0/0 rows  100%  0:01");
}

TEST_CASE("a progress bar draws seldom and ends with one clean line") {
  Capture capture;
  {
    ProgressBar bar("count", 100'000, "steps", capture.stream(), true);
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
  ProgressBar bar("train", 2, "steps", capture.stream(), true);
  bar.note("test 1.0 %");
  bar.update(1);
  bar.note("test 2.0 %");
  bar.finish();
  const std::string text = capture.text();
  CHECK(text.find("  test 1.0 %\033[K") != std::string::npos);
  CHECK(text.ends_with("  test 2.0 %\033[K\n"));
}

TEST_CASE("an invisible progress bar prints nothing") {
  Capture capture;
  {
    ProgressBar bar("count", 10, "steps", capture.stream(), false);
    bar.update(10);
  }
  CHECK(capture.text().empty());
}

}  // namespace pixeldp
