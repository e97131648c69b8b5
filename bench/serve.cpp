#include "bench/serve.hpp"

#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "bench/network.hpp"
#include "engine/device.hpp"
#include "engine/error.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp::bench {
namespace {

using nlohmann::json;

layers::NetworkSpec spec_of(const json& network) {
  const auto architecture = network.at("architecture").get<std::string>();
  const auto depth = network.at("depth").get<std::int64_t>(),
             widening = network.at("widening").get<std::int64_t>();
  if (architecture == "mnist-cnn") return mnist_cnn_spec();
  if (architecture == "wide-resnet") return wide_resnet_spec(depth, widening);
  if (architecture == "resnet") return resnet_spec(depth);
  if (architecture == "inception-v3") return inception_spec();
  if (architecture == "autoencoder") return autoencoder_spec(1);
  if (architecture == "autoencoder-unshared") return autoencoder_spec(0);
  fail(
      "unknown architecture '{}': use mnist-cnn, wide-resnet, resnet, inception-v3, autoencoder or "
      "autoencoder-unshared",
      architecture);
}

json answer(const json& order, std::vector<std::unique_ptr<Draws>>& cases) {
  if (order.contains("prepare")) {
    const json& network = order["prepare"];
    cases.push_back(
        std::make_unique<Draws>(noisy_network(spec_of(network)),
                                parse_precision(network.at("precision").get<std::string>())));
    return {{"case", cases.size() - 1}};
  }
  if (order.contains("memory")) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return {{"bytes", 1024 * usage.ru_maxrss}};
  }
  Draws& draws = *cases.at(order.at("run").get<std::size_t>());
  const auto count = order.at("draws").get<std::int64_t>();
  const std::clock_t start = std::clock();
  const double time = draws(1, count);
  const auto ticks = static_cast<double>(std::clock() - start);
  return {{"seconds", time},
          {"processor_seconds", ticks / CLOCKS_PER_SEC / static_cast<double>(count)}};
}

}  // namespace

void serve(std::istream& orders, std::ostream& answers) {
  answers << json{{"processor", cpu_model()}, {"threads", thread_count()}} << std::endl;
  std::vector<std::unique_ptr<Draws>> cases;
  for (std::string line; std::getline(orders, line);) {
    json said;
    try {
      said = answer(json::parse(line), cases);
    } catch (const std::exception& error) {
      said = {{"error", error.what()}};
    }
    answers << said << std::endl;
  }
}

}  // namespace pixeldp::bench
