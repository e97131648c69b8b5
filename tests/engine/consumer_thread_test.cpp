#include "engine/consumer_thread.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>

using pixeldp::ConsumerThread;

TEST_CASE("a consumer's thread takes everything, in order, and not on the caller's thread") {
  std::vector<int> taken;
  bool elsewhere = true;
  const auto caller = std::this_thread::get_id();
  {
    ConsumerThread<int> consumer(3, [&](std::vector<int> items) {
      elsewhere &= std::this_thread::get_id() != caller;
      CHECK(items.size() <= 3);
      taken.insert(taken.end(), items.begin(), items.end());
    });
    for (int i = 0; i < 1000; ++i) consumer.push(i);
    consumer.finish();
    CHECK(taken.size() == 1000);
  }
  CHECK(elsewhere);
  for (int i = 0; i < 1000; ++i) CHECK(taken[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a caller waits while too many items wait") {
  std::atomic<bool> may_go_on = false;
  std::atomic<int> pushed = 0;
  ConsumerThread<int> consumer(2, [&](const std::vector<int>&) { may_go_on.wait(false); });
  std::thread caller([&] {
    for (int i = 0; i < 10; ++i) consumer.push(i), ++pushed;
  });
  while (pushed < 3) std::this_thread::yield();  // one or two taken, two that wait
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(pushed <= 4);
  may_go_on = true;
  may_go_on.notify_all();
  caller.join();
  consumer.finish();
  CHECK(pushed == 10);
}

TEST_CASE("what a consumer throws reaches the caller, and ends the waiting") {
  const auto fail_at = [](int bad) {
    return [bad](const std::vector<int>& items) {
      for (const int item : items)
        if (item == bad) throw std::runtime_error("bad item");
    };
  };
  ConsumerThread<int> by_push(2, fail_at(0));
  CHECK_THROWS_WITH_AS(
      [&] {
        for (int i = 0; i < 100; ++i) by_push.push(i);
      }(),
      "bad item", std::runtime_error);
  ConsumerThread<int> by_finish(1000, fail_at(99));
  for (int i = 0; i < 100; ++i) by_finish.push(i);
  CHECK_THROWS_WITH_AS(by_finish.finish(), "bad item", std::runtime_error);
}

TEST_CASE("what was given before an exception of the caller is still consumed") {
  int taken = 0;
  CHECK_THROWS_AS(
      [&] {
        ConsumerThread<int> consumer(
            100, [&](const std::vector<int>& items) { taken += static_cast<int>(items.size()); });
        for (int i = 0; i < 10; ++i) consumer.push(i);
        throw std::runtime_error("elsewhere");
      }(),
      std::runtime_error);
  CHECK(taken == 10);
}
