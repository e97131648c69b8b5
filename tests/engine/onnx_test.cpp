#include "engine/io/onnx.hpp"

#include <fstream>

#include <doctest/doctest.h>

#include "tests/made_onnx.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using tests::MadeOnnx, tests::Message;

namespace {

OnnxModel parsed(const std::string& file) { return parse_onnx(as_bytes(file), "FILE"); }

OnnxTensor parsed_tensor(const Message& tensor) {
  return parsed(MadeOnnx().initializer(tensor).bytes()).initializers.at(0);
}

using Reals = std::vector<float>;
using Integers = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("an ONNX file is read: nodes, attributes, tensors, inputs and outputs") {
  const OnnxModel model =
      parsed(MadeOnnx()
                 .input("x", {0, 3, 8, 6})
                 .output("y")
                 .initializer(MadeOnnx::tensor("w", {2, 1}, {0.5f, -2.0f}))
                 .node("Flatten", {"x"}, {"f"}, {MadeOnnx::attribute("axis", -2)})
                 .node("Gemm", {"f", "w"}, {"y"}, {MadeOnnx::attribute("pads", Integers{1, -1})})
                 .bytes(11));
  CHECK(model.opsets.at("") == 11);
  REQUIRE(model.nodes.size() == 2);
  CHECK(model.nodes[0].name == "the_Flatten");
  CHECK(model.nodes[0].attributes.at(0).integer == -2);
  CHECK(model.nodes[1].inputs == std::vector<std::string>{"f", "w"});
  CHECK(model.nodes[1].attributes.at(0).integers == Integers{1, -1});
  CHECK(model.initializers.at(0).dims == Integers{2, 1});
  CHECK(std::get<Reals>(model.initializers[0].values) == Reals{0.5f, -2.0f});
  CHECK(model.inputs.at(0).name == "x");
  CHECK(model.inputs[0].dims.at(0).extent == 0);
  CHECK(model.inputs[0].dims[0].name == "N");
  CHECK(model.inputs[0].dims.at(3).extent == 6);
  CHECK(model.outputs.at(0).name == "y");
}

TEST_CASE("tensors of ONNX are read as they may be stored") {
  const auto made = [](int type, const auto& put) {
    Message tensor = MadeOnnx::tensor_of("t", {2}, type);
    put(tensor);
    return parsed_tensor(tensor);
  };
  const auto raw = [](const std::string& bytes) {
    return [bytes](Message& t) { t.text(9, bytes); };
  };
  using namespace std::string_literals;
  CHECK(std::get<Reals>(made(1, [](Message& t) { t.real(4, 1.5f).real(4, -2.0f); }).values) ==
        Reals{1.5f, -2.0f});
  // The smallest float16 above 0, and 1; in bytes, and as integers.
  CHECK(std::get<Reals>(made(10, raw("\x01\0\0\x3c"s)).values) == Reals{0x1p-24f, 1.0f});
  CHECK(std::get<Reals>(made(10, [](Message& t) { t.integer(5, 1).integer(5, 0x3c00); }).values) ==
        Reals{0x1p-24f, 1.0f});
  CHECK(std::get<Reals>(made(16, raw("\x80\x3f\0\xc0"s)).values) == Reals{1.0f, -2.0f});
  CHECK(std::get<Integers>(made(3, raw("\xff\x02"s)).values) == Integers{-1, 2});
  CHECK(std::get<Integers>(made(2, raw("\xff\x02"s)).values) == Integers{255, 2});
  CHECK(std::get<Integers>(made(6, [](Message& t) { t.text(5, "\x01\x02"); }).values) ==
        Integers{1, 2});
  CHECK(std::get<Integers>(made(7, [](Message& t) { t.integer(7, -1).integer(7, 2); }).values) ==
        Integers{-1, 2});
  CHECK(std::get<Integers>(made(9, raw("\x01\0"s)).values) == Integers{1, 0});
  CHECK_FAILS(made(8, raw("ab")), "FILE: tensor t: values of type string (8) are not read");
  CHECK_FAILS(made(99, raw("ab")), "type undefined (99)");
  CHECK_FAILS(made(1, raw("abcd")), "extents 2 of type float do not take its 4 bytes");
  CHECK_FAILS(made(13, raw("\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0"s)), "beyond 63 bits");
}

TEST_CASE("damaged ONNX files are refused by offset or by tensor") {
  const std::string whole = MadeOnnx()
                                .input("x", {1, 1, 2, 2})
                                .output("y")
                                .initializer(MadeOnnx::tensor("w", {4}, {1, 2, 3, 4}))
                                .node("Relu", {"x"}, {"y"})
                                .bytes();
  CHECK_FAILS(parsed(whole.substr(0, whole.size() / 2)), "FILE: a field that ends beyond");
  CHECK_FAILS(parsed("\x08\x08"), "it has no graph");
  CHECK_FAILS(parsed("<html></html>"), "FILE: not an ONNX model; it is a web page");
  CHECK_FAILS(parsed("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "64 bits");
  CHECK_FAILS(parsed("\x0b"), "a field of no type");
  const auto tensor = [](const MadeOnnx::Dims& dims) {
    return parsed_tensor(MadeOnnx::tensor("w", dims, {1, 2, 3, 4}));
  };
  CHECK_FAILS(tensor({-2, -2}), "tensor w: its extents -2x-2 are negative");
  CHECK_FAILS(tensor({std::int64_t{1} << 62, 4, 1}), "overflows");
  CHECK_FAILS(tensor({5}), "extents 5 of type float do not take its 16 bytes");
}

TEST_CASE("external weights lie in the model's folder, and are read from their offsets") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "model");
  const std::filesystem::path path = folder / "model" / "m.onnx";
  const auto read = [&](const std::string& location, const MadeOnnx::Dims& dims,
                        const std::vector<std::pair<std::string, std::string>>& more = {}) {
    Message tensor = MadeOnnx::tensor_of("w", dims, 1);
    tensor.integer(14, 1).message(13, Message().text(1, "location").text(2, location));
    for (const auto& [key, value] : more) tensor.message(13, Message().text(1, key).text(2, value));
    std::ofstream(path, std::ios::binary) << MadeOnnx().initializer(tensor).bytes();
    return read_onnx(path).initializers.at(0);
  };
  const float values[] = {1, 2, 3, 4};
  for (const auto& file : {folder / "model" / "weights.bin", folder / "outside.bin"})
    std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(values), 16);
  CHECK(std::get<Reals>(read("weights.bin", {4}).values) == Reals{1, 2, 3, 4});
  CHECK(std::get<Reals>(read("./weights.bin", {2}, {{"offset", "4"}, {"length", "8"}}).values) ==
        Reals{2, 3});
  CHECK_FAILS(read("weights.bin", {4}, {{"offset", "4"}}), "end beyond the file, which has 16");
  CHECK_FAILS(read("weights.bin", {4}, {{"length", "12"}}), "do not take its 12 bytes");
  CHECK_FAILS(read("weights.bin", {4}, {{"offset", "-4"}}), "'-4' is no offset");
  CHECK_FAILS(read("lacking.bin", {4}), "tensor w: its external file 'lacking.bin' is missing");
  CHECK_FAILS(read("../outside.bin", {4}), "'../outside.bin' lies outside of the model's folder");
  CHECK_FAILS(read("sub/../../outside.bin", {4}), "lies outside");
  CHECK_FAILS(read((folder / "outside.bin").string(), {4}), "lies outside");
  CHECK_FAILS(read("", {4}), "lies outside");
  std::filesystem::create_symlink(folder / "outside.bin", folder / "model" / "link.bin");
  CHECK_FAILS(read("link.bin", {4}), "lies outside");
  CHECK_FAILS(read("weights.bin", {std::int64_t{1} << 32}),
              "its weights take 16.0 GiB in fp32; models of at most 2 GiB are read");
}
