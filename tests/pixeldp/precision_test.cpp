#include "pixeldp/precision.hpp"

#include <algorithm>
#include <cmath>

#include <omp.h>

#include "kernels/inference.hpp"
#include "pixeldp/quantisation.hpp"
#include "pixeldp/sampler.hpp"
#include "tests/layers/made_network.hpp"
#include "tests/log_text.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using kernels::Algorithm, kernels::Precision;

namespace {

bool can(Precision precision) {
  const std::string obstacle = kernels::inference_obstacle(precision);
  if (!obstacle.empty()) MESSAGE(obstacle);
  return obstacle.empty();
}

Model made_model(const layers::NetworkSpec& spec) {
  Model model{.name = "made",
              .dataset = "mnist",
              .spec = spec,
              .network = layers::make_network(spec, 5),
              .calibration = {.mechanism = Mechanism::gaussian, .noise_scale = 0.7}};
  tests::unsettle_normalisations(model.network);
  apply_calibration(model.calibration, model.network);
  return model;
}

const std::vector<layers::NetworkSpec> specs = {{.height = 8, .width = 8},
                                                {.height = 8, .width = 8, .noise_after_layers = 0},
                                                tests::small_resnet_spec("wide-resnet"),
                                                tests::small_resnet_spec("wide-resnet", 0),
                                                tests::small_resnet_spec("resnet")};

Dataset made_images(const layers::NetworkSpec& spec, std::int64_t count) {
  Dataset set;
  set.name = "made", set.split = "train";
  set.height = spec.height, set.width = spec.width, set.channels = spec.channels;
  set.classes = static_cast<int>(spec.classes);
  Bytes pixels;
  for (const float v : reference::reals(count * set.image_size(), 77))
    pixels.push_back(static_cast<std::uint8_t>(127.5f + 127.0f * v));
  set.images = images_in_memory(std::move(pixels), set.image_size(), "");
  set.labels.assign(static_cast<std::size_t>(count), 0);
  return set;
}

std::vector<ScoreStatistics> statistics(Sampler&& sampler, const Model& model,
                                        std::vector<std::uint32_t> images, std::uint32_t draws) {
  std::vector<ScoreStatistics> all;
  sampler.run(
      std::ssize(images), {.seed = 3, .count = draws},
      [&](std::int64_t i, float* pixels) {
        const std::uint32_t id = images[static_cast<std::size_t>(i)];
        std::ranges::copy(reference::reals(model.network.input().row_size(), 100 + id), pixels);
        return id;
      },
      [&](std::int64_t, const ScoreStatistics& s) {
        all.push_back(s);
        return true;
      });
  return all;
}

bool same(const ScoreStatistics& a, const ScoreStatistics& b) {
  return a.votes == b.votes && a.sums == b.sums && a.squares == b.squares;
}

}  // namespace

TEST_CASE("training is refused in a precision that the processor has not, and only there") {
  const Device processor, emulated = Device::parse("emulated");
  const CpuFeatures without{.avx2 = true, .avx512 = true},
      with{.avx2 = true, .avx512 = true, .bf16 = true};
  CHECK_FAILS(check_training_precision(processor, Precision::bf16, without),
              "training.precision: bf16: this processor has no AVX-512 BF16, which products of "
              "bf16 take; training.precision: fp32 works everywhere");
  CHECK_NOTHROW(check_training_precision(processor, Precision::bf16, with));
  CHECK_NOTHROW(check_training_precision(processor, Precision::fp32, without));
  CHECK_NOTHROW(check_training_precision(processor, Precision::tf32, without));
  CHECK_NOTHROW(check_training_precision(emulated, Precision::bf16, without));
}

