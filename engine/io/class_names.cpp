#include "engine/io/class_names.hpp"

#include <fmt/format.h>

namespace pixeldp {
namespace {

constexpr std::string_view fashion_mnist[] = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                              "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                              "Bag",         "Ankle boot"};

constexpr std::string_view cifar_10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                         "dog",      "frog",       "horse", "ship", "truck"};

constexpr std::string_view cifar_100[] = {
    "apple",       "aquarium fish", "baby",      "bear",       "beaver",       "bed",
    "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
    "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
    "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
    "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
    "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
    "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn mower",
    "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple tree",
    "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak tree",     "orange",
    "orchid",      "otter",         "palm tree", "pear",       "pickup truck", "pine tree",
    "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
    "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
    "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
    "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet pepper",
    "table",       "tank",          "telephone", "television", "tiger",        "tractor",
    "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
    "willow tree", "wolf",          "woman",     "worm"};

template <typename Names>
std::string text_with_name(const Names& names, int label) {
  if (label < 0 || label >= std::ssize(names)) return fmt::format("{}", label);
  return fmt::format("{} ({})", label, names[static_cast<std::size_t>(label)]);
}

}  // namespace

std::span<const std::string_view> class_names(std::string_view dataset) {
  if (dataset == "fashion-mnist") return fashion_mnist;
  if (dataset == "cifar-10") return cifar_10;
  if (dataset == "cifar-100" || dataset == "cifar-100-first2000") return cifar_100;
  return {};
}

std::string label_text(std::string_view dataset, int label) {
  return text_with_name(class_names(dataset), label);
}

std::string label_text(const std::vector<std::string>& names, int label) {
  return text_with_name(names, label);
}

}  // namespace pixeldp
