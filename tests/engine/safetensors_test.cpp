#include "engine/io/safetensors.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>

#include <doctest/doctest.h>

#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

/// A file of this header and so many zeros as data.
Bytes build(std::string_view header, std::size_t data_size) {
  Bytes bytes(8 + header.size() + data_size);
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::copy(header.begin(), header.end(), bytes.begin() + 8);
  return bytes;
}

SafeTensor raw(std::string dtype, std::vector<std::int64_t> shape, Bytes bytes) {
  return {std::move(dtype), std::move(shape), std::move(bytes)};
}

SafetensorsFile example() {
  SafetensorsFile file;
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), -3.5f);
  file.tensors["conv1.weight"] = SafeTensor::from_floats({2, 3, 1, 2, 2}, values);
  file.tensors["bn.num_batches_tracked"] = raw("I64", {}, {5, 1, 0, 0, 0, 0, 0, 0});
  file.tensors["bias"] = SafeTensor::from_floats({1}, std::vector<float>{-0.0f});
  file.tensors["a.flag"] = raw("U8", {3}, {1, 2, 255});
  file.tensors["none"] = SafeTensor::from_floats({4, 0}, {});
  file.metadata = {{"format", "pt"}, {"noise \"kind\"", "gaussian\nσ"}};
  return file;
}

}  // namespace

TEST_CASE("what is written is read back, bit for bit, and written again the same") {
  const SafetensorsFile file = example();
  const Bytes bytes = serialize_safetensors(file);
  const SafetensorsFile back = parse_safetensors(bytes, "f");
  CHECK(back.tensors == file.tensors);
  CHECK(back.metadata == file.metadata);
  CHECK(serialize_safetensors(back) == bytes);

  const TemporaryFolder folder;
  write_safetensors(folder / "m.safetensors", file);
  CHECK(read_file(folder / "m.safetensors") == bytes);
  CHECK(read_safetensors(folder / "m.safetensors").tensors == file.tensors);
  CHECK_FAILS(read_safetensors(folder / "no"), "no': No such file");
}

TEST_CASE("the layout on disk is the documented one") {
  SafetensorsFile file;
  file.tensors["b"] = SafeTensor::from_floats({2}, std::vector<float>{1.0f, -2.0f});
  file.tensors["a"] = raw("U8", {1}, {7});
  const std::string header = R"({"a":{"data_offsets":[8,9],"dtype":"U8","shape":[1]},)"
                             R"("b":{"data_offsets":[0,8],"dtype":"F32","shape":[2]}})";
  const Bytes bytes = serialize_safetensors(file);
  std::uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);
  REQUIRE(bytes.size() == 8 + length + 9);
  CHECK(std::string(as_text(bytes).substr(8, header.size())) == header);
  CHECK(as_text(bytes).substr(8 + header.size(), length - header.size()).find_first_not_of(' ') ==
        std::string_view::npos);
  CHECK(Bytes(bytes.end() - 9, bytes.end()) == Bytes{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 7});
  CHECK(parse_safetensors(serialize_safetensors({}), "empty").tensors.empty());
}