TEST_CASE(
    "in bf16 and int8 too, an image's statistics do not depend on its neighbours, the threads or "
    "the micro-batch, and stay near those in fp32") {
  for (const layers::NetworkSpec& spec : specs) {
    CAPTURE(spec.architecture);
    Model model = made_model(spec);
    model.quantisation = quantise(model, made_images(spec, 40), 40, 1);
    constexpr std::uint32_t draws = 70;
    const auto fp32 = statistics(Sampler(Stream(), model.network), model, {4, 0, 9}, draws);
    for (const Precision precision : {Precision::bf16, Precision::int8}) {
      if (!can(precision)) continue;
      CAPTURE(name(precision));
      const BodyPrecision chosen{precision, quantisation(model)};
      const auto reference =
          statistics(Sampler(Stream(), model.network, 0, chosen), model, {4, 0, 9}, draws);
      REQUIRE(reference.size() == 3);
      const int threads = omp_get_max_threads();
      for (const int team : {1, 3}) {
        omp_set_num_threads(team);
        for (const std::int64_t micro_batch : {1, 7, 200}) {
          Sampler sampler(Stream(), model.network, micro_batch, chosen);
          const auto turned = statistics(std::move(sampler), model, {9, 4}, draws);
          CHECK(same(turned[0], reference[2]));
          CHECK(same(turned[1], reference[0]));
        }
      }
      omp_set_num_threads(threads);
      bool differs = false;
      for (std::size_t i = 0; i < 3; ++i) {
        differs = differs || reference[i].sums != fp32[i].sums;
        for (std::size_t c = 0; c < 10; ++c) {
          const double difference =
              (static_cast<double>(reference[i].sums[c]) - static_cast<double>(fp32[i].sums[c])) /
              0x1p32 / draws;
          CHECK(std::abs(difference) < 0.02);
        }
      }
      CHECK(differs);
    }
  }
}

TEST_CASE(
    "in int8 a device counts what the processor counts, to the last one, in any micro-batch") {
  const Stream emulated(Device::parse("emulated"));
  for (const layers::NetworkSpec& spec : specs) {
    CAPTURE(spec.architecture);
    CAPTURE(spec.noise_after_layers);
    Model model = made_model(spec);
    model.quantisation = quantise(model, made_images(spec, 10), 10, 1);
    for (const Mechanism mechanism : {Mechanism::gaussian, Mechanism::laplace}) {
      model.calibration.mechanism = mechanism;
      apply_calibration(model.calibration, model.network);
      const BodyPrecision chosen{Precision::int8, quantisation(model)};
      constexpr std::uint32_t draws = 4;
      Sampler sampler(Stream(), model.network, 0, chosen);
      const BodyFunction function = sampler.function();
      const auto expected = statistics(std::move(sampler), model, {4, 9}, draws);
      for (const std::int64_t micro_batch : {1, 3, 64}) {
        if (mechanism == Mechanism::laplace && micro_batch != 3) continue;
        CAPTURE(micro_batch);
        Sampler device(emulated, model.network, micro_batch, chosen);
        CHECK(device.function() == function);
        const auto counted = statistics(std::move(device), model, {4, 9}, draws);
        for (std::size_t i = 0; i < 2; ++i) CHECK(same(counted[i], expected[i]));
      }
    }
  }
}

TEST_CASE("int8 on a device is refused where what lies before the noise has other bits there") {
  const Model model = made_model({.height = 8, .width = 8, .noise_after_layers = 2});
  const Quantisation scales{{{"fc1", 0.1f}}, 10, 1};
  const BodyPrecision chosen{Precision::int8, &scales};
  CHECK_NOTHROW(Sampler(Stream(), model.network, 0, chosen));
  const Stream emulated(Device::parse("emulated"));
  CHECK_FAILS(Sampler(emulated, model.network, 0, chosen),
              "the sums of layer conv2 have another order there, 32 channels being many");
  CHECK_NOTHROW(Sampler(emulated, model.network));
  CHECK_FAILS(Sampler(emulated, model.network, 0, {Precision::int8}), "pixeldp quantise");
}

TEST_CASE("precisions have names; what a device has not is refused") {
  for (const Precision p : {Precision::fp32, Precision::bf16, Precision::int8})
    CHECK(parse_precision(name(p)) == p);
  CHECK_FAILS(parse_precision("fp16"), "int8");
  CHECK(precision_on({}) == Precision::fp32);
  const Device emulated = Device::parse("emulated");
  CHECK(precision_on(emulated) == Precision::bf16);
  CHECK(precision_on(emulated, Precision::int8) == Precision::int8);
  CHECK_FAILS(precision_on(emulated, Precision::fp32),
              "device emulated evaluates draws in bf16 or");
  CHECK_FAILS(precision_on({}, Precision::tf32), "tf32");
}

