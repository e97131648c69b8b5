#include <algorithm>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "pixeldp/certificate_log.hpp"

namespace pixeldp::bench {
namespace {

/// A log in a folder of its own, which goes with it.
class LogOfDraws {
 public:
  LogOfDraws(std::int64_t classes, std::uint64_t draws)
      : folder_(std::filesystem::temp_directory_path() / fmt::format("bench-log-{}", ::getpid())),
        writer_(create(draws)) {
    record_.label = record_.prediction = 0;
    ScoreStatistics& statistics = record_.statistics;
    statistics.draws = draws;
    for (std::int64_t c = 0; c < classes; ++c) {
      const std::uint64_t votes = c == 0 ? draws - 9 : c < 10 ? 1 : 0;
      statistics.votes.push_back(votes);
      statistics.sums.push_back(votes << 32);  // all scores are 0 or 1
      statistics.squares.push_back(votes << 32);
    }
  }
  ~LogOfDraws() { std::filesystem::remove_all(folder_); }
  LogOfDraws(const LogOfDraws&) = delete;
  LogOfDraws& operator=(const LogOfDraws&) = delete;

  /// Seconds per line.
  double operator()() {
    constexpr int lines = 2000;
    const auto write = [&] {
      for (int i = 0; i < lines; ++i, ++record_.image) writer_.append(record_);
    };
    return seconds(write) / lines;
  }

 private:
  CertificateLogWriter create(std::uint64_t draws) const {
    CertificateLogHeader header;
    header.model_sha256 = header.dataset_sha256 = std::string(64, '0');
    header.dataset = "mnist", header.split = "test";
    header.calibration = {.mechanism = Mechanism::gaussian,
                          .construction = Construction{.bound = 0.1},
                          .noise_scale = 0.2537,
                          .sensitivity = 1.0};
    header.draws = draws;
    header.ledger = only_look(header.options, draws);
    std::filesystem::create_directory(folder_);
    return CertificateLogWriter::create(folder_ / "certificates.jsonl", header);
  }

  std::filesystem::path folder_;
  CertificateLogWriter writer_;
  CertificateRecord record_;
};

}  // namespace

void log(const Options& options, Report& report) {
  const layers::Network net = noisy_network(mnist_cnn_spec());
  Draws draws(net, kernels::Precision::int8);
  LogOfDraws log(net.classes(),
                 static_cast<std::uint64_t>(std::max<std::int64_t>(options.draws, 16)));
  const Turns turns(
      options.repetitions,
      {[&] { return log(); },
       [&] { return draws(options.images, options.draws) * static_cast<double>(options.draws); }});
  report.line({fmt::format("a line of the certificate log, {} draws", options.draws),
               turns.rate(0),
               "lines/s",
               turns.ratio(0, 1),
               "time of the MNIST CNN's draws of its image, int8",
               {Target::ratio_at_most(0.01)}});
}

}  // namespace pixeldp::bench