TEST_CASE("elements of every dtype become floats") {
  CHECK(example().tensors["bn.num_batches_tracked"].to_floats() == std::vector<float>{261.0f});
  CHECK(example().tensors["bn.num_batches_tracked"].size() == 1);
  CHECK(example().tensors["a.flag"].to_floats() == std::vector<float>{1, 2, 255});
  CHECK(example().tensors["conv1.weight"].to_floats()[23] == 19.5f);
  CHECK(example().tensors["none"].to_floats().empty());
  CHECK(std::signbit(example().tensors["bias"].to_floats()[0]));

  // Binary16: 1, -2, largest, smallest normal, smallest subnormal, largest subnormal, infinity,
  // NaN.
  const auto half = raw("F16", {8},
                        {0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x00, 0x04, 0x01, 0x00, 0xff, 0x03,
                         0x00, 0xfc, 0x01, 0x7e})
                        .to_floats();
  CHECK(half[0] == 1.0f);
  CHECK(half[1] == -2.0f);
  CHECK(half[2] == 65504.0f);
  CHECK(half[3] == 0x1p-14f);
  CHECK(half[4] == 0x1p-24f);
  CHECK(half[5] == 0x1p-14f - 0x1p-24f);
  CHECK(half[6] == -std::numeric_limits<float>::infinity());
  CHECK(std::isnan(half[7]));
  CHECK(raw("BF16", {2}, {0x80, 0x3f, 0x49, 0xc0}).to_floats() == std::vector<float>{1, -3.140625});
  CHECK(raw("F64", {1}, {0, 0, 0, 0, 0, 0, 0xf8, 0xbf}).to_floats()[0] == -1.5f);
  CHECK(raw("I8", {1}, {0xff}).to_floats()[0] == -1.0f);
  CHECK(raw("I16", {1}, {0xfe, 0xff}).to_floats()[0] == -2.0f);
  CHECK(raw("U16", {1}, {0xfe, 0xff}).to_floats()[0] == 65534.0f);
  CHECK(raw("I32", {1}, {0xfd, 0xff, 0xff, 0xff}).to_floats()[0] == -3.0f);
  CHECK(raw("U32", {1}, {0, 0, 0, 0x80}).to_floats()[0] == 2147483648.0f);
  CHECK(raw("U64", {1}, {0, 0, 0, 0, 0, 0, 0, 0x80}).to_floats()[0] == 0x1p63f);
  CHECK_FAILS(raw("F8_E4M3", {1}, {0}).to_floats(), "F8_E4M3 cannot be read as floats");
}

TEST_CASE("writing refuses tensors that contradict themselves") {
  const std::vector<float> three(3);
  CHECK_FAILS(SafeTensor::from_floats({2}, three), "shape [2] cannot hold 3 values");
  CHECK_FAILS(SafeTensor::from_floats({-1, -3}, three), "cannot hold");
  CHECK_FAILS(SafeTensor::from_floats({std::int64_t{1} << 62, 4, 0}, {}), "cannot hold");
  CHECK_FAILS(serialize_safetensors({{{"t", raw("F32", {2}, Bytes(7))}}, {}}), "tensor 't'");
  CHECK_FAILS(serialize_safetensors({{{"t", raw("F31", {}, Bytes(4))}}, {}}), "'F31'");
  CHECK_FAILS(serialize_safetensors({{{"__metadata__", raw("U8", {}, {1})}}, {}}), "__metadata__");
  CHECK_FAILS(serialize_safetensors({{}, {{"a", "\xff"}}}), "not UTF-8");
}

TEST_CASE("a file cut short anywhere is an error") {
  const Bytes good = serialize_safetensors(example());
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(parse_safetensors(ByteView(good).first(size), "cut"), Error);
  }
  CHECK_FAILS(parse_safetensors(ByteView(good).first(7), "cut"), "cut: cut short: 7 bytes");
  CHECK_FAILS(parse_safetensors(ByteView(good).first(30), "cut"), "only 22 after");
  Bytes longer = good;
  longer.push_back(0);
  CHECK_FAILS(parse_safetensors(longer, "f"), "the tensors end at offset");
}