TEST_CASE(
    "what a sampler evaluates is named: the algorithm in fp32 and bf16, where a layer takes it") {
  const Device processor, emulated = Device::parse("emulated");
  CHECK(algorithm_on(processor) == Algorithm::winograd);
  for (const Algorithm algorithm : algorithms) {
    CHECK(algorithm_on(processor, algorithm) == algorithm);
    CHECK_FAILS(algorithm_on(emulated, algorithm), "emulated");
  }

  const auto function = [](const layers::NetworkSpec& spec, Precision precision,
                           std::optional<Algorithm> algorithm = {}, const Device& device = {}) {
    const Model model = made_model(spec);
    return body_function(device, {precision, nullptr, algorithm},
                         lower(Stream(), model.network).body);
  };
  const layers::NetworkSpec resnet = specs[2], cnn = specs[0];
  CHECK(function(resnet, Precision::fp32) == BodyFunction{"fp32", "fp32", "winograd"});
  CHECK(function(resnet, Precision::fp32, Algorithm::direct) == BodyFunction());
  CHECK(function(resnet, Precision::int8) == BodyFunction{"int8", "fp32", "direct"});
  CHECK(function(resnet, Precision::int8, {}, emulated) == function(resnet, Precision::int8));
  CHECK(function(resnet, Precision::bf16, {}, emulated) ==
        BodyFunction{"bf16", "bf16", "tensor-core"});
  layers::NetworkSpec wide = resnet;
  wide.widening = 4;  // up to 256 channels
  if (can(Precision::bf16)) {
    CHECK(function(resnet, Precision::bf16) == BodyFunction{"bf16", "bf16", "direct"});
    CHECK(function(wide, Precision::bf16) == BodyFunction{"bf16", "bf16", "winograd"});
    CHECK(function(wide, Precision::bf16, Algorithm::direct) ==
          BodyFunction{"bf16", "bf16", "direct"});
  } else {
    CHECK_FAILS(function(wide, Precision::bf16), "no AVX-512 BF16");
  }
  CHECK(function(cnn, Precision::fp32) == BodyFunction());
  CHECK(function({}, Precision::fp32) == BodyFunction{"fp32", "fp32", "winograd"});

  const Model model = made_model(resnet);
  Sampler fast(Stream(), model.network),
      direct(Stream(), model.network, 0, {Precision::fp32, nullptr, Algorithm::direct});
  CHECK(fast.function().algorithm == "winograd");
  CHECK(direct.function().algorithm == "direct");
  const auto a = statistics(std::move(fast), model, {4, 0}, 50),
             b = statistics(std::move(direct), model, {4, 0}, 50);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(a[i].sums != b[i].sums);
    for (std::size_t c = 0; c < 10; ++c)
      CHECK(std::abs(static_cast<double>(a[i].sums[c]) - static_cast<double>(b[i].sums[c])) <
            1e-3 * 50 * 0x1p32);
  }
}

TEST_CASE("draws of a wide network in int8 are the same by either algorithm, in bf16 nearly so") {
  layers::NetworkSpec wide = specs[2];
  wide.widening = 4;
  Model model = made_model(wide);
  model.quantisation = quantise(model, made_images(wide, 20), 20, 1);
  for (const Precision precision : {Precision::int8, Precision::bf16}) {
    if (!can(precision)) continue;
    const auto by = [&](Algorithm algorithm) {
      return statistics(
          Sampler(Stream(), model.network, 0, {precision, quantisation(model), algorithm}), model,
          {4, 0}, 50);
    };
    const auto a = by(Algorithm::winograd), b = by(Algorithm::direct);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(same(a[i], b[i]) == (precision == Precision::int8));
      for (std::size_t c = 0; c < 10; ++c)
        CHECK(std::abs(static_cast<double>(a[i].sums[c]) - static_cast<double>(b[i].sums[c])) <
              5e-3 * 50 * 0x1p32);
    }
  }
}

