#include "trainers/prefetcher.hpp"

#include <atomic>
#include <chrono>
#include <thread>

#include "engine/philox.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

/// Now and then the preparation is the slower one, now and then the training.
void dawdle(std::uint64_t seed, std::int64_t step) {
  const auto random = Philox::generate({static_cast<std::uint32_t>(step), 0, 0, 0}, seed)[0];
  if (random % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random % 400));
}

void fill(std::int64_t step, TrainingBatch& batch) {
  batch.images.resize({3, 2, 2, 1});
  for (std::size_t i = 0; i < batch.images.values().size(); ++i) {
    batch.images.values()[i] = static_cast<float>(step * 100 + static_cast<std::int64_t>(i));
    if (i % 4 == 0) dawdle(1, step * 3 + static_cast<std::int64_t>(i));
  }
  batch.labels.assign(3, static_cast<std::int32_t>(step));
}

}  // namespace

TEST_CASE("prefetched batches are those that would have been prepared in turn") {
  Prefetcher batches(5, 205, fill);
  TrainingBatch expected;
  int different = 0;
  for (std::int64_t step = 5; step < 205; ++step) {
    const TrainingBatch& batch = batches.next();
    dawdle(2, step);  // meanwhile the next one is written
    fill(step, expected);
    const auto a = batch.images.values();
    const auto b = expected.images.values();
    different += !std::equal(a.begin(), a.end(), b.begin(), b.end());
    different += batch.labels != expected.labels;
  }
  CHECK(different == 0);
  CHECK_FAILS(batches.next(), "no batch after the last step, 204");
}

TEST_CASE("the next batch is prepared while the current one is in use, and no further one") {
  std::atomic<std::int64_t> begun = 0;
  Prefetcher batches(0, 100, [&](std::int64_t step, TrainingBatch& batch) {
    begun = step + 1;
    fill(step, batch);
  });
  for (std::int64_t step = 0; step < 5; ++step) {
    batches.next();
    while (begun < step + 2) std::this_thread::yield();  // without a further call
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(begun == step + 2);
  }
}  // dropped in the middle

TEST_CASE("an error of the preparation comes out at its step, after the batches before it") {
  Prefetcher batches(0, 10, [](std::int64_t step, TrainingBatch& batch) {
    if (step == 3) fail("no step {}", step);
    fill(step, batch);
  });
  for (std::int64_t step = 0; step < 3; ++step) CHECK(batches.next().labels.front() == step);
  CHECK_FAILS(batches.next(), "no step 3");
  CHECK_FAILS(batches.next(), "no step 3");
}

TEST_CASE("nothing is prepared where no step is left") {
  Prefetcher batches(8, 8, [](std::int64_t, TrainingBatch&) { fail("asked for"); });
  CHECK_FAILS(batches.next(), "no batch after the last step, 7");
}