TEST_CASE("every contradiction in a header is an error that says which") {
  const auto parse = [](std::string_view header, std::size_t data_size = 8) {
    return parse_safetensors(build(header, data_size), "f");
  };
  CHECK(parse(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )").tensors.size() == 1);

  Bytes huge(16);
  std::fill_n(huge.begin(), 8, std::uint8_t{0xff});
  CHECK_FAILS(parse_safetensors(huge, "f"), "a header of 18446744073709551615 bytes");
  CHECK_FAILS(parse(""), "not valid JSON");
  CHECK_FAILS(parse("[]", 0), "the header is not a JSON object");
  CHECK_FAILS(parse("{\"a\": }"), "not valid JSON");
  CHECK_FAILS(parse("{\"\xff\":{}}"), "not valid JSON");
  CHECK_FAILS(parse(std::string(1'000'000, '[')), "nests deeper");
  CHECK_FAILS(parse(R"({"t":{"dtype":{"a":{"b":{}}}}})"), "nests deeper");
  CHECK_FAILS(parse(R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                        "t":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
              "the key 't' twice");
  CHECK_FAILS(parse(R"({"t":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}})"),
              "the key 'dtype' twice");
  CHECK_FAILS(parse(R"({"__metadata__":{"a":1}})"), "the metadata 'a' is not a text");
  CHECK_FAILS(parse(R"({"__metadata__":"a"})"), "'__metadata__' is not a mapping");
  CHECK_FAILS(parse(R"({"t":3})"), "f: tensor 't': the entry must hold exactly");
  CHECK_FAILS(parse(R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"x":0}})"), "exactly");
  CHECK_FAILS(parse(R"({"t":{"dtype":"U9","shape":[8],"data_offsets":[0,8]}})"), "dtype 'U9'");
  CHECK_FAILS(parse(R"({"t":{"dtype":"U8","shape":8,"data_offsets":[0,8]}})"),
              "'shape' is missing");
  for (const std::string extent : {"-8", "8.0", "\"8\"", "null", "9223372036854775808", "1e400"}) {
    CAPTURE(extent);
    CHECK_THROWS_AS(
        parse(fmt::format(R"({{"t":{{"dtype":"U8","shape":[{}],"data_offsets":[0,8]}}}})", extent)),
        Error);
  }
  CHECK_FAILS(parse(R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[0]}})"),
              "two rising offsets");
  CHECK_FAILS(parse(R"({"t":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}})"), "two rising");
  CHECK_FAILS(parse(R"({"t":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})"),
              "its data ends at offset 9, the file has 8");
  CHECK_FAILS(parse(R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
              "dtype F32 and shape [3] do not take the 8 bytes");
  // 2^62 * 4 * 4 bytes wrap to 0, and 2^61 + 2 floats to 8 bytes.
  CHECK_FAILS(
      parse(R"({"t":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})"),
      "do not take the 0 bytes");
  CHECK_FAILS(parse(R"({"t":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}})"),
              "do not take the 8 bytes");
}

TEST_CASE("the tensors must cover the data without hole or overlap") {
  const auto two = [](int a, int b, int c, int d) {
    return parse_safetensors(
        build(fmt::format(R"({{"x":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},)"
                          R"("y":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
                          b - a, a, b, d - c, c, d),
              8),
        "f");
  };
  CHECK(two(0, 3, 3, 8).tensors.size() == 2);
  CHECK(two(3, 8, 0, 3).tensors.size() == 2);
  CHECK(two(0, 0, 0, 8).tensors["x"].size() == 0);
  CHECK(two(8, 8, 0, 8).tensors["x"].size() == 0);
  CHECK_FAILS(two(0, 3, 4, 8), "tensor 'y' starts at offset 4 of the data, not at 3");
  CHECK_FAILS(two(0, 4, 3, 8), "tensor 'y' starts at offset 3 of the data, not at 4");
  CHECK_FAILS(two(0, 8, 0, 8), "starts at offset 0 of the data, not at 8");
  CHECK_FAILS(two(1, 4, 4, 8), "tensor 'x' starts at offset 1");
  CHECK_FAILS(two(0, 3, 3, 7), "the tensors end at offset 7, the data has 8 bytes");
}

TEST_CASE("published models are read, and written back unchanged in content") {
  const char* root = std::getenv("PIXELDP_DATA");
  struct Known {
    std::string file, tensor;
    std::vector<std::int64_t> shape;
  };
  const std::vector<Known> all{
      {"models/resnet_cifar10/resnet20-12fca82f.safetensors", "conv1.weight", {16, 3, 3, 3}},
      {"models/resnet_cifar10/resnet56-4bfd9763.safetensors", "linear.weight", {10, 64}},
      {"models/resnet8_cifar10/pretrainedResnet.safetensors", "dense/kernel", {64, 10}}};
  for (const Known& known : all) {
    const std::filesystem::path path = std::filesystem::path(root ? root : "") / known.file;
    if (root == nullptr || !std::filesystem::exists(path)) {
      MESSAGE("skipped: no $PIXELDP_DATA/" << known.file);
      continue;
    }
    const SafetensorsFile model = read_safetensors(path);
    CHECK(model.tensors.size() > 10);
    REQUIRE(model.tensors.count(known.tensor) == 1);
    CHECK(model.tensors.at(known.tensor).shape == known.shape);
    for (const auto& [name, tensor] : model.tensors) {
      CAPTURE(name);
      double magnitude = 0;
      for (const float value : tensor.to_floats())
        magnitude = std::fmax(magnitude, std::fabs(value));
      CHECK(std::isfinite(magnitude));
    }
    CHECK(parse_safetensors(serialize_safetensors(model), "f").tensors == model.tensors);
  }
}

}  // namespace pixeldp