TEST_CASE("int8 takes scales for all layers that multiply, and no others") {
  if (!can(Precision::int8)) return;
  const layers::NetworkSpec spec = specs[0];
  const Model model = made_model(spec);
  const Dataset images = made_images(spec, 10);
  const auto with = [&](const Quantisation* q) {
    return Sampler(Stream(), model.network, 0, {Precision::int8, q});
  };
  CHECK_FAILS(with(nullptr), "pixeldp quantise");
  Quantisation q = quantise(model, images, 10, 1);
  CHECK(q.scales.size() == 2);
  CHECK(q == quantise(model, images, 10, 1));
  CHECK(q != quantise(model, images, 10, 2));
  with(&q);
  Quantisation less = q, more = q;
  less.scales.erase("fc1");
  CHECK_FAILS(with(&less), "fc1");
  more.scales["conv9"] = 1.0f;
  CHECK_FAILS(with(&more), "3 scales");
  CHECK_FAILS(quantise(model, images, 11, 1), "11");
  CHECK_FAILS(quantise(model, made_images(specs[2], 10), 5, 1), "8x8x3");
}

TEST_CASE("a model's file keeps its scales to the last bit, and damaged ones are refused") {
  const TemporaryFolder folder;
  Model model = made_model(specs[0]);
  save_model(folder / "plain", model);
  CHECK(!load_model(folder / "plain").quantisation);
  model.quantisation = Quantisation{{{"conv2", 0.1f}, {"fc1", 1.0f / 3.0f}}, 256, 7};
  save_model(folder / "m", model);
  CHECK(load_model(folder / "m").quantisation == model.quantisation);
  for (const char* scales : {"conv2", "conv2=", "conv2=0", "conv2=-1,fc1=1", "conv2=nan", "=1x"}) {
    SafetensorsFile file = model_to_safetensors(model);
    file.metadata["quantisation_scales"] = scales;
    write_safetensors(folder / "bad", file);
    CHECK_FAILS(load_model(folder / "bad"), "quantisation_scales");
  }
}

TEST_CASE("a certificate log tells its precision, goes on with that one only, and may be older") {
  const TemporaryFolder folder;
  const tests::MadeRun made;
  CertificateLogHeader header = tests::made_header(made);
  header.function = {"int8", "fp32", "direct"};
  CertificateLogWriter::create(folder / "log", header);
  CHECK(read_certificate_log(folder / "log").header.function == header.function);
  CertificateLogWriter::resume(folder / "log", header);
  header.function = {"bf16", "bf16", "direct"};
  CHECK_FAILS(CertificateLogWriter::resume(folder / "log", header), "precision");
  header.function.algorithm = "tensor-core";  // the same precisions, but another function
  CertificateLogWriter::create(folder / "device", header);
  header.function.algorithm = "direct";
  CHECK_FAILS(CertificateLogWriter::resume(folder / "device", header), "algorithm");
  header.function = {};
  CertificateLogWriter::create(folder / "before", header);
  header.function.algorithm = "winograd";
  CHECK_FAILS(CertificateLogWriter::resume(folder / "before", header), "algorithm");
  header.function.algorithm = "guess";
  CHECK_FAILS(CertificateLogWriter::create(folder / "other", header), "guess");
  header.function.precision = "fp8";
  CHECK_FAILS(CertificateLogWriter::create(folder / "other", header), "fp8");
  // Older logs say less; of fp32 and int8 there was one function only.
  std::string older = tests::in_format_1(tests::text_of(folder / "log"));
  const auto forget = [&](const std::string& key) {
    REQUIRE(older.find(key) != std::string::npos);
    older.erase(older.find(key), key.size());
    return parse_certificate_log(older, "older").header.function;
  };
  const BodyFunction int8 = {"int8", "fp32", "direct"};
  CHECK(forget("\"residual_precision\":\"fp32\",") == int8);
  CHECK(forget("\"algorithm\":\"direct\",") == int8);
  CHECK(forget("\"precision\":\"int8\",") ==
        BodyFunction{"unrecorded", "unrecorded", "unrecorded"});
}
