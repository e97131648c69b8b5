#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "engine/error.hpp"

namespace pixeldp::bench {
namespace {

using kernels::Precision;
using nlohmann::json;

/// bench/pytorch.py in a process of its own, which does what it is told, line by line.
class Worker {
 public:
  Worker(const std::string& python, const std::string& script, int threads) {
    std::signal(SIGPIPE, SIG_IGN);  // a worker that has gone shows when its answer is missing
    int orders[2], answers[2];
    if (pipe(orders) != 0 || pipe(answers) != 0) fail("no pipe for {}", script);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, orders[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, answers[1], STDOUT_FILENO);
    for (const int end : {orders[0], orders[1], answers[0], answers[1]})
      posix_spawn_file_actions_addclose(&files, end);
    const std::string count = std::to_string(threads);
    const char* const arguments[] = {python.c_str(), script.c_str(), "--serve",
                                     "--threads",    count.c_str(),  nullptr};
    const int failed = posix_spawnp(&process_, python.c_str(), &files, nullptr,
                                    const_cast<char* const*>(arguments), environ);
    posix_spawn_file_actions_destroy(&files);
    close(orders[0]);
    close(answers[1]);
    orders_ = fdopen(orders[1], "w");
    answers_ = fdopen(answers[0], "r");
    if (failed != 0) process_ = 0;
    about_ = answer();
  }
  ~Worker() {
    std::fclose(orders_);  // it ends with its standard input
    std::fclose(answers_);
    if (process_ != 0) waitpid(process_, nullptr, 0);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Which PyTorch it is; nothing where there is none.
  const std::optional<json>& about() const { return about_; }

  json ask(const json& order) {
    fmt::print(orders_, "{}\n", order.dump());
    std::fflush(orders_);
    const std::optional<json> said = answer();
    if (!said) fail("PyTorch ended before it answered {}", order.dump());
    return *said;
  }

 private:
  std::optional<json> answer() {
    std::string line;
    for (int c = std::fgetc(answers_); c != EOF && c != '\n'; c = std::fgetc(answers_))
      line += static_cast<char>(c);
    if (line.empty()) return {};
    return json::parse(line);
  }

  pid_t process_ = 0;
  std::FILE *orders_ = nullptr, *answers_ = nullptr;
  std::optional<json> about_;
};

class Comparison {
 public:
  Comparison(const Options& options, Worker& worker, Report& report)
      : options_(options), worker_(worker), report_(report) {}

  /// Something of ours against the same in PyTorch, which `arguments` describe to its script.
  void measure(const std::string& what, Precision precision, json arguments,
               const Turns::Thing& ours) {
    arguments["precision"] = name(precision);
    std::vector<Turns::Thing> things = {ours};
    std::vector<std::string> ways;
    for (const char* way : {"eager", "compiled"}) {
      arguments["way"] = way;
      const json made = worker_.ask({{"prepare", arguments}});
      if (made.contains("error")) {
        report_.note(fmt::format("{}, {}, {}: {}", what, name(precision), way,
                                 made["error"].get<std::string>()));
        continue;
      }
      ways.emplace_back(way);
      things.push_back([this, order = json{{"run", made["case"]}}] {
        return worker_.ask(order)["seconds"].get<double>();
      });
    }
    const Turns turns(options_.repetitions, things);
    for (std::size_t i = 1; i < turns.size(); ++i)
      report_.line({fmt::format("{}, {}", what, name(precision)), turns.rate(0), "draws/s",
                    turns.speedup(0, i),
                    fmt::format("PyTorch {}, {}: {:.1f} draws/s",
                                worker_.about()->at("torch").get<std::string>(), ways[i - 1],
                                turns.rate(i).median)});
  }

 private:
  const Options& options_;
  Worker& worker_;
  Report& report_;
};

}  // namespace

void pytorch(const Options& options, Report& report) {
  const auto script = std::filesystem::path(options.source_folder) / "bench" / "pytorch.py";
  Worker worker(options.python, script.string(), options.threads);
  if (!worker.about()) {
    report.note(
        fmt::format("PyTorch is not installed for {}: name an interpreter that has it with "
                    "--python",
                    options.python));
    return;
  }
  const Threads threads(options.threads);
  const std::string on =
      fmt::format("{} thread{}", options.threads, options.threads == 1 ? "" : "s");
  const layers::Network mnist = noisy_network(mnist_cnn_spec()),
                        wide = noisy_network(wide_resnet_spec(options));
  constexpr std::int64_t mnist_rows = 256;
  Comparison comparison(options, worker, report);
  for (const Precision precision : precisions()) {
    if (precision == Precision::int8) continue;  // PyTorch has its own notion of that
    Draws small(mnist, precision), large(wide, precision);
    comparison.measure(fmt::format("MNIST CNN, {} draws, {}", mnist_rows, on), precision,
                       {{"network", "mnist-cnn"}, {"rows", mnist_rows}},
                       [&] { return small(1, mnist_rows); });
    if (options.threads == 1) {
      Rows rows(mnist, precision, mnist_rows);
      comparison.measure(fmt::format("MNIST CNN after its noise, {} rows, {}", mnist_rows, on),
                         precision,
                         {{"network", "mnist-cnn"}, {"rows", mnist_rows}, {"noise", false}},
                         [&] { return rows(); });
    }
    comparison.measure(fmt::format("{}, {} draws, {}", wide_resnet_name(options), options.rows, on),
                       precision,
                       {{"network", "wide-resnet"},
                        {"rows", options.rows},
                        {"depth", options.depth},
                        {"widening", options.widening}},
                       [&] { return large(1, options.rows); });
  }
}

}  // namespace pixeldp::bench
