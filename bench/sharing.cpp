#include "bench/sharing.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/philox.hpp"
#include "pixeldp/report/report.hpp"
#include "pixeldp/report/svg.hpp"
#include "pixeldp/shared_certification.hpp"

namespace pixeldp::bench {
namespace {

double speed_of(int device) { return device % 10 == 9 ? 0.5 : 1.0; }

/// Seconds that the work takes where no device ever waits.
double ideal_seconds(const SharedWork& work) {
  double speed = 0.0;
  for (int device = 0; device < work.devices; ++device) speed += speed_of(device);
  return static_cast<double>(work.images) * work.seconds / speed;
}

struct Free {
  double time = 0.0;
  int device = 0;
  auto operator<=>(const Free&) const = default;
};

template <class T>
using FirstOf = std::priority_queue<T, std::vector<T>, std::greater<>>;

FirstOf<Free> all_free(int devices) {
  FirstOf<Free> free;
  for (int device = 0; device < devices; ++device) free.push({0.0, device});
  return free;
}

template <class T>
T take_first(FirstOf<T>& queue) {
  const T first = queue.top();
  queue.pop();
  return first;
}

/// All ranks at once, as far as they have to do with claims: whoever is free claims next.
class ModelledRanks : public Communicator {
  static constexpr const char* no_values = "modelled ranks have no values to exchange";

 public:
  explicit ModelledRanks(int size) : size_(size) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  void barrier() override {}
  std::vector<int> meet(double) override { return {}; }
  void broadcast(void*, std::size_t, int) override {}  // one object is all of them
  void all_gather(const void*, std::size_t, void*) override { fail("{}", no_values); }
  void all_to_all(const void*, std::size_t, void*) override { fail("{}", no_values); }
  std::unique_ptr<Exchange> begin_all_gather(const void*, std::size_t, void*) override {
    fail("{}", no_values);
  }
  std::unique_ptr<Exchange> begin_all_to_all(const void*, std::size_t, void*) override {
    fail("{}", no_values);
  }
  void begin_claims() override { next_ = 0; }
  std::int64_t claim() override { return next_++; }
  void end_claims() override { next_ = no_more; }
  void abort(int) override {}

 private:
  int size_;
  std::int64_t next_ = 0;
};

/// A task that waits to be started, for the first time or again.
struct Waiting {
  double since = 0.0;
  std::int64_t images = 0;  ///< that it has yet to certify
  auto operator<=>(const Waiting&) const = default;
};

/// Uniform in (0, 1].
double random_share(std::uint32_t number, std::uint64_t seed) {
  return (Philox::generate({number, 0, 0, 0}, seed)[0] + 1.0) * 0x1p-32;
}

}  // namespace

double ranks_of_ideal(const SharedWork& work, double claim) {
  std::vector<std::int64_t> images(static_cast<std::size_t>(work.images));
  std::iota(images.begin(), images.end(), std::int64_t{0});
  ModelledRanks ranks(work.devices);
  Claims claims(ranks, images, [](std::uint64_t) {});
  FirstOf<Free> free = all_free(work.devices);
  double end = 0.0;
  while (const auto claimed = claims.next()) {
    auto [time, device] = take_first(free);
    time += claim + static_cast<double>(claimed->size()) * work.seconds / speed_of(device);
    end = std::max(end, time);
    free.push({time, device});
  }
  return ideal_seconds(work) / end;
}

ArrayOutcome array_of_ideal(const SharedWork& work, int tasks, const ArrayConditions& c,
                            std::uint64_t seed) {
  FirstOf<Waiting> waiting;
  for (int task = 0; task < tasks; ++task)
    waiting.push({0.0, ImageRange{0, work.images, 1}.shard(task, tasks).count()});
  FirstOf<Free> free = all_free(work.devices);
  std::vector<int> idle;  // devices that found no task waiting
  ArrayOutcome outcome;
  double end = 0.0, held = 0.0, drawing = 0.0;
  std::uint32_t random = 0;
  while (!free.empty()) {
    const auto [time, device] = take_first(free);
    if (waiting.empty()) {
      idle.push_back(device);
      continue;
    }
    if (waiting.top().since > time) {
      free.push({waiting.top().since, device});
      continue;
    }
    const Waiting task = take_first(waiting);
    const double image = work.seconds / speed_of(device);
    const double done = time + c.start + static_cast<double>(task.images) * image;
    const double loss = time - c.between * std::log(random_share(random++, seed));
    if (done <= loss) {
      end = std::max(end, done);
      held += done - time;
      drawing += static_cast<double>(task.images) * image;
      free.push({done, device});
      continue;
    }
    // What was written is kept; the window in hand is not.
    const double kept = loss - time - c.start - c.window * random_share(random++, seed);
    const auto images = static_cast<std::int64_t>(std::max(0.0, kept) / image);
    ++outcome.losses;
    held += loss - time;
    drawing += static_cast<double>(images) * image;
    waiting.push({loss + c.requeue, task.images - images});
    free.push({loss + c.away, device});
    for (; !idle.empty(); idle.pop_back()) free.push({loss + c.requeue, idle.back()});
  }
  outcome.of_ideal = ideal_seconds(work) / end;
  outcome.in_use = drawing / held;
  return outcome;
}

namespace {

/// One line of a picture: shares by powers of 2.
struct Series {
  std::string name, classes;
  std::vector<std::pair<int, double>> shares;
};

std::vector<int> powers_of_2(int last) {
  std::vector<int> powers;
  for (int power = 1; power <= last; power *= 2) powers.push_back(power);
  return powers;
}

std::string figure(const std::string& title, const std::string& axis, int last,
                   const std::vector<Series>& all) {
  constexpr double least = 0.5, right_of_names = 130.0;
  const double width = std::log2(last);
  report::Plot plot({720.0, 330.0}, {.right = right_of_names}, {0.0, width}, {least, 1.0});
  plot.y_axis(title, report::round_ticks({least, 1.0}, 5), "{:.0f}%", 100.0);
  plot.x_axis(axis, {}, "");
  for (const int power : powers_of_2(last))
    plot.text({plot.x(std::log2(power)), plot.bottom() + 17}, std::to_string(power), "tick middle");
  plot.line(std::vector<report::Point>{plot.at({0.0, 0.95}), plot.at({width, 0.95})}, "axis rule");
  for (const Series& series : all) {
    std::vector<report::Point> points;
    for (const auto& [x, share] : series.shares)
      points.push_back(plot.at({std::log2(x), std::max(share, least)}));
    plot.line(points, series.classes);
    for (const report::Point& point : points) plot.dot(point, 3.0, series.classes);
    if (!series.name.empty())
      plot.text({points.back().x + 10.0, points.back().y + 4.0}, series.name,
                "label " + series.classes);
  }
  return plot.element("wide", title, axis);
}

std::string page_of(const std::string& ranks, const std::string& array) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sharing</title>\n"
      "<style>{}</style></head><body>\n"
      "<figure>{}<figcaption><b>Ranks of one MPI job</b> that claim images: simulated, with every "
      "tenth device at half speed. Dashes: 95 %.</figcaption></figure>\n"
      "<figure>{}<figcaption><b>Tasks of a job array</b> on 256 such devices, each of which is "
      "lost once in 12 hours. Whole lines: time until the last task ends. Thin lines: the time for "
      "which devices were held.</figcaption></figure>\n</body></html>\n",
      report::style_sheet(), ranks, array);
}

}  // namespace

void print_sharing(const std::filesystem::path& page) {
  constexpr int most_ranks = 4096, most_tasks = 128, devices = 256;
  fmt::print(
      "Simulated: every tenth device at half speed. Percent of the ideal, in which no "
      "device ever waits.\n\nranks that claim images:\n{:>8}",
      "ranks");
  std::vector<Series> by_ranks, by_tasks;
  for (const std::int64_t images : {10'000, 50'000, 500'000}) {
    by_ranks.push_back(
        {fmt::format("{},000 images", images / 1000), fmt::format("s{}", by_ranks.size()), {}});
    fmt::print("{:>16}", by_ranks.back().name);
    for (const int ranks : powers_of_2(most_ranks))
      by_ranks.back().shares.emplace_back(ranks, ranks_of_ideal({ranks, images, 0.5}));
  }
  for (std::size_t i = 0; i < by_ranks.front().shares.size(); ++i) {
    fmt::print("\n{:>8}", by_ranks.front().shares[i].first);
    for (const Series& series : by_ranks) fmt::print("{:>16.1f}", 100.0 * series.shares[i].second);
  }

  fmt::print(
      "\n\ntasks of an array on {} devices, until the last one ends (and of the time that "
      "devices were held):\n{:>17}",
      devices, "tasks per device");
  for (const int hours : {2, 8, 24}) {
    const std::string classes = fmt::format("s{}", by_tasks.size() / 2);
    Series whole{fmt::format("{} h for each", hours), classes, {}}, held{"", classes + " thin", {}};
    fmt::print("{:>19}", whole.name);
    for (const int tasks : powers_of_2(most_tasks)) {
      const ArrayOutcome outcome =
          array_of_ideal({devices, devices * hours * std::int64_t{7200}, 0.5}, devices * tasks);
      whole.shares.emplace_back(tasks, outcome.of_ideal);
      held.shares.emplace_back(tasks, outcome.in_use);
    }
    by_tasks.push_back(std::move(whole));
    by_tasks.push_back(std::move(held));
  }
  for (std::size_t i = 0; i < by_tasks.front().shares.size(); ++i) {
    fmt::print("\n{:>17}", by_tasks.front().shares[i].first);
    for (std::size_t s = 0; s < by_tasks.size(); s += 2)
      fmt::print("{:>11.1f} ({:.1f})", 100.0 * by_tasks[s].shares[i].second,
                 100.0 * by_tasks[s + 1].shares[i].second);
  }
  fmt::print("\n");
  if (page.empty()) return;
  write_file_atomically(
      page, page_of(figure("Of the ideal time, in which no rank ever waits", "Ranks", most_ranks,
                           by_ranks),
                    figure("Of the ideal time, in which no device ever waits or is lost",
                           "Tasks per device", most_tasks, by_tasks)));
}

}  // namespace pixeldp::bench
